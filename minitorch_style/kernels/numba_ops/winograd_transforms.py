"""The transforms of Winograd's F(4×4, 3×3), in LLVM IR: a 6×6 window of the map to 36 points, and 36 points to 4×4
pixels of the next map, which get their bias and activation, or their sum and gate, while they are in registers."""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.numba_ops.compilation import intrinsic, types
from minitorch_style.kernels.numba_ops.lanes import Vectors, over_channels
from minitorch_style.kernels.numba_ops.places import pixel, place_of
from minitorch_style.kernels.numba_ops.winograd_lines import outputs, store_inside, store_points


@intrinsic
def input_tile(typing_context, x, x0, x_row, channels, v, v0, point_step):
    """Bᵀ d B of the 6×6 window at x0 → 36 rows of `channels`, `point_step` apart."""
    signature = types.void(x, *[types.int64] * 3, v, *[types.int64] * 2)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_row, channels, point_step = arguments[2], arguments[3], arguments[6]
        places = [place_of(context, builder, signature, arguments, at, at + 1) for at in (0, 4)]

        def body(vectors: Vectors, places: list[Any]) -> None:
            x_c, v_c = places

            def window(i: int, j: int) -> Any:
                return vectors.load(pixel(builder, x_c, x_row, channels, i, j))

            store_points(vectors, window, v_c, point_step)

        over_channels(builder, channels, places, body)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def activated_tile(typing_context, m, m0, point_step, bias, slope, out, o0, o_row, channels, down, across):
    """Aᵀ m A of one tile, plus bias, through the activation → at most `down` × `across` of 4×4 pixels at o0."""
    signature = types.void(m, *[types.int64] * 2, bias, slope, out, *[types.int64] * 5)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        point_step, o_row, channels, down, across = (arguments[at] for at in (2, 7, 8, 9, 10))
        places = [place_of(context, builder, signature, arguments, *at) for at in ((0, 1), (3,), (4,), (5, 6))]

        def body(v: Vectors, places: list[Any]) -> None:
            m_c, b_c, s_c, o_c = places
            tile = outputs(v, m_c, point_step)
            bias, slope = v.load(b_c), v.load(s_c)

            def store(i: int, j: int) -> None:
                value = v.add(tile[i][j], bias)
                v.store(v.sloped(value, value, slope), pixel(builder, o_c, o_row, channels, i, j))

            store_inside(builder, down, across, 4, store)

        over_channels(builder, channels, places, body)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def gated_tile(
    typing_context, m, m0, point_step, add, a0, a_row, a_col, slope, gate, g0, g_row, out, o0, o_row, channels, down, across
):  # fmt: skip
    """Aᵀ m A of one tile, plus what is at a0, times the derivative that the sign at g0 tells → as `activated_tile`."""
    signature = types.void(
        m, *[types.int64] * 2, add, *[types.int64] * 3, slope, gate, *[types.int64] * 2, out, *[types.int64] * 5
    )

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        point_step, a_row, a_col, g_row = (arguments[at] for at in (2, 5, 6, 10))
        o_row, channels, down, across = arguments[13:]
        places = [
            place_of(context, builder, signature, arguments, *at) for at in ((0, 1), (3, 4), (7,), (8, 9), (11, 12))
        ]

        def body(v: Vectors, places: list[Any]) -> None:
            m_c, a_c, s_c, g_c, o_c = places
            tile = outputs(v, m_c, point_step)
            slope = v.load(s_c)

            def store(i: int, j: int) -> None:
                value = v.add(tile[i][j], v.load(pixel(builder, a_c, a_row, a_col, i, j)))
                sign = v.load(pixel(builder, g_c, g_row, channels, i, j))
                v.store(v.sloped(value, sign, slope), pixel(builder, o_c, o_row, channels, i, j))

            store_inside(builder, down, across, 4, store)

        over_channels(builder, channels, places, body)
        return context.get_dummy_value()

    return signature, codegen
