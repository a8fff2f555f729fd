"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications for 16 outputs in place of 144.

    Y = Aᵀ [ Σ_c (G g_c Gᵀ) ∘ (Bᵀ d_c B) ] A        (Lavin & Gray 2016, with their matrices for points 0, ±1, ±2)

Channels-last, so both transforms run along the channels in whole vectors (LLVM IR, like the matrix tile). Between them
stand 36 matrix products, one per point: (tiles × in) · (in × out). Two arrangements of the same stages:

* `fused`: each thread takes a block of tiles through all stages inside its L2 cache. For layers with small weights.
* `phased`: all threads share each stage, so that a panel of weights, transformed on the spot, serves a whole chunk of
  tiles. For layers whose 36 weight matrices are larger than the cache.

The gradient (`back`) is the same with turned weights; it adds what is at `add` to its sums and multiplies them by the
derivative that the sign at its gate tells. Where a pool alone reads the convolution's output, that is never written: the
pooled pixels are, and `codes` of what they came from; on the way back the pooled gradient is read through these.
"""

from __future__ import annotations

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.modes import RAW, SUM
from minitorch_style.kernels.fast.arguments import Panels, Product
from minitorch_style.kernels.fast.compilation import kernel, parallel_kernel
from minitorch_style.kernels.fast.microkernel import gemm_tile
from minitorch_style.kernels.fast.target import LANES
from minitorch_style.kernels.fast.winograd.arguments import (
    MAX,
    NONE,
    Phases,
    Points,
    Pool,
    Scratch,
    Slices,
    Target,
    Weights,
)
from minitorch_style.kernels.fast.winograd.blocking import POINTS, SLICE
from minitorch_style.kernels.fast.winograd.filters import gather_taps, point_row, transform_weight
from minitorch_style.kernels.fast.winograd.pooled import (
    average_pooled_tile,
    average_unpooled_tile,
    max_pooled_tile,
    max_unpooled_tile,
)
from minitorch_style.kernels.fast.winograd.transforms import activated_tile, gated_tile, input_tile

__all__ = ["LANES", "delivered", "fused", "multiplied", "transform_weight", "windows"]


@kernel
def _window(t, across, x: MapView, back, pool: Pool, v: Points, v0):
    """The input transform of tile t; x and, of a gradient, codes begin with pixel (−1, −1)."""
    i, j = 4 * (t // across), 4 * (t % across)
    if not back or pool.kind == NONE:
        input_tile(x, x.origin + i * x.row + j * x.col, v, v0)
        return
    i, j = i // 2, j // 2
    start, mark = x.origin + i * x.row + j * x.col, pool.origin + i * pool.row + j * x.col
    if pool.kind == MAX:
        max_unpooled_tile(x, start, pool, mark, v, v0)
    else:
        average_unpooled_tile(x, start, pool, mark, v, v0)


@kernel
def _deliver(t, across, m: Points, m0, target: Target, back, pool: Pool):
    """The output transform of tile t and what follows it."""
    out, size, epilogue, add = target
    i, j = 4 * (t // across), 4 * (t % across)
    if back:
        gate = epilogue.gate
        a, g = add.origin + i * add.row + j * add.col, gate.origin + i * gate.row + j * gate.col
        o = out.origin + i * out.row + j * out.col
        gated_tile(m, m0, add, a, epilogue, g, out, o, size.rows - i, size.columns - j)
    elif pool.kind == NONE:
        o = out.origin + i * out.row + j * out.col
        activated_tile(m, m0, epilogue, out, o, size.rows - i, size.columns - j)
    else:
        i, j = i // 2, j // 2
        o, k = out.origin + i * out.row + j * out.col, pool.origin + i * pool.row + j * out.col
        down, right = size.rows // 2 - i, size.columns // 2 - j
        if pool.kind == MAX:
            max_pooled_tile(m, m0, epilogue, out, o, pool, k, down, right)
        else:
            average_pooled_tile(m, m0, epilogue, out, o, pool, k, down, right)


@kernel
def _multiply(v: Points, v0, u, u0, m: Points, m0, width, height, count, depth, mode):
    """The product of one point and one panel for `count` tiles."""
    product = Product(width, 1, 0, depth, 1, v.row, width, 0, m.row)
    for first in range(0, count, height):
        gemm_tile(v.data, v0 + first * v.row, u, u0, m.data, m0 + first * m.row, product, mode)


@parallel_kernel
def fused(
    worker: int,
    workers: int,
    block: int,
    x: MapView,
    u: Panels,
    scratch: Scratch,
    target: Target,
    back: bool,
    pool: Pool,
) -> None:
    """Worker k takes blocks k, k + workers, … through all stages. The scratch memory holds one block per worker."""
    v, m = scratch
    across, down = (target.size.columns + 3) // 4, (target.size.rows + 3) // 4
    tiles = across * down
    panels = (target.size.channels + u.width - 1) // u.width
    v0, m0 = worker * POINTS * v.step, worker * POINTS * m.step
    for first in range(worker * block, tiles, workers * block):
        count = min(block, tiles - first)
        for t in range(count):
            _window(first + t, across, x, back, pool, v, v0 + t * v.row)
        for point in range(POINTS):
            for panel in range(panels):
                u0, column = (point * panels + panel) * x.col * u.width, m0 + point * m.step + panel * u.width
                _multiply(v, v0 + point * v.step, u.data, u0, m, column, u.width, u.height, count, x.col, RAW)
        for t in range(count):
            _deliver(first + t, across, m, m0 + t * m.row, target, back, pool)


# The three stages of `phased`, each for `count` tiles of a chunk that begins at tile `first`.


@parallel_kernel
def windows(t: int, first: int, across: int, x: MapView, back: bool, pool: Pool, v: Points) -> None:
    _window(first + t, across, x, back, pool, v, t * v.row)


@parallel_kernel
def multiplied(worker: int, phases: Phases, count: int, weights: Weights, scratch: Scratch, slices: Slices) -> None:
    """The weights of a panel are gathered for `SLICE` input channels at a time, and made a row of points at a time just
    before they serve all tiles of the chunk."""
    v, m = scratch
    workers, width, step = phases.workers, phases.width, slices.step
    depth = weights.outputs if weights.turned else weights.inputs
    some = 6 // phases.parts
    own_taps, own_u = slices.taps[worker], slices.points[worker]
    for task in range(phases.tasks * worker // workers, phases.tasks * (worker + 1) // workers):
        c0, line = task // phases.parts * width, task % phases.parts * some
        for k in range(0, depth, SLICE):
            deep = min(SLICE, depth - k)
            gather_taps(weights, k, deep, c0, width, own_taps, step)
            for point in range(6 * line, 6 * (line + some)):
                if point % 6 == 0:
                    point_row(own_taps, step, point // 6, deep * width, own_u)
                v0, m0, mode = point * v.step + k, point * m.step + c0, RAW if k == 0 else SUM
                _multiply(v, v0, own_u, point % 6 * step, m, m0, width, phases.height, count, deep, mode)


@parallel_kernel
def delivered(t: int, first: int, across: int, m: Points, target: Target, back: bool, pool: Pool) -> None:
    _deliver(first + t, across, m, t * m.row, target, back, pool)
