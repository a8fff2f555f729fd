"""What L-BFGS does with its history, by the compiled `vector_ops`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import BFloat16, Float32
from minitorch_style.kernels.fast import vector_ops
from minitorch_style.kernels.fast.threads import compute_lock


def narrow(x: Float32, out: BFloat16) -> None:
    with compute_lock:
        vector_ops.narrow(vector_ops.chunks(x.size), x, out)


def inner_products(rows: BFloat16, columns: Float32) -> npt.NDArray[np.float64]:
    partial = np.zeros((vector_ops.chunks(rows.shape[1]), rows.shape[0], columns.shape[0]))
    with compute_lock:
        vector_ops.inner_products(len(partial), rows, columns, partial)
    total: npt.NDArray[np.float64] = partial.sum(axis=0)  # chunk after chunk, whatever the number of threads
    return total


def combination(
    coefficients: npt.NDArray[np.float64], rows: BFloat16, factor: float, vector: Float32, out: Float32
) -> None:
    with compute_lock:
        vector_ops.combination(
            vector_ops.chunks(vector.size), coefficients.astype(np.float32), rows, np.float32(factor), vector, out
        )
