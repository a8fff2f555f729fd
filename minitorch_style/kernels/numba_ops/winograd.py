"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications for 16 outputs in place of 144.

    Y = Aᵀ [ Σ_c (G g_c Gᵀ) ∘ (Bᵀ d_c B) ] A        (Lavin & Gray 2016, with their matrices for points 0, ±1, ±2)

Channels-last, so both transforms run along the channels in whole vectors (LLVM IR, like the matrix tile). Between them
stand 36 matrix products, one per point: (tiles × in) · (in × out). Two arrangements of the same stages:

* `fused`: each thread takes a block of tiles through all stages inside its L2 cache. For layers with small weights.
* `phased`: all threads share each stage, so that every weight is read once per chunk of tiles. For layers whose 36
  weight matrices are larger than the cache.

Where a 2×2 pool alone reads the convolution's output, that is never written: the pooled pixels are, and `codes` of what
they came from; on the way back the pooled gradient is read through these. `pooling` says which pool, and which way.
"""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.numba_ops.compilation import VECTOR_WIDTH, kernel, parallel_kernel, prange
from minitorch_style.kernels.numba_ops.direct import pack_panels
from minitorch_style.kernels.numba_ops.microkernel import gemm_tile
from minitorch_style.kernels.numba_ops.tiles import finish
from minitorch_style.kernels.numba_ops.winograd_transforms import (
    LANES,
    average_pooled_tile,
    average_unpooled_tile,
    input_tile,
    max_pooled_tile,
    max_unpooled_tile,
    output_tile,
)

__all__ = ["AVERAGE", "BACK", "LANES", "MAX", "POINTS", "VECTOR_WIDTH", "fused", "phased", "transform_weight"]

POINTS = 36
MAX, AVERAGE, BACK = 1, 2, 4  # bits of `pooling`: a 2×2 pool behind the convolution, or its gradient on the way in

G = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6],
     [0, 0, 1]]
)  # fmt: skip


def transform_weight(weight: Array) -> tuple[Array, int]:
    """(3, 3, in, out) → (36 matrices G g Gᵀ, each packed in panels; panel width). Computed in double."""
    packed = []
    for i in range(6):
        for j in range(6):  # point by point: all at once in double would take eight times the weights
            matrix = np.tensordot(np.outer(G[i], G[j]), weight, axes=2)
            packed.append(pack_panels(matrix.astype(np.float32)))
    return np.concatenate([panels for panels, _ in packed]), packed[0][1]


@kernel
def _place(y, padded, t, tiles_across, out, o0, o_row, rows, columns, channels, bias, slope, mode, gate, g0, g_row):
    """The valid part of tile t, through `finish`, to its place."""
    i, j = 4 * (t // tiles_across), 4 * (t % tiles_across)
    for r in range(min(4, rows - i)):
        finish(
            y, 4 * r * padded, padded, min(4, columns - j), channels, out, o0 + (i + r) * o_row + j * channels, channels,
            bias, slope, 0, mode, gate, g0 + (i + r) * g_row + j * channels, channels,
        )  # fmt: skip


@kernel
def _window(x, x0, x_row, depth, t, across, codes, k0, k_row, pooling, pool_slope, v, v0, point_step):
    """The input transform of tile t; x0 and k0 are pixel (−1, −1)."""
    i, j = 4 * (t // across), 4 * (t % across)
    if pooling & BACK:
        i, j = i // 2, j // 2
        start, mark = x0 + i * x_row + j * depth, k0 + i * k_row + j * depth
        if pooling & MAX:
            max_unpooled_tile(x, start, x_row, codes, mark, k_row, v, v0, point_step, depth, pool_slope)
        else:
            average_unpooled_tile(x, start, x_row, codes, mark, k_row, v, v0, point_step, depth, pool_slope)
    else:
        input_tile(x, x0 + i * x_row + j * depth, x_row, depth, v, v0, point_step)


@kernel
def _deliver(
    m, m0, point_step, y, padded, t, across, out, o0, o_row, rows, columns, channels, bias, slope, mode,
    gate, g0, g_row, codes, k0, k_row, pooling, pool_slope,
):  # fmt: skip
    """The output transform of tile t and what follows it."""
    if pooling and not pooling & BACK:
        i, j = 2 * (t // across), 2 * (t % across)
        o, k = o0 + i * o_row + j * channels, k0 + i * k_row + j * channels
        down, right = rows // 2 - i, columns // 2 - j
        if pooling & MAX:
            max_pooled_tile(m, m0, point_step, bias, pool_slope, out, o, o_row, codes, k, k_row, channels, down, right)
        else:
            average_pooled_tile(
                m, m0, point_step, bias, pool_slope, out, o, o_row, codes, k, k_row, channels, down, right
            )
    else:
        output_tile(m, m0, point_step, y, 0, padded)
        _place(
            y, padded, t, across, out, o0, o_row, rows, columns, channels, bias, slope, mode, gate, g0, g_row
        )  # fmt: skip


@kernel
def _multiply(v, u, m, point, panel, panels, width, tile_m, capacity, count, depth):
    """The product of one point and one panel for `count` tiles."""
    padded = panels * width
    for first in range(0, count, tile_m):
        row = point * capacity + first
        gemm_tile(
            width, v, row * depth, u, (point * panels + panel) * depth * width, m, row * padded + panel * width,
            1, 0, 1, 0, depth, 1, depth, width, padded,
        )  # fmt: skip


@parallel_kernel
def fused(
    x, x0, x_row, depth, u, width, tile_m, out, o0, o_row, rows, columns, channels, bias, slope, mode,
    gate, g0, g_row, v, m, capacity, block, workers, codes, k0, k_row, pooling, pool_slope,
):  # fmt: skip
    """Worker k takes blocks k, k + workers, … through all stages. v and m hold one block per worker."""
    across, down = (columns + 3) // 4, (rows + 3) // 4
    tiles = across * down
    blocks = (tiles + block - 1) // block
    panels = (channels + width - 1) // width
    padded = panels * width
    for worker in prange(workers):
        mine_v = v[worker * POINTS * capacity * depth : (worker + 1) * POINTS * capacity * depth]
        mine_m = m[worker * POINTS * capacity * padded : (worker + 1) * POINTS * capacity * padded]
        y = np.empty(16 * padded, np.float32)
        for b in range(worker, blocks, workers):
            first = b * block
            count = min(block, tiles - first)
            for t in range(count):
                _window(
                    x, x0, x_row, depth, first + t, across, codes, k0, k_row, pooling, pool_slope, mine_v, t * depth,
                    capacity * depth,
                )  # fmt: skip
            for point in range(POINTS):
                for panel in range(panels):
                    _multiply(mine_v, u, mine_m, point, panel, panels, width, tile_m, capacity, count, depth)
            for t in range(count):
                _deliver(
                    mine_m, t * padded, capacity * padded, y, padded, first + t, across, out, o0, o_row, rows,
                    columns, channels, bias, slope, mode, gate, g0, g_row, codes, k0, k_row, pooling, pool_slope,
                )  # fmt: skip


@parallel_kernel
def phased(
    x, x0, x_row, depth, u, width, tile_m, out, o0, o_row, rows, columns, channels, bias, slope, mode,
    gate, g0, g_row, v, m, capacity, block, workers, codes, k0, k_row, pooling, pool_slope,
):  # fmt: skip
    """Chunk after chunk of `block` tiles, each stage shared by all threads."""
    across, down = (columns + 3) // 4, (rows + 3) // 4
    tiles = across * down
    panels = (channels + width - 1) // width
    padded = panels * width
    for first in range(0, tiles, block):
        count = min(block, tiles - first)
        for t in prange(count):
            _window(
                x,
                x0,
                x_row,
                depth,
                first + t,
                across,
                codes,
                k0,
                k_row,
                pooling,
                pool_slope,
                v,
                t * depth,
                capacity * depth,
            )
        for task in prange(POINTS * panels):
            _multiply(v, u, m, task // panels, task % panels, panels, width, tile_m, capacity, count, depth)
        for t in prange(count):
            y = np.empty(16 * padded, np.float32)
            _deliver(
                m, t * padded, capacity * padded, y, padded, first + t, across, out, o0, o_row, rows,
                columns, channels, bias, slope, mode, gate, g0, g_row, codes, k0, k_row, pooling, pool_slope,
            )  # fmt: skip
