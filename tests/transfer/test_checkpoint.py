"""A run written down at any step ends with the same bytes; what does not fit is refused in one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch_style as ms
from minitorch_style.errors import ResumeError, SettingsError
from minitorch_style.image.io import Picture, load_picture, read_texts
from minitorch_style.transfer.checkpoint import (
    Checkpoints,
    about_job,
    load_checkpoint,
    read_about,
    save_checkpoint,
    settings_in,
)
from minitorch_style.transfer.events import Event, Iterated, StageEnded
from minitorch_style.transfer.job import Job, prepare
from minitorch_style.transfer.run import Run, run
from minitorch_style.transfer.settings import PRESETS, Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK: dict[str, Any] = {"kernels": "numpy", "size": 64, "iterations": 4}
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "bold": {"strength": 0.9},
    "faint": {"strength": 0.2},
    "photo": {"strength": 0.0},
    "instant": PRESETS["instant"],
    "two scales, a starter": {"method": "gram", "scales": 2, "warm_start": "distilled"},
    **{name: {"method": "gram", "optimizer": name} for name in ("lbfgs", "lbfgsb", "adam", "sgd")},
}


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    photo, painting = (load_picture(EXAMPLES / name, 64).pixels for name in ("photo.jpg", "painting.jpg"))
    return photo, painting


@pytest.fixture(scope="module")
def network() -> ms.Network:
    return ms.load_network("distilled-perceptual", kernels="numpy", pooling="average")


@pytest.fixture
def job(pictures: tuple[np.ndarray, np.ndarray], network: ms.Network) -> Job:
    return prepare(*pictures, Settings(**QUICK, method="gram"), network)


@pytest.fixture
def written(job: Job, tmp_path: Path) -> Path:
    """A checkpoint of that job after two iterations."""
    path, running = tmp_path / "run.ckpt", run(job)
    for event in running:
        if isinstance(event, Iterated) and event.iteration.number == 2:
            save_checkpoint(path, stood(running), about_job(job, {}))
            break
    return path


def stood(running: Run) -> Any:
    found = running.checkpoint()
    assert found is not None
    return found


@pytest.mark.parametrize("way", WAYS)
def test_the_same_bytes_from_every_step(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network, tmp_path: Path, way: str
) -> None:
    """Written after each step and stage, read, gone on with: the picture, its losses and its message are those of a run
    that was never broken off, which was not disturbed by being written down."""
    job = prepare(*pictures, Settings(**{**QUICK, **WAYS[way]}), network)
    whole, running, path, count = run(job).complete(), run(job), tmp_path / "run.ckpt", 0
    for event in running:
        if isinstance(event, Iterated | StageEnded) and (checkpoint := running.checkpoint()) is not None:
            save_checkpoint(path, checkpoint, about_job(job, {}))
            resumed = run(job, resumed=load_checkpoint(path, job))
            numbers = [more.iteration.number for more in resumed if isinstance(more, Iterated)]
            assert numbers == list(range(running.history[-1].number + 1, len(whole.history) + numbers_from(whole)))
            made, count = resumed.result(), count + 1
            assert np.array_equal(made.image, whole.image) and made.message == whole.message
            assert [step.loss for step in made.history] == [step.loss for step in whole.history]
            assert [step.terms for step in made.history] == [step.terms for step in whole.history]
            assert not made.interrupted and made.metadata == whole.metadata
    assert count >= (1 if way == "photo" else job.iterations)
    assert np.array_equal(running.result().image, whole.image)


def numbers_from(result: Any) -> int:
    """Whether a history counts from 0, the start's loss, or from 1."""
    return 1 - (result.history[0].number == 0)


def test_they_are_written_in_time_and_at_the_end_of_each_scale(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network, tmp_path: Path
) -> None:
    job = prepare(*pictures, Settings(**QUICK), network)
    seldom, often = Counting(tmp_path / "a", job, 1e9), Counting(tmp_path / "b", job, 0)
    for writer in (seldom, often):
        run(job).complete(checkpoints=writer)
    scales, steps = 2, 2  # of a plan of 64 pixels: 32 and 64
    assert seldom.count == scales + 1 + 1 + 1, "each scale, the plan, the level, the repainting"
    assert often.count == job.iterations + len(job.stages) and steps * scales < job.iterations


class Counting(Checkpoints):
    def __init__(self, path: Path, job: Job, seconds: float) -> None:
        super().__init__(path, job, seconds, {}, pytest.fail)
        self.count = 0

    def write(self, run: Run) -> None:
        super().write(run)
        self.count += 1
        assert self.written == run.history[-1].number


def test_one_that_cannot_be_written_is_told_once_and_the_run_goes_on(job: Job, tmp_path: Path) -> None:
    told: list[str] = []
    whole = run(job).complete(checkpoints=Checkpoints(tmp_path / "no" / "c", job, 0, {}, told.append))
    assert not whole.interrupted and len(told) == 1 and "does not exist" in told[0]


def test_another_job_is_refused(
    job: Job, written: Path, pictures: tuple[np.ndarray, np.ndarray], network: ms.Network
) -> None:
    photo, painting = pictures
    other = photo.copy()
    other[0, 0, 0] += np.float32(2**-20)
    settings = Settings(**QUICK, method="gram")
    assert settings_in(written, read_about(written)) == settings
    see_through = Picture(painting, np.full(painting.shape[:2], 0.5, np.float32))
    for changed in ((other, painting), (photo, other), (photo, [painting, painting]), (photo, see_through)):
        with pytest.raises(ResumeError, match="not the one it was made with"):
            load_checkpoint(written, prepare(*changed, settings, network))
    with pytest.raises(ResumeError, match="other settings"):
        load_checkpoint(
            written, prepare(photo, painting, Settings(**{**QUICK, "iterations": 5}, method="gram"), network)
        )
    tampered = ms.load_network("distilled-perceptual", kernels="numpy", pooling="average")
    name = next(iter(tampered.parameters))
    tampered.parameters = {**tampered.parameters, name: tampered.parameters[name] + 1}  # type: ignore[assignment]
    with pytest.raises(ResumeError, match="not the one it was made with"):
        load_checkpoint(written, prepare(photo, painting, settings, tampered))


def test_another_version_is_refused(written: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ms, "__version__", "9.9")
    with pytest.raises(ResumeError, match=r"written by version .*; this is 9\.9"):
        load_checkpoint(written, job)


def refused(path: Path, job: Job) -> None:
    with pytest.raises(ResumeError, match="checkpoint") as found:
        load_checkpoint(path, job)
    assert str(path) in str(found.value) and "\n" not in str(found.value)


def test_damaged_ones_are_refused(written: Path, job: Job, rng: np.random.Generator) -> None:
    """Cut off anywhere, or a byte changed anywhere in an array: never another picture."""
    data = written.read_bytes()
    for length in rng.integers(0, len(data), 40):
        written.write_bytes(data[:length])
        refused(written, job)
    with zipfile.ZipFile(written.parent / "x", "w") as file:
        file.writestr("about.npy", b"")
    refused(written.parent / "x", job)
    for place in rng.integers(len(data) // 10, len(data) * 9 // 10, 40):
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        written.write_bytes(changed)
        refused(written, job)


def test_a_checkpoint_that_is_none(tmp_path: Path, job: Job) -> None:
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", about=np.array("{}"))
    (tmp_path / "bad").mkdir()
    for name in ("text", "other.npz"):
        refused(tmp_path / name, job)
    for name in ("missing", "bad"):
        with pytest.raises(ResumeError):
            load_checkpoint(tmp_path / name, job)


Arrays = dict[str, np.ndarray]
HOSTILE: dict[str, Callable[[Arrays], object]] = {
    "state/history/order": lambda a: np.array([99]),
    "state/history/slot": lambda a: np.array(-1),
    "state/history/vectors": lambda a: a["state/history/vectors"][:, :-1],
    "state/history/fresh": lambda a: a["state/history/fresh"].astype(np.float64),
    "state/pixels": lambda a: np.full_like(a["state/pixels"], np.nan),
    "state/best": lambda a: a["state/best"][:-1],
    "state/loss": lambda a: np.array([1.0, 2.0]),
    "stage": lambda a: np.array(7),
    "best": lambda a: np.array(["x"]),
    "history": lambda a: a["history"][:, :3],
    "about": lambda a: np.array(json.dumps({**json.loads(str(a["about"])), "settings": {"size": "large"}})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_a_state_reaches_no_kernel(written: Path, job: Job, name: str) -> None:
    arrays = dict(np.load(written))
    arrays[name] = HOSTILE[name](arrays)
    np.savez(written.with_suffix(""), **arrays)
    with pytest.raises(ms.StyleError):
        run(job, resumed=load_checkpoint(written.with_suffix(".npz"), job)).complete()


def test_no_array_is_larger_than_the_job(written: Path, job: Job) -> None:
    """A header that claims terabytes, objects to unpickle, a compressed bomb: nothing is allocated for it."""
    arrays = dict(np.load(written))
    np.savez_compressed(written.with_name("bomb.npz"), **arrays)
    refused(written.with_name("bomb.npz"), job)
    np.savez(written.with_name("object.npz"), **{**arrays, "best": np.array([{}], object)})
    refused(written.with_name("object.npz"), job)
    with zipfile.ZipFile(written) as file, zipfile.ZipFile(written.with_name("huge.npz"), "w") as out:
        for entry in file.infolist():
            data = file.read(entry)
            if entry.filename == "best.npy":
                head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999, 99999, 3), }\n"
                data = data[:8] + len(head).to_bytes(2, "little") + head
            out.writestr(entry.filename, data)
    refused(written.with_name("huge.npz"), job)


def test_matches_outside_the_paintings_reach_no_kernel(
    pictures: tuple[np.ndarray, np.ndarray], network: ms.Network
) -> None:
    job = prepare(*pictures, Settings(**QUICK), network)
    running = run(job)
    event: Event
    for event in running:
        if isinstance(event, Iterated) and event.stage == 2:
            checkpoint = stood(running)
            break
    for wrong in (-1, 10**6):
        checkpoint.state["field"].flat[5] = wrong
        with pytest.raises(ms.StyleError, match="outside the paintings"):
            run(job, resumed=checkpoint).complete()


def test_settings_come_back_from_a_pictures_texts(pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    settings = Settings(**QUICK, method="gram", style_layers=("conv1_1",), style_blend=(0.5,), preserve_color=True)
    result = ms.stylize(*pictures, **{name: getattr(settings, name) for name in settings.__dataclass_fields__})
    result.save(tmp_path / "a.png")
    assert Settings.from_texts(read_texts(tmp_path / "a.png")) == settings
    assert Settings.from_texts(Settings().as_texts()) == Settings()
    for texts in (
        {},
        {"minitorch_style.size": "().x"},
        {"minitorch_style.size": "'a'"},
        {"minitorch_style.size": "-1"},
    ):
        with pytest.raises(SettingsError):
            Settings.from_texts(texts)
