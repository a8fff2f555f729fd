"""Numba's threads beside another library's OpenMP."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# PyTorch's OpenMP is told to start no thread, as it reads when it is loaded; the system's is told nothing.
AFTER_TORCH = """
import os
os.environ["OMP_THREAD_LIMIT"] = "1"
import torch
del os.environ["OMP_THREAD_LIMIT"]
import numpy as np
from minitorch_style.kernels.fast.backend import NumbaKernels
from minitorch_style.kernels.fast.threads import threads
def run(rows):
    x = np.ones((rows, 8, 8), np.float32)
    NumbaKernels().combine_rows(x, np.arange(rows), np.ones((rows, 1), np.float32), np.empty_like(x), False)
    return len(os.listdir("/proc/self/task"))
alone, several = run(1), run(64)
print(threads(), several - alone)
"""


@pytest.mark.torch
@pytest.mark.jit
@pytest.mark.skipif(not hasattr(os, "RTLD_DEEPBIND"), reason="a loader of other ways")
def test_threads_are_not_those_of_the_openmp_that_pytorch_brings() -> None:
    """Which were ten times as slow on a busy machine, for PyTorch's is loaded before it can be told when to sleep."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", AFTER_TORCH], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "1"]
