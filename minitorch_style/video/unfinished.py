"""What a film under way keeps beside its output, so that a run that was killed goes on where it was: the painted frames, and
from time to time all that the next one depends on.

The folder holds `about.json`, what is painted and how; `frames`, the bytes of the painted frames one after another; and
`state.npz`, as of some frame. A run that goes on repaints what came after that one, to the same bits.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ResumeError
from minitorch_style.files import atomic_write, write_text
from minitorch_style.values import Arrays
from minitorch_style.video.film import Film

ENDING = ".unfinished"
SECONDS = 10.0  # between two states: what a killed run loses at most
SHARE = 0.5  # of the free disk that frames may take
STATE, DONE = "state.npz", "done"


def folder_of(out: Path) -> Path:
    return out.with_name(out.name + ENDING)


def fits(out: Path, size: tuple[int, int], frames: int) -> bool:
    """Whether the disk has room to keep so many painted frames of `size` (height, width)."""
    return 3 * size[0] * size[1] * frames < SHARE * shutil.disk_usage(out.absolute().parent).free


class Unfinished:
    """The folder of `out`; frames are of `size` (height, width), `about` is what must be the same for a run to go on: what
    JSON can write. `done` is the number of frames that need not be painted again, `state` what was given to `add` with
    the last of them. ResumeError if the folder is another run's, or damaged."""

    def __init__(self, out: Path, size: tuple[int, int], about: Mapping[str, Any]) -> None:
        self.path, self._shape = folder_of(out), (*size, 3)
        self._bytes = 3 * size[0] * size[1]
        self.done = 0
        self.state: Arrays = {}
        text = json.dumps(about, indent=1, sort_keys=True)
        try:
            self.path.mkdir(exist_ok=True)
            if self.can_go_on:
                self._read(text)
            write_text(self.path / "about.json", text, ResumeError)
            self._frames = (self.path / "frames").open("r+b" if self.done else "w+b")
            self._frames.truncate(self.done * self._bytes)
        except OSError as error:
            raise ResumeError(f"{self.path}: cannot be used ({error.strerror})") from error
        self._saved = monotonic()

    def _read(self, text: str) -> None:
        if (self.path / "about.json").read_text() != text:
            raise ResumeError(f"{self.path}: is of a run with other files or settings; repeat that one, or remove it")
        try:
            with np.load(self.path / STATE, allow_pickle=False) as file:
                state = dict(file)
            done = int(state.pop(DONE))
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ResumeError(f"{self.path}: is damaged ({error}); remove it to begin anew") from error
        if not 0 < done * self._bytes <= (self.path / "frames").stat().st_size:
            raise ResumeError(f"{self.path}: is damaged (frames are missing); remove it to begin anew")
        self.done, self.state = done, state

    def frame(self, number: int) -> Rgb8:
        """The painted frame `number`, from 0 to `done` − 1."""
        self._frames.seek(number * self._bytes)
        return np.frombuffer(self._frames.read(self._bytes), np.uint8).reshape(self._shape)

    def add(self, number: int, picture: Rgb8, film: Film) -> None:
        """Takes in the painted frame `number`, and what `film` knows after it where it is time for that."""
        self._frames.seek(number * self._bytes)
        self._frames.write(np.ascontiguousarray(picture).tobytes())
        if monotonic() - self._saved >= SECONDS:
            self._frames.flush()
            os.fsync(self._frames.fileno())
            with atomic_write(self.path / STATE, ResumeError) as file:
                arrays: dict[str, Any] = {DONE: np.asarray(number + 1), **film.state()}
                np.savez(file, **arrays)
            self._saved = monotonic()

    @property
    def can_go_on(self) -> bool:
        """Whether there is a state to go on from."""
        return (self.path / STATE).exists()

    def close(self) -> None:
        """What is kept stays, if there is a state to go on from."""
        self._frames.close()
        if not self.can_go_on:
            self.remove()

    def remove(self) -> None:
        """The film is finished."""
        self._frames.close()
        shutil.rmtree(self.path, ignore_errors=True)
