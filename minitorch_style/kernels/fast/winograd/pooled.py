"""Winograd's transforms where a 2×2 pool follows the convolution, in LLVM IR: the pool is done on the outputs while they
are in registers, and undone on the way into the input transform of the gradient.

What the way back must know of the four pixels behind a pooled one is a byte a channel: of a max-pool the number of the
largest, of an average-pool four bits that tell which were above zero, for the derivative of the activation between."""

from __future__ import annotations

from typing import Any

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.addressing import pixel
from minitorch_style.kernels.codegen.gemm_tile import pointer
from minitorch_style.kernels.codegen.simd import Vectors, over_channels
from minitorch_style.kernels.fast.arguments import Epilogue
from minitorch_style.kernels.fast.routines import routine
from minitorch_style.kernels.fast.winograd.arguments import Points, Pool
from minitorch_style.kernels.fast.winograd.lines import outputs, store_inside, store_points


def _pooled_output(average: bool) -> Any:
    """Aᵀ m A of one tile with bias, activation and pool → at most `down` × `across` of four pixels at o0, and a byte a
    channel for each at k0."""

    @routine(f"{'average' if average else 'max'}_pooled_tile")
    def transform(builder, m: Points, m0, epilogue: Epilogue, out: MapView, o0, pool: Pool, k0, down, across):
        channels = out.col

        def largest(v: Vectors, values: list[Any], add: Any, factor: Any) -> tuple[Any, Any]:
            best, code = v.largest(values)
            best = v.add(best, add)
            return v.sloped(best, best, factor), code

        def mean(v: Vectors, values: list[Any], add: Any, factor: Any) -> tuple[Any, Any]:
            total, code = v.zero, v.code(0)
            for number, value in enumerate(values):
                value = v.add(value, add)
                positive = builder.fcmp_ordered(">", value, v.zero)
                total = v.add(total, v.sloped(value, value, factor))
                code = builder.or_(code, builder.select(positive, v.code(1 << number), v.code(0)))
            return v.times(0.25, total), code

        def body(v: Vectors, places: list[Any]) -> None:
            m_c, b_c, s_c, o_c, k_c = places
            tile = outputs(v, m_c, m.step)
            add, factor = v.load(b_c), v.load(s_c)
            reduce = mean if average else largest

            def store(i: int, j: int) -> None:
                four = [tile[2 * i + number // 2][2 * j + number % 2] for number in range(4)]
                value, code = reduce(v, four, add, factor)
                v.store(value, pixel(builder, o_c, out.row, channels, i, j))
                v.store(code, pixel(builder, k_c, pool.row, channels, i, j))

            store_inside(builder, down, across, 2, store)

        places = [pointer(builder, *place) for place in ((m.data, m0), (out.data, o0), (pool.codes, k0))]
        over_channels(builder, channels, [places[0], epilogue.bias, epilogue.slope, *places[1:]], body)

    return transform


def _unpooled_input(average: bool) -> Any:
    """Bᵀ d B of the 6×6 window of gradients that belong to 4×4 pooled pixels at x0, with their bytes at k0."""

    @routine(f"{'average' if average else 'max'}_unpooled_tile")
    def transform(builder, x: MapView, x0, pool: Pool, k0, points: Points, v0):
        channels = x.col

        def body(v: Vectors, places: list[Any]) -> None:
            x_c, k_c, v_c, s_c = places
            factor = v.load(s_c)

            def gradient(i: int, j: int) -> Any:
                """Pixel (i, j) of the window: number `number` of the four behind a pooled pixel."""
                down, across, number = (i + 1) // 2, (j + 1) // 2, 2 * ((i + 1) % 2) + (j + 1) % 2
                value = v.load(pixel(builder, x_c, x.row, channels, down, across))
                code = v.load(pixel(builder, k_c, pool.row, channels, down, across), v.codes)
                if not average:
                    return builder.select(builder.icmp_signed("==", code, v.code(number)), value, v.zero)
                value = v.times(0.25, value)
                positive = builder.icmp_signed("!=", builder.and_(code, v.code(1 << number)), v.code(0))
                return builder.select(positive, value, builder.fmul(value, factor))

            store_points(v, gradient, v_c, points.step)

        places = [pointer(builder, *place) for place in ((x.data, x0), (pool.codes, k0), (points.data, v0))]
        over_channels(builder, channels, [*places, pool.slope], body)

    return transform


max_pooled_tile, average_pooled_tile = _pooled_output(False), _pooled_output(True)
max_unpooled_tile, average_unpooled_tile = _unpooled_input(False), _unpooled_input(True)
