"""Winograd's transforms where a 2×2 pool follows the convolution, in LLVM IR: the pool is done on the outputs while they
are in registers, and undone on the way into the input transform of the gradient.

What the way back must know of the four pixels behind a pooled one is a byte a channel: of a max-pool the number of the
largest, of an average-pool four bits that tell which were above zero, for the derivative of the activation between."""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.numba_ops.compilation import intrinsic, types
from minitorch_style.kernels.numba_ops.lanes import Vectors, over_channels
from minitorch_style.kernels.numba_ops.places import pixel, place_of
from minitorch_style.kernels.numba_ops.winograd_lines import outputs, store_inside, store_points


def _pooled_output(average: bool) -> Any:
    """Intrinsic: Aᵀ m A of one tile with bias, activation and pool → at most `down` × `across` of four pixels at o0, and a
    byte a channel for each at k0."""

    @intrinsic
    def transform(
        typing_context, m, m0, point_step, bias, slope, out, o0, o_row, codes, k0, k_row, channels, down, across
    ):  # fmt: skip
        signature = types.void(
            m, *[types.int64] * 2, bias, slope, out, *[types.int64] * 2, codes, *[types.int64] * 5
        )  # fmt: skip

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            point_step, o_row, k_row, channels, down, across = (arguments[at] for at in (2, 7, 10, 11, 12, 13))
            places = [
                place_of(context, builder, signature, arguments, *at) for at in ((0, 1), (3,), (4,), (5, 6), (8, 9))
            ]

            def largest(v: Vectors, values: list[Any], bias: Any, slope: Any) -> tuple[Any, Any]:
                best, code = v.largest(values)
                best = v.add(best, bias)
                return v.sloped(best, best, slope), code

            def mean(v: Vectors, values: list[Any], bias: Any, slope: Any) -> tuple[Any, Any]:
                total, code = v.zero, v.code(0)
                for number, value in enumerate(values):
                    value = v.add(value, bias)
                    positive = builder.fcmp_ordered(">", value, v.zero)
                    total = v.add(total, v.sloped(value, value, slope))
                    code = builder.or_(code, builder.select(positive, v.code(1 << number), v.code(0)))
                return v.times(0.25, total), code

            def body(v: Vectors, places: list[Any]) -> None:
                m_c, b_c, s_c, o_c, k_c = places
                tile = outputs(v, m_c, point_step)
                bias, slope = v.load(b_c), v.load(s_c)
                pool = mean if average else largest

                def store(i: int, j: int) -> None:
                    four = [tile[2 * i + number // 2][2 * j + number % 2] for number in range(4)]
                    value, code = pool(v, four, bias, slope)
                    v.store(value, pixel(builder, o_c, o_row, channels, i, j))
                    v.store(code, pixel(builder, k_c, k_row, channels, i, j))

                store_inside(builder, down, across, 2, store)

            over_channels(builder, channels, places, body)
            return context.get_dummy_value()

        return signature, codegen

    return transform


def _unpooled_input(average: bool) -> Any:
    """Intrinsic: Bᵀ d B of the 6×6 window of gradients that belong to 4×4 pooled pixels at x0, with their bytes at k0."""

    @intrinsic
    def transform(typing_context, x, x0, x_row, codes, k0, k_row, v, v0, point_step, channels, slope):
        signature = types.void(x, *[types.int64] * 2, codes, *[types.int64] * 2, v, *[types.int64] * 3, slope)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x_row, k_row, point_step, channels = (arguments[at] for at in (2, 5, 8, 9))
            places = [place_of(context, builder, signature, arguments, *at) for at in ((0, 1), (3, 4), (6, 7), (10,))]

            def body(v: Vectors, places: list[Any]) -> None:
                x_c, k_c, v_c, s_c = places
                slope = v.load(s_c)

                def gradient(i: int, j: int) -> Any:
                    """Pixel (i, j) of the window: number `number` of the four behind a pooled pixel."""
                    down, across, number = (i + 1) // 2, (j + 1) // 2, 2 * ((i + 1) % 2) + (j + 1) % 2
                    value = v.load(pixel(builder, x_c, x_row, channels, down, across))
                    code = v.load(pixel(builder, k_c, k_row, channels, down, across), v.codes)
                    if not average:
                        return builder.select(builder.icmp_signed("==", code, v.code(number)), value, v.zero)
                    value = v.times(0.25, value)
                    positive = builder.icmp_signed("!=", builder.and_(code, v.code(1 << number)), v.code(0))
                    return builder.select(positive, value, builder.fmul(value, slope))

                store_points(v, gradient, v_c, point_step)

            over_channels(builder, channels, places, body)
            return context.get_dummy_value()

        return signature, codegen

    return transform


max_pooled_tile, average_pooled_tile = _pooled_output(False), _pooled_output(True)
max_unpooled_tile, average_unpooled_tile = _unpooled_input(False), _unpooled_input(True)
