"""Gram matrices by the matrix tile: Fᵀ·F without a transpose, in strips of pixels, each strip's sums added in double."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange
from minitorch_style.kernels.numba_ops.direct import TILE_FLOATS
from minitorch_style.kernels.numba_ops.microkernel import finished_tile
from minitorch_style.kernels.tile_modes import ACCUMULATE, RAW

STRIP = 512  # pixels that a single-precision sum runs over


@parallel_kernel
def gram(x, x0, x_row, rows, columns, channels, width, tile_m, partial, out):
    """out[c, c'] = Σ F[c]·F[c']. `partial` (parts, C, C) in double: rows are dealt to parts in a fixed way, so that
    the result does not depend on the number of threads. Only tiles that touch the upper triangle are computed."""
    parts = partial.shape[0]
    tall = max(1, STRIP // columns)  # rows in a strip
    for part in prange(parts):
        tile, zero = np.empty(TILE_FLOATS, np.float32), np.zeros(width, np.float32)
        total = partial[part]
        total[:, :] = 0
        end = (part + 1) * rows // parts
        for i in range(part * rows // parts, end, tall):
            for first in range(0, columns, STRIP):
                depth = min(STRIP, columns - first)
                for m0 in range(0, channels, tile_m):
                    for n0 in range((m0 // width) * width, channels, width):
                        mode = RAW
                        for row in range(i, min(i + tall, end)):
                            start = x0 + row * x_row + first * channels
                            finished_tile(
                                width, x, start + m0, x, start + n0, tile, 0, zero, 0, zero, 0, zero, 0,
                                1, 0, 1, 0, depth, channels, 1, channels, width, mode, 0,
                            )  # fmt: skip
                            mode = ACCUMULATE
                        for m in range(min(tile_m, channels - m0)):
                            for n in range(min(width, channels - n0)):
                                total[m0 + m, n0 + n] += tile[m * width + n]
    for row in range(channels):
        for column in range(row, channels):
            value = 0.0
            for part in range(parts):
                value += partial[part, row, column]
            out[row, column] = value
            out[column, row] = value
