"""Weighted sums of neighbouring rows, and of neighbouring columns: what resizing a map consists of.

A map is flat, pixel (i, j) begins at i·row + j·column, steps in floats. Output i is Σ_k weights[i, k] · x[first[i] + k].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from minitorch_style.arrays import Float32
from minitorch_style.kernels.api import Places
from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.gemm_tile import counted_loop, pointer
from minitorch_style.kernels.codegen.simd import Vectors
from minitorch_style.kernels.fast.arguments import Extent
from minitorch_style.kernels.fast.compilation import kernel, parallel_kernel
from minitorch_style.kernels.fast.routines import INDEX, routine
from minitorch_style.kernels.fast.target import JIT, LANES

ZERO = np.float32(0)


@routine("weighted_sum", float="x weights out")
def _vectors(builder, x, x0, step, weights, w0, taps, out, o0, vectors, accumulate):
    """out[o0 + c] (+)= Σ_k weights[w0 + k] · x[x0 + k·step + c] for so many whole vectors of channels c."""
    source, weight, target = (pointer(builder, *place) for place in ((x, x0), (weights, w0), (out, o0)))
    adding = builder.icmp_signed("!=", accumulate, INDEX(0))
    v = Vectors(builder, LANES)
    first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

    def vector(places: list[Any], _: list[Any]) -> list[Any]:
        x_c, o_c = places
        # what lies there before anything is written need not be a number: it is taken only where it is added to
        begin = builder.select(adding, v.load(o_c), v.zero)

        def tap(inner: list[Any], sums: list[Any]) -> list[Any]:
            x_k, w_k = inner
            one = builder.load(w_k)
            one.align = 4
            factor = builder.insert_element(v.zero, one, INDEX(0))
            factor = builder.shuffle_vector(factor, v.zero, first)
            value = builder.call(v.fma, [factor, v.load(x_k), sums[0]])
            return [pointer(builder, x_k, step), pointer(builder, w_k, INDEX(1)), value]

        _, _, total = counted_loop(builder, taps, [x_c, weight], tap, [begin])
        v.store(total, o_c)
        return [pointer(builder, place, INDEX(LANES)) for place in places]

    counted_loop(builder, vectors, [source, target], vector, [])


@kernel
def _sum(x, x0, step, weights, w0, taps, out, o0, length, accumulate):
    """out[o0 + c] (+)= Σ_k weights[w0 + k] · x[x0 + k·step + c] for c < length."""
    vectors = length // LANES if JIT else 0
    if vectors:
        _vectors(x, x0, step, weights, w0, taps, out, o0, vectors, accumulate)
    for c in range(vectors * LANES, length):
        total = out[o0 + c] if accumulate else ZERO
        for k in range(taps):
            total += weights[w0 + k] * x[x0 + k * step + c]
        out[o0 + c] = total


@parallel_kernel
def combine_rows(
    i: int, x: MapView, first: Places, weights: Float32, taps: int, out: MapView, size: Extent, accumulate: bool
) -> None:
    runs, length = size.columns, size.channels
    if x.col == size.channels and out.col == size.channels:  # a row is one run of numbers
        runs, length = 1, size.columns * size.channels
    for run in range(runs):
        x0, o0 = x.origin + first[i] * x.row + run * x.col, out.origin + i * out.row + run * out.col
        _sum(x.data, x0, x.row, weights, i * taps, taps, out.data, o0, length, accumulate)


@kernel
def _three_channels(x: MapView, x0, first, weights, taps, out: MapView, o0, columns, accumulate):
    """The columns of one row."""
    source, target = x.data, out.data
    for j in range(columns):
        o = o0 + j * out.col
        red, green, blue = ZERO, ZERO, ZERO
        for k in range(taps):
            s, weight = x0 + (first[j] + k) * x.col, weights[j * taps + k]
            red += weight * source[s]
            green += weight * source[s + 1]
            blue += weight * source[s + 2]
        if accumulate:
            red, green, blue = red + target[o], green + target[o + 1], blue + target[o + 2]
        target[o], target[o + 1], target[o + 2] = red, green, blue


@parallel_kernel
def combine_columns(
    i: int, x: MapView, first: Places, weights: Float32, taps: int, out: MapView, size: Extent, accumulate: bool
) -> None:
    start, target = x.origin + i * x.row, out.origin + i * out.row
    if size.channels == 3:  # a picture
        _three_channels(x, start, first, weights, taps, out, target, size.columns, accumulate)
    else:
        for j in range(size.columns):
            x0, o0 = start + first[j] * x.col, target + j * out.col
            _sum(x.data, x0, x.col, weights, j * taps, taps, out.data, o0, size.channels, accumulate)
