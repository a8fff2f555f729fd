"""For each of many vectors the nearest of many others, without their matrix of distances.

A product whose epilogue is one minimum a register: a tile of queries runs along a block of keys that fits into the
first cache, and of all those products only each query's least leaves the registers. Which key it was is asked once, at
the end, of the one block that won.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minitorch_style.arrays import Float32
from minitorch_style.kernels.codegen.gemm_tile import counted_loop, pointer
from minitorch_style.kernels.codegen.simd import Vectors
from minitorch_style.kernels.fast.compilation import parallel_kernel
from minitorch_style.kernels.fast.microkernel import PANELS, SHAPES
from minitorch_style.kernels.fast.routines import FLOAT, INDEX, routine
from minitorch_style.kernels.patches import Field

WIDTH = PANELS[0]  # keys of a panel
ROWS, LANES = SHAPES[WIDTH]  # queries of a group
BLOCK = 256 // WIDTH  # panels of a block
TASK = 512 // ROWS  # groups of a task
VECTORS = WIDTH // LANES
NUMBERS = ir.IntType(32)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    first = builder.insert_element(undefined, scalar, NUMBERS(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(NUMBERS, LANES), [0] * LANES))


def _least(builder: Any, a: Any, b: Any) -> Any:
    """The smaller of two vectors, lane by lane; b where they are equal or one is not a number."""
    smaller = builder.fcmp_ordered("<", a, b) if a.type.element == FLOAT else builder.icmp_signed("<", a, b)
    return builder.select(smaller, a, b)


def _least_lane(builder: Any, vector: Any) -> Any:
    """The least lane of a vector."""
    undefined = ir.Constant(vector.type, ir.Undefined)
    half = LANES // 2
    while half:
        moved = [lane + half if lane < half else 0 for lane in range(LANES)]
        other = builder.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(NUMBERS, LANES), moved))
        vector = _least(builder, other, vector)
        half //= 2
    return builder.extract_element(vector, NUMBERS(0))


def _along_keys(
    builder: Any,
    queries: Any,
    rows: int,
    step: Any,
    places: list[Any],
    depth: Any,
    panels: Any,
    start: list[Any],
    better: Callable[[list[Any], list[Any], Any], list[Any]],
) -> list[Any]:
    """Products of `rows` queries, `step` apart from one number to the next, with `panels` of keys; `better(sums, carried,
    first key)` makes of each panel's sums what is carried along, beginning with `start`. `places` are keys and bias."""
    vectors = Vectors(builder, LANES)

    def panel(pointers: list[Any], carried: list[Any]) -> list[Any]:
        keys, bias = pointers
        sums = [vectors.load(pointer(builder, bias, INDEX(v * LANES))) for v in range(VECTORS)] * rows

        def one(pointers: list[Any], sums: list[Any]) -> list[Any]:
            query, key = pointers
            columns = [vectors.load(pointer(builder, key, INDEX(v * LANES))) for v in range(VECTORS)]
            following = []
            for m in range(rows):
                value = builder.load(pointer(builder, query, INDEX(m)))
                value.align = 4
                scalar = _splat(builder, value)
                following += [
                    builder.call(vectors.fma, [scalar, columns[v], sums[m * VECTORS + v]]) for v in range(VECTORS)
                ]
            return [pointer(builder, query, step), pointer(builder, key, INDEX(WIDTH)), *following]

        after = counted_loop(builder, depth, [queries, keys], one, sums)
        first, best = carried[0], carried[1:]
        following = better(after[2:], best, first)
        return [after[1], pointer(builder, bias, INDEX(WIDTH)), builder.add(first, NUMBERS(WIDTH)), *following]

    return counted_loop(builder, panels, places, panel, [NUMBERS(0), *start])[3:]


@routine("block_minima", float="queries keys bias out")
def _block_minima(builder, queries, q0, keys, k0, bias, b0, depth, panels, out, o0):
    """out[o0 + m] = min_j bias[j] + ⟨query m, key j⟩ over some panels, for a group of ROWS queries."""

    def better(sums: list[Any], best: list[Any], _: Any) -> list[Any]:
        for v in range(VECTORS):
            best = [_least(builder, sums[m * VECTORS + v], best[m]) for m in range(ROWS)]
        return best

    query, *places, out = (pointer(builder, *place) for place in ((queries, q0), (keys, k0), (bias, b0), (out, o0)))
    start = [Vectors(builder, LANES).constant(float("inf"))] * ROWS
    minima = _along_keys(builder, query, ROWS, INDEX(ROWS), places, depth, panels, start, better)
    for m in range(ROWS):
        builder.store(_least_lane(builder, minima[m]), pointer(builder, out, INDEX(m))).align = 4


@routine("first_least", result=INDEX, float="queries keys bias")
def _first_least(builder, queries, q0, step, keys, k0, bias, b0, depth, panels):
    """The lowest j that makes bias[j] + ⟨query, key j⟩ least over some panels, for one query of a group."""
    vectors, lanes = Vectors(builder, LANES), ir.VectorType(NUMBERS, LANES)

    def better(sums: list[Any], best: list[Any], first: Any) -> list[Any]:
        value, index = best
        for v in range(VECTORS):
            own = builder.add(_splat(builder, first), ir.Constant(lanes, [v * LANES + lane for lane in range(LANES)]))
            smaller = builder.fcmp_ordered("<", sums[v], value)
            value, index = builder.select(smaller, sums[v], value), builder.select(smaller, own, index)
        return [value, index]

    query, *places = (pointer(builder, *place) for place in ((queries, q0), (keys, k0), (bias, b0)))
    start = [vectors.constant(float("inf")), ir.Constant(lanes, [0] * LANES)]
    value, index = _along_keys(builder, query, 1, step, places, depth, panels, start, better)
    least = builder.fcmp_ordered("==", value, _splat(builder, _least_lane(builder, value)))
    index = builder.select(least, index, ir.Constant(lanes, [2**31 - 1] * LANES))
    return builder.sext(_least_lane(builder, index), INDEX)


def tasks(queries: int) -> int:
    """How many tasks so many queries are."""
    return -(-queries // (ROWS * TASK))


@parallel_kernel
def nearest(task: int, queries: Float32, keys: Float32, bias: Float32, depth: int, panels: int, found: Field) -> None:
    """found[i] = the lowest j with the least bias[j] + ⟨query i, key j⟩. `queries` are groups of (depth, ROWS), `keys` panels
    of (depth, WIDTH), one after the other; a task is TASK groups, so that what it reads stays in the second cache."""
    groups = (len(found) + ROWS - 1) // ROWS
    first, last = task * TASK, min(groups, task * TASK + TASK)
    least = np.full((last - first) * ROWS, np.inf, np.float32)
    block_of = np.zeros((last - first) * ROWS, np.int64)
    minima = np.empty(ROWS, np.float32)
    for block in range(0, panels, BLOCK):
        count = min(BLOCK, panels - block)
        for group in range(first, last):
            _block_minima(
                queries, group * depth * ROWS, keys, block * depth * WIDTH, bias, block * WIDTH, depth, count, minima, 0
            )
            for m in range(ROWS):
                at = (group - first) * ROWS + m
                if minima[m] < least[at]:
                    least[at], block_of[at] = minima[m], block
    for at in range(min(last * ROWS, len(found)) - first * ROWS):
        group, block = first + at // ROWS, block_of[at]
        query, some = group * depth * ROWS + at % ROWS, min(BLOCK, panels - block)
        best = _first_least(queries, query, ROWS, keys, block * depth * WIDTH, bias, block * WIDTH, depth, some)
        found[first * ROWS + at] = block * WIDTH + best
