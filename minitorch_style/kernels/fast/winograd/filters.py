"""Weights of Winograd's F(4×4, 3×3): G g Gᵀ, once and for all as packed matrices; or, for layers whose 36 matrices are
larger than the cache, a row of points of a slice at a time, in LLVM IR. To make these again from the nine taps costs such
a layer up to a fifth of its time, and spares it four times the memory of its weights for each direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import aligned
from minitorch_style.kernels.codegen.gemm_tile import FLOAT, counted_loop, pointer
from minitorch_style.kernels.codegen.simd import Vectors, over_channels
from minitorch_style.kernels.fast.arguments import Panels
from minitorch_style.kernels.fast.compilation import kernel
from minitorch_style.kernels.fast.direct import pack_panels
from minitorch_style.kernels.fast.routines import INDEX, routine
from minitorch_style.kernels.fast.rows import copy_rows
from minitorch_style.kernels.fast.target import LANES
from minitorch_style.kernels.fast.winograd.arguments import Weights

G = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6],
     [0, 0, 1]]
)  # fmt: skip

_G = G.astype(np.float32)


def transform_weight(weight: Float32) -> Panels:
    """(3, 3, in, out) → 36 matrices G g Gᵀ, each packed in panels. Computed in double."""
    packed = []
    for i in range(6):
        for j in range(6):  # point by point: all at once in double would take eight times the weights
            matrix = np.einsum("ab,abio->io", np.outer(G[i], G[j]), weight)
            packed.append(pack_panels(matrix.astype(np.float32)))
    matrices = aligned(sum(panels.data.size for panels in packed))
    return packed[0]._replace(data=np.concatenate([panels.data for panels in packed], out=matrices))


def _line(v: Vectors, g: list[Any]) -> list[Any]:
    """G applied to three values."""
    ends, middle = v.times(-1 / 6, v.add(g[0], g[2])), v.times(1 / 6, g[1])
    outer, inner = v.scaled(1 / 6, g[2], v.times(1 / 24, g[0])), v.times(1 / 12, g[1])
    return [
        v.times(1 / 4, g[0]),
        v.sub(ends, middle),
        v.add(ends, middle),
        v.add(outer, inner),
        v.sub(outer, inner),
        g[2],
    ]


@routine("point_row", scalars="c0 c1 c2", float="g u")
def _point_row(builder, g, tap_step, u, point_step, count, c0, c1, c2):
    """(c0, c1, c2) · g · Gᵀ: six points of `count` weights, whose nine taps lie `tap_step` apart."""

    def body(v: Vectors, places: list[Any]) -> None:
        g_c, u_c = places
        undefined, lane = ir.Constant(v.type, ir.Undefined), ir.IntType(32)
        zeros = ir.Constant(ir.VectorType(lane, v.lanes), [0] * v.lanes)
        factors = [
            builder.shuffle_vector(builder.insert_element(undefined, scalar, lane(0)), undefined, zeros)
            for scalar in (c0, c1, c2)
        ]

        def tap(a: int, b: int) -> Any:
            return v.load(pointer(builder, g_c, builder.mul(INDEX(3 * a + b), tap_step)))

        line = []
        for b in range(3):
            total = builder.fmul(factors[0], tap(0, b))
            for a in (1, 2):
                total = builder.call(v.fma, [factors[a], tap(a, b), total])
            line.append(total)
        for j, value in enumerate(_line(v, line)):
            v.store(value, pointer(builder, u_c, builder.mul(INDEX(j), point_step)))

    over_channels(builder, count, [g, u], body)


@routine("transpose", float="x out")
def _transpose(builder, x, x0, x_row, out, o0, o_row, rows, columns):
    """out[j, i] = x[i, j]; `rows` and `columns` of x are multiples of LANES."""
    kind = ir.VectorType(FLOAT, LANES)
    halves = [
        ir.Constant(
            ir.VectorType(ir.IntType(32), LANES),
            [start + lane // 2 + LANES * (lane % 2) for lane in range(LANES)],
        )
        for start in (0, LANES // 2)
    ]

    def block(places: list[Any], _: list[Any]) -> list[Any]:
        x_c, o_c = places
        lines = []
        for i in range(LANES):
            place = pointer(builder, x_c, builder.mul(INDEX(i), x_row))
            line = builder.load(builder.bitcast(place, kind.as_pointer()))
            line.align = 4
            lines.append(line)
        stages = LANES.bit_length() - 1
        for _stage in range(stages):  # a perfect shuffle of the lines, log₂ times, is the transpose
            half = LANES // 2
            lines = [builder.shuffle_vector(lines[i], lines[i + half], mask) for i in range(half) for mask in halves]
        for j, line in enumerate(lines):
            place = pointer(builder, o_c, builder.mul(INDEX(j), o_row))
            builder.store(line, builder.bitcast(place, kind.as_pointer())).align = 4
        return [pointer(builder, x_c, INDEX(LANES)), pointer(builder, o_c, builder.mul(INDEX(LANES), o_row))]

    def strip(places: list[Any], _: list[Any]) -> list[Any]:
        counted_loop(builder, builder.sdiv(columns, INDEX(LANES)), places, block, [])
        x_c, o_c = places
        return [pointer(builder, x_c, builder.mul(INDEX(LANES), x_row)), pointer(builder, o_c, INDEX(LANES))]

    first = [pointer(builder, x, x0), pointer(builder, out, o0)]
    counted_loop(builder, builder.sdiv(rows, INDEX(LANES)), first, strip, [])


@kernel
def gather_taps(weights: Weights, k0, depth, c0, width, taps, step):
    """The nine taps of a slice of weights: input channels k0 … k0 + depth, `width` output channels from c0 on → taps, nine
    matrices (depth, width), `step` apart; columns beyond the last channel are left as they were."""
    w, inputs, outputs, turned = weights
    for tap in range(9):
        if turned:
            start = ((8 - tap) * inputs + c0) * outputs + k0
            _transpose(w, start, outputs, taps, tap * step, width, min(width, inputs - c0), depth)
        else:
            start = (tap * inputs + k0) * outputs + c0
            copy_rows(w, start, outputs, taps, tap * step, width, depth, min(width, outputs - c0))


@kernel
def point_row(taps, step, row, count, u):
    """Points (row, 0 … 5) of G g Gᵀ of `count` weights with taps `step` apart → u, six times `count`, `step` apart."""
    _point_row(taps, step, u, step, count, _G[row, 0], _G[row, 1], _G[row, 2])
