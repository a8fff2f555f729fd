"""The SIMD tile of `codegen.gemm_tile` as routines, in the shapes that suit this processor.

Tile shapes follow the vector registers of the host: columns are one to four vectors, and the accumulators fill most of
the 16 or 32 registers there are (Goto & van de Geijn 2008; the idea of steps instead of im2col is that of Georganas et
al. 2018). `PANELS` lists the widths; weights are packed in panels of one of them by `panel_width`.
"""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.gemm_tile import INTEGERS, MODES, POINTERS, emit_tile, pointer, switched
from minitorch_style.kernels.codegen.modes import RAW, SUM
from minitorch_style.kernels.fast.arguments import Epilogue, Panels, Product, Taps
from minitorch_style.kernels.fast.routines import INDEX, routine
from minitorch_style.kernels.fast.target import VECTOR_WIDTH, WIDE_REGISTERS


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


def _emit_tiles(
    builder: Any, width: Any, pointers: dict[str, Any], integers: dict[str, Any], modes: tuple[int, ...]
) -> None:
    """The tile of the shape that `width` tells."""

    def of_width(columns: int) -> None:
        rows, lanes = SHAPES[columns]
        emit_tile(builder, rows, columns, lanes, pointers, integers, modes)

    switched(builder, width, SHAPES, of_width)


@routine("finished_tile")
def finished_tile(builder, x: MapView, x0, taps: Taps, w: Panels, w0, out: MapView, o0, epilogue: Epilogue, c0, g0):
    """One whole tile, `w.height` pixels from x0 on with all channels of the panel at w0, through the epilogue from channel c0
    on. Its first pixel is written to o0 and has its gate at g0."""
    gate = epilogue.gate
    places = ((x.data, x0), (w.data, w0), (out.data, o0), (epilogue.bias, c0), (epilogue.slope, c0), (gate.data, g0))
    pointers = {name: pointer(builder, *place) for name, place in zip(POINTERS, places, strict=True)}
    numbers = (*taps, INDEX(1), x.col, w.width, out.col, epilogue.mode, gate.col)
    _emit_tiles(builder, w.width, pointers, dict(zip(INTEGERS, numbers, strict=True)), MODES)


@routine("gemm_tile", float="x w out")
def gemm_tile(builder, x, x0, w, w0, out, o0, product: Product, mode):
    """The product of one tile, as it is or added to what is there, as `mode` says: RAW or SUM. Reads whole tiles, so x and w
    must be readable that far. A third of the code of `finished_tile`."""
    pointers = {name: pointer(builder, *place) for name, place in (("x", (x, x0)), ("w", (w, w0)), ("out", (out, o0)))}
    integers = {**product._asdict(), "count_b": INDEX(1), "step_b": INDEX(0), "mode": mode}
    _emit_tiles(builder, integers.pop("width"), pointers, integers, (RAW, SUM))
