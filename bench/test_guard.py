"""A guard against slow kernels that does not depend on the machine: ratios to NumPy's own matrix product in one process.

A ratio is (multiply-adds of the job / its time) over (those of a 1024³ product / its time). The floors are half of what
was measured when they were set, so that noise passes and a kernel that lost its vectors does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minitorch_style.engine.network import load_network
from minitorch_style.kernels import kernel_set
from minitorch_style.style.objective import Objective

SIDE = 1024
FLOORS = {"vgg16": 1.0, "distilled": 0.15, "enet": 0.12}

pytestmark = pytest.mark.skipif(kernel_set().name != "numba", reason="guards the compiled kernels")


def best(function: Callable[[], Any], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return min(times)


@pytest.mark.parametrize("model", FLOORS)
def test_loss_and_gradient_keep_up_with_a_matrix_product(model: str) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((SIDE, SIDE), np.float32)
    photo, painting, x = rng.random((3, 256, 256, 3), np.float32)
    objective = Objective(load_network(model, "random:0"), photo, painting)
    objective(x)
    macs = 2 * sum(step.macs for step in objective.plan.steps)
    ratios = []
    for _ in range(3):  # side by side, so that what else the machine does falls on both
        blas = SIDE**3 / best(lambda: matrix @ matrix, 3)
        ratios.append(macs / best(lambda: objective(x), 3) / blas)
    print(f"{model}: {max(ratios):.3f} of the rate of a matrix product")
    assert max(ratios) > FLOORS[model]
