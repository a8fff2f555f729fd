"""The SIMD tile of `tile_ir` as a compiled function, in the shapes that suit this processor.

Tile shapes follow the vector registers of the host: columns are one to four vectors, and the accumulators fill most of
the 16 or 32 registers there are (Goto & van de Geijn 2008; the idea of steps instead of im2col is that of Georganas et
al. 2018). `PANELS` lists the widths; weights are packed in panels of one of them by `panel_width`.
"""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.numba_ops.compilation import VECTOR_WIDTH, WIDE_REGISTERS, intrinsic, kernel, types
from minitorch_style.kernels.numba_ops.places import place_of
from minitorch_style.kernels.tile_ir import INTEGERS, POINTERS, emit_tile
from minitorch_style.kernels.tile_modes import RAW, SUM


def _shapes() -> dict[int, tuple[int, int]]:
    """{columns: (rows, vector width)}, widest first."""
    if VECTOR_WIDTH == 16:
        return {32: (8, 16), 16: (16, 16), 8: (16, 8)}
    if WIDE_REGISTERS:
        return {16: (6, VECTOR_WIDTH), 8: (12, VECTOR_WIDTH), 4: (12, VECTOR_WIDTH)}
    if VECTOR_WIDTH == 8:
        return {16: (6, 8), 8: (10, 8)}
    return {8: (4, 4), 4: (8, 4)}


SHAPES = _shapes()
PANELS = tuple(SHAPES)


def panel_width(columns: int) -> int:
    """The panel width that wastes least on a matrix of so many columns, the wider one where two are equal."""
    return min(PANELS, key=lambda width: (-(-columns // width) * width, -width))


def tile_rows(width: int) -> int:
    return SHAPES[width][0]


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The arrays that begin the arguments, each with its offset behind it, by `names`."""
    places = range(0, 2 * len(names), 2)
    return {
        name: place_of(context, builder, signature, arguments, at, at + 1)
        for name, at in zip(names, places, strict=True)
    }


def _make_tile(rows: int, width: int, lanes: int) -> Any:
    @intrinsic
    def tile(
        typing_context, x, x0, w, w0, out, o0, bias, b0, slope, s0, gate, g0,
        count_a, step_a, count_b, step_b, depth, step_k, step_m, ldw, ldo, mode, ldg,
    ):  # fmt: skip
        pairs = [part for array in (x, w, out, bias, slope, gate) for part in (array, types.int64)]
        signature = types.void(*pairs, *([types.int64] * len(INTEGERS)))

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = _pointers(context, builder, signature, arguments, POINTERS)
            integers = dict(zip(INTEGERS, arguments[2 * len(POINTERS) :], strict=True))
            emit_tile(builder, rows, width, lanes, pointers, integers)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _make_bare_tile(rows: int, width: int, lanes: int) -> Any:
    """The same for mode RAW or SUM: a third of the code, for the kernels that need no more."""

    @intrinsic
    def tile(
        typing_context, x, x0, w, w0, out, o0, count_a, step_a, depth, step_k, step_m, ldw, skip_w, ldo, mode
    ):  # fmt: skip
        signature = types.void(x, types.int64, w, types.int64, out, *[types.int64] * 10)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointers = _pointers(context, builder, signature, arguments, POINTERS[:3])
            names = ("count_a", "step_a", "depth", "step_k", "step_m", "ldw", "skip_w", "ldo", "mode")
            integers = dict(zip(names, arguments[6:], strict=True))
            integers["count_b"], integers["step_b"] = (integers["depth"].type(value) for value in (1, 0))
            emit_tile(builder, rows, width, lanes, pointers, integers, (RAW, SUM))
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _three(make: Any) -> tuple[Any, Any, Any]:
    """The tiles of this machine; where it has fewer shapes the last one is repeated, which no width selects."""
    tiles = [make(rows, width, lanes) for width, (rows, lanes) in SHAPES.items()]
    first, second, third = [*tiles, tiles[-1]][:3]
    return first, second, third


_tile_0, _tile_1, _tile_2 = _three(_make_tile)
_bare_0, _bare_1, _bare_2 = _three(_make_bare_tile)
_WIDTH_0, _WIDTH_1 = PANELS[:2]


@kernel
def finished_tile(
    width, x, x0, w, w0, out, o0, bias, b0, slope, s0, gate, g0,
    count_a, step_a, count_b, step_b, depth, step_k, step_m, ldw, ldo, mode, ldg,
):  # fmt: skip
    """One whole tile of `tile_rows(width)` × `width` with bias, activation, sum and gate as `mode` says (see tiles.py);
    `ldo` and `ldg` are the steps between the tile's rows in `out` and `gate`."""
    if width == _WIDTH_0:
        _tile_0(
            x, x0, w, w0, out, o0, bias, b0, slope, s0, gate, g0,
            count_a, step_a, count_b, step_b, depth, step_k, step_m, ldw, ldo, mode, ldg,
        )  # fmt: skip
    elif width == _WIDTH_1:
        _tile_1(
            x, x0, w, w0, out, o0, bias, b0, slope, s0, gate, g0,
            count_a, step_a, count_b, step_b, depth, step_k, step_m, ldw, ldo, mode, ldg,
        )  # fmt: skip
    else:
        _tile_2(
            x, x0, w, w0, out, o0, bias, b0, slope, s0, gate, g0,
            count_a, step_a, count_b, step_b, depth, step_k, step_m, ldw, ldo, mode, ldg,
        )  # fmt: skip


@kernel
def gemm_tile(width, x, x0, w, w0, out, o0, count_a, step_a, depth, step_k, step_m, ldw, skip_w, ldo, mode):
    """The product of one tile, as it is or added to what is there, as `mode` says: RAW or SUM; a sum over `depth`, `count_a`
    times. Reads whole tiles, so x and w must be readable that far."""
    if width == _WIDTH_0:
        _bare_0(x, x0, w, w0, out, o0, count_a, step_a, depth, step_k, step_m, ldw, skip_w, ldo, mode)
    elif width == _WIDTH_1:
        _bare_1(x, x0, w, w0, out, o0, count_a, step_a, depth, step_k, step_m, ldw, skip_w, ldo, mode)
    else:
        _bare_2(x, x0, w, w0, out, o0, count_a, step_a, depth, step_k, step_m, ldw, skip_w, ldo, mode)
