"""Compiled kernels on disk: where they lie, who may have written them, and whether they are whole.

One folder holds what one version of the sources gives on one processor, and is named by a digest of both, wherever the
sources lie. A file begins with a digest of its folder, its name and its bytes, so that one that is damaged, moved or
copied from elsewhere is never run: it is removed, and written anew after the next compilation. Machine code is trusted
like a program, so a folder that others may write to is not read at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent  # all that a kernel is made of
APPLICATION = "minitorch_style"
KEPT = 6  # versions, the last used: several environments may take turns
HASH = hashlib.sha256


def sources() -> dict[str, bytes]:
    """{path in the package: bytes} of the kernels' sources; empty where they are not files (a zip, or compiled alone)."""
    return {path.relative_to(SOURCES).as_posix(): path.read_bytes() for path in sorted(SOURCES.rglob("*.py"))}


def digest(parts: Iterable[object]) -> str:
    """Of the sources, and of `parts`: everything else that decides what a kernel becomes."""
    found = HASH()
    for name, content in sources().items():
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    found.update("\0".join(map(str, parts)).encode())
    return found.hexdigest()


def user_folder(numba_folder: str = "") -> Path | None:
    """Where caches go: MINITORCH_STYLE_CACHE, else NUMBA_CACHE_DIR, else the system's place for a user's caches; None
    where there is no such place."""
    named = os.environ.get("MINITORCH_STYLE_CACHE")
    if named:
        return Path(named).absolute() / "kernels"
    if numba_folder:
        return Path(numba_folder).absolute() / APPLICATION / "kernels"
    from platformdirs import user_cache_dir

    folder = Path(user_cache_dir(APPLICATION, appauthor=False)) / "kernels"
    return folder if folder.is_absolute() else None  # "~" that stands for nobody's home


def _private_group(user: int, group: int) -> bool:
    """Whether a group is the user's own, as many systems make one for each."""
    import grp
    import pwd

    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(user).pw_name and not grp.getgrgid(group).gr_mem
    except KeyError:
        return False


def written_by_others(folder: Path) -> str | None:
    """Why somebody else could put a file into `folder`, or put another folder in its place; None if nobody can."""
    if os.name != "posix":
        return None
    own = os.getuid()
    place = folder.resolve()
    for path in (place, *place.parents):
        found = path.stat()
        if found.st_uid not in (own, 0):
            return f"{path} belongs to another user"
        if path != place and found.st_mode & stat.S_ISVTX:
            continue  # like /tmp: only an owner may replace what is in it
        group = found.st_mode & stat.S_IWGRP and not (found.st_gid == 0 or _private_group(own, found.st_gid))
        if found.st_mode & stat.S_IWOTH or group:
            return f"others may write to {path}"
    return None


class Cache:
    """The files of one version in `parent`/`version`. `notes` tell what a user should know of it."""

    def __init__(self, parent: Path | None, version: str) -> None:
        self.version, self.notes = version, list[str]()
        self.folder = None if parent is None else self._opened(parent / version[:32])
        self._written = self.folder is not None

    def _opened(self, folder: Path) -> Path | None:
        """The folder, made if it is not there yet; None where there can be none, or it cannot be trusted."""
        try:
            new = not folder.is_dir()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            why = written_by_others(folder)
            if why is not None:
                self.notes.append(f"compiled kernels are not kept: {why}")
                return None
            if new:
                _prune(folder)
            else:
                with contextlib.suppress(OSError):  # another's, to be read
                    os.utime(folder)
        except (OSError, RuntimeError):  # no home, a closed one, or a file in its place
            return None
        return folder

    @property
    def writable(self) -> bool:
        return self._written and self.folder is not None and os.access(self.folder, os.W_OK)

    def use(self, folder: Path) -> None:
        """Takes files from `folder`, and puts them there."""
        self.folder, self._written = folder, True

    @contextlib.contextmanager
    def temporary(self) -> Iterator[None]:
        """While inside, the files lie in a folder of this process alone."""
        before = self.folder, self._written
        with tempfile.TemporaryDirectory(prefix=f"{APPLICATION}-") as made:
            self.use(Path(made))
            try:
                yield
            finally:
                self.folder, self._written = before

    def _seal(self, name: str, data: bytes) -> bytes:
        return HASH(f"{self.version}\0{name}\0".encode() + data).digest()

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.bin"

    def has(self, name: str) -> bool:
        path = self._path(name)
        return path is not None and path.is_file()

    def read(self, name: str) -> bytes | None:
        """What `write` was given under this name, or None; what else lies there is removed."""
        path = self._path(name)
        if path is None or not os.path.lexists(path):
            return None
        try:
            content = path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else b""
        except OSError:
            content = b""
        size = HASH().digest_size
        data = content[size:]
        if content[:size] == self._seal(name, data):
            return data
        self.remove(name)
        return None

    def remove(self, name: str) -> None:
        path = self._path(name)
        if path is not None:
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def write(self, name: str, data: bytes) -> None:
        """Keeps `data`, whole or not at all. Where that fails nothing is tried again."""
        path = self._path(name)
        if path is None or not self._written:
            return
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(self._seal(name, data) + data)
            temporary.replace(path)
        except OSError as error:
            self._written = False
            with contextlib.suppress(OSError):
                temporary.unlink()
            if os.access(path.parent, os.W_OK):  # a full disk, say, and not a folder that is only to be read
                self.notes.append(f"compiled kernels are not kept: {path.parent}: {error.strerror or error}")


def _prune(newest: Path) -> None:
    """Removes the versions that were not used for longest, and what a killed process has left."""
    versions = [path for path in newest.parent.iterdir() if path.is_dir() and len(path.name) == len(newest.name)]
    versions.sort(key=lambda path: (path == newest, path.stat().st_mtime))
    for path in versions[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
