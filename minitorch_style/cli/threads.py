"""--threads, for the commands that compute."""

from __future__ import annotations

import argparse
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from minitorch_style.cli.values import whole
from minitorch_style.errors import SettingsError

MOST_THREADS = 64  # or as many as there are processors: each takes memory, and more cannot work at once


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=whole, metavar="T", help="processor threads to use (default: all)")


def limited(threads: int | None) -> AbstractContextManager[Any]:
    """A context in which BLAS and the kernels use so many threads."""
    if threads is None:
        return nullcontext()
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if not 1 <= threads <= most:
        raise SettingsError(f"--threads must be from 1 to {most}, is {threads}")
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(threads, os.cpu_count() or 1)))
    from threadpoolctl import threadpool_limits

    from minitorch_style.kernels import set_threads

    set_threads(threads)
    return threadpool_limits(threads)  # type: ignore[no-any-return]
