"""What L-BFGS does with its history, by every kernel set, against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.api import VectorOps


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def ops(request: pytest.FixtureRequest) -> VectorOps:
    return vector_ops(request.param)


def halves(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """(numbers as bfloat16 bits, the same numbers in double)."""
    bits = (rng.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(float)


def test_narrow_rounds_to_the_nearest_and_halves_to_even(ops: VectorOps, rng: np.random.Generator) -> None:
    values = np.array([1, -1, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 0, -1e-30, 3e38], np.float32)
    expected = np.array([1, -1, 1, 1 + 2**-6, 1 + 2**-7, 0], np.float32)
    x = np.concatenate([values, rng.standard_normal(9000).astype(np.float32)])
    before, out = x.astype(float), np.empty(x.size, np.uint16)
    ops.narrow(x, out)
    assert np.array_equal((out.astype(np.uint32) << 16).view(np.float32), x)
    assert np.array_equal(x[: expected.size], expected)
    assert np.all(np.abs(x - before) <= 2**-8 * np.abs(before))


@pytest.mark.parametrize(("count", "size"), [(1, 5), (2, 4096), (3, 20_011)])
def test_inner_products(ops: VectorOps, count: int, size: int, rng: np.random.Generator) -> None:
    rows, values = halves(rng, 5, size)
    columns = rng.standard_normal((count, size)).astype(np.float32)
    found = ops.inner_products(rows, columns)
    assert np.allclose(found, values @ columns.T.astype(float), rtol=1e-5, atol=1e-5 * size**0.5)


@pytest.mark.parametrize("count", [0, 7])
def test_combination(ops: VectorOps, count: int, rng: np.random.Generator) -> None:
    rows, values = halves(rng, count, 9001)
    vector, out = rng.standard_normal(9001).astype(np.float32), np.full(9001, np.nan, np.float32)
    coefficients = rng.standard_normal(count)
    ops.combination(coefficients, rows, -0.5, vector, out)
    assert np.allclose(out, coefficients @ values - 0.5 * vector, rtol=1e-5, atol=1e-5)
