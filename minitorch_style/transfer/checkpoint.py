"""A run written down, so that nothing is lost: where it stands, to go on from there and end with the same bytes.

The file is what `np.savez` writes, with a JSON text `about` the job beside the arrays. Nothing in it is executed, and no
array is read before its size is known to be one that the job could have.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

import minitorch_style
from minitorch_style.arrays import Float32, Float64
from minitorch_style.engine.scratch import Scratch
from minitorch_style.errors import ResumeError, ScratchError, StyleError
from minitorch_style.files import atomic_write, check_readable
from minitorch_style.style.objective import Terms
from minitorch_style.transfer.descent import Descent
from minitorch_style.transfer.events import Event, Iterated, Iteration, StageEnded
from minitorch_style.transfer.job import Job, scratch_bytes
from minitorch_style.transfer.settings import Settings
from minitorch_style.values import from_arrays, to_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minitorch_style.transfer.run import Run

ABOUT = "about"
HISTORY = "state/history/vectors"  # of L-BFGS, the largest array there is
FORM = "minitorch_style checkpoint 1"
MOST_TEXT = 4 << 20  # bytes of it
MOST_BESIDES = 64 << 20  # bytes of arrays that an estimate does not count: the list of iterations, headers


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands: in the stage of that number (from 1; one more than there are when all are done), before which
    `done` iterations had been made and the picture `before` been left; the `best` picture; an Iteration for each row of
    `history`; and the stage's own `state`, empty where it is yet to begin. The arrays are the run's own, which its next
    step may change."""

    stage: int
    done: int
    seconds: float
    message: str
    best: Float32
    history: Float64
    before: Float32 | None = None
    state: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def iterations(self) -> list[Iteration]:
        return [_iteration(row) for row in self.history.tolist()]


def rows_of(history: list[Iteration]) -> Float64:
    """(n, 7); NaN stands for None."""
    rows = np.full((len(history), 7), np.nan)
    for row, made in zip(rows, history, strict=True):
        row[[0, 6]] = made.number, made.milliseconds
        for column, value in ((1, made.loss), (2, made.best_loss)):
            if value is not None:
                row[column] = value
        if made.terms is not None:
            row[3:6] = made.terms.content, made.terms.style, made.terms.variation
    return rows


def _iteration(row: list[float]) -> Iteration:
    number, loss, best, content, style, variation, milliseconds = row
    terms = None if math.isnan(content) else Terms(content, style, variation)
    known = (None if math.isnan(value) else value for value in (loss, best))
    return Iteration(int(number), next(known), terms, next(known), milliseconds)


def digest(job: Job) -> str:
    """SHA-256 of everything that the result depends on beside the settings: pictures, networks, kernels."""
    found = hashlib.sha256()
    pictures = [job.content.values, *(style.values for style in job.styles), job.start]
    alphas = [picture.alpha for picture in (job.content, *job.styles)]
    pictures += [array for array in (*alphas, job.mask) if array is not None]
    networks = [job.network, *(stage.network for stage in job.stages if isinstance(stage, Descent))]
    parameters = [network.parameters for network in {id(network): network for network in networks}.values()]
    found.update(job.network.kernels.name.encode())
    for array in [*pictures, *(array for of_one in parameters for _, array in sorted(of_one.items()))]:
        found.update(repr((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint, about: Mapping[str, Any]) -> None:
    """Whole or not at all, see `atomic_write`. ResumeError if it cannot be written."""
    arrays: dict[str, Any] = {name: np.asarray(array, order="C") for name, array in to_arrays(checkpoint).items()}
    arrays[ABOUT] = np.array(json.dumps({"form": FORM, **about}))
    with atomic_write(path, ResumeError) as file:
        np.savez(file, **arrays)


def about_job(job: Job, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its job, and `more` that its writer wants to know again."""
    version, settings = minitorch_style.__version__, asdict(job.settings)
    return {
        "version": version,
        "kernels": job.network.kernels.name,
        "digest": digest(job),
        "settings": settings,
        **more,
    }


def read_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint says of its job. ResumeError if it is none, damaged, or of another version."""
    with _opened(path) as file:
        text = str(_array(file, ABOUT, MOST_TEXT))
        about = json.loads(text)
        if not isinstance(about, dict) or about.get("form") != FORM:
            raise ValueError("not of this form")
    if about.get("version") != minitorch_style.__version__:
        raise ResumeError(f"{path}: written by version {about.get('version')}; this is {minitorch_style.__version__}")
    return about


def settings_in(path: str | os.PathLike[str], about: Mapping[str, Any]) -> Settings:
    """The settings that a checkpoint's job was made with."""
    try:
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in about["settings"].items()
        }
        return Settings(**given)
    except (AttributeError, KeyError, TypeError, StyleError) as error:
        raise ResumeError(f"{path}: damaged, its settings cannot be read ({error})") from error


def load_checkpoint(path: str | os.PathLike[str], job: Job) -> Checkpoint:
    """To go on with `job` from: ResumeError unless it was written by the same job, on the same pictures and networks,
    with the same kernels. A job that asks for tiles may go on with what was begun without."""
    about = read_about(path)
    if about.get("kernels") != job.network.kernels.name:
        raise ResumeError(f"{path}: made with the {about.get('kernels')} kernels, here are {job.network.kernels.name}")
    made = settings_in(path, about)
    if replace(made, tiles=made.tiles or job.settings.tiles) != job.settings:
        raise ResumeError(f"{path}: made with other settings")
    if about.get("digest") != digest(job):
        raise ResumeError(f"{path}: the photo, a painting or the network is not the one it was made with any more")
    with _opened(path) as file:
        limit = job.estimate.nbytes + MOST_BESIDES + scratch_bytes(job.stages)
        scratch = next((stage.scratch for stage in job.stages if isinstance(stage, Descent) and stage.on_disk), None)
        arrays = {}
        for name in (entry.filename.removesuffix(".npy") for entry in file.infolist()):
            arrays[name] = _array(file, name, limit, scratch if name == HISTORY else None)
            limit -= arrays[name].nbytes
        del arrays[ABOUT]
        found = from_arrays(Checkpoint, arrays)
        _check(found, job)
    return found


def _check(found: Checkpoint, job: Job) -> None:
    if (
        not 1 <= found.stage <= len(job.stages) + 1
        or not len(found.history)
        or found.done < 0
        or not found.seconds >= 0
    ):
        raise ValueError(f"no stage {found.stage} after {found.done} iterations")
    if found.history.ndim != 2 or found.history.shape[1] != 7 or found.history.dtype != np.float64:
        raise ValueError("a list of iterations that is none")
    for picture in (found.best, *([] if found.before is None else [found.before])):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32 or not picture.size:
            raise ValueError(f"a picture {picture.shape} of {picture.dtype}")
    for name, array in to_arrays(found).items():
        if name != "history" and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite numbers")


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """The file; whatever is wrong with its content is a ResumeError that names it."""
    check_readable(path, ResumeError, "checkpoint")
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except (ResumeError, ScratchError):
        raise
    except (OSError, EOFError, KeyError, ValueError, TypeError, OverflowError, RecursionError, StyleError,
            NotImplementedError, RuntimeError, MemoryError, zipfile.BadZipFile) as error:  # fmt: skip
        raise ResumeError(f"{path}: no checkpoint, or a damaged one ({error})") from error


def _array(file: zipfile.ZipFile, name: str, limit: int, scratch: Scratch | None = None) -> npt.NDArray[Any]:
    """One array of at most `limit` bytes, in `scratch` where that is given; ValueError for more, and for what is not there in
    full."""
    entry = file.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit + 4096:
        raise ValueError(f"{name} has {entry.file_size} bytes, too many")
    with file.open(entry) as member:
        if npy.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is of another form")
        shape, by_columns, dtype = npy.read_array_header_1_0(member)
        nbytes = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or (by_columns and len(shape) > 1) or nbytes > limit:
            raise ValueError(f"{name} is {dtype} {shape}")
        if entry.file_size - member.tell() != nbytes:
            raise ValueError(f"{name} is cut off")
        data: Any = bytearray(nbytes) if scratch is None else memoryview(scratch.zeros((nbytes,), np.uint8))
        for start in range(0, nbytes, 1 << 20):
            data[start : start + (1 << 20)] = member.read(1 << 20)
        if len(data) != nbytes or member.read(1):  # the end is where the check sum is compared
            raise ValueError(f"{name} is cut off")
    return np.ndarray(shape, dtype, data)


class Checkpoints:
    """Listens to a run and writes it down every so many seconds, at the end of each scale, level and stage, and where it is
    broken off. One that cannot be written is reported to `note`, once; the run goes on, and the last one that could stays."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: Job,
        seconds: float,
        more: Mapping[str, Any],
        note: Callable[[str], None],
    ) -> None:
        self.path, self.seconds, self.note = path, seconds, note
        self._about = about_job(job, more)
        self._last, self._noted = time.monotonic(), False
        self.written = 0  # iterations that are safe

    def hear(self, run: Run, event: Event) -> None:
        if isinstance(event, StageEnded) or (
            isinstance(event, Iterated) and (run.scale_ended or time.monotonic() - self._last >= self.seconds)
        ):
            self.write(run)

    def broken_off(self, run: Run) -> None:
        """The last one, unless all iterations are safe."""
        if run.history and run.history[-1].number > self.written:
            self.write(run)

    def write(self, run: Run) -> None:
        checkpoint = run.checkpoint()
        if checkpoint is None:
            return
        try:
            save_checkpoint(self.path, checkpoint, self._about)
            self.written = int(checkpoint.history[-1, 0])
        except (ResumeError, MemoryError) as error:
            if not self._noted:
                self.note(f"{error or 'out of memory'}; the run goes on without this checkpoint")
            self._noted = True
        self._last = time.monotonic()
