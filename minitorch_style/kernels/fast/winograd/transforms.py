"""The transforms of Winograd's F(4×4, 3×3), in LLVM IR: a 6×6 window of the map to 36 points, and 36 points to 4×4
pixels of the next map, which get their bias and activation, or their sum and gate, while they are in registers."""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.addressing import pixel
from minitorch_style.kernels.codegen.gemm_tile import pointer
from minitorch_style.kernels.codegen.simd import Vectors, over_channels
from minitorch_style.kernels.fast.arguments import Epilogue
from minitorch_style.kernels.fast.routines import routine
from minitorch_style.kernels.fast.winograd.arguments import Points
from minitorch_style.kernels.fast.winograd.lines import outputs, store_inside, store_points


@routine("input_tile")
def input_tile(builder, x: MapView, x0, v: Points, v0):
    """Bᵀ d B of the 6×6 window at x0 → 36 rows of channels at v0."""

    def body(vectors: Vectors, places: list[Any]) -> None:
        x_c, v_c = places

        def window(i: int, j: int) -> Any:
            return vectors.load(pixel(builder, x_c, x.row, x.col, i, j))

        store_points(vectors, window, v_c, v.step)

    over_channels(builder, x.col, [pointer(builder, x.data, x0), pointer(builder, v.data, v0)], body)


@routine("activated_tile")
def activated_tile(builder, m: Points, m0, epilogue: Epilogue, out: MapView, o0, down, across):
    """Aᵀ m A of one tile, plus bias, through the activation → at most `down` × `across` of 4×4 pixels at o0."""

    def body(v: Vectors, places: list[Any]) -> None:
        m_c, b_c, s_c, o_c = places
        tile = outputs(v, m_c, m.step)
        add, factor = v.load(b_c), v.load(s_c)

        def store(i: int, j: int) -> None:
            value = v.add(tile[i][j], add)
            v.store(v.sloped(value, value, factor), pixel(builder, o_c, out.row, out.col, i, j))

        store_inside(builder, down, across, 4, store)

    places = [pointer(builder, m.data, m0), epilogue.bias, epilogue.slope, pointer(builder, out.data, o0)]
    over_channels(builder, out.col, places, body)


@routine("gated_tile")
def gated_tile(builder, m: Points, m0, add: MapView, a0, epilogue: Epilogue, g0, out: MapView, o0, down, across):
    """Aᵀ m A of one tile, plus what is at a0, times the derivative that the sign at g0 tells → as `activated_tile`."""
    gate = epilogue.gate

    def body(v: Vectors, places: list[Any]) -> None:
        m_c, a_c, s_c, g_c, o_c = places
        tile = outputs(v, m_c, m.step)
        factor = v.load(s_c)

        def store(i: int, j: int) -> None:
            value = v.add(tile[i][j], v.load(pixel(builder, a_c, add.row, add.col, i, j)))
            sign = v.load(pixel(builder, g_c, gate.row, gate.col, i, j))
            v.store(v.sloped(value, sign, factor), pixel(builder, o_c, out.row, out.col, i, j))

        store_inside(builder, down, across, 4, store)

    places = [pointer(builder, *place) for place in ((m.data, m0), (add.data, a0), (gate.data, g0), (out.data, o0))]
    over_channels(builder, out.col, [*places[:2], epilogue.slope, *places[2:]], body)
