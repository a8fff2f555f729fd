"""Painting films: flow, masks, coherence, cuts, and what stays still. By the plain NumPy kernels at tiny sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from minitorch_style import stylize_frames
from minitorch_style.arrays import Rgb8
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.transfer.settings import Settings
from minitorch_style.video import flow, people, temporal
from minitorch_style.video.film import Film, Pace
from minitorch_style.video.temporal import Anchor, Painted, anchor
from tests.video import films
from tests.video.films import QUICK, STEP, known_warping_error, painting, people_in_the_left_half


def test_flow_of_a_pan_is_found(finder: flow.Flow) -> None:
    """Everything moves STEP pixels to the left, so that it was as far to the right before."""
    before, now = (finder.grey(frame) for frame in films.pan(2, STEP, 96, 128))
    found = flow.motion(finder, before, now)
    inner = found.back[16:-16, 16:-16]
    assert np.abs(np.median(inner[..., 0]) - STEP) < 0.1
    assert np.abs(np.median(inner[..., 1])) < 0.1
    assert found.trust[16:-16, 16:-16].mean() > 0.9


def test_a_quick_flow_of_large_frames_is_found_at_half_their_size(finder: flow.Flow) -> None:
    before, now = films.pan(2, 3, 241, flow.LARGE + 65)
    quick = flow.Flow(quick=True)
    sizes = []
    assert quick.half is not None
    between = quick.half.between
    quick.half.between = lambda *frames: sizes.append(frames[0].shape) or between(*frames)  # type: ignore[method-assign]
    found = flow.motion(quick, finder.grey(before), finder.grey(now))
    assert sizes == [(120, 160)] * 2
    assert found.back.shape == (*now.shape[:2], 2) and found.trust.shape == now.shape[:2]
    inside = found.trust > 0
    assert inside.mean() > 0.8
    assert np.abs(found.back[inside] - [3, 0]).mean() < 0.1


def test_noise_is_no_motion(finder: flow.Flow) -> None:
    rng, base = np.random.default_rng(1), films.texture(4, 48, 48).astype(np.float32)
    noisy = [np.clip(base + rng.normal(0, 2, base.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    found = flow.motion(finder, finder.grey(noisy[0]), finder.grey(noisy[1]))
    assert np.mean(np.any(found.back, axis=2)) < 0.02


def test_warp_reads_where_the_flow_leads(finder: flow.Flow) -> None:
    picture = np.random.default_rng(0).random((6, 8, 3), np.float32)
    moved = np.zeros((6, 8, 2), np.float32)
    moved[..., 0], moved[..., 1] = 0.5, 1
    found = finder.warp(picture, moved)
    expected = (picture[1:, :-1] + picture[1:, 1:]) / 2
    np.testing.assert_allclose(found[:-1, :-1], expected, atol=1e-6)


def test_carrying_on_and_on_keeps_the_strokes(finder: flow.Flow) -> None:
    """To and fro by a third of a pixel, twenty times: bilinearly the stripes are gone."""
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, np.arange(32) % 4 < 2] = 1
    third = np.full((32, 32, 2), 1 / 3, np.float32)
    sharp = blurred = stripes
    for _ in range(20):
        sharp, blurred = (
            read(read(one, third), -third) for read, one in ((finder.carry, sharp), (finder.warp, blurred))
        )
    inner = np.s_[12:20, 12:20]
    assert np.std(blurred[inner]) < 0.05
    assert np.std(sharp[inner]) > 0.3


def test_masks_are_the_papers() -> None:
    """Hand-made flows: one that leads back, one that does not, a boundary, and one out of the picture."""
    still = np.zeros((8, 8, 2), np.float32)
    assert flow.consistent(still, still).all()
    astray = still.copy()
    astray[2, 3] = 0.71, 0  # 0.504 ≥ 0.01 · 0.504 + 0.5 is not so, 0.72 squared is
    assert flow.consistent(astray, still)[2, 3] == 1
    astray[2, 3] = 0.72, 0
    assert flow.consistent(astray, still)[2, 3] == 0
    edge = still.copy()
    edge[:, 4:, 0] = 1
    trust = flow.consistent(-edge, edge)
    assert not trust[:, 3:5].any()  # central differences see it on both sides
    assert trust[:, :3].all() and trust[:, 5:7].all()
    assert not trust[:, 7].any()  # led to column 8 of 8


def test_the_temporal_loss_and_its_gradient() -> None:
    rng = np.random.default_rng(5)
    x, target = rng.random((2, 4, 5, 3)).astype(np.float32)
    trust = rng.random((4, 5, 1)).astype(np.float32)
    held = Anchor(target, trust, 3.0)
    loss, gradient = held(x)
    assert loss == pytest.approx(3 * np.mean(trust * (x.astype(np.float64) - target) ** 2), rel=1e-5)
    aside = rng.standard_normal(x.shape).astype(np.float32) * np.float32(1e-2)
    change = held(x + aside)[0] - held(x - aside)[0]
    assert change == pytest.approx(2 * float(np.vdot(gradient, aside)), rel=1e-3)


def test_what_was_hidden_is_known_from_older_frames(finder: flow.Flow) -> None:
    """A square hides part of the picture in the last frame, not in the one before it, nor now."""
    background = films.texture(2, 64, 64)
    covered = background.copy()
    covered[24:40, 24:40] = 255 - covered[24:40, 24:40]
    old, last = (Painted(frame, np.full(frame.shape, value, np.float32), finder.grey(frame))
                 for frame, value in ((background, 0.2), (covered, 0.8)))  # fmt: skip
    alone = anchor([last], background, finder, 1.0)
    both = anchor([old, last], background, finder, 1.0)
    assert alone is not None and both is not None
    fresh = (both.trust - alone.trust)[..., 0] > 0.5
    assert fresh.any()
    np.testing.assert_allclose(both.target[fresh], 0.2, atol=1e-6)
    drawn = 0.15 * (0.8 - 0.2)  # at most, towards what the older frame shows
    np.testing.assert_allclose(both.target[~fresh], alone.target[~fresh], atol=drawn + 1e-6)


def test_older_frames_draw_a_little(finder: flow.Flow) -> None:
    frame = films.texture(2, 64, 64)
    old, last = (Painted(frame, np.full(frame.shape, value, np.float32), finder.grey(frame)) for value in (0.8, 0.2))
    held = anchor([old, last], frame, finder, 1.0)
    assert held is not None
    np.testing.assert_allclose(held.target, 0.2 + 0.15 * 0.6, atol=1e-6)


def test_what_comes_in_at_the_border_is_no_stripe(finder: flow.Flow) -> None:
    """Eight columns a frame: the border of the frame before, repeated, would be the same in all of them."""
    made = list(stylize_frames(films.pan(3, 8, 64, 96), painting(), iterations_per_frame=1, consistency=0, **QUICK))
    along = [np.abs(np.diff(picture.astype(float), axis=1)).mean((0, 2)) for picture in made]
    assert all(slopes[-7:].mean() > 0.5 * slopes[:-8].mean() for slopes in along[1:])


def test_a_film_is_more_coherent_than_its_frames(finder: flow.Flow) -> None:
    frames = films.pan(5, STEP, 48, 64)
    together = list(stylize_frames(frames, painting(), iterations_per_frame=3, **QUICK))
    alone = [next(stylize_frames([frame], painting(), **QUICK)) for frame in frames]
    assert known_warping_error(together) < 0.6 * known_warping_error(alone)


@pytest.mark.slow
def test_strokes_do_not_drift_from_what_they_are_painted_on(finder: flow.Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pan with a camera's noise the errors of ten flows add up unless older frames draw the strokes back."""
    noise = np.random.default_rng(5)
    frames = [(frame + noise.normal(0, 4, frame.shape)).clip(0, 255).astype(np.uint8) for frame in films.pan(18, 1)]

    def long_error() -> float:
        painted = list(stylize_frames(frames, painting(), **QUICK))
        return known_warping_error(painted[4:], step=1, apart=10)

    held = long_error()
    monkeypatch.setattr(temporal, "DRAWN", 0.0)
    assert held < 0.45 * long_error()


def test_a_frame_changes_in_color_by_squares_as_a_picture_does(finder: flow.Flow) -> None:
    film, frame = Film(painting(), Settings(method="gram", **QUICK)), films.texture(1)
    for _ in range(2):
        film.paint(frame)
    first, second = film.state()["pictures"]
    change = second - first
    assert np.abs(change).max() > 0.005
    chroma = change - change.mean(axis=2, keepdims=True)
    inside = ((second > 0) & (second < 1)).all(axis=2)  # of what may be shown
    squares = [
        (chroma[y : y + 4, x : x + 4], inside[y : y + 4, x : x + 4]) for y in range(0, 48, 4) for x in range(0, 64, 4)
    ]
    assert sum(shown.all() for _, shown in squares) > 100
    apart = max(np.ptp(colors[shown], axis=0).max() for colors, shown in squares if shown.any())
    assert apart < 2e-4, "its history is bfloat16"


def test_without_flow_the_painted_film_changes_as_the_film_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "available", lambda size: False)
    frames = films.pan(5, STEP, 48, 64)
    together = list(stylize_frames(frames, painting(), iterations_per_frame=3, **QUICK))
    alone = [next(stylize_frames([frame], painting(), **QUICK)) for frame in frames]

    def other_change(pictures: list[Rgb8]) -> float:
        changes = [np.diff([one.astype(np.float64) for one in film], axis=0) for film in (pictures, frames)]
        return float(np.mean((changes[0] - changes[1]) ** 2))

    assert other_change(together) < 0.6 * other_change(alone)


def test_few_iterations_keep_the_loss(finder: flow.Flow) -> None:
    """From the frame before, 4 iterations get nearer to what `iterations` reach than from the photo."""
    settings = Settings(method="gram", kernels="numpy", iterations=30)
    film, frames = Film(painting(), settings, Pace(0.5, 4)), films.pan(4, STEP, 48, 64)
    made = [film.paint(frame) for frame in frames][-1]
    short = Film(painting(), Settings(method="gram", kernels="numpy", iterations=4)).paint(frames[-1])
    objective = film.objective(frames[-1].astype(np.float32) / np.float32(255))
    losses = [objective(picture.astype(np.float32) / np.float32(255))[0] for picture in (made, short)]
    assert losses[0] < 0.5 * losses[1]


def test_a_cut_begins_anew() -> None:
    first, second = films.texture(1), 255 - films.texture(1) // 3
    film = Film(painting(), Settings(method="gram", **QUICK))
    made = [film.paint(frame) for frame in [first, first, second, second]]
    assert film.scenes == 2
    np.testing.assert_array_equal(made[2], next(stylize_frames([second], painting(), **QUICK)))


def test_another_size_begins_anew() -> None:
    film = Film(painting(), Settings(method="gram", **QUICK))
    assert [film.paint(films.texture(1, *size)).shape[:2] for size in [(48, 64), (32, 40)]] == [(48, 64), (32, 40)]
    assert film.scenes == 2


@pytest.mark.slow
def test_a_still_background_does_not_drift() -> None:
    """300 frames of one picture with a camera's noise."""
    rng, base = np.random.default_rng(3), films.texture(4, 32, 32).astype(np.float32)
    film = Film(painting(), Settings(method="gram", kernels="numpy", iterations=60), Pace(0.5, 3))
    noisy = (np.clip(base + rng.normal(0, 2, base.shape), 0, 255).astype(np.uint8) for _ in range(300))
    made = [film.paint(frame).astype(np.float32) for frame in noisy]
    assert film.scenes == 1
    assert max(np.abs(now - before).mean() for before, now in pairwise(made[20:])) < 0.3
    means = [picture.mean() for picture in made]
    assert abs(means[-1] - means[20]) < 2


def test_frames_are_taken_one_at_a_time() -> None:
    taken = 0

    def endless() -> Iterator[Rgb8]:
        nonlocal taken
        while True:
            taken += 1
            yield films.texture(1, 32, 32)

    made = stylize_frames(endless(), painting(), iterations_per_frame=1, **QUICK)
    assert taken == 0
    assert next(made).shape == next(made).shape == (32, 32, 3)
    assert taken == 2


def test_what_cannot_be_is_refused_at_once() -> None:
    wrongs = [{"method": "voting"}, {"consistency": 1.5}, {"iterations_per_frame": 0}]
    wrongs += [{"method": "auto", **more} for more in ({"restroke": False}, {"style_size": 64}, {"style_loss": "gram"})]
    wrongs += [{"strength": 0.9}, {"color": "match"}]  # the method gram
    for wrong in wrongs:
        with pytest.raises(SettingsError):
            stylize_frames([], painting(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="uint8"):
        Film(painting(), Settings(method="gram", **QUICK)).paint(np.zeros((32, 32, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize("region", ["person", "background"])
def test_only_a_region_is_painted(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    people_in_the_left_half(monkeypatch)
    frames = [films.texture(4, 48, 64)] * 3
    whole = list(stylize_frames(frames, painting(), **QUICK))[-1].astype(int)
    found = list(stylize_frames(frames, painting(), region=region, **QUICK))[-1].astype(int)
    halves = [np.s_[:, :28], np.s_[:, 36:]]
    painted, left = halves if region == "person" else halves[::-1]
    assert np.abs(found[left] - frames[0][left]).mean() < 4 < np.abs(whole[left] - frames[0][left]).mean()
    assert np.abs(found[painted] - whole[painted]).mean() < 4


@pytest.mark.jit
def test_the_person_finder_uses_the_kernels_that_the_film_does(monkeypatch: pytest.MonkeyPatch) -> None:
    used = people_in_the_left_half(monkeypatch)
    for kernels in ("numpy", "numba"):
        list(stylize_frames([films.texture(4)], painting(), region="person", kernels=kernels, iterations=1))
    assert used == ["numpy", "numba"]


def test_people_are_found_by_one_plan_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bits of a plan for each frame, without packing the weights again."""
    planned: list[tuple[int, int]] = []
    plan = people.finder_plan

    def counted(segmenter: Network, size: tuple[int, int]) -> Plan:
        planned.append(size)
        return plan(segmenter, size)

    monkeypatch.setattr(people, "finder_plan", counted)
    finder, segmenter = people.People("distilled"), people.load_segmenter("distilled")
    for frame in films.pan(3):
        photo = (frame / np.float32(255)).astype(np.float32)
        found = finder.find(photo, True, None, None)
    assert np.array_equal(found, people.person_probability(photo, segmenter))
    finder.find(photo[:32], True, None, None)
    assert planned == [(48, 64), (32, 64)]


def test_the_mask_does_not_flicker(finder: flow.Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    people_in_the_left_half(monkeypatch)
    frames = films.pan(6)
    steady, changes, fresh = people.People("segnet"), [], []
    history: list[Painted] = []
    for frame in frames:
        photo = frame / np.float32(255)
        held = anchor(history, frame, finder, 1.0) if history else None
        before = steady.likely
        likely = steady.find(photo, held is None, None if held is None else held.moved, finder)
        assert likely.shape == (48, 64)
        if before is not None and held is not None and held.moved is not None:
            known = held.trust[..., 0] == 1
            changes.append(np.abs(likely - finder.warp(before, held.moved.back))[known].mean())
            anew = people.person_probability(photo, None)  # type: ignore[arg-type]
            fresh.append(np.abs(anew - finder.warp(before, held.moved.back))[known].mean())
        history = [Painted(frame, photo, finder.grey(frame))]
    assert len(changes) == 5 and np.mean(changes) < 0.5 * np.mean(fresh)
