"""Compiled kernels on disk: never run what is damaged, stale, for another processor, or written by others."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from minitorch_style.kernels.fast import cache as disk

DATA = bytes(range(256)) * 40
posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def made(folder: Path) -> disk.Cache:
    return disk.Cache(folder, "a" * 64)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": changed(lambda data: b""),
    "one byte": changed(lambda data: data[:1]),
    "no data": changed(lambda data: data[:32]),
    "first half": changed(lambda data: data[: len(data) // 2]),
    "last byte missing": changed(lambda data: data[:-1]),
    "one byte more": changed(lambda data: data + b"\0"),
    "twice": changed(lambda data: data + data),
    "zeros": changed(lambda data: bytes(len(data))),
    "zeros at the end": changed(lambda data: data[:-512] + bytes(512)),
    "a bit of the head": changed(lambda data: bytes([data[0] ^ 1]) + data[1:]),
    "a bit of the data": changed(lambda data: data[:5000] + bytes([data[5000] ^ 64]) + data[5001:]),
    "text": changed(lambda data: b"version https://git-lfs.github.com/spec/v1\n"),
    "a pickle": changed(lambda data: b"\x80\x04}."),
    "a folder": replaced(lambda path: path.mkdir()),
    "a full folder": replaced(lambda path: (path.mkdir(), (path / "file").write_text("x"))),
    "a dangling link": replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a pipe": replaced(os.mkfifo),
}


@posix
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_removed_and_can_be_written_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    made(tmp_path).write("kernel", DATA)
    (path,) = (tmp_path / ("a" * 32)).iterdir()
    damage(path)
    again = made(tmp_path)
    assert again.read("kernel") is None
    assert not os.path.lexists(path)
    again.write("kernel", DATA)
    assert made(tmp_path).read("kernel") == DATA


def test_a_file_is_only_read_under_its_own_name_and_version(tmp_path: Path) -> None:
    cache = made(tmp_path)
    cache.write("kernel", DATA)
    cache.write("other", DATA[::-1])
    (one, other) = sorted((tmp_path / ("a" * 32)).iterdir())
    shutil.copy(one, other)
    assert cache.read("other") is None
    newer = disk.Cache(tmp_path, "b" * 64)
    assert newer.folder is not None
    shutil.copy(one, newer.folder)
    assert newer.read("kernel") is None
    assert cache.read("kernel") == DATA


def test_the_digest_knows_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "kernels"
    shutil.copytree(disk.SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = disk.digest([1])
    monkeypatch.setattr(disk, "SOURCES", copy)
    assert disk.digest([1]) == before, "the same sources in another place are the same version"
    assert disk.digest([2]) != before
    seen = {before}
    for path in sorted(copy.rglob("*.py")):
        content = path.read_bytes()
        path.write_bytes(content + b"#")
        seen.add(disk.digest([1]))
        path.write_bytes(content)
    assert len(seen) == 1 + len(list(copy.rglob("*.py")))
    assert disk.digest([1]) == before


@posix
@pytest.mark.parametrize("which", ["folder", "parent", "grandparent"])
@pytest.mark.parametrize("mode", [0o777, 0o722, 0o702])
def test_a_folder_that_others_may_write_to_is_not_read(tmp_path: Path, which: str, mode: int) -> None:
    parent = tmp_path / "user" / "kernels"
    cache = made(parent)
    cache.write("kernel", DATA)
    assert cache.folder is not None
    {"folder": cache.folder, "parent": parent, "grandparent": parent.parent}[which].chmod(mode)
    again = made(parent)
    assert again.read("kernel") is None
    assert not again.writable
    (note,) = again.notes
    assert "others may write" in note and "\n" not in note
    again.write("kernel", DATA)


@posix
def test_a_sticky_folder_above_is_no_danger(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    cache = made(shared / "mine")
    cache.write("kernel", DATA)
    assert made(shared / "mine").read("kernel") == DATA
    assert not cache.notes
    assert cache.folder is not None and stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_read(tmp_path: Path) -> None:
    cache = made(tmp_path / "theirs")
    cache.write("kernel", DATA)
    assert cache.folder is not None
    os.chown(cache.folder, 12345, 12345)
    again = made(tmp_path / "theirs")
    assert again.read("kernel") is None
    assert "another user" in again.notes[0]


def test_a_full_disk_costs_one_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = made(tmp_path)

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    cache.write("kernel", DATA)
    cache.write("other", DATA)
    monkeypatch.undo()
    assert cache.folder is not None and not list(cache.folder.iterdir())
    assert cache.read("kernel") is None
    assert len(cache.notes) == 1 and "No space left" in cache.notes[0]


@pytest.mark.parametrize("place", ["a file", "under a file", "none"])
def test_no_place_is_no_failure(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    cache = disk.Cache(
        {"a file": tmp_path / "file", "under a file": tmp_path / "file" / "x", "none": None}[place], "a" * 64
    )
    cache.write("kernel", DATA)
    assert cache.read("kernel") is None and not cache.has("kernel") and not cache.writable


def test_versions_that_were_not_used_for_longest_are_removed(tmp_path: Path) -> None:
    for number in range(disk.KEPT + 3):
        folder = disk.Cache(tmp_path, f"{number:064d}"[::-1]).folder
        assert folder is not None
        os.utime(folder, (number, number))
    left = sorted(path.name[0] for path in tmp_path.iterdir())
    assert left == [str(number) for number in range(3, disk.KEPT + 3)]


def test_the_place_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MINITORCH_STYLE_CACHE", raising=False)
    assert disk.user_folder(str(tmp_path)) == tmp_path / "minitorch_style" / "kernels"
    monkeypatch.setenv("MINITORCH_STYLE_CACHE", str(tmp_path / "own"))
    assert disk.user_folder(str(tmp_path)) == tmp_path / "own" / "kernels"
