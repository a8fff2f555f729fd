"""How kernels are compiled: the one place that imports numba, and the only one to change its policy.

* `kernel`: a compiled function, cached on disk. `parallel_kernel`: the same with its `prange` loops spread over threads.
* Floating point is IEEE except that a multiplication and an addition may fuse (`contract`), so results do not depend on
  how LLVM orders sums, and not on the number of threads.
* A cache directory that cannot be written only costs compilation time, never a failure.
* Numba's `workqueue` threading layer aborts the process when two threads enter it, so `compute_lock` admits one
  computation at a time.
"""

from __future__ import annotations

import platform
import struct
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numba
from numba import prange, types
from numba.extending import intrinsic

__all__ = [
    "LANES",
    "VECTOR_WIDTH",
    "compute_lock",
    "intrinsic",
    "jit_enabled",
    "kernel",
    "parallel_kernel",
    "prange",
    "reassociating_kernel",
    "set_threads",
    "threads",
    "types",
]

Function: TypeAlias = Callable[..., Any]

compute_lock = threading.RLock()

jit_enabled: bool = not numba.config.DISABLE_JIT

# Numba refuses parallel=True on 32-bit machines; the same source then runs its prange loops on one thread.
_PARALLEL = struct.calcsize("P") == 8


def _vector_width() -> int:
    """Floats in the widest register that this processor computes with."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    if features.get("avx2") or features.get("avx"):
        return 8
    return 4


try:
    VECTOR_WIDTH = _vector_width()
except RuntimeError:  # LLVM does not know this host's features
    VECTOR_WIDTH = 4
LANES = min(8, VECTOR_WIDTH)  # channels that are always taken as one vector
WIDE_REGISTERS = VECTOR_WIDTH == 16 or platform.machine() in ("aarch64", "arm64")  # 32 vector registers, else 16


def _compile(function: Function, **options: Any) -> Function:
    options = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy", **options}
    try:
        compiled: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory for the cache can be written
        compiled = numba.njit(**options)(function)
    return compiled


def kernel(function: Function) -> Function:
    return _compile(function)


def reassociating_kernel(function: Function) -> Function:
    """A kernel whose sums LLVM may reorder into vector lanes: an order fixed when it is compiled, the same every run."""
    return _compile(function, fastmath={"contract", "reassoc"})


def parallel_kernel(function: Function) -> Function:
    return _compile(function, parallel=_PARALLEL)


_threads = 0  # as last set; Numba takes longer to say than a small layer to compute


def threads() -> int:
    """How many threads a parallel kernel uses."""
    if not _PARALLEL or not jit_enabled:
        return 1
    return _threads or int(numba.get_num_threads())


def set_threads(count: int) -> None:
    """Uses `count` threads, at most the number that Numba was started with (NUMBA_NUM_THREADS, else all cores)."""
    global _threads
    if _PARALLEL and jit_enabled:
        _threads = min(count, int(numba.config.NUMBA_NUM_THREADS))
        numba.set_num_threads(_threads)
