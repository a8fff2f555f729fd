"""Arrays in temporary files: what is too large for memory, and read from end to end.

A file has no name (on Windows it is removed when it is closed), so it goes with its array, and with the process, however that
ends. All its blocks are taken before it is written to: a full disk is an error then, not a signal in the midst of the work.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import ScratchError, in_bytes

BLOCK = 1 << 20


def scratch_in(folder: str | None) -> Scratch | None:
    """None where there is none."""
    return None if folder is None else Scratch(folder)


@dataclass(frozen=True)
class Scratch:
    """Files in a `folder`."""

    folder: str

    def require(self, nbytes: int) -> None:
        """ScratchError if there is no such folder, or it has no room for so many bytes."""
        try:
            free = shutil.disk_usage(self.folder).free
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self._error(error) from error
        if nbytes > free:
            raise ScratchError(f"scratch {self.folder}: needs {in_bytes(nbytes)}, {in_bytes(free)} are free")

    def zeros(self, shape: tuple[int, ...], dtype: Any, like: Any = None) -> Any:
        """An array in a file, or, of what stands for an array in parts, the rows of each part in one. ScratchError if the
        disk is full."""
        if like is not None and not isinstance(like, np.ndarray):
            return like.zeros(shape[0], dtype, self.zeros)
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:  # which lasts as long as the array
                _take(file, nbytes)
                array: npt.NDArray[Any] = np.memmap(file, dtype, "r+", shape=shape)
                return np.asarray(array)
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> ScratchError:
        return ScratchError(f"scratch {self.folder}: cannot be written ({error.strerror or error})")


def _take(file: BinaryIO, nbytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, nbytes)
    else:
        for start in range(0, nbytes, BLOCK):
            file.write(bytes(min(BLOCK, nbytes - start)))
        file.flush()
