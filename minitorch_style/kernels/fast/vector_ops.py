"""Products with many long vectors at once: what L-BFGS does with its history, in one pass over it each.

The history is in bfloat16, the upper half of a float, held as uint16: half the bytes to read for each pass, and the
passes wait for memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.kernels.fast.compilation import (
    intrinsic,
    kernel,
    parallel_kernel,
    reassociating_kernel,
    types,
)

CHUNK = 4096  # elements that stay in the L1 cache while every row meets them
RUN = 512  # elements summed in single precision before the sum goes on in double


def _reread(source: Any, target: Any) -> Any:
    """Intrinsic: the bits of a number as one of another type."""

    @intrinsic
    def reread(typing_context, value):
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), codegen

    return reread


_float_of, _bits_of = _reread(types.uint32, types.float32), _reread(types.float32, types.uint32)


@kernel
def _wide(half):
    return _float_of(np.uint32(half) << np.uint32(16))


def chunks(size: int) -> int:
    return -(-size // CHUNK)


@parallel_kernel
def narrow(chunk, x, out):
    """Rounds x to bfloat16, to even where it lies between two, in place and into `out`."""
    for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, x.size)):
        bits = _bits_of(x[i])
        half = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        out[i] = half
        x[i] = _float_of(half << np.uint32(16))


@reassociating_kernel
def _two_dots(row, first, second):
    """⟨row, first⟩ and ⟨row, second⟩ in single precision, in vector lanes: the one place where LLVM may choose the order
    of a sum."""
    one, other = np.float32(0), np.float32(0)
    for i in range(row.size):
        value = _wide(row[i])
        one += value * first[i]
        other += value * second[i]
    return one, other


@parallel_kernel
def inner_products(chunk, rows, columns, partial):
    """partial[chunk, i, j] = ⟨rows[i], columns[j]⟩ in double, of one chunk of the vectors; `partial` is all zero."""
    size, count = rows.shape[1], columns.shape[0]
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


@parallel_kernel
def combination(chunk, coefficients, rows, factor, vector, out):
    """out = factor · vector + Σ_i coefficients[i] · rows[i]."""
    size = vector.size
    target = out[chunk * CHUNK : min((chunk + 1) * CHUNK, size)]
    source = vector[chunk * CHUNK : chunk * CHUNK + target.size]
    for k in range(target.size):
        target[k] = factor * source[k]
    for i in range(rows.shape[0]):
        share = coefficients[i]
        row = rows[i, chunk * CHUNK : chunk * CHUNK + target.size]
        for k in range(target.size):
            target[k] += share * _wide(row[k])
