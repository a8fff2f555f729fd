"""Gram matrices by the matrix tile: Fᵀ·F without a transpose or a copy, in strips of pixels, each strip's sums added in
double."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitorch_style.arrays import Float64
from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.modes import RAW
from minitorch_style.kernels.fast.arguments import Extent, Product
from minitorch_style.kernels.fast.compilation import exact_parallel_kernel, kernel, parallel_kernel
from minitorch_style.kernels.fast.direct import TILE_FLOATS
from minitorch_style.kernels.fast.microkernel import PANELS, gemm_tile, panel_width, tile_rows
from minitorch_style.kernels.fast.rows import add_rows

STRIP = 256  # pixels that a single-precision sum runs over
BLOCK = 16  # channels; the sums above the diagonal are mirrored in squares that fit in the cache
TASKS = 16  # at least so many, for the threads to share


def shares(channels: int, pixels: int) -> int:
    """In how many parts the pixels are summed up: one, if there are enough pairs of panels to share. Depends on the map
    alone, so that every number of threads adds alike."""
    panels = -(-channels // panel_width(channels))
    pairs = panels * (panels + 1) // 2
    return 1 if pairs >= TASKS else max(1, min(TASKS, pixels // STRIP))


def diagonal_width(width: int) -> int:
    """The panels of the tiles on the diagonal, where half of a wide tile would be computed in vain."""
    return min((narrow for narrow in PANELS if 16 <= narrow < width), default=width)


def overread(width: int) -> int:
    """Floats beyond the last pixel that `gram` may read: of either panel up to a whole tile."""
    return max(width, tile_rows(width), tile_rows(diagonal_width(width)))


class Tile(NamedTuple):
    width: int
    height: int


@kernel
def _add(x: MapView, left, right, channels, band, run, shape: Tile, height, valid, tile, partial, start):
    """To partial at `start`: the products of the channels from `left` and from `right` on, of `run` pixels in each of `band`
    rows. Reads a whole tile of them; `height` × `valid` sums count."""
    wide = shape.width
    product = Product(wide, band, x.row, run, channels, 1, channels, x.row - run * channels, wide)
    gemm_tile(x.data, left, x.data, right, tile, 0, product, RAW)
    if valid == wide:
        add_rows(tile, 0, wide, partial, start, channels, height, wide)
    else:
        flat = partial.reshape(-1)
        for r in range(height):
            for c in range(valid):
                flat[start + r * channels + c] += tile[r * wide + c]


def groups(channels: int, width: int, parts: int) -> int:
    """In how many groups the pairs of panels are taken: one, if the pixels are shared out already."""
    panels = -(-channels // width)
    return panels * (panels + 1) // 2 if parts == 1 else 1


@parallel_kernel
def products(task: int, groups: int, x: MapView, size: Extent, broad: Tile, narrow: Tile, sums: Float64) -> None:
    """sums[part, c, c'] = Σ F[c]·F[c'] over a part of the pixels. `sums` is (parts, C, C) in double, all zero. A task is
    a part and a group of the pairs of channel panels; only pairs of the upper triangle, and of those on the diagonal only
    tiles that touch it; these are `narrow`."""
    rows, columns, channels = size
    width = broad.width
    parts = sums.shape[0]
    panels = (channels + width - 1) // width
    pairs = panels * (panels + 1) // 2
    across = (columns + STRIP - 1) // STRIP
    band = max(1, STRIP // columns)
    strips = (rows + band - 1) // band * across
    part, group = task // groups, task % groups
    tile = np.empty(TILE_FLOATS, np.float32)
    for strip in range(part * strips // parts, (part + 1) * strips // parts):
        i, j = strip // across * band, strip % across * STRIP
        high, run = min(band, rows - i), min(STRIP, columns - j)
        corner = x.origin + i * x.row + j * channels
        for number in range(group * pairs // groups, (group + 1) * pairs // groups):
            pair, m_panel = number, 0
            while pair >= panels - m_panel:
                pair -= panels - m_panel
                m_panel += 1
            m0, n0 = m_panel * width, (m_panel + pair) * width
            m_end, n_end = min(m0 + width, channels), min(n0 + width, channels)
            shape = narrow if pair == 0 else broad
            wide, tall = shape
            for m in range(m0, m_end, tall):
                for n in range(n0 + (m - m0) // wide * wide if pair == 0 else n0, n_end, wide):
                    height, valid = min(tall, m_end - m), min(wide, n_end - n)
                    start = (part * channels + m) * channels + n
                    _add(x, corner + m, corner + n, channels, high, run, shape, height, valid, tile, sums, start)


@parallel_kernel
def total(row: int, sums: Float64) -> None:
    """Adds the parts of one row of the upper triangle, in their order."""
    parts, channels = sums.shape[:2]
    for part in range(1, parts):
        for column in range(row, channels):
            sums[0, row, column] += sums[part, row, column]


@parallel_kernel
def mirrored(block: int, sums: Float64) -> None:
    """Fills the lower triangle of `BLOCK` rows."""
    channels = sums.shape[1]
    low, high = block * BLOCK, min(channels, block * BLOCK + BLOCK)
    for left in range(0, high, BLOCK):
        for row in range(low, high):
            for column in range(left, min(row, left + BLOCK)):
                sums[0, row, column] = sums[0, column, row]


@exact_parallel_kernel
def multiplied(block: int, left: Float64, right: Float64, out: Float64) -> None:
    """`BLOCK` rows of left · right, (N, N) each, in `out`. Four products are added while a sum is in a register."""
    size = left.shape[0]
    fours = size // 4 * 4
    for row in range(block * BLOCK, min(size, block * BLOCK + BLOCK)):
        for column in range(size):
            out[row, column] = 0.0
        for k in range(0, fours, 4):
            a, b, c, d = left[row, k], left[row, k + 1], left[row, k + 2], left[row, k + 3]
            for column in range(size):
                value = out[row, column] + a * right[k, column]
                value = value + b * right[k + 1, column]
                value = value + c * right[k + 2, column]
                out[row, column] = value + d * right[k + 3, column]
        for k in range(fours, size):
            for column in range(size):
                out[row, column] += left[row, k] * right[k, column]
