"""A Winograd convolution that does the activation and the pool behind it as well."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels import kernel_set
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d
from tests import oracle
from tests.kernels.harness import assert_margin_untouched, filled, poisoned

pytestmark = pytest.mark.jit
HALVING = {"max": MaxPool2d(2), "average": AvgPool2d(2)}
CASES = [((8, 8), 8, 16), ((10, 14), 16, 32), ((2, 6), 24, 48), ((6, 18), 136, 128), ((16, 12), 128, 144)]


@pytest.mark.parametrize(("size", "inputs", "outputs"), CASES)
@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("kind", HALVING)
def test_forward_and_gradient(
    size: tuple[int, int], inputs: int, outputs: int, activated: bool, kind: str, rng: np.random.Generator
) -> None:
    spec = Conv2d(inputs, outputs, 3, padding=1)
    x = rng.standard_normal((*size, inputs)).astype(np.float32)
    weight = (rng.standard_normal((3, 3, inputs, outputs)) / np.sqrt(9 * inputs)).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    slope = rng.uniform(0, 1, outputs).astype(np.float32) if activated else None
    if slope is not None:
        slope[::3] = 0
    kernel = kernel_set("numba").convolution(spec, weight, bias, slope, x.shape, True, "winograd", HALVING[kind])
    assert kernel.algorithm == "winograd" and kernel.fused_pool == kind

    def forward(v: np.ndarray) -> np.ndarray:
        y = oracle.conv2d(v, weight, bias, (1, 1), (1, 1), (1, 1))
        y = y if slope is None else oracle.leaky(y, slope)
        return oracle.pool2d(y, (2, 2), (2, 2), (0, 0), False, kind == "average")

    out = poisoned(HALVING[kind].output_shape((*size, outputs)), 2)
    kernel.forward(filled(x, kernel.input_margin), out)
    expected = forward(x)
    assert oracle.relative_error(out.interior, expected) <= 1e-5
    assert_margin_untouched(out)

    def input_grad(dy: np.ndarray) -> np.ndarray:
        gate = 1 if slope is None or kind == "average" else np.where(expected > 0, 1, slope)
        dx = poisoned(x.shape, 1)
        kernel.backward(filled((dy * gate).astype(np.float32), kernel.grad_margin), dx, False, None)
        assert_margin_untouched(dx)
        return dx.interior.copy()

    assert oracle.projection_error(forward, input_grad, x, rng, directions=2) <= 1e-4


@pytest.mark.parametrize("pool", [MaxPool2d(3, 2), MaxPool2d(2, 1), MaxPool2d(2, 2, 1), AvgPool2d(3, 2)])
def test_another_pool_is_left_alone(pool: MaxPool2d | AvgPool2d) -> None:
    weight = np.zeros((3, 3, 16, 16), np.float32)
    kernel = kernel_set("numba").convolution(
        Conv2d(16, 16, 3, padding=1), weight, None, None, (8, 8, 16), True, "winograd", pool
    )
    assert kernel.fused_pool is None


@pytest.mark.parametrize("size", [(7, 8), (8, 9)])
def test_odd_sizes_are_left_alone(size: tuple[int, int]) -> None:
    weight = np.zeros((3, 3, 16, 16), np.float32)
    spec, pool = Conv2d(16, 16, 3, padding=1), MaxPool2d(2)
    kernel = kernel_set("numba").convolution(spec, weight, None, None, (*size, 16), True, "winograd", pool)
    assert kernel.fused_pool is None
