"""Activations, scales, concatenation and residual sums against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Gate
from tests import oracle
from tests.kernels.harness import filled, poisoned

SIZES = [(1, 1), (5, 7), (8, 4)]


@pytest.mark.parametrize("size", SIZES)
def test_leaky_with_slopes_of_either_sign(
    plain_kernels: KernelSet, size: tuple[int, int], rng: np.random.Generator
) -> None:
    x, dy = (rng.standard_normal((*size, 6)).astype(np.float32) for _ in range(2))
    slope = rng.standard_normal(6).astype(np.float32)
    out, dx = poisoned(x.shape, 1), poisoned(x.shape, 1)
    plain_kernels.leaky(filled(x, 1), slope, out)
    assert np.array_equal(out.interior, oracle.leaky(x, slope))
    plain_kernels.leaky_input_grad(filled(dy), filled(x, 1), slope, dx, False, None)
    assert oracle.relative_error(dx.interior, dy * np.where(x > 0, 1, slope)) <= 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_affine(plain_kernels: KernelSet, size: tuple[int, int], rng: np.random.Generator) -> None:
    x, dy, before, y = (rng.standard_normal((*size, 3)).astype(np.float32) for _ in range(4))
    weight, bias, slope = rng.standard_normal((3, 3)).astype(np.float32)
    out, dx = poisoned(x.shape, 2), filled(before, 1)
    plain_kernels.affine(filled(x), weight, bias, out)
    assert oracle.relative_error(out.interior, weight * x.astype(np.float64) + bias) <= 1e-6
    plain_kernels.affine_input_grad(filled(dy), weight, dx, True, Gate(filled(y), slope))
    expected = (before + weight * dy.astype(np.float64)) * np.where(y > 0, 1, slope)
    assert oracle.relative_error(dx.interior, expected) <= 1e-6


def test_concatenation_and_its_gradient(plain_kernels: KernelSet, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((4, 5, 13)).astype(np.float32), rng.standard_normal((4, 5, 3)).astype(np.float32)
    out = poisoned((4, 5, 16), 1)
    plain_kernels.concat([filled(a), filled(b, 2)], out)
    assert np.array_equal(out.interior, np.dstack([a, b]))
    dx = poisoned(b.shape)
    plain_kernels.channels_input_grad(out, 13, dx, False, None)
    assert np.array_equal(dx.interior, b)


@pytest.mark.parametrize("wide_first", [True, False])
def test_residual_sum_pads_channels_with_zeros(
    plain_kernels: KernelSet, wide_first: bool, rng: np.random.Generator
) -> None:
    wide, narrow = rng.standard_normal((4, 6, 9)).astype(np.float32), rng.standard_normal((4, 6, 4)).astype(np.float32)
    out = poisoned(wide.shape)
    plain_kernels.add([filled(wide), filled(narrow)] if wide_first else [filled(narrow), filled(wide)], out)
    expected = wide.copy()
    expected[..., :4] += narrow
    assert oracle.relative_error(out.interior, expected) <= 1e-6
    dx = filled(narrow)
    plain_kernels.channels_input_grad(filled(wide), 0, dx, True, None)
    assert oracle.relative_error(dx.interior, narrow + wide[..., :4]) <= 1e-6


def test_gate_in_place(plain_kernels: KernelSet, rng: np.random.Generator) -> None:
    gradient, y = (rng.standard_normal((3, 5, 7)).astype(np.float32) for _ in range(2))
    slope = rng.uniform(0, 1, 7).astype(np.float32)
    buffer = filled(gradient, 1)
    plain_kernels.gate(buffer, Gate(filled(y), slope))
    assert oracle.relative_error(buffer.interior, gradient * np.where(y > 0, 1, slope)) <= 1e-6


def test_binarize_and_its_straight_through_gradient(plain_kernels: KernelSet, rng: np.random.Generator) -> None:
    x, dy, before, y = (rng.standard_normal((5, 7, 4)).astype(np.float32) for _ in range(4))
    threshold, low, high = np.float32([0, 0.5, -0.5, 3]), np.float32([-1, 0, 0, 1]), np.float32([1, 1, 3, 2])
    out = poisoned(x.shape, 1)
    plain_kernels.binarize(filled(x, 2), threshold, low, high, out)
    slope = rng.standard_normal(4).astype(np.float32)
    for i, j, c in np.ndindex(x.shape):
        assert out.interior[i, j, c] == (high[c] if x[i, j, c] > threshold[c] else low[c])
    passed = dy * (np.abs(x - threshold) <= (high - low) / 2)
    dx = poisoned(x.shape)
    plain_kernels.binarize_input_grad(filled(dy), filled(x, 2), threshold, (high - low) / 2, dx, False, None)
    assert np.array_equal(dx.interior, passed)
    dx = filled(before, 1)
    plain_kernels.binarize_input_grad(
        filled(dy), filled(x, 2), threshold, (high - low) / 2, dx, True, Gate(filled(y), slope)
    )
    assert oracle.relative_error(dx.interior, (before + passed) * np.where(y > 0, 1, slope)) <= 1e-6
