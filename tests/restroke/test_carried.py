"""Matches carried from frame to frame: they move with the scene, stay where nothing moves, and what is new is painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minitorch_style.errors import StyleError
from minitorch_style.image.resize import resized
from minitorch_style.kernels.patches import PatchKernels, patch_kernels
from minitorch_style.restroke import Paintings, Strokes, restroke
from minitorch_style.restroke.carried import Level, Moved, check_levels, repaint_next

STROKES = Strokes(detail=0)
SIZE = (72, 96)


def texture(rng: np.random.Generator, size: tuple[int, int], grain: int = 6) -> np.ndarray:
    return resized(rng.random((-(-size[0] // grain), -(-size[1] // grain), 3), np.float32), size).clip(0, 1)


def moved_by(right: float, down: float, size: tuple[int, int] = SIZE) -> Moved:
    """A scene of which everything was so many pixels further right and down; pictures are read at whole pixels."""
    back = np.empty((*size, 2), np.float32)
    back[...] = right, down

    def carry(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
        rows = np.rint(rows + flow[..., 1]).astype(int).clip(0, picture.shape[0] - 1)
        return picture[rows, np.rint(columns + flow[..., 0]).astype(int).clip(0, picture.shape[1] - 1)]

    return Moved(back, np.ones(size, np.float32), carry)


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def kernels(request: pytest.FixtureRequest) -> PatchKernels:
    return patch_kernels(request.param)


@pytest.fixture
def paintings(rng: np.random.Generator) -> Paintings:
    return Paintings([texture(rng, (96, 96))])


def test_the_first_frame_is_a_picture(kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator) -> None:
    photo = texture(rng, SIZE)
    picture, levels = repaint_next(photo, photo, paintings, STROKES, kernels)
    np.testing.assert_array_equal(picture, restroke(photo, photo, paintings, STROKES, kernels=kernels))
    check_levels(levels, SIZE, paintings, STROKES)


def test_matches_move_with_the_scene(kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator) -> None:
    """A pan by three pixels: what was at column x + 3 is at x, in the same strokes."""
    wide = texture(rng, (72, 99))
    first, second = (np.ascontiguousarray(wide[:, left : left + 96]) for left in (0, 3))
    given = paintings, STROKES, kernels
    before, levels = repaint_next(first, first, *given)
    after, now = repaint_next(second, second, *given, levels, moved_by(3, 0))
    same = now[-1].field[:, 8:-11] == levels[-1].field[:, 11:-8]
    assert same.mean() > 0.95
    alone, _ = repaint_next(second, second, *given)
    away, away_alone = (np.abs(one[:, 12:-15] - before[:, 15:-12]).mean() for one in (after, alone))
    assert away < 0.3 * away_alone


def test_parts_of_pixels_add_up(kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator) -> None:
    """Ten moves of 0.3 pixels are one of three; what the nearest pixel leaves over is kept aside."""
    photo = texture(rng, SIZE, 24)
    given = photo, photo, paintings, replace(STROKES, guidance=(0.0,)), kernels  # nothing is wanted but what is there
    _, levels = repaint_next(*given)
    first = levels[-1]
    still = replace(moved_by(0.3, 0), carry=lambda picture, back: picture)
    for _ in range(10):
        before = [replace(level, fit=np.full_like(level.fit, 1e6)) for level in levels]  # whatever the match, it fits
        _, levels = repaint_next(*given, before, still)
    palette = paintings.at(0, STROKES.side, 2, kernels)
    room = palette.allowed[first.field + 3] & palette.allowed[first.field + 2]
    np.testing.assert_array_equal(levels[-1].field[room], first.field[room] + 3)
    np.testing.assert_allclose(levels[-1].aside[room], 0, atol=1e-5)
    assert np.abs(levels[-1].aside).max() <= 0.5


def fine_half() -> np.ndarray:
    fine = np.zeros((*SIZE, 1), np.float32)
    fine[:, :48] = 1
    return fine


def test_what_is_fine_is_painted_as_in_a_picture(
    kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator
) -> None:
    photo, fine = texture(rng, SIZE), fine_half()
    picture, levels = repaint_next(photo, photo, paintings, STROKES, kernels, fine=fine)
    np.testing.assert_array_equal(picture, restroke(photo, photo, paintings, STROKES, fine=fine, kernels=kernels))
    check_levels(levels, SIZE, paintings, STROKES)


def test_smaller_patches_move_with_the_scene(
    kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator
) -> None:
    wide, fine = texture(rng, (72, 99)), fine_half()
    first, second = (np.ascontiguousarray(wide[:, left : left + 96]) for left in (0, 3))
    given = paintings, STROKES, kernels
    _, levels = repaint_next(first, first, *given, fine=fine)
    _, now = repaint_next(second, second, *given, levels, moved_by(3, 0), fine)
    assert np.mean(now[-1].field[:, 4:36] == levels[-1].field[:, 7:39]) > 0.95


def test_what_is_fine_may_come_and_go(kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator) -> None:
    """Nothing moves: with what is fine, the picture is what it would have been with it from the start, and without it again
    what it was."""
    photo, fine, given = texture(rng, SIZE), fine_half(), (paintings, STROKES, kernels)
    plain, levels = repaint_next(photo, photo, *given)
    whole, _ = repaint_next(photo, photo, *given, fine=fine)
    with_fine, levels = repaint_next(photo, photo, *given, levels, moved_by(0, 0), fine)
    without, levels = repaint_next(photo, photo, *given, levels, moved_by(0, 0))
    assert np.abs(plain - whole)[:, :44].mean() > 0.01
    for found, expected in ((with_fine, whole), (without, plain)):
        assert np.abs(found - expected).mean() < 0.25 * np.abs(plain - whole)[:, :44].mean()


def test_new_places_of_what_is_fine_are_searched_for(
    kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator
) -> None:
    """It moves over to the other half, where its patches had not been painted before."""
    photo, fine, given = texture(rng, SIZE), fine_half(), (paintings, STROKES, kernels)
    _, levels = repaint_next(photo, photo, *given, fine=fine)
    other, _ = repaint_next(photo, photo, *given, levels, moved_by(0, 0), 1 - fine)
    alone, _ = repaint_next(photo, photo, *given, fine=1 - fine)
    guided = [np.abs(one[:, 52:] - photo[:, 52:]).mean() for one in (other, alone)]
    assert guided[0] < 1.1 * guided[1]


def test_what_stands_still_keeps_its_strokes(
    kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator
) -> None:
    """Under a camera's noise no match changes, and the picture hardly."""
    photo = texture(rng, SIZE)
    noisy = [(photo + rng.normal(0, 2 / 255, photo.shape)).clip(0, 1).astype(np.float32) for _ in range(3)]
    given = paintings, STROKES, kernels
    before, levels = repaint_next(noisy[0], noisy[0], *given)
    for frame in noisy[1:]:
        picture, now = repaint_next(frame, frame, *given, levels, moved_by(0, 0))
        assert np.mean(now[-1].field != levels[-1].field) < 0.01
        assert np.abs(picture - before).mean() < 0.01
        before, levels = picture, now


def test_what_changes_is_painted_anew(kernels: PatchKernels, paintings: Paintings, rng: np.random.Generator) -> None:
    """Other colors in one half, of which the flow knows nothing."""
    photo = texture(rng, SIZE)
    changed = photo.copy()
    changed[:, 48:] = 1 - changed[:, 48:]
    given = paintings, Strokes(detail=0, calm=1), kernels
    before, levels = repaint_next(photo, photo, *given)
    for _ in range(3):
        picture, now = repaint_next(changed, changed, *given, levels, moved_by(0, 0))
        levels = now
    alone, _ = repaint_next(changed, changed, *given)
    assert np.abs(picture[:, 56:] - changed[:, 56:]).mean() < 1.5 * np.abs(alone[:, 56:] - changed[:, 56:]).mean()
    assert np.abs(picture[:, :36] - before[:, :36]).mean() < 0.005


def test_levels_of_another_picture_are_refused(paintings: Paintings, rng: np.random.Generator) -> None:
    photo = texture(rng, SIZE)
    _, levels = repaint_next(photo, photo, paintings, STROKES, patch_kernels("numpy"))
    last = levels[-1]

    def wrong(**change: np.ndarray) -> list[Level]:
        return [*levels[:-1], replace(last, **change)]

    nowhere = np.full_like(last.aside, np.nan)
    for bad in (
        levels[1:] or [last, last],
        wrong(field=last.field[1:]),
        wrong(fit=last.fit.astype(np.float64)),
        wrong(aside=nowhere),
    ):
        with pytest.raises(StyleError):
            check_levels(bad, SIZE, paintings, STROKES)
