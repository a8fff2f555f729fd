"""3×3 convolution by Winograd's F(4×4, 3×3): 36 multiplications for 16 outputs in place of 144.

    Y = Aᵀ [ Σ_c (G g_c Gᵀ) ∘ (Bᵀ d_c B) ] A        (Lavin & Gray 2016, with their matrices for points 0, ±1, ±2)

Channels-last, so both transforms run along the channels in whole vectors (LLVM IR, like the matrix tile). Between them
stand 36 matrix products, one per point: (tiles × in) · (in × out). Two arrangements of the same stages:

* `fused`: each thread takes a block of tiles through all stages inside its L2 cache. For layers with small weights.
* `phased`: all threads share each stage, so that every weight is read once per chunk of tiles. For layers whose 36
  weight matrices are larger than the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.numba_ops.compilation import (
    VECTOR_WIDTH,
    intrinsic,
    kernel,
    parallel_kernel,
    prange,
    types,
)
from minitorch_style.kernels.numba_ops.direct import pack_panels
from minitorch_style.kernels.numba_ops.microkernel import gemm_tile
from minitorch_style.kernels.numba_ops.tiles import finish
from minitorch_style.kernels.tile_ir import FLOAT, counted_loop, fmuladd, pointer

POINTS = 36
INDEX = ir.IntType(64)
LANES = min(8, VECTOR_WIDTH)  # channels must be a multiple of this; 16 is used where they allow it

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


class _Vectors:
    """Arithmetic on vectors in an LLVM builder, as far as the transforms need it."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.type = builder, ir.VectorType(FLOAT, lanes)
        self.fma = fmuladd(builder.module, self.type)
        self.lanes = lanes

    def scaled(self, factor: float, a: Any, b: Any) -> Any:
        """factor · a + b."""
        return self.builder.call(self.fma, [ir.Constant(self.type, [factor] * self.lanes), a, b])

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def times(self, factor: float, a: Any) -> Any:
        return self.builder.fmul(ir.Constant(self.type, [factor] * self.lanes), a)

    def load(self, pointer: Any) -> Any:
        loaded = self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()))
        loaded.align = 4
        return loaded

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.type.as_pointer())).align = 4


def _input_line(v: _Vectors, d: list[Any]) -> list[Any]:
    """Bᵀ applied to six values."""
    even, odd = v.scaled(-4.0, d[2], d[4]), v.scaled(-4.0, d[1], d[3])
    near, far = v.sub(d[4], d[2]), v.sub(d[3], d[1])
    return [
        v.scaled(4.0, d[0], v.scaled(-5.0, d[2], d[4])),
        v.add(even, odd),
        v.sub(even, odd),
        v.scaled(2.0, far, near),
        v.scaled(-2.0, far, near),
        v.scaled(4.0, d[1], v.scaled(-5.0, d[3], d[5])),
    ]


def _output_line(v: _Vectors, m: list[Any]) -> list[Any]:
    """Aᵀ applied to six values."""
    s1, s2, d1, d2 = v.add(m[1], m[2]), v.add(m[3], m[4]), v.sub(m[1], m[2]), v.sub(m[3], m[4])
    return [
        v.add(m[0], v.add(s1, s2)),
        v.scaled(2.0, d2, d1),
        v.scaled(4.0, s2, s1),
        v.scaled(8.0, d2, v.add(d1, m[5])),
    ]


def _transform(line: Any, outputs: int, lanes: int) -> Any:
    """Intrinsic: 6×6 vectors at x0 (rows `x_row` apart, columns `x_col`) through `line` both ways, `channels` deep."""

    @intrinsic
    def transform(typing_context, x, x0, x_row, x_col, out, o0, o_row, o_col, channels):
        signature = types.void(x, *[types.int64] * 3, out, *[types.int64] * 4)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, x0, x_row, x_col, _, o0, o_row, o_col, channels = arguments
            source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            target = context.make_array(signature.args[4])(context, builder, arguments[4]).data
            v = _Vectors(builder, lanes)

            def at(base: Any, i: int, j: int, row: Any, column: Any) -> Any:
                step = builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), column))
                return pointer(builder, base, step)

            def body(pointers: list[Any], accumulators: list[Any]) -> list[Any]:
                x_c, o_c = pointers
                columns = [line(v, [v.load(at(x_c, i, j, x_row, x_col)) for i in range(6)]) for j in range(6)]
                for i in range(outputs):
                    for j, value in enumerate(line(v, [column[i] for column in columns])):
                        v.store(value, at(o_c, i, j, o_row, o_col))
                return [pointer(builder, x_c, INDEX(lanes)), pointer(builder, o_c, INDEX(lanes))]

            steps = builder.sdiv(channels, INDEX(lanes))
            counted_loop(builder, steps, [pointer(builder, source, x0), pointer(builder, target, o0)], body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


_input_wide, _input_narrow = _transform(_input_line, 6, VECTOR_WIDTH), _transform(_input_line, 6, LANES)
_output_wide, _output_narrow = _transform(_output_line, 4, VECTOR_WIDTH), _transform(_output_line, 4, LANES)


@kernel
def input_tile(x, x0, x_row, channels, v, v0, point_step):
    """Bᵀ d B of one 6×6 window at x0 → 36 rows of `channels`, `point_step` apart."""
    if channels % VECTOR_WIDTH == 0:
        _input_wide(x, x0, x_row, channels, v, v0, 6 * point_step, point_step, channels)
    else:
        _input_narrow(x, x0, x_row, channels, v, v0, 6 * point_step, point_step, channels)


@kernel
def output_tile(m, m0, point_step, y, y0, channels):
    """Aᵀ m A of one tile → 4×4 pixels of `channels`, row by row."""
    if channels % VECTOR_WIDTH == 0:
        _output_wide(m, m0, 6 * point_step, point_step, y, y0, 4 * channels, channels, channels)
    else:
        _output_narrow(m, m0, 6 * point_step, point_step, y, y0, 4 * channels, channels, channels)


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
    gate, g0, g_row, v, m, capacity, block, workers,
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
                i, j = 4 * ((first + t) // across), 4 * ((first + t) % across)
                input_tile(x, x0 + i * x_row + j * depth, x_row, depth, mine_v, t * depth, capacity * depth)
            for point in range(POINTS):
                for panel in range(panels):
                    _multiply(mine_v, u, mine_m, point, panel, panels, width, tile_m, capacity, count, depth)
            for t in range(count):
                output_tile(mine_m, t * padded, capacity * padded, y, 0, padded)
                _place(
                    y, padded, first + t, across, out, o0, o_row, rows, columns, channels, bias, slope, mode,
                    gate, g0, g_row,
                )  # fmt: skip


@parallel_kernel
def phased(
    x, x0, x_row, depth, u, width, tile_m, out, o0, o_row, rows, columns, channels, bias, slope, mode,
    gate, g0, g_row, v, m, capacity, block, workers,
):  # fmt: skip
    """Chunk after chunk of `block` tiles, each stage shared by all threads."""
    across, down = (columns + 3) // 4, (rows + 3) // 4
    tiles = across * down
    panels = (channels + width - 1) // width
    padded = panels * width
    for first in range(0, tiles, block):
        count = min(block, tiles - first)
        for t in prange(count):
            i, j = 4 * ((first + t) // across), 4 * ((first + t) % across)
            input_tile(x, x0 + i * x_row + j * depth, x_row, depth, v, t * depth, capacity * depth)
        for task in prange(POINTS * panels):
            _multiply(v, u, m, task // panels, task % panels, panels, width, tile_m, capacity, count, depth)
        for t in prange(count):
            y = np.empty(16 * padded, np.float32)
            output_tile(m, t * padded, capacity * padded, y, 0, padded)
            _place(
                y, padded, first + t, across, out, o0, o_row, rows, columns, channels, bias, slope, mode,
                gate, g0, g_row,
            )  # fmt: skip
