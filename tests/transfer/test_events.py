"""A run is an iterator of events that may be left at any time; the default method end to end, on small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minitorch_style as ms
from minitorch_style.errors import SettingsError
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.writing import save_picture
from minitorch_style.transfer.events import Finished, Iterated, StageEnded, Started
from minitorch_style.transfer.job import prepare
from minitorch_style.transfer.painting import Planning
from minitorch_style.transfer.run import run
from minitorch_style.transfer.settings import PRESETS, Settings, described

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = {"kernels": "numpy", "size": 64, "iterations": 6}


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    photo, painting = (load_picture(EXAMPLES / name, 64).pixels for name in ("photo.jpg", "painting.jpg"))
    return photo, painting


@pytest.fixture(scope="module")
def network() -> ms.Network:
    return ms.load_network("distilled-perceptual", kernels="numpy", pooling="average")


@pytest.mark.parametrize("method", ["auto", "voting", "statistics", "gram"])
def test_a_run_tells_what_it_does(pictures: tuple[np.ndarray, np.ndarray], network: ms.Network, method: str) -> None:
    job = prepare(*pictures, Settings(**QUICK, method=method), network)
    events = list(run(job))
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    iterated = [event for event in events if isinstance(event, Iterated)]
    assert [event.iteration.number for event in iterated] == list(range(1, job.iterations + 1))
    assert [event.stage for event in events if isinstance(event, StageEnded)] == list(range(1, len(job.stages) + 1))
    assert iterated[-1].seconds_left == pytest.approx(0, abs=1e-6) and iterated[0].seconds_left > 0
    result = events[-1].result
    assert not result.interrupted and result.image.shape == pictures[0].shape
    assert np.array_equal(result.image, iterated[-1].picture()) or method == "gram"
    assert all(event.picture().shape == pictures[0].shape for event in iterated)


def test_a_run_may_be_left_at_any_time(pictures: tuple[np.ndarray, np.ndarray], network: ms.Network) -> None:
    job = prepare(*pictures, Settings(**QUICK), network)
    running = run(job)
    for event in running:
        if isinstance(event, Iterated) and event.iteration.number == 3:
            shown = event.picture()
            break
    result = running.result()
    assert result.interrupted and len(result.history) == 3 and np.array_equal(result.image, shown)
    rest = [event for event in running if isinstance(event, Iterated)]
    assert rest[0].iteration.number == 4 and not running.result().interrupted, "and gone on with"


def test_strength_moves_from_the_photo_to_the_painting(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network
) -> None:
    photo, painting = pictures
    made = [
        ms.stylize(photo, painting, network, **QUICK, strength=strength).image / np.float32(255)
        for strength in (0, 0.1, 0.2, 0.3, 0.9)
    ]
    away = [float(np.abs(picture - photo).mean()) for picture in made]
    assert away[0] < 0.003 and away[:4] == sorted(away[:4])
    assert min(np.diff(away[:4])) > 0.02 and np.abs(made[4] - made[3]).mean() > 0.03, "each is a visible step"


def test_the_same_bytes_with_any_number_of_threads(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    from minitorch_style.kernels import kernel_set, set_threads, threads

    before, images = threads(), []
    try:
        for count in (1, 2):
            set_threads(count)
            images.append(ms.stylize(*pictures, size=64, iterations=4).image)
    finally:
        set_threads(before)
    assert np.array_equal(*images) or kernel_set().name == "numpy"


def test_strokes_are_the_paintings(pictures: tuple[np.ndarray, np.ndarray], network: ms.Network) -> None:
    """Repainted in a red painting's patches a picture is red; the photo's own colors stay where they are asked to."""
    photo, _ = pictures
    rng = np.random.default_rng(0)
    red = np.clip(np.array([0.7, 0.1, 0.1]) + 0.1 * rng.standard_normal((64, 64, 1)), 0, 1).astype(np.float32)
    made = ms.stylize(photo, red, network, **QUICK).image.astype(int)
    assert np.all(made[..., 0].mean() > 1.5 * made[..., 2].mean())
    kept = ms.stylize(photo, red, network, **QUICK, preserve_color=True).image / 255
    assert np.corrcoef((kept[..., 2] - kept[..., 0]).ravel(), (photo[..., 2] - photo[..., 0]).ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 1.1}, "strength must be at most 1"),
        ({"strength": float("nan")}, "strength"),
        ({"detail": -1}, "detail must be"),
        ({"method": "magic"}, "method 'magic'"),
        ({"color": "blue"}, "color 'blue'"),
        ({"stroke_size": 0}, "stroke_size"),
        ({"style_blend": (1.0, 2.0)}, "1 styles need"),
    ],
)
def test_settings_that_cannot_be(
    pictures: tuple[np.ndarray, np.ndarray], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        ms.stylize(*pictures, **{**QUICK, **settings})


@pytest.mark.parametrize("size", [(16, 16), (17, 64), (9, 40)])
def test_small_pictures(size: tuple[int, int], network: ms.Network) -> None:
    rng = np.random.default_rng(1)
    photo, painting = rng.random((*size, 3), np.float32), rng.random((20, 30, 3), np.float32)
    assert ms.stylize(photo, painting, network, **QUICK).image.shape == photo.shape


def test_every_setting_is_described_and_every_preset_is_made_of_settings() -> None:
    known = {setting.name: setting for setting in described()}
    assert all(setting.help for setting in known.values())
    for name, changed in PRESETS.items():
        assert set(changed) <= set(known), name
        Settings(**changed)


def test_a_picture_that_is_there_takes_the_place_of_the_plan(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.png"
    half = np.zeros((43, 64, 3), np.float32)
    half[:, 32:] = 1
    save_picture(plan, to_bytes(half))
    job = prepare(*pictures, Settings(**QUICK, init=str(plan), detail=0), network)
    assert [stage.title.split()[0] for stage in job.stages] == ["repainted"]
    image = run(job).complete().image.astype(float)
    assert image[:, 40:].mean() > image[:, :24].mean() + 50, "dark stays dark, light stays light"


@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ({}, "neighbours"),
        ({"strength": 0.9}, "statistics"),
        ({"method": "statistics"}, "statistics"),
        ({"method": "voting"}, "voting"),
    ],
)
def test_the_method_says_how_the_plan_is_made(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network, settings: dict[str, object], way: str
) -> None:
    planning = prepare(*pictures, Settings(**QUICK, **settings), network).stages[0]  # type: ignore[arg-type]
    assert isinstance(planning, Planning) and planning.way == way
