"""The server's temporary folder, which is gone when the server is; what a killed one has left, the next one removes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, LOCK = "minitorch_style-serve-", "lock"

if sys.platform != "win32":
    import fcntl


def _locked(path: Path) -> int | None:
    """The open lock file, or None if a living server holds it. The system lets a lock go with its process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
    return handle


def _sweep(parent: Path) -> None:
    if sys.platform == "win32":  # where an open file cannot be removed, and no lock tells
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            handle = _locked(folder / LOCK)
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for this server alone."""
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    handle = _locked(folder / LOCK)
    try:
        yield folder
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)
