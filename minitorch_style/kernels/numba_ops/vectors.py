"""Products with many long vectors at once: what L-BFGS does with its history, in one pass over it each."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange, reassociating_kernel

CHUNK = 4096  # elements that stay in the L1 cache while every row meets them
RUN = 512  # elements summed in single precision before the sum goes on in double


@reassociating_kernel
def _two_dots(row, first, second):
    """⟨row, first⟩ and ⟨row, second⟩ in single precision, in vector lanes: the one place where LLVM may choose the order
    of a sum."""
    one, other = np.float32(0), np.float32(0)
    for i in range(row.size):
        one += row[i] * first[i]
        other += row[i] * second[i]
    return one, other


@parallel_kernel
def inner_products(rows, columns, partial, out):
    """out[i, j] = ⟨rows[i], columns[j]⟩ in double. `partial` is (chunks, i, j): chunks are added in their order, so
    that the result does not depend on the number of threads."""
    size, count = rows.shape[1], columns.shape[0]
    for chunk in prange(partial.shape[0]):
        for i in range(rows.shape[0]):
            for j in range(count):
                partial[chunk, i, j] = 0
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, size), RUN):
            last = min(first + RUN, (chunk + 1) * CHUNK, size)
            for i in range(rows.shape[0]):
                row = rows[i, first:last]
                for j in range(0, count, 2):  # two columns for one reading of the row
                    k = min(j + 1, count - 1)
                    one, other = _two_dots(row, columns[j, first:last], columns[k, first:last])
                    partial[chunk, i, j] += one
                    if k > j:
                        partial[chunk, i, k] += other
    for i in range(rows.shape[0]):
        for j in range(count):
            total = 0.0
            for chunk in range(partial.shape[0]):
                total += partial[chunk, i, j]
            out[i, j] = total


@parallel_kernel
def combination(coefficients, rows, out):
    """out = Σ_i coefficients[i] · rows[i]; out may be one of the rows."""
    size = rows.shape[1]
    for chunk in prange((size + CHUNK - 1) // CHUNK):
        total = np.zeros(min(CHUNK, size - chunk * CHUNK), np.float32)
        for i in range(rows.shape[0]):
            factor = coefficients[i]
            row = rows[i, chunk * CHUNK : chunk * CHUNK + total.size]
            for k in range(total.size):
                total[k] += factor * row[k]
        target = out[chunk * CHUNK : chunk * CHUNK + total.size]
        for k in range(total.size):
            target[k] = total[k]
