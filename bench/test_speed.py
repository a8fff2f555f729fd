"""Forward pass and iteration of each network at 256×256 on random pictures, as the paper measured (its Figure 7).

pytest bench/test_speed.py                  means of 100 runs for the small networks
MINITORCH_BENCH_SIZE=64 pytest bench/test_speed.py --benchmark-min-rounds=1     the short form that CI runs
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from minitorch_style.engine.network import load_network
from minitorch_style.optimizers import OPTIMIZERS, minimize, optimizer
from minitorch_style.style.objective import Objective

SIZE = int(os.environ.get("MINITORCH_BENCH_SIZE", "256"))
SMALL = ("distilled", "enet")
ROUNDS = {"distilled": 100, "enet": 100, "vgg16": 10}
MODELS = tuple(ROUNDS)


def prepared(model: str, kernels: str) -> tuple[Objective, np.ndarray]:
    rng = np.random.default_rng(0)
    content, style, x = (rng.random((SIZE, SIZE, 3), np.float32) for _ in range(3))
    objective = Objective(load_network(model, "random:0", kernels), content, style)
    objective(x)  # compiles and allocates
    return objective, x


def rounds(model: str) -> int:
    return 2 if SIZE < 256 else ROUNDS[model]


@pytest.mark.parametrize("kernels", ["auto", "numpy"])
@pytest.mark.parametrize("model", MODELS)
def test_forward(benchmark: Any, model: str, kernels: str) -> None:
    objective, x = prepared(model, kernels)
    benchmark.pedantic(objective.plan.run, args=(x,), rounds=rounds(model), warmup_rounds=1)
    assert np.all(np.isfinite(objective.plan.feature(objective.plan.taps[-1]).interior))


@pytest.mark.parametrize("kernels", ["auto", "numpy"])
@pytest.mark.parametrize("model", MODELS)
def test_loss_and_gradient(benchmark: Any, model: str, kernels: str) -> None:
    objective, x = prepared(model, kernels)
    loss, gradient = benchmark.pedantic(objective, args=(x,), rounds=rounds(model), warmup_rounds=1)
    assert np.isfinite(loss) and gradient.shape == x.shape


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("model", SMALL)
def test_ten_iterations(benchmark: Any, model: str, method: str) -> None:
    """Ten iterations of the optimizer: a tenth of this is the paper's «iteration»."""
    objective, x = prepared(model, "auto")
    count = 2 if SIZE < 256 else 10
    result = benchmark.pedantic(minimize, args=(optimizer(method), objective, x, 10), rounds=count, warmup_rounds=1)
    assert result.loss < objective(x)[0]
