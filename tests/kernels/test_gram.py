"""Gram matrices and the product that takes their gradient back to the features."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.api import KernelSet
from tests import oracle
from tests.kernels.harness import filled, poisoned


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (5, 7, 3), (9, 4, 8), (6, 6, 13), (3, 700, 16), (33, 20, 70), (4, 5, 200)]
)
def test_gram_is_the_sum_of_outer_products(
    kernels: KernelSet, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    found = kernels.gram(filled(x, margin=1, slack=kernels.tap_slack(x.shape[2])))
    assert oracle.relative_error(found, oracle.gram(x)) <= 1e-5
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("size", [1, 5, 16, 64, 130])
def test_a_matrix_product_is_a_plain_sum(kernels: KernelSet, size: int, rng: np.random.Generator) -> None:
    """Where it is compiled, to the bit: each product and each sum is rounded by itself, one after another."""
    left, right = rng.standard_normal((2, size, size))
    expected = np.zeros((size, size))
    for k in range(size):
        expected += left[:, k, None] * right[k]
    found = kernels.matrix_product(left, right)
    assert oracle.relative_error(found, expected) <= 1e-13
    assert kernels.name != "numba" or np.array_equal(found, expected)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("channels", [1, 8, 13, 70])
def test_product(kernels: KernelSet, channels: int, accumulate: bool, rng: np.random.Generator) -> None:
    x, before = (rng.standard_normal((5, 9, channels)).astype(np.float32) for _ in range(2))
    matrix = rng.standard_normal((channels, channels)).astype(np.float32)
    out = filled(before, 1) if accumulate else poisoned(x.shape, 1)
    kernels.product(filled(x, margin=1, slack=kernels.tap_slack(x.shape[2])), matrix, out, accumulate)
    expected = x.astype(np.float64) @ matrix + (before if accumulate else 0)
    assert oracle.relative_error(out.interior, expected) <= 1e-5


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(("channels", "columns"), [(8, 30), (24, 5), (13, 64), (336, 100)])
def test_product_of_any_width_with_a_bias(
    kernels: KernelSet, channels: int, columns: int, accumulate: bool, rng: np.random.Generator
) -> None:
    x, before = (rng.standard_normal((5, 9, count)).astype(np.float32) for count in (channels, columns))
    matrix, bias = rng.standard_normal((channels, columns)).astype(np.float32), rng.standard_normal(columns)
    out = filled(before, 1) if accumulate else poisoned(before.shape, 1)
    slack = kernels.tap_slack(channels, columns)
    kernels.product(filled(x, margin=1, slack=slack), matrix, out, accumulate, bias.astype(np.float32))
    expected = x.astype(np.float64) @ matrix + bias + (before if accumulate else 0)
    assert oracle.relative_error(out.interior, expected) <= 1e-5
