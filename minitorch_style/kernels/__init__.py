"""Kernel sets: numbers in, numbers out. They know layers' geometry, no network."""

from __future__ import annotations

import os
import platform

from minitorch_style.errors import SettingsError, UnsupportedError
from minitorch_style.kernels.kernel_set import KernelSet

KERNEL_SETS = ("auto", "numpy", "numba", "native")


def _numba_usable() -> bool:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False  # as interpreted Python the fast kernels would be the slow ones
    if platform.machine().startswith("armv") and not os.environ.get("NUMBA_CPU_NAME"):
        return False  # its LLVM aborts the process there unless it is told the processor
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def kernel_set(name: str = "auto") -> KernelSet:
    """`numba`, `native` (a library that `cross-compile` made), `numpy`, or for `auto` the first of them that works here.
    A set that was asked for by name and cannot run is an UnsupportedError."""
    if name not in KERNEL_SETS:
        raise SettingsError(f"no kernel set {name!r}; there are {', '.join(KERNEL_SETS)}")
    if name == "numba" and not _numba_usable():
        raise UnsupportedError("the numba kernels need the numba package and its compiler (NUMBA_DISABLE_JIT unset)")
    if name == "native" or (name == "auto" and not _numba_usable()):
        from minitorch_style.kernels.native_set import FOLDER, NativeKernels, find_library

        library = find_library()
        if library is not None:
            return NativeKernels(library)
        if name == "native":
            raise UnsupportedError(
                f"no library of native kernels in {FOLDER}; `minitorch_style cross-compile` makes one"
            )
    if name == "numpy" or not _numba_usable():
        from minitorch_style.kernels.numpy_set import NumpyKernels

        return NumpyKernels()
    from minitorch_style.kernels.numba_set import NumbaKernels

    return NumbaKernels()


def threads() -> int:
    """How many threads the fast kernels use; 1 without them."""
    if not _numba_usable():
        return 1
    from minitorch_style.kernels.numba_ops import compilation

    return compilation.threads()


def set_threads(count: int) -> None:
    """How many threads the fast kernels use from now on; without them, nothing to do."""
    if _numba_usable():
        from minitorch_style.kernels.numba_ops import compilation

        compilation.set_threads(count)
