"""Films in strokes: repainted after their plans, moved along, people in smaller patches. By the plain NumPy kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minitorch_style import stylize_frames
from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ResumeError
from minitorch_style.image.resize import resized
from minitorch_style.kernels.patches import patch_kernels
from minitorch_style.restroke import Paintings, Strokes, restroke
from minitorch_style.transfer.settings import Settings
from minitorch_style.video import flow, strength
from minitorch_style.video.film import Film
from minitorch_style.video.repainter import legible
from tests.video import films
from tests.video.films import QUICK, STEP, known_warping_error, painting, people_in_the_left_half


def strokes_of(frames: list[Rgb8], **settings: Any) -> list[Rgb8]:
    return list(stylize_frames(frames, painting(), method="auto", **{**QUICK, **settings}))


def test_a_scene_begins_as_the_picture_that_its_plan_gives() -> None:
    """The first frame: repainted as any plan is, from the picture by the method gram."""
    frame = films.texture(1)
    film = Film(painting(), Settings(method="gram", **QUICK))
    film.paint(frame)
    plan = film.state()["pictures"][-1]
    alike = strokes_of([frame])[0] / np.float32(255)
    lent = resized(painting() / np.float32(255), (64, 64))
    expected = restroke(
        plan, frame / np.float32(255), Paintings([lent]), Strokes(sharpness=0.8), kernels=patch_kernels("numpy")
    )
    assert np.abs(alike - expected).max() <= 0.5 / 255 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("plan_size", [256, 40])
def test_strokes_move_with_the_scene(finder: flow.Flow, plan_size: int) -> None:
    frames = films.pan(5, STEP, 48, 64)
    together = strokes_of(frames, plan_size=plan_size)
    alone = [strokes_of([frame], plan_size=plan_size)[0] for frame in frames]
    assert [picture.shape for picture in together] == [frame.shape for frame in frames]
    assert known_warping_error(together) < 0.4 * known_warping_error(alone)


def test_strokes_without_flow_stay_where_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "available", lambda size: False)
    frames = [films.texture(4, 48, 64) for _ in range(3)]
    frames[2][16:32, 40:56] = 255 - frames[2][16:32, 40:56]
    first, second, third = (picture.astype(int) for picture in strokes_of(frames))
    assert np.abs(second - first).mean() < 3
    away = np.abs(third - second)
    assert away[:, :24].mean() < 3 < away[18:30, 42:54].mean()


def test_a_cut_begins_new_strokes() -> None:
    first, second = films.texture(1), 255 - films.texture(1) // 3
    made = strokes_of([first, first, second])
    np.testing.assert_array_equal(made[2], strokes_of([second])[0])


@pytest.mark.parametrize("more", [{}, {"plan_size": 40}, {"color": "match"}, {"strength": 0.2, "people": True}])
def test_strokes_go_on_from_a_state_to_the_same_bits(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if more.pop("people", False):
        people_in_the_left_half(monkeypatch, noise=0)
    frames, settings = films.pan(4), Settings(method="auto", **more, **QUICK)
    whole = Film(painting(), settings)
    made = [whole.paint(frame) for frame in frames[:2]]
    state = {name: np.array(array) for name, array in whole.state().items()}
    rest = [whole.paint(frame) for frame in frames[2:]]
    other = Film(painting(), settings)
    other.restore(state)
    for again, expected in zip((other.paint(frame) for frame in frames[2:]), rest, strict=True):
        np.testing.assert_array_equal(again, expected)
    assert len(made) == 2
    for name in [name for name in state if name.startswith("strokes/") or name == "colors"]:
        for wrong in ({key: array for key, array in state.items() if key != name}, {**state, name: state[name][1:]}):
            with pytest.raises(ResumeError):
                Film(painting(), settings).restore(wrong)


def test_people_are_painted_in_smaller_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene's first frame: as a picture is repainted that has people in its left half."""
    people_in_the_left_half(monkeypatch, noise=0)
    frame = films.texture(1)
    given = (
        frame / np.float32(255),
        Paintings([resized(painting() / np.float32(255), (64, 64))]),
        Strokes(sharpness=0.8),
    )
    fine = np.zeros((*frame.shape[:2], 1), np.float32)
    fine[:, : frame.shape[1] // 2] = 1
    plan = next(stylize_frames([frame], painting(), **QUICK)) / np.float32(255)
    plan = legible(plan, given[0], fine[..., 0])
    found = strokes_of([frame])[0] / np.float32(255)
    with_people, without = (restroke(plan, *given, fine=one, kernels=patch_kernels("numpy")) for one in (fine, None))
    assert np.abs(found - with_people).mean() < 0.01 < np.abs(found - without)[:, :28].mean()


def test_the_plan_of_small_people_shows_them(rng: np.random.Generator) -> None:
    """In the plan's colors; nothing else changes, nor do people who are large enough."""
    photo = films.texture(1, 96, 128) / np.float32(255)
    plan = (0.3 + 0.1 * rng.random((48, 64, 3))).astype(np.float32) * np.array([1, 1, 2], np.float32)
    likely = np.zeros(photo.shape[:2], np.float32)
    likely[24:72, 32:96] = 1
    found = legible(plan, photo, likely)
    middle, small = np.s_[16:32, 20:44], resized(photo, (48, 64))
    assert np.corrcoef(plan[middle][..., 0].ravel(), small[middle][..., 0].ravel())[0, 1] < 0.3
    assert np.corrcoef(found[middle].mean(axis=2).ravel(), small[middle].mean(axis=2).ravel())[0, 1] > 0.8
    assert np.abs(found.mean((0, 1)) - plan.mean((0, 1))).max() < 0.05
    assert np.allclose(found[:8], plan[:8], atol=1e-6)
    people = np.ones((400, 400), np.float32)
    assert legible(plan, np.zeros((400, 400, 3), np.float32), people) is plan


def test_strokes_of_people_move_with_them(finder: flow.Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    people_in_the_left_half(monkeypatch)
    frames = films.pan(5, STEP, 48, 64)
    together, alone = strokes_of(frames), [strokes_of([frame])[0] for frame in frames]
    assert known_warping_error(together) < 0.4 * known_warping_error(alone)


@pytest.mark.slow
def test_strength_goes_from_the_film_to_a_bold_one() -> None:
    """How far the picture is from the film, seen at an eighth of its size, where strokes do not count."""
    frame = films.texture(1, 64, 96)
    made = {much: strokes_of([frame], strength=much)[0] for much in (0, 0.15, 0.45, 0.6, 1)}
    np.testing.assert_array_equal(made[0], frame)
    np.testing.assert_array_equal(made[0.6], strokes_of([frame])[0])
    away = [np.abs(resized(one / np.float32(255) - frame / np.float32(255), (8, 12))).mean() for one in made.values()]
    assert away == sorted(away) and len(set(away)) == len(away)


def test_a_bold_scene_begins_small_as_far_as_it_can_be_seen() -> None:
    assert [strength.scales(bold, (144, 256)) for bold in (0.6, 0.8, 1)] == [1, 2, 3]
    assert [strength.scales(1, (size, 512)) for size in (16, 63, 64, 127)] == [1, 1, 2, 2]


def test_paintings_take_the_colors_of_each_scene() -> None:
    first, second = films.texture(1) // 2, 255 - films.texture(1) // 3
    made = strokes_of([first, first, second], color="match")
    plain = strokes_of([first, first, second])
    for frame, matched, other in zip((first, first, second), made, plain, strict=True):
        away, other_away = (np.abs(one.mean((0, 1)) - frame.mean((0, 1))).max() for one in (matched, other))
        assert away < 8 and away < 0.5 * other_away
    np.testing.assert_array_equal(made[2], strokes_of([second], color="match")[0])


def test_strokes_of_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    people_in_the_left_half(monkeypatch)
    frames = [films.texture(4, 48, 64)] * 2
    found = strokes_of(frames, region="person", plan_size=40)[-1].astype(int)
    assert np.abs(found[:, 36:] - frames[0][:, 36:]).mean() < 4 < np.abs(found[:, :28] - frames[0][:, :28]).mean()
