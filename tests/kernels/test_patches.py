"""Patches, their distances, matches and votes, against the oracle; whatever must not be read or used is NaN."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.patches import PatchKernels, patch_kernels
from tests import oracle


def pictures(rng: np.random.Generator, *shapes: tuple[int, int]) -> list[np.ndarray]:
    return [rng.random((*shape, 3), np.float32) for shape in shapes]


def random_field(rng: np.random.Generator, picture: np.ndarray, source: np.ndarray, side: int) -> np.ndarray:
    """A match for each patch, all of them inside the source."""
    shape = picture.shape[0] - side + 1, picture.shape[1] - side + 1
    rows, columns = (rng.integers(0, size - side + 1, shape) for size in source.shape[:2])
    return (rows * source.shape[1] + columns).astype(np.int32)


def corner_penalty(rng: np.random.Generator, source: np.ndarray, side: int) -> np.ndarray:
    """A cost for each corner; infinite where no patch begins, and on some others."""
    penalty = np.full(source.shape[:2], np.inf, np.float32)
    inside = penalty[: source.shape[0] - side + 1, : source.shape[1] - side + 1]
    inside[...] = rng.random(inside.shape)
    inside[rng.random(inside.shape) < 0.1] = np.inf
    return penalty.ravel()


@pytest.mark.parametrize(("side", "step"), [(3, 1), (5, 2), (7, 2), (7, 4), (13, 3)])
def test_projection_is_a_product_of_patches(
    patches: PatchKernels, side: int, step: int, rng: np.random.Generator
) -> None:
    (picture,) = pictures(rng, (23, 31))
    axes = rng.standard_normal((side * side * 3, 20)).astype(np.float32)
    expected = [
        [picture[y : y + side, x : x + side].reshape(-1).astype(np.float64) @ axes for x in range(0, 32 - side, step)]
        for y in range(0, 24 - side, step)
    ]
    assert oracle.relative_error(patches.project(picture, axes, side, step), np.array(expected)) <= 1e-5


@pytest.mark.parametrize(
    ("queries", "keys", "depth"), [(1, 1, 20), (5, 40, 20), (37, 256, 20), (100, 1000, 20), (600, 523, 3)]
)
def test_nearest(patches: PatchKernels, queries: int, keys: int, depth: int, rng: np.random.Generator) -> None:
    asked, known = (rng.standard_normal((count, depth)).astype(np.float32) for count in (queries, keys))
    bias = (np.square(known).sum(1) / 2 + rng.random(keys)).astype(np.float32)
    found = patches.nearest(asked, patches.pack(known), bias)
    assert found.dtype == np.int32
    assert np.array_equal(found, oracle.nearest(asked, known, bias))


def test_of_equally_near_keys_the_first_is_taken(patches: PatchKernels, rng: np.random.Generator) -> None:
    asked = rng.standard_normal((50, 20)).astype(np.float32)
    one = rng.standard_normal((300, 20)).astype(np.float32)
    known = np.concatenate([one, one, one])
    bias = np.zeros(900, np.float32)
    assert np.array_equal(patches.nearest(asked, patches.pack(known), bias), oracle.nearest(asked, one, bias[:300]))


def test_a_key_that_may_not_be_taken_is_not(patches: PatchKernels, rng: np.random.Generator) -> None:
    asked = known = rng.standard_normal((70, 20)).astype(np.float32)
    bias = np.square(known).sum(1, dtype=np.float32) / 2
    bias[::2] = np.inf
    assert np.all(patches.nearest(asked, patches.pack(known), bias) % 2 == 1)


def test_nothing_to_search(patches: PatchKernels, rng: np.random.Generator) -> None:
    known = rng.standard_normal((70, 20)).astype(np.float32)
    assert patches.nearest(known[:0], patches.pack(known), np.zeros(70, np.float32)).shape == (0,)


@pytest.mark.parametrize("side", [3, 5, 7, 9, 11, 13])
def test_distances(patches: PatchKernels, side: int, rng: np.random.Generator) -> None:
    picture, source = pictures(rng, (19, 26), (17, 33))
    field = random_field(rng, picture, source, side)
    expected = np.array([
        [oracle.patch_distance(picture, y, x, source, field[y, x], side) for x in range(field.shape[1])]
        for y in range(field.shape[0])
    ])  # fmt: skip
    assert oracle.relative_error(patches.distances(picture, source, field, side), expected) <= 1e-5


@pytest.mark.parametrize("side", [3, 5, 7, 13])
def test_no_pixel_beside_a_patch_counts(patches: PatchKernels, side: int, rng: np.random.Generator) -> None:
    source = np.full((side + 4, side + 6, 3), np.nan, np.float32)
    source[2 : side + 2, 3 : side + 3] = rng.random((side, side, 3), np.float32)
    (picture,) = pictures(rng, (side, side))
    field = np.full((1, 1), 2 * source.shape[1] + 3, np.int32)
    expected = oracle.patch_distance(picture, 0, 0, source, int(field[0, 0]), side)
    assert np.allclose(patches.distances(picture, source, field, side), expected, rtol=1e-5)
    out = np.full(picture.shape, np.nan, np.float32)
    patches.vote(source, field, np.ones((1, 1), np.float32), side, 0, out)
    assert np.allclose(out, source[2 : side + 2, 3 : side + 3], rtol=1e-6)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(("side", "shape"), [(3, (20, 17)), (5, (9, 90)), (7, (50, 43))])
def test_sweep_is_one_patch_after_the_other(
    patches: PatchKernels, side: int, shape: tuple[int, int], forward: bool, rng: np.random.Generator
) -> None:
    picture, source = pictures(rng, shape, (16, 21))
    field, penalty = random_field(rng, picture, source, side), corner_penalty(rng, source, side)
    distance = patches.distances(picture, source, field, side)
    expected = oracle.sweep(picture, source, field, penalty, side, forward)
    assert not np.array_equal(expected, field), "a sweep that changes nothing shows nothing"
    patches.sweep(picture, source, field, distance, penalty, side, forward)
    assert np.array_equal(field, expected)
    assert np.allclose(distance, patches.distances(picture, source, field, side), rtol=1e-5)


def test_a_patch_of_distance_minus_infinity_stays(patches: PatchKernels, rng: np.random.Generator) -> None:
    picture, source = pictures(rng, (30, 30), (16, 21))
    field, penalty = random_field(rng, picture, source, 5), corner_penalty(rng, source, 5)
    distance = patches.distances(picture, source, field, 5)
    still = rng.random(field.shape) < 0.3
    distance[still] = -np.inf
    before = field.copy()
    patches.sweep(picture, source, field, distance, penalty, 5, True)
    assert np.array_equal(field[still], before[still])
    assert not np.array_equal(field, before)


@pytest.mark.parametrize(("side", "skip"), [(3, 0), (5, 1), (7, 0), (7, 2), (13, 0)])
def test_vote(patches: PatchKernels, side: int, skip: int, rng: np.random.Generator) -> None:
    picture, source = pictures(rng, (25, 38), (17, 33))
    field = random_field(rng, picture, source, side)
    weight = rng.random(field.shape, np.float32)
    weight[:8] = 0
    before = rng.random(picture.shape, np.float32)
    out = before.copy()
    patches.vote(source, field, weight, side, skip, out)
    assert oracle.relative_error(out, oracle.vote(source, field, weight, side, skip, before)) <= 1e-5
    assert np.array_equal(out[:8], before[:8])


@pytest.mark.jit
def test_threads_change_no_bit(rng: np.random.Generator) -> None:
    from minitorch_style.kernels import set_threads, threads

    kernels = patch_kernels("numba")
    picture, source = pictures(rng, (150, 131), (90, 120))
    field, penalty = random_field(rng, picture, source, 7), corner_penalty(rng, source, 7)
    axes = rng.standard_normal((147, 20)).astype(np.float32)
    before, results = threads(), []
    try:
        for count in (1, 2, 4):
            set_threads(count)
            swept = field.copy()
            distance = kernels.distances(picture, source, swept, 7)
            kernels.sweep(picture, source, swept, distance, penalty, 7, True)
            kernels.sweep(picture, source, swept, distance, penalty, 7, False)
            out = picture.copy()
            kernels.vote(source, swept, distance, 7, 0, out)
            queries = kernels.project(picture, axes, 7, 2).reshape(-1, 20)
            keys = kernels.project(source, axes, 7, 2).reshape(-1, 20)
            found = kernels.nearest(queries, kernels.pack(keys), np.square(keys).sum(1) / 2)
            results.append([array.tobytes() for array in (swept, distance, out, queries, found)])
    finally:
        set_threads(before)
    assert results[0] == results[1] == results[2]
