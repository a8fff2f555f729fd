"""Resizing against its definition, Pillow and PyTorch's conventions, and its transpose against the product."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.image.resample import Axis, Reflection, Resampling, interpolating, resizing
from minitorch_style.image.resize import resized
from minitorch_style.kernels import kernel_set
from tests import oracle

NUMPY = kernel_set("numpy")


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(7, 30), (20, 25), (33, 9), (1, 1)])
def test_resizing_is_pillows(how: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    pytest.importorskip("PIL")
    x = rng.random((20, 25, 3), np.float32)
    found = Resampling(resizing(20, size[0], how), resizing(25, size[1], how), 3, NUMPY)(x)
    assert oracle.relative_error(found, resized(x, size, how)) <= 1e-5


def test_interpolating_is_align_corners_false() -> None:
    """torch.nn.functional.interpolate([0, 1, 2], size=6, mode="bilinear") is 0, .25, .75, 1.25, 1.75, 2."""
    assert np.allclose(interpolating(3, 6).matrix() @ [0, 1, 2], [0, 0.25, 0.75, 1.25, 1.75, 2])
    assert np.allclose(interpolating(1, 3).matrix(), 1)
    assert np.allclose(interpolating(4, 4).matrix(), np.eye(4))


@pytest.mark.parametrize("lengths", [(5, 13), (13, 5), (1, 4), (4, 1), (8, 8)])
def test_constant_pictures_stay(lengths: tuple[int, int]) -> None:
    for axis in (resizing(*lengths), resizing(*lengths, "bilinear"), interpolating(*lengths)):
        assert np.allclose(axis.matrix().sum(axis=1), 1, atol=1e-6)


def test_an_axis_is_its_matrix(rng: np.random.Generator) -> None:
    matrix = np.where(rng.random((6, 9)) < 0.3, rng.standard_normal((6, 9)), 0)
    matrix[2] = 0
    assert np.allclose(Axis.from_matrix(matrix).matrix(), matrix)
    assert np.allclose(Axis.from_matrix(matrix).transposed().matrix(), matrix.T)
    assert np.allclose(Axis.from_matrix(matrix).scaled(3).matrix(), 3 * matrix)


@pytest.mark.parametrize("size", [(5, 40), (40, 5), (11, 11)])
def test_the_transpose_is_the_adjoint(size: tuple[int, int], rng: np.random.Generator) -> None:
    """⟨y, R x⟩ = ⟨Rᵀ y, x⟩."""
    resampling = Resampling(resizing(17, size[0]), interpolating(12, size[1]), 4, NUMPY)
    x, y = rng.standard_normal((17, 12, 4)).astype(np.float32), rng.standard_normal((*size, 4)).astype(np.float32)
    back = resampling.transposed()(y)
    assert back.shape == x.shape
    assert np.vdot(y, resampling(x)) == pytest.approx(np.vdot(back, x), rel=1e-4, abs=1e-3)


def test_it_adds_to_what_is_there(rng: np.random.Generator) -> None:
    resampling = Resampling(resizing(9, 4), resizing(8, 11), 3, NUMPY)
    x, before = rng.random((9, 8, 3), np.float32), rng.random((4, 11, 3), np.float32)
    out = before.copy()
    resampling(x, out, accumulate=True)
    assert np.allclose(out, before + resampling(x), atol=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (5, 3), (1, 7), (17, 16)])
def test_reflection(size: tuple[int, int], rng: np.random.Generator) -> None:
    reflection = Reflection(size, 16)
    x = rng.random((*size, 3), np.float32)
    padded = reflection(x, np.full((*reflection.padded, 3), np.nan, np.float32))
    assert np.array_equal(padded, np.pad(x, ((16, 16), (16, 16), (0, 0)), mode="reflect"))
    y = rng.standard_normal(padded.shape).astype(np.float32)
    assert np.vdot(y, padded) == pytest.approx(np.vdot(reflection.transposed(y.copy()), x), rel=1e-4, abs=1e-3)
