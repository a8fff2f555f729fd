"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications for 16 outputs in place of 144.

    Y = Aᵀ [ Σ_c (G g_c Gᵀ) ∘ (Bᵀ d_c B) ] A        (Lavin & Gray 2016, with their matrices for points 0, ±1, ±2)

Channels-last, so both transforms run along the channels in whole vectors (LLVM IR, like the matrix tile). Between them
stand 36 matrix products, one per point: (tiles × in) · (in × out). Two arrangements of the same stages:

* `fused`: each thread takes a block of tiles through all stages inside its L2 cache. For layers with small weights.
* `phased`: all threads share each stage, so that a panel of weights, transformed on the spot, serves a whole chunk of
  tiles. For layers whose 36 weight matrices are larger than the cache.

`way` says which way and with which 2×2 pool. The way back adds what is at `add` to its sums and multiplies them by the
derivative that the sign at `gate` tells. Where a pool alone reads the convolution's output, that is never written: the
pooled pixels are, and `codes` of what they came from; on the way back the pooled gradient is read through these.
"""

from __future__ import annotations

from minitorch_style.kernels.numba_ops.compilation import LANES, kernel, parallel_kernel, prange
from minitorch_style.kernels.numba_ops.microkernel import gemm_tile
from minitorch_style.kernels.numba_ops.winograd_pools import (
    average_pooled_tile,
    average_unpooled_tile,
    max_pooled_tile,
    max_unpooled_tile,
)
from minitorch_style.kernels.numba_ops.winograd_transforms import activated_tile, gated_tile, input_tile
from minitorch_style.kernels.numba_ops.winograd_weights import gather_taps, point_row, transform_weight
from minitorch_style.kernels.tile_modes import RAW, SUM

__all__ = ["AVERAGE", "BACK", "LANES", "MAX", "POINTS", "SLICE", "fused", "phased", "transform_weight"]

POINTS = 36
MAX, AVERAGE, BACK = 1, 2, 4  # bits of `way`
SLICE = 256  # input channels; taps and a row of points of a panel then take 490 KB of an L2 cache


@kernel
def _window(x, x0, x_row, depth, t, across, codes, k0, k_row, way, pool_slope, v, v0, v_step):
    """The input transform of tile t; x0 and k0 are pixel (−1, −1)."""
    i, j = 4 * (t // across), 4 * (t % across)
    if way <= BACK:
        input_tile(x, x0 + i * x_row + j * depth, x_row, depth, v, v0, v_step)
        return
    i, j = i // 2, j // 2
    start, mark = x0 + i * x_row + j * depth, k0 + i * k_row + j * depth
    if way & MAX:
        max_unpooled_tile(x, start, x_row, codes, mark, k_row, v, v0, v_step, depth, pool_slope)
    else:
        average_unpooled_tile(x, start, x_row, codes, mark, k_row, v, v0, v_step, depth, pool_slope)


@kernel
def _deliver(
    m, m0, m_step, t, across, out, o0, o_row, rows, columns, channels, bias, slope, add, a0, a_row, a_col,
    gate, g0, g_row, codes, k0, k_row, way,
):  # fmt: skip
    """The output transform of tile t and what follows it."""
    i, j = 4 * (t // across), 4 * (t % across)
    if way & BACK:
        gated_tile(
            m, m0, m_step, add, a0 + i * a_row + j * a_col, a_row, a_col, slope,
            gate, g0 + i * g_row + j * channels, g_row, out, o0 + i * o_row + j * channels, o_row, channels,
            rows - i, columns - j,
        )  # fmt: skip
    elif way == 0:
        activated_tile(
            m, m0, m_step, bias, slope, out, o0 + i * o_row + j * channels, o_row, channels, rows - i, columns - j
        )
    else:
        i, j = i // 2, j // 2
        o, k = o0 + i * o_row + j * channels, k0 + i * k_row + j * channels
        down, right = rows // 2 - i, columns // 2 - j
        if way == MAX:
            max_pooled_tile(m, m0, m_step, bias, slope, out, o, o_row, codes, k, k_row, channels, down, right)
        else:
            average_pooled_tile(m, m0, m_step, bias, slope, out, o, o_row, codes, k, k_row, channels, down, right)


@kernel
def _multiply(v, v0, v_row, u, u0, m, m0, m_row, width, tile_m, count, depth, mode):
    """The product of one point and one panel for `count` tiles."""
    for first in range(0, count, tile_m):
        gemm_tile(
            width, v, v0 + first * v_row, u, u0, m, m0 + first * m_row, 1, 0, depth, 1, v_row, width, 0, m_row, mode
        )  # fmt: skip


@parallel_kernel
def fused(
    x, x0, x_row, depth, u, width, tile_m, out, o0, o_row, rows, columns, channels, bias, slope, add, a0, a_row, a_col,
    gate, g0, g_row, v, m, v_row, v_step, m_row, m_step, block, workers, codes, k0, k_row, way, pool_slope,
):  # fmt: skip
    """Worker k takes blocks k, k + workers, … through all stages. v and m hold one block per worker."""
    across, down = (columns + 3) // 4, (rows + 3) // 4
    tiles = across * down
    panels = (channels + width - 1) // width
    for worker in prange(workers):
        v0, m0 = worker * POINTS * v_step, worker * POINTS * m_step
        for first in range(worker * block, tiles, workers * block):
            count = min(block, tiles - first)
            for t in range(count):
                _window(
                    x, x0, x_row, depth, first + t, across, codes, k0, k_row, way, pool_slope, v, v0 + t * v_row, v_step
                )  # fmt: skip
            for point in range(POINTS):
                for panel in range(panels):
                    _multiply(
                        v, v0 + point * v_step, v_row, u, (point * panels + panel) * depth * width,
                        m, m0 + point * m_step + panel * width, m_row, width, tile_m, count, depth, RAW,
                    )  # fmt: skip
            for t in range(count):
                _deliver(
                    m, m0 + t * m_row, m_step, first + t, across, out, o0, o_row, rows, columns, channels, bias, slope,
                    add, a0, a_row, a_col, gate, g0, g_row, codes, k0, k_row, way,
                )  # fmt: skip


@parallel_kernel
def phased(
    x, x0, x_row, depth, weight, inputs, outputs, width, tile_m, out, o0, o_row, rows, columns, channels, bias, slope,
    add, a0, a_row, a_col, gate, g0, g_row, v, m, v_row, v_step, m_row, m_step, taps, u, u_step, parts, block, workers,
    codes, k0, k_row, way, pool_slope,
):  # fmt: skip
    """Chunk after chunk of `block` tiles, each stage shared by all threads. `weight`: flat (3, 3, inputs, outputs). A task
    of the middle stage is a panel and one of `parts` of the six rows of points. Its weights are gathered for `SLICE` input
    channels at a time in taps (workers, 9 · u_step), and made a row of points at a time in u (workers, 6 · u_step), just
    before they serve all tiles of the chunk."""
    across, down = (columns + 3) // 4, (rows + 3) // 4
    tiles = across * down
    panels = (channels + width - 1) // width
    tasks, some = panels * parts, 6 // parts
    for first in range(0, tiles, block):
        count = min(block, tiles - first)
        for t in prange(count):
            _window(x, x0, x_row, depth, first + t, across, codes, k0, k_row, way, pool_slope, v, t * v_row, v_step)
        for worker in prange(workers):
            own_taps, own_u = taps[worker], u[worker]
            for task in range(tasks * worker // workers, tasks * (worker + 1) // workers):
                c0, line = task // parts * width, task % parts * some
                for k in range(0, depth, SLICE):
                    deep = min(SLICE, depth - k)
                    gather_taps(weight, inputs, outputs, way & BACK, k, deep, c0, width, own_taps, u_step)
                    for point in range(6 * line, 6 * (line + some)):
                        if point % 6 == 0:
                            point_row(own_taps, u_step, point // 6, deep * width, own_u)
                        _multiply(
                            v, point * v_step + k, v_row, own_u, point % 6 * u_step, m, point * m_step + c0, m_row,
                            width, tile_m, count, deep, RAW if k == 0 else SUM,
                        )  # fmt: skip
        for t in prange(count):
            _deliver(
                m, t * m_row, m_step, first + t, across, out, o0, o_row, rows, columns, channels, bias, slope,
                add, a0, a_row, a_col, gate, g0, g_row, codes, k0, k_row, way,
            )  # fmt: skip
