"""The pools that every network here has: 2×2 windows, stride 2, even sides. One output row at a time in LLVM IR, so that
eight channels are one vector, and what is left over goes one by one; `pooling` computes all other geometries."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minitorch_style.kernels.numba_ops.compilation import LANES, intrinsic, jit_enabled, parallel_kernel, prange, types
from minitorch_style.kernels.numba_ops.lanes import Vectors
from minitorch_style.kernels.numba_ops.places import INDEX, pixel, place_of
from minitorch_style.kernels.tile_ir import counted_loop, pointer
from minitorch_style.kernels.tile_modes import ACCUMULATE, GATED

SHORT = 2  # bytes of a code
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # the window in row order: its n-th has code n in an index


def supports(kernel: tuple[int, ...], size: tuple[int, int, int]) -> bool:
    """Whether a pool of geometry (kh, kw, sh, sw, ph, pw) over (H, W, C) is one of these, and there is a compiler."""
    return jit_enabled and kernel == (2, 2, 2, 2, 0, 0) and size[0] % 2 == size[1] % 2 == 0


def _over_row(
    builder: Any,
    columns: Any,
    channels: Any,
    pixels: list[Any],
    halved: list[Any],
    body: Callable[[Vectors, list[Any]], None],
    fixed: tuple[Any, ...] = (),
) -> None:
    """Calls `body` with pointers for every `LANES` channels of every output pixel of a row, then for each that is left:
    those of `pixels` step two pixels from one to the next, those of `halved` one, those of `fixed` stay."""
    two = builder.mul(channels, INDEX(2))
    groups, left = builder.sdiv(channels, INDEX(LANES)), builder.srem(channels, INDEX(LANES))

    def over_columns(places: list[Any], _: list[Any]) -> list[Any]:
        def over_channels(lanes: int) -> Callable[[list[Any], list[Any]], list[Any]]:
            def one(inner: list[Any], _: list[Any]) -> list[Any]:
                body(Vectors(builder, lanes, SHORT), inner)
                return [pointer(builder, place, INDEX(lanes)) for place in inner]

            return one

        counted_loop(
            builder, left, counted_loop(builder, groups, places, over_channels(LANES), []), over_channels(1), []
        )
        steps = [two] * len(pixels) + [channels] * len(halved) + [INDEX(0)] * len(fixed)
        return [pointer(builder, place, step) for place, step in zip(places, steps, strict=True)]

    counted_loop(builder, columns, [*pixels, *halved, *fixed], over_columns, [])


def _forward(average: bool) -> Any:
    @intrinsic
    def row(typing_context, x, x0, x_row, channels, columns, out, o0, index, i0):
        signature = types.void(x, *[types.int64] * 4, out, types.int64, index, types.int64)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x_row, channels, columns = arguments[2:5]
            source, target, where = (place_of(context, builder, signature, arguments, at, at + 1) for at in (0, 5, 7))

            def body(v: Vectors, places: list[Any]) -> None:
                x_c, o_c, i_c = places
                values = [v.load(pixel(builder, x_c, x_row, channels, *at)) for at in CORNERS]
                if average:
                    v.store(v.times(0.25, functools.reduce(v.add, values)), o_c)
                    return
                best, code = v.largest(values)
                v.store(best, o_c)
                v.store(code, i_c)

            _over_row(builder, columns, channels, [source], [target, where], body)
            return context.get_dummy_value()

        return signature, codegen

    return row


def _backward(average: bool, mode: int) -> Any:
    @intrinsic
    def row(typing_context, dy, d0, index, i0, dx, x0, x_row, channels, columns, gate, g0, g_row, slope, s0):
        kinds = [
            dy,
            types.int64,
            index,
            types.int64,
            dx,
            *[types.int64] * 4,
            gate,
            *[types.int64] * 2,
            slope,
            types.int64,
        ]
        signature = types.void(*kinds)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x_row, channels, columns = arguments[6:9]
            g_row = arguments[11]
            source, where, target, gates, slopes = (
                place_of(context, builder, signature, arguments, at, at + 1) for at in (0, 2, 4, 9, 12)
            )

            def body(v: Vectors, places: list[Any]) -> None:
                x_c, g_c, d_c, i_c, s_c = places
                gradient = v.load(d_c)
                if average:
                    gradient = v.times(0.25, gradient)
                else:
                    code = v.load(i_c, v.codes)
                if mode & GATED:
                    factor = v.load(s_c)
                for number, at in enumerate(CORNERS):
                    value = gradient
                    if not average:
                        value = builder.select(builder.icmp_signed("==", code, v.code(number)), gradient, v.zero)
                    place = pixel(builder, x_c, x_row, channels, *at)
                    if mode & ACCUMULATE:
                        value = v.add(value, v.load(place))
                    if mode & GATED:
                        value = v.sloped(value, v.load(pixel(builder, g_c, g_row, channels, *at)), factor)
                    v.store(value, place)

            _over_row(builder, columns, channels, [target, gates], [source, where], body, (slopes,))
            return context.get_dummy_value()

        return signature, codegen

    return row


_max_row, _average_row = _forward(False), _forward(True)
_max_back = [_backward(False, mode) for mode in (0, ACCUMULATE, GATED, ACCUMULATE | GATED)]
_average_back = [_backward(True, mode) for mode in (0, ACCUMULATE, GATED, ACCUMULATE | GATED)]
_max_0, _max_a, _max_g, _max_ag = _max_back
_average_0, _average_a, _average_g, _average_ag = _average_back


@parallel_kernel
def max_pool2d(x, x0, x_row, channels, out, o0, o_row, rows, columns, index):
    for i in prange(rows):
        _max_row(x, x0 + 2 * i * x_row, x_row, channels, columns, out, o0 + i * o_row, index, i * columns * channels)


@parallel_kernel
def avg_pool2d(x, x0, x_row, channels, out, o0, o_row, rows, columns):
    for i in prange(rows):
        _average_row(x, x0 + 2 * i * x_row, x_row, channels, columns, out, o0 + i * o_row, out, o0)


@parallel_kernel
def max_pool2d_input_grad(
    dy, d0, d_row, rows, columns, index, channels, dx, x0, x_row, slope, mode, gate, g0, g_row
):  # fmt: skip
    for i in prange(rows):
        d, k, x, g = d0 + i * d_row, i * columns * channels, x0 + 2 * i * x_row, g0 + 2 * i * g_row
        if mode == 0:
            _max_0(dy, d, index, k, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        elif mode == ACCUMULATE:
            _max_a(dy, d, index, k, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        elif mode == GATED:
            _max_g(dy, d, index, k, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        else:
            _max_ag(dy, d, index, k, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)


@parallel_kernel
def avg_pool2d_input_grad(dy, d0, d_row, rows, columns, channels, dx, x0, x_row, slope, mode, gate, g0, g_row):
    for i in prange(rows):
        d, x, g = d0 + i * d_row, x0 + 2 * i * x_row, g0 + 2 * i * g_row
        if mode == 0:
            _average_0(dy, d, dy, d, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        elif mode == ACCUMULATE:
            _average_a(dy, d, dy, d, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        elif mode == GATED:
            _average_g(dy, d, dy, d, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
        else:
            _average_ag(dy, d, dy, d, dx, x, x_row, channels, columns, gate, g, g_row, slope, 0)
