"""Matrix products that give the same bits with any number of threads.

BLAS cuts a product by how many threads it has, and where it cuts, other kernels sum in another order. So a product is cut
here, always in the same blocks: each is one thread's, and they are shared out over as many threads as BLAS would use.
Where threadpoolctl knows no way to tell BLAS (Apple's Accelerate) that is left to chance.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]
T = TypeVar("T")
R = TypeVar("R")

BLOCK_ROWS = 512
BLOCK_PRODUCTS = 1 << 22  # multiply-adds from which on other threads are worth waking


@functools.cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def _threads() -> int:
    return max((library.num_threads for library in _blas().lib_controllers), default=1)


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Of this process: a forked child has none of its parent's threads. An OpenBLAS with OpenMP has a number for each."""
    return ThreadPoolExecutor(threads, "products", lambda: _blas().limit(limits=1))


def shared(task: Callable[[T], R], parts: Iterable[T], products: int) -> list[R]:
    """[task(part) …], each with one BLAS thread, and on several threads if there are so many multiply-adds in all."""
    threads = _threads()
    with _blas().limit(limits=1):
        if threads == 1 or products < BLOCK_PRODUCTS:
            return [task(part) for part in parts]
        return list(_pool(threads, os.getpid()).map(task, parts))


def product(a: Values, b: Values, out: Values | None = None) -> Values:
    """a · b of matrices (M, K) and (K, N), in `out` where that is given."""
    out = np.empty((len(a), b.shape[1]), np.result_type(a, b)) if out is None else out

    def block(first: int) -> None:
        np.matmul(a[first : first + BLOCK_ROWS], b, out=out[first : first + BLOCK_ROWS])

    shared(block, range(0, len(a), BLOCK_ROWS), a.size * b.shape[1])
    return out
