"""Kernel sets: numbers in, numbers out. They know layers' geometry, no network."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from minitorch_style.errors import SettingsError, UnsupportedError
from minitorch_style.kernels.api import KernelSet, VectorOps

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
        from minitorch_style.kernels.native.backend import FOLDER, NativeKernels, find_library

        library = find_library()
        if library is not None:
            return NativeKernels(library)
        if name == "native":
            raise UnsupportedError(
                f"no library of native kernels in {FOLDER}; `minitorch_style cross-compile` makes one"
            )
    if name == "numpy" or not _numba_usable():
        from minitorch_style.kernels.reference.backend import NumpyKernels

        return NumpyKernels()
    from minitorch_style.kernels.fast.backend import NumbaKernels

    return NumbaKernels()


def vector_ops(kernels: str = "auto") -> VectorOps:
    """The vector algebra that goes with a kernel set: compiled for `numba`, else plain NumPy."""
    if kernels == "numba" or (kernels == "auto" and _numba_usable()):
        from minitorch_style.kernels.fast import vectors as fast

        return fast
    from minitorch_style.kernels.reference import vectors as plain

    return plain


def threads() -> int:
    """How many threads the fast kernels use; 1 without them."""
    if not _numba_usable():
        return 1
    from minitorch_style.kernels.fast import threads as shared

    return shared.threads()


def set_threads(count: int) -> None:
    """How many threads the fast kernels use from now on; without them, nothing to do."""
    if _numba_usable():
        from minitorch_style.kernels.fast import threads as shared

        shared.set_threads(count)


def compiled_ahead(
    rehearse: Callable[[], None], report: Callable[[int, int], None] = lambda done, count: None
) -> AbstractContextManager[None]:
    """A context, to be entered as often as one likes, in which the first fast kernel that has to be compiled has all of
    those compiled that `rehearse()` calls, on all processors: what it does with a kernel set there computes nothing.
    `report(done, count)` tells how far that is, first with 0; it is not called where no kernel is missing."""
    if not _numba_usable():
        return nullcontext()
    from minitorch_style.kernels.fast import ahead

    return ahead.CompiledAhead(rehearse, report)


def notes() -> list[str]:
    """What a user should know of the cache of compiled kernels."""
    if not _numba_usable():
        return []
    from minitorch_style.kernels.fast.compilation import cache

    return list(cache.notes)
