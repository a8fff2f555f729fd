"""Repainting with small pictures: what it gives back, what it respects, what it refuses."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minitorch_style.errors import SettingsError, ShapeError, StyleError
from minitorch_style.image.io import Picture, to_bytes
from minitorch_style.image.resize import floats, resized
from minitorch_style.kernels.patches import PatchKernels, patch_kernels
from minitorch_style.restroke import INSTANT, Paintings, Round, Strokes, canvas, guide, repaint, restroke, strokes
from minitorch_style.restroke.canvas import Canvas
from minitorch_style.restroke.guide import Guide
from minitorch_style.restroke.paintings import Palette


def texture(rng: np.random.Generator, size: tuple[int, int], grain: int = 6) -> np.ndarray:
    """Smooth colored noise: a painting without edges."""
    small = rng.random((-(-size[0] // grain), -(-size[1] // grain), 3), np.float32)
    return resized(small, size).clip(0, 1)


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def kernels(request: pytest.FixtureRequest) -> PatchKernels:
    return patch_kernels(request.param)


def test_a_painting_repainted_with_itself_is_itself(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting = texture(rng, (150, 180))
    own = Strokes(detail=0, occurrence=0.1)
    out = restroke(painting, painting, Paintings([painting], trim=0), own, kernels=kernels)
    assert out.shape == painting.shape and out.dtype == np.float32
    assert np.abs(out - painting).mean() < 0.01
    assert np.abs(out - painting).mean() < 0.1 * np.abs(painting - painting.mean((0, 1))).mean()


def test_every_color_comes_from_the_painting(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting = 0.3 + 0.3 * texture(rng, (140, 150))
    photo = texture(rng, (150, 130))
    out = restroke(photo, photo, Paintings([painting]), kernels=kernels)
    assert out.min() > 0.25 and out.max() < 0.65


def test_both_kernel_sets_paint_the_same(rng: np.random.Generator) -> None:
    pytest.importorskip("numba")
    sets = ("numpy", "auto")
    for size, different in (
        ((120, 110), 0.01),
        ((240, 220), 0.05),
    ):  # where rounding decides between equals, the level below
        painting, photo = texture(rng, (140, 150)), texture(rng, size, 9)  # goes another way
        one, other = (restroke(photo, photo, Paintings([painting]), kernels=patch_kernels(name)) for name in sets)
        assert (np.abs(one - other).max(2) > 1e-3).mean() < different
        assert np.abs(one - other).mean() < 1e-3


@pytest.mark.jit
def test_threads_change_no_bit(rng: np.random.Generator) -> None:
    from minitorch_style.kernels import set_threads, threads

    painting, photo = texture(rng, (140, 150)), texture(rng, (150, 260), 9)
    before, found = threads(), set()
    try:
        for count in (1, 2, 4):
            set_threads(count)
            found.add(restroke(photo, photo, Paintings([painting])).tobytes())
    finally:
        set_threads(before)
    assert len(found) == 1


def test_bands_change_no_bit(kernels: PatchKernels, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    painting, photo = texture(rng, (140, 150)), texture(rng, (150, 130), 9)
    whole = restroke(photo, photo, Paintings([painting]), kernels=kernels)
    for band in (1, 500):
        monkeypatch.setattr(canvas, "BAND", band)
        banded = restroke(photo, photo, Paintings([painting]), kernels=kernels)
        if type(kernels).__name__ == "NumbaPatches":
            assert np.array_equal(whole, banded)
        else:  # BLAS rounds small products otherwise than large ones
            assert np.abs(whole - banded).mean() < 1e-3


def test_occurrence_spreads_over_the_painting(kernels: PatchKernels, rng: np.random.Generator) -> None:
    """A plain photo is near to a single patch; the penalty has it painted with many."""
    painting, photo = 0.5 + 0.1 * texture(rng, (130, 130), 3), np.full((130, 130, 3), 0.55, np.float32)
    spread = []
    for occurrence in (0.0, 1.0):
        level = _last_level(photo, Paintings([painting]), Strokes(occurrence=occurrence), kernels)
        counts = level.palette.counts(level.field)
        spread.append((counts > 0).sum())
    assert spread[1] > 1.5 * spread[0]


def _last_level(photo: np.ndarray, paintings: Paintings, how: Strokes, kernels: PatchKernels) -> Canvas:
    *_, last = _painted(photo, paintings, how, kernels)
    return last


def _painted(photo: np.ndarray, paintings: Paintings, how: Strokes, kernels: PatchKernels) -> Iterator[Canvas]:
    for one in strokes.canvases(photo, photo, paintings, how, kernels):
        for _ in range(one.rounds):
            one.round()
        yield one


@pytest.mark.slow
def test_shares_of_several_paintings(kernels: PatchKernels, rng: np.random.Generator) -> None:
    paintings = [texture(rng, (130, 130)), texture(rng, (135, 140))]
    photo = texture(rng, (130, 150))
    for shares, expected in (((1, 1), 0.5), ((1, 3), 0.25), ((1, 9), 0.1), ((1, 0), 1.0)):
        level = _last_level(photo, Paintings(paintings, shares), Strokes(), kernels)
        first = level.field // level.palette.pixels.shape[1] < level.palette.places[0][1]
        assert abs(first.mean() - expected) < 0.08


def test_outside_the_mask_the_photo_stays(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting, photo = texture(rng, (140, 150)), texture(rng, (150, 180), 9)
    mask = np.zeros((150, 180, 1), np.float32)
    mask[30:90, 40:120] = 1
    out = restroke(1 - photo, photo, Paintings([painting]), mask=mask, kernels=kernels)
    outside = mask[..., 0] == 0
    assert np.array_equal(out[outside], photo[outside])
    assert np.abs(out - photo)[~outside].mean() > 0.05


def test_only_what_the_mask_shows_is_searched(
    kernels: PatchKernels, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting, photo = texture(rng, (100, 90)), texture(rng, (100, 120), 9)
    mask = np.zeros((100, 120, 1), np.float32)
    mask[40:60, 50:70] = 1
    asked: list[int] = []
    nearest = kernels.nearest

    def counted(queries: np.ndarray, keys: object, bias: np.ndarray) -> np.ndarray:
        asked.append(len(queries))
        return nearest(queries, keys, bias)

    monkeypatch.setattr(kernels, "nearest", counted)
    restroke(photo, photo, Paintings([painting]), Strokes(rounds=(1,)), mask=mask, kernels=kernels)
    touched = (20 + 6) // 2  # corners from 6 above and left of the mask on, every second
    assert touched**2 <= sum(asked) <= (touched + 1) ** 2


def test_fine_places_come_nearer_to_the_guide(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting, photo = texture(rng, (140, 150), 3), texture(rng, (150, 180), 4)
    fine = np.zeros((150, 180, 1), np.float32)
    fine[30:90, 40:120] = 1
    there = fine[..., 0] == 1
    coarse, finer = (
        restroke(photo, photo, Paintings([painting]), Strokes(detail=1.0), fine=one, kernels=kernels)
        for one in (None, fine)
    )
    assert np.array_equal(to_bytes(coarse)[~there], to_bytes(finer)[~there])
    target = guide.assembled(Guide(photo, photo, np.float32(1)))
    assert np.abs(finer - target)[there].mean() < 0.9 * np.abs(coarse - target)[there].mean()
    told = list(repaint(photo, photo, Paintings([painting]), fine=fine, kernels=kernels))
    assert [one.level for one in told[-3:]] == [2, 3, 3] and all(one.levels == 3 for one in told)


def test_only_what_the_style_masks_allow_is_used(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting = texture(rng, (140, 150))
    painting[..., 0] = 0
    painting[:, 70:, 0] = 1  # the right half is red, and may not be used
    allowed = np.zeros((140, 150, 1), np.float32)
    allowed[:, :70] = 1
    photo = texture(rng, (150, 130), 9)
    for masks, reddest in ((None, 1.0), ([allowed], 0.0)):
        for one in _painted(photo, Paintings([painting], masks=masks), Strokes(), kernels):
            assert np.isclose(one.picture[..., 0].max(), reddest, atol=0.1 * reddest)


def test_borders_of_the_painting_are_cut_away(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting = texture(rng, (140, 150))
    painting[..., 0] = 0
    painting[:4, :, 0] = painting[-4:, :, 0] = painting[:, :4, 0] = painting[:, -4:, 0] = 1  # a red frame
    photo = texture(rng, (150, 130), 9)
    for trim, reddest in ((0, 1.0), (0.03, 0.0)):
        for one in _painted(photo, Paintings([painting], trim=trim), Strokes(), kernels):
            assert np.isclose(one.picture[..., 0].max(), reddest, atol=0.1 * reddest)


@pytest.mark.parametrize("color", [0.0, 0.5, 1.0])
def test_a_painting_of_one_color(kernels: PatchKernels, color: float, rng: np.random.Generator) -> None:
    photo = texture(rng, (130, 140))
    out = restroke(photo, photo, Paintings([np.full((100, 90, 3), color, np.float32)]), kernels=kernels)
    assert np.allclose(out, color, atol=1e-5)


@pytest.mark.parametrize("size", [(9, 200), (200, 9), (40, 300), (129, 7), (7, 7)])
def test_narrow_pictures(kernels: PatchKernels, size: tuple[int, int], rng: np.random.Generator) -> None:
    photo = texture(rng, size)
    for paintings in (Paintings([texture(rng, (130, 140))]), Paintings([texture(rng, (8, 140))])):
        out = restroke(photo, photo, paintings, kernels=kernels)
        assert out.shape == photo.shape and np.isfinite(out).all()


def test_detail_in_places(kernels: PatchKernels, rng: np.random.Generator) -> None:
    """Where detail is 0 the photo's fine lines do not come back, where it is 1 they do."""
    lines = np.zeros((140, 160, 3), np.float32)
    lines[:, ::12] = lines[:, 1::12] = lines[:, 2::12] = 1
    photo, plan = 0.3 + 0.4 * lines, np.full_like(lines, 0.4)
    detail = np.zeros((140, 160, 1), np.float32)
    detail[:, 80:] = 1
    out = restroke(plan, photo, Paintings([texture(rng, (140, 160), 3)]), Strokes(detail=detail), kernels=kernels)
    wanted = photo[..., 0] - photo[..., 0].mean()
    left, right = (np.mean(wanted[:, part] * out[:, part].mean(2)) for part in (np.s_[:80], np.s_[80:]))
    assert right > 3 * abs(left)


def test_rounds_are_told_and_can_be_ended(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting, photo = texture(rng, (260, 270)), texture(rng, (280, 256), 9)
    told = list(repaint(photo, photo, Paintings([painting]), INSTANT, kernels=kernels))
    assert [(one.level, one.levels, one.number, one.rounds) for one in told] == [
        (1, 3, 1, 2), (1, 3, 2, 2), (2, 3, 1, 2), (2, 3, 2, 2), (3, 3, 1, 1),
    ]  # fmt: skip
    assert [one.picture.shape[0] for one in told] == [70, 70, 140, 140, 280]
    seen: list[Round] = []
    ended = restroke(
        photo,
        photo,
        Paintings([painting]),
        INSTANT,
        kernels=kernels,
        progress=lambda one: bool(seen.append(one)) or True,
    )
    assert len(seen) == 1
    assert np.array_equal(ended, resized(told[0].picture, (280, 256)).clip(0, 1))


def test_an_interrupt_keeps_the_picture_so_far(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting, photo = texture(rng, (260, 270)), texture(rng, (280, 256), 9)

    def interrupted(_: Round) -> None:
        raise KeyboardInterrupt

    out = restroke(photo, photo, Paintings([painting]), INSTANT, kernels=kernels, progress=interrupted)
    first = next(repaint(photo, photo, Paintings([painting]), INSTANT, kernels=kernels)).picture
    assert np.array_equal(out, resized(first, (280, 256)).clip(0, 1))


def test_a_palette_is_made_once(kernels: PatchKernels, rng: np.random.Generator) -> None:
    paintings = Paintings([texture(rng, (140, 150))])
    photo = texture(rng, (130, 140))
    one = restroke(photo, photo, paintings, kernels=kernels)
    palette = paintings.at(0, 7, strokes.STEP, kernels)
    other = restroke(photo, photo, paintings, kernels=kernels)
    assert paintings.at(0, 7, strokes.STEP, kernels) is palette
    assert np.array_equal(one, other)


def test_only_what_is_to_be_kept_is(rng: np.random.Generator) -> None:
    kernels = patch_kernels("numpy")
    paintings = Paintings([texture(rng, (60, 70))], keep=False)
    assert paintings.at(0, 7, strokes.STEP, kernels) is not paintings.at(0, 7, strokes.STEP, kernels)


def test_the_palette_of_a_level_is_let_go_of_before_the_next_is_made(rng: np.random.Generator) -> None:
    """For a large picture there is no memory for two."""
    made: list[weakref.ref[Palette]] = []

    class Watched(Paintings):
        def _palette(self, *arguments: Any) -> Palette:
            assert not any(one() for one in made)
            palette = super()._palette(*arguments)
            made.append(weakref.ref(palette))
            return palette

    photo, painting = texture(rng, (128, 130)), texture(rng, (130, 128))
    fine = np.ones((128, 130, 1), np.float32)
    for done in repaint(photo, photo, Watched([painting], keep=False), fine=fine, kernels=patch_kernels("numpy")):
        del done
    assert len(made) == 3


@pytest.mark.slow
def test_the_same_bits_in_bands_of_any_size(
    kernels: PatchKernels, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting, photo, plan = texture(rng, (140, 150)), texture(rng, (150, 170), 9), texture(rng, (37, 42))
    fine = np.zeros((150, 170, 1), np.float32)
    fine[40:80, 30:90] = 1
    whole = restroke(plan, photo, Paintings([painting]), fine=fine, kernels=kernels)
    monkeypatch.setattr(guide, "COLUMNS", 7)
    monkeypatch.setattr(canvas, "BAND", 40)
    monkeypatch.setattr(canvas, "ROWS", 11)
    assert np.array_equal(restroke(plan, photo, Paintings([painting]), fine=fine, kernels=kernels), whole)


def test_bytes_stand_for_floats(kernels: PatchKernels, rng: np.random.Generator) -> None:
    painting, photo, plan = (to_bytes(texture(rng, size)) for size in ((140, 150), (150, 170), (37, 42)))
    mask = np.zeros((150, 170, 1), np.float32)
    mask[40:90, 30:120] = 1
    given = [restroke(plan, photo, Paintings([Picture(painting)]), mask=mask, kernels=kernels)]
    given.append(restroke(*map(floats, (plan, photo)), Paintings([floats(painting)]), mask=mask, kernels=kernels))
    assert np.array_equal(*given)


def test_the_guide_is_made_in_columns(rng: np.random.Generator) -> None:
    """As the formula says, all at once."""
    photo, plan, fine = texture(rng, (90, 140)), texture(rng, (31, 40)), rng.random((90, 140, 1), np.float32)
    detail = 0.5 + fine * (guide.FINE_DETAIL - 0.5)
    light = photo.mean(axis=2, keepdims=True)
    blurred = resized(resized(light, (round(90 / guide.BLUR), round(140 / guide.BLUR))), (90, 140))
    expected = (resized(plan, (90, 140)) + detail * (light - blurred)).clip(0, 1)
    made = guide.assembled(Guide(plan, photo, np.asarray(0.5, np.float32), guide.Held(fine)))
    assert np.allclose(made, expected, atol=1e-6)


def test_refusals(rng: np.random.Generator) -> None:
    photo, small = texture(rng, (60, 70)), texture(rng, (5, 70))
    paintings = Paintings([photo])
    for pictures in ((photo, Paintings([small])), (small, paintings)):
        with pytest.raises(ShapeError, match=r"no patch of 7×7"):
            restroke(pictures[0], *pictures)
    with pytest.raises(ShapeError, match="mask of a photo"):
        restroke(photo, photo, paintings, mask=np.ones((60, 71, 1), np.float32))
    with pytest.raises(ShapeError, match="detail"):
        restroke(photo, photo, paintings, Strokes(detail=np.ones((60, 70), np.float32)))
    with pytest.raises(ShapeError, match="painting"):
        Paintings([photo[..., :1]])
    with pytest.raises(ShapeError, match="mask of a painting"):
        Paintings([photo], masks=[np.ones((60, 70), np.float32)])
    with pytest.raises(SettingsError, match="leaves no patch"):
        restroke(photo, photo, Paintings([photo], masks=[np.zeros((60, 70, 1), np.float32)]))
    for shares in ((1.0,), (-1.0, 2.0), (0.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(SettingsError):
            Paintings([photo, photo], shares)
    with pytest.raises(SettingsError):
        Paintings([])
    with pytest.raises(SettingsError):
        Paintings([photo], trim=0.5)
    for wrong in (
        {"radius": 0},
        {"rounds": ()},
        {"rounds": (0,)},
        {"guidance": (-1.0,)},
        {"sharpness": 1.5},
        {"occurrence": -1},
        {"calm": 2},
    ):
        with pytest.raises(StyleError):
            replace(Strokes(), **wrong)  # type: ignore[arg-type]
