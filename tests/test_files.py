"""Files that appear whole or not at all, whatever happens to the process, the disk and the name."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minitorch_style.errors import ImageError, StyleError, WeightsError
from minitorch_style.files import TEMPORARY, alone, atomic_write, check_writable, require_apart, write_text

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_when_the_block_has_ended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with atomic_write(out) as file:
        file.write(b"new")
        assert not out.exists()
    assert out.read_bytes() == b"new" and names(tmp_path) == ["out"]
    write_text(out, "«ä»")
    assert out.read_text(encoding="utf-8") == "«ä»"


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), ValueError("x"), KeyboardInterrupt()])
def test_whatever_fails_leaves_the_old_file(tmp_path: Path, problem: BaseException) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    expected = WeightsError if isinstance(problem, OSError) else type(problem)
    with pytest.raises(expected) as raised, atomic_write(out, WeightsError) as file:
        file.write(b"half of the new")
        raise problem
    assert out.read_bytes() == b"old" and names(tmp_path) == ["out"]
    if isinstance(problem, OSError):
        assert str(raised.value) == f"{out}: cannot be written (No space left on device)"


def test_two_cannot_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with alone(out), alone(tmp_path / "other"):
        with pytest.raises(WeightsError) as raised, alone(out, WeightsError):
            raise AssertionError
        assert str(raised.value) == f"{out}: is being written by another run"
    assert names(tmp_path) == []
    with alone(out):  # it is free again
        pass
    with pytest.raises(StyleError, match="cannot be written"), alone(tmp_path / "none" / "out"):
        raise AssertionError


@posix
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    holds = "import sys, time; from minitorch_style.files import alone\n"
    holds += "with alone(sys.argv[1]): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds, str(out)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StyleError, match="another run"), alone(out):
            raise AssertionError
        process.kill()
        process.wait()
    assert len(names(tmp_path)) == 1  # what is left of it
    with alone(out):
        pass
    assert names(tmp_path) == []


class Windows:
    """Its rules for open files, as far as the lock depends on them: what is open cannot be removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: dict[int, str] = {}
        self._open, self._close, self._unlink = os.open, os.close, os.unlink
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(os, "open", self.open)
        monkeypatch.setattr(os, "close", self.close)
        monkeypatch.setattr(os, "unlink", self.unlink)

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        handle = self._open(path, flags, mode)
        self.held[handle] = os.fspath(path)
        return handle

    def close(self, handle: int) -> None:
        self._close(handle)
        self.held.pop(handle, None)

    def unlink(self, path: str | Path) -> None:
        if os.fspath(path) in self.held.values():
            raise PermissionError(13, "The process cannot access the file")
        self._unlink(path)


@posix
def test_two_cannot_write_one_file_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        Windows(patch)
        with alone(out), alone(tmp_path / "other"), pytest.raises(StyleError, match="another run"), alone(out):
            raise AssertionError
        with alone(out):
            (left,) = tmp_path.iterdir()
        assert names(tmp_path) == []
        left.touch()  # as a process leaves it that has died
        with alone(out):
            pass
        assert names(tmp_path) == []
        with pytest.raises(StyleError, match="cannot be written"), alone(tmp_path / "none" / "out"):
            raise AssertionError


@posix
def test_of_two_that_begin_at_once_on_windows_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run makes the file after this one has seen that nobody holds it."""
    out = tmp_path / "out"

    class Raced(Windows):
        others: int | None = None

        def unlink(self, path: str | Path) -> None:
            if self.others is None:
                self.others = self.open(path, os.O_RDWR | os.O_CREAT)
                raise FileNotFoundError(2, "No such file or directory")
            super().unlink(path)

    with monkeypatch.context() as patch:
        raced = Raced(patch)
        with pytest.raises(StyleError, match="another run"), alone(out):
            raise AssertionError
        assert raced.others is not None
        raced.close(raced.others)
        with alone(out):
            pass
        assert names(tmp_path) == []


def limited(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a process that may write files of 64 kB at most."""
    head = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
    return subprocess.run(
        [sys.executable, "-c", head + code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@posix
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    done = limited(tmp_path, (
        "import sys; from pathlib import Path; from minitorch_style import files, errors\n"
        "try:\n"
        "    with files.atomic_write(Path(sys.argv[1]) / 'out', errors.ImageError) as file: file.write(bytes(100_000))\n"
        "except errors.ImageError as error: print(error)\n"
    ))  # fmt: skip
    assert "cannot be written (File too large)" in done.stdout and not done.stderr
    assert names(tmp_path) == ["out"] and (tmp_path / "out").read_bytes() == b"old"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444 | 0o200])
def test_permissions_stay(tmp_path: Path, mode: int) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    out.chmod(mode)
    with atomic_write(out) as file:
        (temporary,) = (path for path in tmp_path.iterdir() if TEMPORARY.fullmatch(path.name))
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0, "open to more than the file itself"
        file.write(b"new")
    assert stat.S_IMODE(out.stat().st_mode) == mode and out.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_new_files_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "out", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~mask


@posix
@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "away").mkdir()
    real, link, longer = tmp_path / "away" / "real", tmp_path / "link", tmp_path / "longer"
    if there:
        real.write_bytes(b"old")
    link.symlink_to("away/real")
    longer.symlink_to(link)
    write_text(longer, "new")
    assert (
        longer.is_symlink() and link.is_symlink() and real.read_text() == "new" and names(tmp_path / "away") == ["real"]
    )


@posix
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("none/out")
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {
        "loop": "cannot be written (Too many levels",
        "lost": "none does not exist",
        "none/out": "none does not exist",
        "file/out": "(Not a directory)",
        "folder": "is a directory",
        "pipe": "is no regular file",
        "x" * 256: "(File name too long)",
        "x/" * 2200 + "x": "(File name too long)",
        "nul\0": "null",
    }.items():
        for attempt in (check_writable, lambda path, error: write_text(path, "", error)):
            with pytest.raises(ImageError) as refused:
                attempt(tmp_path / name, ImageError)
            assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert names(tmp_path) == ["file", "folder", "loop", "lost", "pipe"]


def test_names_of_every_length_that_the_disk_takes(tmp_path: Path) -> None:
    for length in (1, 143, 240, 244, 247, 251, 255):
        out = tmp_path / ("ä" * (length // 4) + "x" * (length - 2 * (length // 4)))
        check_writable(out)
        write_text(out, "new")
        assert out.read_text() == "new"
    assert len(names(tmp_path)) == 7


@posix
def test_a_killed_process_leaves_nothing_for_long(tmp_path: Path) -> None:
    """Its temporary file goes with the next write into the folder; that of a living one stays."""
    code = (
        "import sys, time; from minitorch_style.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); print('there', flush=True); sys.stdin.readline()\n"
    )
    living, dead = (
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / name)], cwd=ROOT,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("living", "dead")
    )  # fmt: skip
    for process in (living, dead):
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert len(names(tmp_path)) == 2
    write_text(tmp_path / "other", "")
    assert len(names(tmp_path)) == 2 and "other" in names(tmp_path)
    living.communicate(b"\n", timeout=30)
    assert living.returncode == 0 and names(tmp_path) == ["living", "other"]


@posix
def test_what_only_looks_alike_stays(tmp_path: Path) -> None:
    for name in (".minitorch-0.tmp", ".minitorch-0123456789abcdef.tmp.png", "minitorch-0123456789abcdef.tmp", ".x.tmp"):
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / ".minitorch-0123456789abcdef.tmp")
    (tmp_path / "precious").write_bytes(b"")
    (tmp_path / ".minitorch-0123456789abcdee.tmp").symlink_to("precious")
    before = names(tmp_path)
    write_text(tmp_path / "out", "")
    assert names(tmp_path) == sorted([*before, "out"])


def test_many_at_once(tmp_path: Path) -> None:
    """Threads that write one name, each sweeping the folder: the file is always one of theirs, whole."""
    out, problems = tmp_path / "out", []

    def write(text: str) -> None:
        try:
            for _ in range(30):
                write_text(out, text * 1000)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and names(tmp_path) == ["out"]
    assert out.read_text() in [letter * 1000 for letter in "abcd"]


@posix
def test_outputs_are_told_from_inputs_by_the_file_not_the_name(tmp_path: Path) -> None:
    photo, other = tmp_path / "photo.jpg", tmp_path / "other.jpg"
    photo.write_bytes(b"")
    other.write_bytes(b"")
    (tmp_path / "soft.jpg").symlink_to(photo)
    (tmp_path / "hard.jpg").hardlink_to(photo)
    (tmp_path / "sub").mkdir()
    for name in ("photo.jpg", "soft.jpg", "hard.jpg", "sub/../photo.jpg"):
        with pytest.raises(StyleError, match="would replace an input"):
            require_apart([tmp_path / "new.jpg", tmp_path / name], [other, photo], StyleError)
    require_apart([tmp_path / "new.jpg", tmp_path / ("x" * 300)], [photo, tmp_path / "none", "y" * 300], StyleError)
