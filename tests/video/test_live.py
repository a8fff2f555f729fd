"""Live frames: within their milliseconds, going on from one another, from any source. By the plain NumPy kernels."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch_style as ms
from minitorch_style.arrays import Rgb8
from minitorch_style.cli import live as command
from minitorch_style.cli import main
from minitorch_style.errors import ImageError, SettingsError, ShapeError
from minitorch_style.image.writing import save_picture
from minitorch_style.video import camera, flow
from minitorch_style.video import live as module
from minitorch_style.video.live import FADE_SECONDS, LEARNT, LEAST_SIZE, Live
from minitorch_style.video.quilt import quilted
from minitorch_style.video.temporal import Painted, anchor
from tests.video import films

PAINTING = films.texture(7, 64, 64)[::-1].copy()
OTHER = np.stack([films.texture(9, 64, 64)[..., 0]] * 3, axis=2) // 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that goes on by `tick` seconds each time somebody looks at it."""

    class Clock:
        now, tick = 0.0, 0.001

        def perf_counter(self) -> float:
            self.now += self.tick
            return self.now

    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def live(**more: Any) -> Live:
    return Live(PAINTING, **{"size": LEAST_SIZE, "kernels": "numpy", **more})


def test_as_many_iterations_as_there_is_time_for(clock: Any) -> None:
    frame = films.pan(1)[0]
    made = []
    for budget in (3, 20, 60):
        painter = live(budget_ms=budget)
        painter.next(frame)
        begun = clock.now
        painter.next(frame)
        assert painter.iterations >= 1
        assert clock.now - begun <= budget / 1000 + 0.005
        made.append(painter.iterations)
    assert made[0] == 1 < made[1] < made[2]


def test_without_time_every_second_frame_makes_do_without_an_iteration(clock: Any) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    painter, made = live(budget_ms=1), []
    for frame in films.pan(LEARNT + 6, 1):
        painter.next(frame)
        made.append(painter.iterations)
    assert made == [1] * LEARNT + [0, 1] * 3
    for _ in range(2):  # after a cut there is all to learn again
        painter.next(np.zeros_like(frame))
        assert painter.iterations == 1


def test_it_goes_on_from_the_frame_before() -> None:
    """Frame after frame the loss falls below what as many iterations reach from the photo."""
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    frames = films.pan(30, 1)
    painter, judge = live(budget_ms=1), live()
    judge.next(frames[0])

    def loss(frame: Rgb8, picture: Rgb8) -> float:
        return judge._film.objective(frame / np.float32(255))(picture / np.float32(255))[0]

    for frame in frames:
        on = painter.next(frame)
    anew = live(budget_ms=1).next(frames[-1])
    assert loss(frames[-1], on) < 0.6 * loss(frames[-1], anew)


def likeness(first: Rgb8, second: Rgb8) -> float:
    """The correlation of what is fine in two pictures: of how neighbors in a column differ."""
    fine = [np.diff(one.astype(np.float32).mean(axis=2), axis=0).ravel() for one in (first, second)]
    return float(np.corrcoef(*fine)[0, 1])


def strokes(size: tuple[int, int]) -> Rgb8:
    return np.clip(128 + 255 * quilted(PAINTING / np.float32(255), size), 0, 255).astype(np.uint8)


def test_a_scene_begins_under_strokes_of_the_painting() -> None:
    wall = np.full((48, 64, 3), 120, np.uint8)
    assert likeness(live(budget_ms=1).next(wall), strokes((48, 64))) > 0.6


def test_so_does_what_comes_into_view_in_the_colors_of_that_frame() -> None:
    """Border pixels, repeated, would be stripes; moved as those of the scene's first frame were, colors would be dark."""
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    texture, painter = films.texture(2, 48, 120), live(budget_ms=1)
    for i in range(16):
        frame = (texture[:, 3 * i : 3 * i + 64] * (1 - 0.04 * i)).astype(np.uint8)
        shown = painter.next(frame)
    fresh = live(budget_ms=1).next(frame)
    across, expected = (np.abs(np.diff(one[:, -32:].astype(np.float32), axis=1)).mean() for one in (shown, fresh))
    assert across > 0.7 * expected
    assert abs(float(shown[:, -3:].mean()) - float(fresh[:, -3:].mean())) < 12


def test_strokes_go_along_with_the_scene() -> None:
    """What comes into view frame by frame is one piece of them, not the same columns again and again."""
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    painter, step, found = live(budget_ms=1), 4, []
    frames = films.pan(6, step)
    painter.next(frames[0])
    for frame in frames[1:]:
        assert painter._last is not None
        held = anchor([painter._last], frame, painter._finder, 1.0)
        assert held is not None
        nowhere = dataclasses.replace(held, trust=np.zeros_like(held.trust))
        found.append(painter._start(nowhere, np.full((48, 64, 3), 0.5, np.float32))[:, -2 * step :].mean(axis=2))
        painter._last = Painted(frame, painter._last.picture, flow.Flow().grey(frame))
    pairs = list(itertools.pairwise(found))
    moved = np.mean([np.abs(later[:, :step] - sooner[:, step:]).mean() for sooner, later in pairs])
    stayed = np.mean([np.abs(later - sooner).mean() for sooner, later in pairs])
    assert moved < 0.6 * stayed


def test_a_cut_begins_anew() -> None:
    painter = live(budget_ms=1)
    for frame in films.pan(3):
        painter.next(frame)
    dark = np.zeros_like(frame)
    dark[:, :24] = 255
    found = painter.next(dark)
    fresh = live(budget_ms=1).next(dark)
    assert np.array_equal(found, fresh)


def test_a_slow_machine_paints_smaller_frames_and_a_quick_one_larger(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 2)
    frame = films.texture(3, 75, 100)
    painter = live(size=100)
    clock.tick = 0.02
    for _ in range(2):
        assert painter.next(frame).shape == (75, 100, 3)
    assert painter.working_size == 80
    assert painter.next(frame).shape == (75, 100, 3), "pictures stay as large as they were asked for"
    clock.tick = 0.001
    for _ in range(7):
        painter.next(frame)
    assert painter.working_size == 100
    clock.tick = 1.0
    for _ in range(6):
        painter.next(frame)
    assert painter.working_size == LEAST_SIZE


@pytest.mark.parametrize(("milliseconds", "size"), [((60, 20), 80), ((40, 20), 100)])
def test_two_frames_in_turn_may_take_the_time_of_two(milliseconds: tuple[int, int], size: int) -> None:
    """One with an iteration and one without."""
    painter = live(size=100, budget_ms=33)
    painter.working_size = 100
    for number in range(12):
        painter.iterations = 1 - number % 2
        painter._adapt(milliseconds[number % 2] / 1000)
    assert painter.working_size == size


def test_another_painting_fades_in(clock: Any) -> None:
    frame = films.pan(1)[0]
    painter = live()
    painter.next(frame)
    size = frame.shape[:2]
    old = painter._film.canvas(size).style
    painter.painting = OTHER
    new = painter._film.canvas(size).style
    assert old is not None and new is not None
    layer = next(iter(old.grams))
    shares = []
    for _ in range(5):
        at = painter._style()
        assert at is not None
        away = (at.grams[layer] - new.grams[layer]) / (old.grams[layer] - new.grams[layer])
        assert np.ptp(away) < 1e-6, "a blend of both"
        shares.append(float(away.mean()))
        clock.now += FADE_SECONDS / 6
    assert shares == sorted(shares, reverse=True) and 0.9 < shares[0] <= 1 and shares[-1] > 0
    clock.now += FADE_SECONDS
    assert painter._style() is new
    painter.next(frame)
    with pytest.raises(ImageError):
        painter.painting = "nothing.jpg"
    assert painter.painting is OTHER
    painter.next(frame)


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "available", lambda size: False)
    painter = live(budget_ms=1)
    for frame in films.pan(3, height=96, width=128):
        assert painter.next(frame).shape == (48, 64, 3)


def test_a_turned_camera_begins_anew() -> None:
    painter = live(budget_ms=1)
    painter.next(films.texture(1, 48, 64))
    assert painter.next(films.texture(1, 64, 48)).shape == (64, 48, 3)


@pytest.mark.parametrize("frame", [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)])
def test_what_is_no_frame(frame: Any) -> None:
    with pytest.raises(ShapeError, match="expected a frame"):
        live().next(frame)


@pytest.mark.parametrize("given", [{"size": 8}, {"budget_ms": 0}, {"consistency": 2}, {"model": "nothing"}])
def test_what_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        live(**given)


def test_in_python() -> None:
    assert ms.Live is Live


# ---- sources and the command


class Playback:
    """Stands in for `time`: no time passes but that which is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Playback:
    """Of films that play: how busy the machine is does not count."""
    made = Playback()
    monkeypatch.setattr(camera, "time", made)
    return made


@pytest.fixture
def film(tmp_path: Path, playing: Playback) -> Path:
    films.write(tmp_path / "film.mp4", films.pan(12), films.EVEN)
    return tmp_path / "film.mp4"


def test_a_film_plays_as_fast_as_it_was_filmed_and_what_is_late_is_left_out(film: Path, playing: Playback) -> None:
    with camera.Playing(film, 64) as source:
        shown = []
        while source.newest() is not None:
            shown.append(playing.now)
    np.testing.assert_allclose(np.diff(shown), 1 / 25, atol=1e-3)
    assert len(shown) == 12
    with camera.Playing(film, 64) as source:
        count = 0
        while source.newest() is not None:
            count += 1
            playing.sleep(0.1)  # two and a half frames
    assert count == 6


def test_no_camera_is_a_line(painting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV (the video extra)")
    assert main(["live", str(painting), "--source", "93", "--kernels", "numpy"]) == 2
    assert capsys.readouterr().err == "minitorch_style: camera 93: there is none, or another program has it\n"


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    save_picture(tmp_path / "painting.png", PAINTING)
    return tmp_path / "painting.png"


class Shown:
    """Stands in for a window: presses n at the third picture, closes it after `most`."""

    made: Shown
    most = 1000

    def __init__(self, title: str, keys: dict[str, Any]) -> None:
        self.open, self.keys, self.titles = True, keys, list[str]()
        self.pictures = list[Rgb8]()
        Shown.made = self

    def show(self, picture: Rgb8, title: str) -> None:
        self.pictures.append(picture)
        self.titles.append(title)
        if len(self.titles) == 3:
            self.keys["n"]()
        if len(self.titles) == self.most:
            self.open = False

    def close(self) -> None:
        self.open = False


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shown]]:
    monkeypatch.setattr(command, "Window", Shown)
    monkeypatch.setattr(Shown, "most", 1000)
    yield Shown


ARGUMENTS = ["--size", "64", "--kernels", "numpy", "--budget", "20"]


def test_the_command(film: Path, painting: Path, window: type[Shown], capsys: pytest.CaptureFixture[str]) -> None:
    other = painting.with_name("other.png")
    save_picture(other, OTHER)
    assert main(["live", str(painting), str(other), "--source", str(film), *ARGUMENTS]) == 0
    names = [title.split(":")[0] for title in window.made.titles]
    assert [name for name, _ in itertools.groupby(names)] == ["painting", "other"]
    assert {picture.shape for picture in window.made.pictures} == {(48, 64, 3)}
    assert f"{len(names)} frames, " in capsys.readouterr().err and not window.made.open


def test_closing_the_window_ends_it(film: Path, painting: Path, window: type[Shown]) -> None:
    window.most = 2
    assert main(["live", str(painting), "--source", str(film), *ARGUMENTS, "--quiet"]) == 0
    assert len(window.made.titles) == 2


def test_no_screen_and_no_film_are_a_line(
    film: Path, painting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    monkeypatch.setenv("DISPLAY", "")
    assert main(["live", str(painting), "--source", str(film), *ARGUMENTS]) == 2
    assert capsys.readouterr().err.startswith("minitorch_style: no window can be opened here")
    assert main(["live", str(painting), "--source", str(painting.parent / "nothing.mp4"), *ARGUMENTS]) == 2
    assert "no such film" in capsys.readouterr().err
