"""`--scratch DIR`: the optimizer's history in a file where it does not fit into memory, the same picture, less memory told; and
without a folder a shorter history rather than a refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minitorch_style.engine.scratch import Scratch
from minitorch_style.errors import ScratchError, SettingsError, TooLittleMemoryError, in_bytes
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.checkpoint import HISTORY, about_job, load_checkpoint, save_checkpoint
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.settings import Settings

VALUES, PAIRS = 3 * 64 * 96, 4
LITTLE = 141_000_000  # bytes, in which no picture is made
HISTORY_BYTES = 2 * 2 * PAIRS * VALUES


def prepared(scratch: Path | None, less: int = 0, **other: object) -> transfer.Job:
    """In a memory that is so many bytes `less` than the whole takes with all of the history, if any."""
    photo, painting = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
    settings = {"model": "distilled", "kernels": "numpy", "size": 96, "style_size": 96, "iterations": PAIRS, **other}
    if less:
        settings["max_memory"] = prepared(None, **other).estimate.nbytes - less
    folder = None if scratch is None else str(scratch)
    return transfer.prepare(photo, painting, Settings(method="gram", scratch=folder, **settings))


def in_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of arrays in files, as they are made."""
    made: list[tuple[int, ...]] = []
    real = Scratch.zeros

    def zeros(self: Scratch, shape: tuple[int, ...], dtype: object, like: object = None) -> object:
        if like is None or isinstance(like, np.ndarray):
            made.append(shape)
        return real(self, shape, dtype, like)

    monkeypatch.setattr(Scratch, "zeros", zeros)
    return made


@pytest.mark.parametrize("tiles", (None, 2))
def test_the_same_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: int | None) -> None:
    made = in_files(monkeypatch)
    expected = transfer.run(prepared(None, tiles=tiles)).complete()
    assert not made
    found = transfer.run(prepared(tmp_path, 1, tiles=tiles)).complete()
    assert [shape[0] for shape in made] == [2 * PAIRS] * (tiles or 1)
    np.testing.assert_array_equal(found.image, expected.image)
    assert [iteration.loss for iteration in found.history] == [iteration.loss for iteration in expected.history]
    known = [{**result.metadata} for result in (found, expected)]
    del known[0]["minitorch_style.max_memory"]
    assert known[0] == known[1]  # or the file's bytes would differ


def test_what_fits_into_memory_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = in_files(monkeypatch)
    job = prepared(tmp_path, max_memory=prepared(None).estimate.nbytes)
    transfer.run(job).complete()
    assert not made and f"what lbfgs remembers fits into memory: {tmp_path} is not used" in job.notes
    job = prepared(tmp_path, 1)
    assert f"what lbfgs remembers, {in_bytes(HISTORY_BYTES)}, is kept in {tmp_path}" in job.notes
    assert "tiles" not in job.stages[0].title


@pytest.mark.parametrize("tiles", (None, 2))
def test_goes_on_from_a_checkpoint_with_its_history_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: int | None
) -> None:
    job, path = prepared(tmp_path, 1, tiles=tiles), tmp_path / "checkpoint"
    expected = transfer.run(job).complete()
    run = transfer.run(job)
    for event in run:
        if isinstance(event, Iterated) and event.iteration.number == 2:
            save_checkpoint(path, run.checkpoint(), about_job(job, {}))
            break
    made = in_files(monkeypatch)
    checkpoint = load_checkpoint(path, job)
    assert made == [(HISTORY_BYTES,)]
    assert checkpoint.state[HISTORY.removeprefix("state/")].shape == (2 * PAIRS, VALUES)
    np.testing.assert_array_equal(transfer.run(job, resumed=checkpoint).complete().image, expected.image)


def test_less_memory_is_told(tmp_path: Path) -> None:
    assert prepared(None).estimate.nbytes - prepared(tmp_path, 1).estimate.nbytes == HISTORY_BYTES


def test_a_history_is_as_long_as_it_can_be_of_use() -> None:
    """The least for which no run is another: one pair an iteration, at most 14."""
    told = [prepared(None, iterations=count).estimate.nbytes for count in (1, 2, 14, 100)]
    assert np.diff(told).tolist() == [2 * 2 * VALUES, 2 * 2 * 12 * VALUES, 0]


@pytest.mark.parametrize("tiles", (None, 2))
def test_a_shorter_history_rather_than_a_refusal(tmp_path: Path, tiles: int | None) -> None:
    """Where the tiles are given it is as long as it can be; else the memory goes to larger tiles."""
    with pytest.raises(TooLittleMemoryError) as refused:
        prepared(None, tiles=tiles, max_memory=LITTLE)
    least = refused.value.needed + 2 * 2 * VALUES  # with 5 pairs, for it tells what the fewest need
    settings = {"iterations": 8, "tiles": tiles, "max_memory": least}
    job = prepared(None, **settings)
    (note,) = (note for note in job.notes if "remembers" in note)
    assert note.startswith(f"lbfgs remembers {5 if tiles else 4} of the last 8 steps")
    assert job.estimate.nbytes <= least
    path, run = tmp_path / "checkpoint", transfer.run(job)
    expected = transfer.run(job).complete()
    for event in run:
        if isinstance(event, Iterated) and event.iteration.number == 6:
            save_checkpoint(path, run.checkpoint(), about_job(job, {}))
            break
    found = transfer.run(job, resumed=load_checkpoint(path, job)).complete()
    np.testing.assert_array_equal(found.image, expected.image)
    assert not [note for note in prepared(tmp_path, **settings).notes if "of the last" in note]
    with pytest.raises(SettingsError, match="pixels need about"):
        prepared(None, **{**settings, "max_memory": least - 2 * 2 * 2 * VALUES})


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ScratchError, match="No such file"):
        prepared(tmp_path / "none")
    with pytest.raises(SettingsError, match="history of the optimizer lbfgs; adam has none"):
        prepared(tmp_path, optimizer="adam")
    with pytest.raises(SettingsError, match="scratch has no effect with the method auto"):
        Settings(scratch=str(tmp_path))


def test_a_disk_that_fills_later_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next scale: the picture of the one before is kept."""
    job, real = prepared(tmp_path, 1, scales=2), Scratch.zeros

    def full(self: Scratch, shape: tuple[int, ...], dtype: object, like: object = None) -> object:
        if shape[1] > 10_000:
            raise ScratchError("scratch: cannot be written (No space left on device)")
        return real(self, shape, dtype, like)

    monkeypatch.setattr(Scratch, "zeros", full)
    result = transfer.run(job).complete()
    assert "No space left" in result.message and len(result.history) == 5
