"""A picture taken apart into octaves and put together."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.image.pyramid import Pyramid
from minitorch_style.kernels import kernel_set

NUMPY = kernel_set("numpy")
SIZES = [(48, 64), (33, 70), (7, 30), (9, 9), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_merging_undoes_splitting_where_no_level_is_grey(size: tuple[int, int], rng: np.random.Generator) -> None:
    picture, pyramid = rng.random((*size, 3), np.float32), Pyramid(size, NUMPY, grey=0)
    assert np.allclose(pyramid.merge(pyramid.split(picture)), picture, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_grey_levels_keep_the_brightness(size: tuple[int, int], rng: np.random.Generator) -> None:
    picture, pyramid = rng.random((*size, 3), np.float32), Pyramid(size, NUMPY)
    merged = pyramid.merge(pyramid.split(picture))
    assert np.allclose(merged.mean(axis=2), picture.mean(axis=2), atol=1e-5)


def test_the_two_finest_levels_carry_no_chroma(rng: np.random.Generator) -> None:
    pyramid = Pyramid((64, 48), NUMPY)
    assert [shape[2] for shape in pyramid.shapes] == [1, 1, 3, 3]
    assert pyramid.shapes[-1] == (8, 6, 3)  # not halved any more
    vector = rng.standard_normal(pyramid.count).astype(np.float32)
    for level in pyramid.levels(vector)[2:]:
        level.fill(0)
    picture = pyramid.merge(vector)
    assert np.allclose(picture, picture[..., :1], atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_gradient_is_the_transpose(size: tuple[int, int], rng: np.random.Generator) -> None:
    pyramid = Pyramid(size, NUMPY)
    vector = rng.standard_normal(pyramid.count).astype(np.float32)
    y = rng.standard_normal((*size, 3)).astype(np.float32)
    product = np.vdot(y, pyramid.merge(vector))
    assert np.vdot(pyramid.merge_transposed(y, np.empty_like(vector)), vector) == pytest.approx(
        product, rel=1e-3, abs=1e-3
    )
