"""Gram matrices by the matrix tile: Fᵀ·F without a transpose, in strips of pixels, each strip's sums added in double."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import kernel, parallel_kernel, prange
from minitorch_style.kernels.numba_ops.direct import TILE_FLOATS
from minitorch_style.kernels.numba_ops.microkernel import PANELS, gemm_tile, panel_width
from minitorch_style.kernels.numba_ops.rows import add_rows, copy_rows
from minitorch_style.kernels.tile_modes import RAW

STRIP = 256  # pixels that a single-precision sum runs over
TASKS = 16  # at least so many, for the threads to share


def shares(channels: int, pixels: int) -> int:
    """In how many parts the pixels are summed up. Depends on the map alone, so that every number of threads adds alike."""
    panels = -(-channels // panel_width(channels))
    pairs = panels * (panels + 1) // 2
    return max(1, min(-(-TASKS // pairs), -(-pixels // STRIP)))


def diagonal_width(width: int) -> int:
    """The panels of the tiles on the diagonal, where half of a wide tile would be computed in vain."""
    return min((narrow for narrow in PANELS if 16 <= narrow < width), default=width)


@kernel
def _pack(x, x0, x_row, columns, channels, first, count, c0, width, packed):
    """Pixels first … first + count of channels c0 … c0 + width, one after another; beyond the last channel, anything."""
    valid = min(width, channels - c0)
    p = 0
    while p < count:
        i, j = (first + p) // columns, (first + p) % columns
        run = min(count - p, columns - j)
        start = x0 + i * x_row + j * channels + c0
        if valid == width:
            copy_rows(x, start, channels, packed, p * width, width, run, width)
        else:
            for k in range(run):
                packed[(p + k) * width : (p + k) * width + valid] = x[
                    start + k * channels : start + k * channels + valid
                ]
        p += run


@parallel_kernel
def gram(x, x0, x_row, rows, columns, channels, width, tile_m, narrow, narrow_m, partial, out):
    """out[c, c'] = Σ F[c]·F[c']. `partial` is (parts, C, C) in double. A task is a part of the pixels and a pair of
    channel panels; only pairs of the upper triangle, and of those on the diagonal only tiles that touch it."""
    parts = partial.shape[0]
    pixels = rows * columns
    panels = (channels + width - 1) // width
    pairs = panels * (panels + 1) // 2
    for task in prange(parts * pairs):
        part, pair = task // pairs, task % pairs
        m_panel = 0
        while pair >= panels - m_panel:
            pair -= panels - m_panel
            m_panel += 1
        n_panel = m_panel + pair
        m0, n0 = m_panel * width, n_panel * width
        m_valid, n_valid = min(width, channels - m0), min(width, channels - n0)
        left, tile = np.empty((STRIP + tile_m) * width, np.float32), np.empty(TILE_FLOATS, np.float32)
        right = left if m_panel == n_panel else np.empty(STRIP * width, np.float32)
        partial[part, m0 : m0 + m_valid, n0 : n0 + n_valid] = 0
        strips = (pixels + STRIP - 1) // STRIP
        for strip in range(part * strips // parts, (part + 1) * strips // parts):
            count = min(STRIP, pixels - strip * STRIP)
            _pack(x, x0, x_row, columns, channels, strip * STRIP, count, m0, width, left)
            tall, wide = tile_m, width
            if m_panel == n_panel:
                tall, wide = narrow_m, narrow
            else:
                _pack(x, x0, x_row, columns, channels, strip * STRIP, count, n0, width, right)
            for m in range(0, m_valid, tall):
                first = m // wide * wide if m_panel == n_panel else 0
                for n in range(first, n_valid, wide):
                    gemm_tile(wide, left, m, right, n, tile, 0, 1, 0, 1, 0, count, width, 1, width, wide, RAW)
                    valid = min(wide, n_valid - n)
                    height = min(tall, m_valid - m)
                    if valid == wide:
                        start = ((part * channels + m0 + m) * channels) + n0 + n
                        add_rows(tile, 0, wide, partial, start, channels, height, wide)
                    else:
                        for r in range(height):
                            for c in range(valid):
                                partial[part, m0 + m + r, n0 + n + c] += tile[r * wide + c]
    for row in prange(channels):
        for column in range(channels):
            value = 0.0
            for part in range(parts):
                value += partial[part, row, column] if column > row else partial[part, column, row]
            out[row, column] = value
