"""Arrays in temporary files: they are arrays, they leave nothing behind, and a full disk is an error in time."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.engine.scratch import Scratch
from minitorch_style.errors import ScratchError


def test_zeros_in_a_file_that_nobody_sees(tmp_path: Path) -> None:
    array = Scratch(str(tmp_path)).zeros((3, 1000), np.uint16)
    assert type(array) is np.ndarray and array.shape == (3, 1000) and not array.any()
    array[1] = 7
    assert array.sum() == 7000
    if sys.platform != "win32":
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no such call here")
def test_all_blocks_are_taken_before_the_first_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with holes ends the process when the disk is full."""
    taken = []
    real = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *args: taken.append(args[1:]) or real(*args))
    Scratch(str(tmp_path)).zeros((3, 1000), np.uint16)
    assert taken == [(0, 6000)]

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ScratchError, match=r"scratch .*: cannot be written \(No space left on device\)"):
        Scratch(str(tmp_path)).zeros((3, 1000), np.uint16)


def test_blocks_are_taken_by_writing_where_there_is_no_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    array = Scratch(str(tmp_path)).zeros((1 << 21,), np.uint8)
    assert len(array) == 1 << 21 and not array.any()


def test_what_cannot_be_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = Scratch(str(tmp_path))
    scratch.require(1)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ScratchError, match=r"needs .* are free"):
        scratch.require(free + 10**9)
    with pytest.raises(ScratchError, match="No such file"):
        Scratch(str(tmp_path / "none")).require(1)
    (tmp_path / "file").touch()
    with pytest.raises(ScratchError, match="Not a directory"):
        Scratch(str(tmp_path / "file")).require(1)
