"""The net under every reader of files that somebody else made: one error, one line, whatever was wrong."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from minitorch_style.errors import StyleError, WeightsError

QUOTED = 200  # characters of another library's message; some quote the whole file


@contextmanager
def reading(path: Path, kind: type[WeightsError] = WeightsError) -> Iterator[None]:
    """Around the reading of `path`: what is refused on purpose gets the file's name before it, anything else that is
    raised becomes a `kind` that tells the reason. NumPy's warnings about absurd numbers are silent: readers refuse them.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except StyleError as error:
        raise type(error)(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise kind(f"{path}: cannot be read (no such weight file)") from error
    except MemoryError as error:
        raise kind(f"{path}: is too large for the memory there is, or damaged") from error
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror or shortened(error)})") from error
    except Exception as error:  # whatever a damaged file makes Python, NumPy or HDF5 stumble over
        raise kind(f"{path}: damaged ({shortened(error)})") from error


def require_file(path: Path) -> None:
    """Refuses folders, and pipes and devices that may never end. FileNotFoundError if there is nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise WeightsError("is no file")


def shortened(error: Exception) -> str:
    """What another library says is wrong, not longer than a line."""
    return f"{error!s:.{QUOTED}}" if str(error) else type(error).__name__
