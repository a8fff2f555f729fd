"""The compiler's cache may have nowhere to lie: a read-only installation, no home directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "minitorch_style"
CODE = """
import numpy as np
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Buffer
buffer = Buffer((4, 4, 8))
buffer.interior[...] = 1
print(kernel_set("numba").gram(buffer)[0, 0])
"""


@pytest.mark.jit
def test_kernels_run_where_no_cache_can_be_written(tmp_path: Path) -> None:
    copy = tmp_path / "minitorch_style"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").write_text("")  # a file in its place: not even root can write into it
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "LOCALAPPDATA": os.devnull}
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | nowhere
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 16
