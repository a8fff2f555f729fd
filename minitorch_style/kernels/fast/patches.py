"""Patches of one picture and their matches in another: distances, coherence, votes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from minitorch_style.arrays import Float32
from minitorch_style.kernels.codegen.gemm_tile import counted_loop, pointer
from minitorch_style.kernels.codegen.simd import Vectors
from minitorch_style.kernels.fast.compilation import kernel, parallel_kernel
from minitorch_style.kernels.fast.routines import FLOAT, INDEX, routine
from minitorch_style.kernels.fast.target import VECTOR_WIDTH
from minitorch_style.kernels.patches import Field

SPAN = 32  # floats of a row of a patch that are taken at once; so many may be read beyond the last patch
TILE_ROWS, TILE_COLUMNS = 32, 32  # patches that one thread goes through in reading order


def _mask(builder: Any, valid: Any, first: int) -> Any:
    """Which of the lanes from `first` on are below `valid`."""
    lanes = ir.VectorType(INDEX, VECTOR_WIDTH)
    undefined, numbers = ir.Constant(lanes, ir.Undefined), ir.VectorType(ir.IntType(32), VECTOR_WIDTH)
    inserted = builder.insert_element(undefined, valid, ir.IntType(32)(0))
    splat = builder.shuffle_vector(inserted, undefined, ir.Constant(numbers, [0] * VECTOR_WIDTH))
    return builder.icmp_signed("<", ir.Constant(lanes, [first + lane for lane in range(VECTOR_WIDTH)]), splat)


@routine("span_distance", result=FLOAT, float="x y")
def _span_distance(builder, x, x0, x_step, y, y0, y_step, rows, valid):
    """Σ (x − y)² over `rows` rows, steps apart, of `valid` ≤ SPAN floats; SPAN of each are read."""
    vectors = Vectors(builder, VECTOR_WIDTH)
    firsts = range(0, SPAN, VECTOR_WIDTH)

    def row(pointers: list[Any], sums: list[Any]) -> list[Any]:
        following = []
        for first, total in zip(firsts, sums, strict=True):
            a, b = (vectors.load(pointer(builder, place, INDEX(first))) for place in pointers)
            difference = builder.fsub(a, b)
            following.append(builder.call(vectors.fma, [difference, difference, total]))
        return [pointer(builder, pointers[0], x_step), pointer(builder, pointers[1], y_step), *following]

    places = [pointer(builder, x, x0), pointer(builder, y, y0)]
    sums = counted_loop(builder, rows, places, row, [vectors.zero] * len(firsts))[2:]
    total = vectors.zero
    for first, part in zip(firsts, sums, strict=True):
        total = builder.fadd(total, builder.select(_mask(builder, valid, first), part, vectors.zero))
    half = VECTOR_WIDTH // 2
    numbers = ir.VectorType(ir.IntType(32), VECTOR_WIDTH)
    while half:
        moved = ir.Constant(numbers, [lane + half if lane < half else 0 for lane in range(VECTOR_WIDTH)])
        total = builder.fadd(total, builder.shuffle_vector(total, total, moved))
        half //= 2
    return builder.extract_element(total, ir.IntType(32)(0))


@routine("add_span", "weight", float="x out")
def _add_span(builder, weight, x, x0, out, o0, valid):
    """out += weight · x for `valid` ≤ SPAN floats; SPAN are read and written."""
    vectors = Vectors(builder, VECTOR_WIDTH)
    source, target = pointer(builder, x, x0), pointer(builder, out, o0)
    undefined = ir.Constant(vectors.type, ir.Undefined)
    numbers = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR_WIDTH), [0] * VECTOR_WIDTH)
    inserted = builder.insert_element(undefined, weight, ir.IntType(32)(0))
    factor = builder.shuffle_vector(inserted, undefined, numbers)
    for first in range(0, SPAN, VECTOR_WIDTH):
        value = vectors.load(pointer(builder, source, INDEX(first)))
        value = builder.select(_mask(builder, valid, first), value, vectors.zero)
        place = pointer(builder, target, INDEX(first))
        vectors.store(builder.call(vectors.fma, [factor, value, vectors.load(place)]), place)


class Pixels(NamedTuple):
    """A picture, flat (H, W, 3), with SPAN floats behind it."""

    data: Float32
    width: int


class Matches(NamedTuple):
    """Of every patch of a picture its match in another, their distance, and of every patch of that one its penalty."""

    field: Field
    distance: Float32
    penalty: Float32


@kernel
def _distance(picture: Pixels, y, x, source: Pixels, match, side):
    """Between the patch at (y, x) and patch number `match`, in reading order of pixels."""
    p0, s0 = (y * picture.width + x) * 3, match * 3
    p_row, s_row = picture.width * 3, source.width * 3
    total = np.float32(0)
    for c in range(0, 3 * side, SPAN):
        valid = min(SPAN, 3 * side - c)
        total += _span_distance(picture.data, p0 + c, p_row, source.data, s0 + c, s_row, side, valid)
    return total


@parallel_kernel
def distances(i: int, picture: Pixels, source: Pixels, field: Field, side: int, out: Float32) -> None:
    """Σ (picture − source)² over each patch of row i."""
    for j in range(field.shape[1]):
        out[i, j] = _distance(picture, i, j, source, np.int64(field[i, j]), side)


@kernel
def _sweep_tile(picture: Pixels, source: Pixels, matches: Matches, side, sign, i0, i1, j0, j1):
    field, distance, penalty = matches
    rows, columns = field.shape
    for i in range(i0, i1):
        for j in range(j0, j1):
            y, x = (i, j) if sign > 0 else (rows - 1 - i, columns - 1 - j)
            if distance[y, x] == -np.inf:
                continue
            own = np.int64(field[y, x])
            cost = distance[y, x] + penalty[own]
            for up in (1, 0):
                if (i if up else j) == 0:
                    continue
                match = np.int64(field[y - sign, x] if up else field[y, x - sign])
                match += sign * (source.width if up else 1)
                if match == own or match < 0 or match >= len(penalty) or not penalty[match] < cost:
                    continue
                new = _distance(picture, y, x, source, match, side)
                if new + penalty[match] < cost:
                    own, cost = match, new + penalty[match]
                    field[y, x], distance[y, x] = match, new


def diagonals(rows: int, columns: int) -> list[tuple[int, int, int]]:
    """(tiles, row of the first, column of the first) of every diagonal of tiles, from the upper left on."""
    down, across = -(-rows // TILE_ROWS), -(-columns // TILE_COLUMNS)
    found = []
    for diagonal in range(down + across - 1):
        first = max(0, diagonal - across + 1)
        found.append((min(down, diagonal + 1) - first, first * TILE_ROWS, (diagonal - first) * TILE_COLUMNS))
    return found


@parallel_kernel
def sweep(
    number: int, i0: int, j0: int, picture: Pixels, source: Pixels, matches: Matches, side: int, sign: int
) -> None:
    """Patches of one diagonal of tiles in reading order (sign 1) or backward (−1), each offered its neighbours' matches.
    Tiles of a diagonal do not touch each other: diagonal after diagonal it is the same as patch after patch."""
    rows, columns = matches.field.shape
    i, j = i0 + number * TILE_ROWS, j0 - number * TILE_COLUMNS
    below, right = min(rows, i + TILE_ROWS), min(columns, j + TILE_COLUMNS)
    _sweep_tile(picture, source, matches, side, sign, i, below, j, right)


@parallel_kernel
def vote(y: int, source: Pixels, field: Field, weight: Float32, side: int, skip: int, out: Float32) -> None:
    """out[p] = Σ weight · source / Σ weight over the patches that cover p, for row y."""
    width = out.shape[1]
    rows, columns = field.shape
    inner = side - 2 * skip
    sums, shares = np.zeros(3 * width + SPAN, np.float32), np.zeros(width, np.float32)
    for a in range(max(skip, y - rows + 1), min(side - skip, y + 1)):
        for b in range(inner - 1, -1, -1):  # as the patches come from left to right, for each pixel
            for j in range(columns):
                shares[j + skip + b] += weight[y - a, j]
        for j in range(columns):
            w = weight[y - a, j]
            if w == 0:
                continue
            start = (np.int64(field[y - a, j]) + a * source.width + skip) * 3
            for c in range(0, 3 * inner, SPAN):
                _add_span(w, source.data, start + c, sums, 3 * (j + skip) + c, min(SPAN, 3 * inner - c))
    for x in range(width):
        if shares[x] > 0:
            for c in range(3):
                out[y, x, c] = sums[3 * x + c] / shares[x]
