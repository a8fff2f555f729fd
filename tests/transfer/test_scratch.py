"""`--scratch DIR`: the optimizer's history in a file, the same picture, and less memory told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minitorch_style.engine.scratch import Scratch
from minitorch_style.errors import ScratchError, SettingsError
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.checkpoint import HISTORY, about_job, load_checkpoint, save_checkpoint
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.settings import Settings


def prepared(scratch: Path | None, **other: object) -> transfer.Job:
    photo, painting = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
    folder = None if scratch is None else str(scratch)
    settings = {"model": "distilled", "kernels": "numpy", "size": 96, "style_size": 96, "iterations": 4, **other}
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
    found = transfer.run(prepared(tmp_path, tiles=tiles)).complete()
    assert [shape[0] for shape in made] == [28] * (tiles or 1)
    np.testing.assert_array_equal(found.image, expected.image)
    assert [iteration.loss for iteration in found.history] == [iteration.loss for iteration in expected.history]
    known = [{**result.metadata} for result in (found, expected)]
    assert known[0] == known[1]  # or the file's bytes would differ


@pytest.mark.parametrize("tiles", (None, 2))
def test_goes_on_from_a_checkpoint_with_its_history_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles: int | None
) -> None:
    job, path = prepared(tmp_path, tiles=tiles), tmp_path / "checkpoint"
    expected = transfer.run(job).complete()
    run = transfer.run(job)
    for event in run:
        if isinstance(event, Iterated) and event.iteration.number == 2:
            save_checkpoint(path, run.checkpoint(), about_job(job, {}))
            break
    made = in_files(monkeypatch)
    checkpoint = load_checkpoint(path, job)
    values = 3 * 64 * 96
    assert made == [(2 * 28 * values,)]
    assert checkpoint.state[HISTORY.removeprefix("state/")].shape == (28, values)
    np.testing.assert_array_equal(transfer.run(job, resumed=checkpoint).complete().image, expected.image)


def test_less_memory_is_told(tmp_path: Path) -> None:
    less = prepared(None).estimate.nbytes - prepared(tmp_path).estimate.nbytes
    assert less == 2 * 28 * 3 * 64 * 96


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ScratchError, match="No such file"):
        prepared(tmp_path / "none")
    with pytest.raises(SettingsError, match="history of the optimizer lbfgs; adam has none"):
        prepared(tmp_path, optimizer="adam")
    with pytest.raises(SettingsError, match="scratch has no effect with the method auto"):
        Settings(scratch=str(tmp_path))


def test_a_disk_that_fills_later_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next scale: the picture of the one before is kept."""
    job, real = prepared(tmp_path, scales=2), Scratch.zeros

    def full(self: Scratch, shape: tuple[int, ...], dtype: object, like: object = None) -> object:
        if shape[1] > 10_000:
            raise ScratchError("scratch: cannot be written (No space left on device)")
        return real(self, shape, dtype, like)

    monkeypatch.setattr(Scratch, "zeros", full)
    result = transfer.run(job).complete()
    assert "No space left" in result.message and len(result.history) == 5
