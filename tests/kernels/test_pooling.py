"""Pooling against the definition, forward and back."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Gate
from minitorch_style.nn.layers import AvgPool2d, MaxPool2d
from tests import oracle
from tests.kernels.harness import Pool, filled

# Eleven channels: a vector of eight and three left over.
GEOMETRIES = [
    ((8, 8), (2,), {}),
    ((7, 9), (2,), {}),
    ((7, 9), (2,), {"ceil_mode": True}),
    ((9, 6), (3,), {"stride": 2, "padding": 1}),
    ((10, 11), (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((5, 8), ((3, 2),), {"stride": (1, 3)}),
    ((6, 6), ((1, 4),), {"stride": (2, 2), "padding": (0, 2), "ceil_mode": True}),
    ((2, 2), (2,), {}),
    ((1, 1), (2,), {"ceil_mode": True, "padding": 1}),
    ((7, 7), (2,), {"stride": 3}),
]
CASES = [(kind, size, kind(*args, **kw)) for kind in (MaxPool2d, AvgPool2d) for size, args, kw in GEOMETRIES]
IDS = [
    f"{kind.__name__}-{size}-{spec.kernel_size}{spec.stride}{spec.padding}{spec.ceil_mode}"
    for kind, size, spec in CASES
]


def definition(x: np.ndarray, spec: MaxPool2d | AvgPool2d) -> np.ndarray:
    return oracle.pool2d(x, spec.kernel_size, spec.stride, spec.padding, spec.ceil_mode, isinstance(spec, AvgPool2d))


def input_gradient(x: np.ndarray, spec: MaxPool2d | AvgPool2d, dy: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """∂⟨dy, definition⟩/∂x by differences, a pixel at a time: channels do not meet in a pool."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(*x.shape[:2]):
        moved = np.zeros(x.shape)
        moved[place] = step
        change = definition(x + moved, spec) - definition(x - moved, spec)
        gradient[place] = np.sum(dy * change, axis=(0, 1)) / (2 * step)
    return gradient


@pytest.mark.parametrize(("kind", "size", "spec"), CASES, ids=IDS)
def test_forward_is_the_definition(
    plain_kernels: KernelSet, kind: type, size: tuple[int, int], spec: MaxPool2d | AvgPool2d, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((*size, 11)).astype(np.float32)
    assert oracle.relative_error(Pool(plain_kernels, spec, x.shape).forward(x), definition(x, spec)) <= 1e-6


@pytest.mark.parametrize(("kind", "size", "spec"), CASES, ids=IDS)
def test_gradient_by_projection(
    plain_kernels: KernelSet, kind: type, size: tuple[int, int], spec: MaxPool2d | AvgPool2d, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((*size, 11)).astype(np.float32)
    pool = Pool(plain_kernels, spec, x.shape)
    pool.forward(x)
    error = oracle.projection_error(
        lambda v: definition(v, spec), lambda dy: pool.backward(dy.astype(np.float32)), x, rng
    )
    assert error <= 1e-4


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])
def test_gradient_is_added_and_gated(plain_kernels: KernelSet, kind: type, size: int, rng: np.random.Generator) -> None:
    spec = kind(size, stride=2, padding=size - 2)
    x, y, before = (rng.standard_normal((8, 6, 11)).astype(np.float32) for _ in range(3))
    slope = rng.uniform(0, 1, 11).astype(np.float32)
    pool = Pool(plain_kernels, spec, x.shape)
    dy = rng.standard_normal(pool.forward(x).shape).astype(np.float32)
    expected = (before + input_gradient(x.astype(np.float64), spec, dy)) * np.where(y > 0, 1, slope)
    assert oracle.relative_error(pool.backward(dy, before, Gate(filled(y), slope)), expected) <= 1e-6


def test_of_equal_values_the_first_gets_the_gradient(plain_kernels: KernelSet) -> None:
    pool = Pool(plain_kernels, MaxPool2d(2), (2, 4, 1))
    pool.forward(np.array([[1, 1, 0, 3], [1, 1, 3, 3]], np.float32)[..., None])
    gradient = pool.backward(np.array([[5, 7]], np.float32)[..., None])
    assert gradient[..., 0].tolist() == [[5, 0, 0, 7], [0, 0, 0, 0]]


def test_padding_never_wins(plain_kernels: KernelSet) -> None:
    pool = Pool(plain_kernels, MaxPool2d(3, stride=1, padding=1), (2, 2, 1))
    assert np.all(pool.forward(np.full((2, 2, 1), -4, np.float32)) == -4)
