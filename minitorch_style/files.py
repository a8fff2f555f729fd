"""Files appear whole or not at all: everything the package writes goes through `atomic_write`.

The bytes go into a temporary file in the same folder, which takes the name it is for when it is complete and on the disk.
A process that is killed leaves its temporary file behind; the next one that writes into the folder removes it. Whether its
process still lives is told by a lock that the system lets go when the process ends, however it ends.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeAlias

from minitorch_style.errors import StyleError

if sys.platform != "win32":
    import fcntl

PathLike: TypeAlias = "str | os.PathLike[str]"
TEMPORARY = re.compile(r"\.minitorch-[0-9a-f]{16}\.tmp")  # short: a name may have 255 bytes, on some disks 143
UNLOCKED_SECONDS = 3600  # without locks, what was not written to for so long is nobody's
FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def atomic_write(path: PathLike, error: type[StyleError] = StyleError) -> Iterator[BinaryIO]:
    """A file to write bytes into, which is under `path` once the block has ended without an exception; until then, and
    after any exception, what was there before is there still. Synced to the disk before it takes its name.

    A symbolic link is followed: the file it leads to is replaced. A file that was there passes on its permissions, and
    its owner where that is allowed. OSErrors, the block's own too, become an `error` that says why in one line.
    """
    path = Path(path)
    target, there = _destination(path, error)
    _sweep(target.parent)
    temporary: Path | None = None
    try:
        # A file that was private is never readable to others, not even while it is written.
        handle, temporary = _created(target.parent, 0o666 if there is None else 0o600)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(handle)
            if there is not None:
                _take_after(temporary, there)
            if sys.platform != "win32":
                temporary.replace(target)  # still open: the lock keeps it from being swept away before
        if sys.platform == "win32":  # where an open file cannot be renamed
            temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as problem:
        raise error(f"{path}: cannot be written ({_reason(problem)})") from problem
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: PathLike, text: str, error: type[StyleError] = StyleError) -> None:
    """Writes `text` as UTF-8, like `atomic_write`."""
    with atomic_write(path, error) as file:
        file.write(text.encode())


@contextmanager
def alone(path: PathLike, error: type[StyleError] = StyleError) -> Iterator[None]:
    """Keeps all other runs from writing to `path` until the block ends: each gets an `error` in one line. A hidden file in
    the same folder is locked for that; if this process dies, its lock dies with it. On a disk that knows no locks nobody
    is kept away."""
    target = Path(os.path.realpath(path))
    guard = target.with_name(f".minitorch-{sha256(os.fsencode(target.name)).hexdigest()[:16]}.lock")
    try:
        handle = _taken(guard)
    except OSError as problem:
        raise error(f"{path}: cannot be written ({_reason(problem)})") from problem
    if handle is None:
        raise error(f"{path}: is being written by another run")
    try:
        yield
    finally:
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(handle)
        with suppress(OSError):
            guard.unlink(missing_ok=True)  # still locked: nobody takes it before it is gone
        if sys.platform != "win32":
            os.close(handle)


def check_writable(path: PathLike, error: type[StyleError] = StyleError) -> None:
    """An `error` unless `atomic_write` could begin with `path` now."""
    path = Path(path)
    target, _ = _destination(path, error)
    try:
        handle, temporary = _created(target.parent, 0o600)
        os.close(handle)
        temporary.unlink(missing_ok=True)  # another process may have swept it away just now
    except OSError as problem:
        raise error(f"{path}: cannot be written ({_reason(problem)})") from problem
    _sweep(target.parent)


def check_readable(path: PathLike, error: type[StyleError] = StyleError, kind: str = "file") -> None:
    """An `error` unless there is a file at `path` that may be read; `kind` is what it should be."""
    try:
        there = Path(path).stat()
    except FileNotFoundError:
        raise error(f"{path}: no such {kind}") from None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be read ({_reason(problem)})") from problem
    if not stat.S_ISREG(there.st_mode):
        raise error(f"{path}: is {'a directory' if stat.S_ISDIR(there.st_mode) else 'no regular file'}")
    if not os.access(path, os.R_OK):
        raise error(f"{path}: cannot be read (Permission denied)")


def require_apart(outputs: Iterable[PathLike], inputs: Iterable[PathLike], error: type[StyleError]) -> None:
    """An `error` if a file that is going to be written is one of those that are read, whatever it is called: by a
    link, a detour, or other letters on a disk that does not tell them apart."""
    sources = [source for source in inputs if os.path.exists(source)]  # noqa: PTH110 (Path's raises on long names)
    for output in outputs:
        for source in sources:
            with suppress(OSError, ValueError):  # an output that is not there yet is no input
                if os.path.samefile(output, source):  # noqa: PTH121
                    raise error(f"{output}: the output would replace an input, {source}")


def _reason(problem: OSError | ValueError) -> str:
    return getattr(problem, "strerror", None) or str(problem)


def _destination(path: Path, error: type[StyleError]) -> tuple[Path, os.stat_result | None]:
    """The file that `path` leads to, and what is there; an `error` if that cannot be replaced."""
    try:
        target = Path(os.path.realpath(path))
        there = target.stat()
    except FileNotFoundError:
        if not os.path.isdir(target.parent):  # noqa: PTH112
            folder = target.parent if path.is_symlink() else path.parent
            raise error(f"{path}: the folder {folder} does not exist") from None
        return target, None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be written ({_reason(problem)})") from problem
    if not stat.S_ISREG(there.st_mode):
        raise error(f"{path}: is {'a directory' if stat.S_ISDIR(there.st_mode) else 'no regular file'}")
    if not os.access(target, os.W_OK):
        raise error(f"{path}: cannot be written (it is write-protected)")
    return target, there


def _created(folder: Path, mode: int) -> tuple[int, Path]:
    """A new temporary file, open and locked. The system applies the umask to `mode`."""
    while True:
        temporary = folder / f".minitorch-{secrets.token_hex(8)}.tmp"
        handle = os.open(temporary, FLAGS | os.O_CREAT | os.O_EXCL, mode)
        _lock(handle, wait=True)
        if _is_at(handle, temporary):
            return handle, temporary
        os.close(handle)  # swept away by another process before it was locked


def _taken(guard: Path) -> int | None:
    """The file `guard`, made, open and locked; None where another has it."""
    while True:
        if sys.platform == "win32":
            try:
                guard.unlink(missing_ok=True)
            except PermissionError:  # it is open
                return None
            with suppress(FileExistsError):  # another has made it meanwhile
                return os.open(guard, FLAGS | os.O_CREAT | os.O_EXCL)
            continue
        handle = os.open(guard, FLAGS | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            return handle
        if _is_at(handle, guard):
            return handle
        os.close(handle)  # its run has ended meanwhile


def _lock(handle: int, wait: bool) -> bool:
    """Whether the lock of an open file could be had. False too where the disk knows no locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def _take_after(temporary: Path, there: os.stat_result) -> None:
    if sys.platform != "win32":
        with suppress(OSError):  # only root may give files away
            os.chown(temporary, there.st_uid, there.st_gid)
    temporary.chmod(stat.S_IMODE(there.st_mode) & 0o777)


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last; the file itself is safe already, so that a disk that cannot do this is no error."""
    if sys.platform != "win32":
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _sweep(folder: Path) -> None:
    """Removes the temporary files of processes that have died."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_abandoned(Path(entry.path))


def _remove_abandoned(path: Path) -> None:
    if sys.platform == "win32":
        if time.time() - path.stat().st_mtime > UNLOCKED_SECONDS:
            path.unlink()
        return
    handle = os.open(path, FLAGS)
    try:
        if _lock(handle, wait=False) and _is_at(handle, path):
            path.unlink()
    finally:
        os.close(handle)
