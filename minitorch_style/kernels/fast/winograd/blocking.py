"""How many tiles of a Winograd convolution are taken at a time, and where they lie in scratch memory."""

from __future__ import annotations

import functools
from typing import NamedTuple

from minitorch_style.kernels.buffers import LINE

POINTS = 36
SLICE = 256  # input channels; taps and a row of points of a panel then take 490 KB of an L2 cache
FUSED_BLOCK_FLOATS = 150_000  # transformed tiles of one thread: about 600 KB
# 13 MB of them: more would not stay in an L3 cache, fewer would have the weights made more often.
PHASED_CHUNK_FLOATS = 3_300_000


class Matrices(NamedTuple):
    """Rows of `row` floats, a tile each, and the floats from the matrix of one point to the next."""

    row: int
    step: int


class Blocking(NamedTuple):
    """`block` tiles are taken at a time, `copies` times at once: `v` and `m` are the matrices before and after the products,
    with room for whole matrix tiles."""

    block: int
    copies: int
    v: Matrices
    m: Matrices

    @property
    def floats(self) -> tuple[int, int]:
        """Of all copies of v and of m."""
        return self.copies * POINTS * self.v.step, self.copies * POINTS * self.m.step


def _matrices(row: int, tiles: int) -> Matrices:
    """A line more keeps points, and wide rows, from falling into the same few sets of a cache; narrow rows would only grow."""
    row += LINE if row > 4 * LINE else 0
    return Matrices(row, tiles * row + LINE)


@functools.lru_cache(maxsize=256)
def blocking(tiles: int, depth: int, columns: int, height: int, phased: bool, threads: int) -> Blocking:
    """For `tiles` of `depth` channels that become `columns`, multiplied `height` at a time: a block for each thread, or
    `phased` chunks of one size that all share."""
    floats = PHASED_CHUNK_FLOATS if phased else FUSED_BLOCK_FLOATS
    fit = max(1, floats // (POINTS * (depth + columns)) // height) * height
    if phased:
        fit = -(-tiles // -(-tiles // fit) // height) * height
    block = min(fit, tiles)
    room = -(-block // height) * height
    return Blocking(block, 1 if phased else threads, _matrices(depth, room), _matrices(columns, room))


def parts(panels: int, workers: int) -> int:
    """In how many parts the six rows of points of each panel are shared out: few, but two tasks for each worker."""
    return next((few for few in (1, 2, 3) if panels * few >= 2 * workers), 6)


def slice_step(width: int) -> int:
    """Floats from one tap, or point, of a slice of a panel to the next."""
    return SLICE * width + LINE
