"""Linear algebra by LAPACK whose results do not follow the number of threads: it gets one, and wakes no other."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any


@functools.cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # a board with Python and NumPy alone
        return None
    return ThreadpoolController()


class _State(threading.local):
    """Of each thread, as is the limit itself in newer versions of OpenBLAS."""

    inside = False


_state = _State()


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which BLAS and LAPACK use one thread, as far as threadpoolctl is there to say so. Within another one it
    costs nothing."""
    if _state.inside:
        yield
        return
    controller = _controller()
    _state.inside = True
    try:
        with controller.limit(limits=1, user_api="blas") if controller else nullcontext():
            yield
    finally:
        _state.inside = False
