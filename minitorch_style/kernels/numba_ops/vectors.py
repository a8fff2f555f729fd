"""Products with many long vectors at once: what L-BFGS does with its history, in one pass over it each."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange, reassociating_kernel

CHUNK = 4096  # elements that stay in the L1 cache while every row meets them
RUN = 512  # elements summed in single precision before the sum goes on in double


@reassociating_kernel
def _dot(a, b):
    """Σ a·b in single precision, in vector lanes: the one place where LLVM may choose the order of a sum."""
    total = np.float32(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@parallel_kernel
def inner_products(rows, columns, partial, out):
    """out[i, j] = ⟨rows[i], columns[j]⟩ in double. `partial` is (chunks, i, j): chunks are added in their order, so
    that the result does not depend on the number of threads."""
    size = rows.shape[1]
    for chunk in prange(partial.shape[0]):
        partial[chunk] = 0
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, size), RUN):
            last = min(first + RUN, (chunk + 1) * CHUNK, size)
            for i in range(rows.shape[0]):
                for j in range(columns.shape[0]):
                    partial[chunk, i, j] += _dot(rows[i, first:last], columns[j, first:last])
    out[:, :] = 0
    for chunk in range(partial.shape[0]):
        out += partial[chunk]


@parallel_kernel
def combination(coefficients, rows, out):
    """out = Σ_i coefficients[i] · rows[i]."""
    size = rows.shape[1]
    for chunk in prange((size + CHUNK - 1) // CHUNK):
        target = out[chunk * CHUNK : min((chunk + 1) * CHUNK, size)]
        target[:] = 0
        for i in range(rows.shape[0]):
            factor = coefficients[i]
            source = rows[i, chunk * CHUNK : chunk * CHUNK + target.size]
            for k in range(target.size):
                target[k] += factor * source[k]
