"""The pools that every network here has: 2×2 windows, stride 2, even sides. One output row at a time in LLVM IR, so that
eight channels are one vector, and what is left over goes one by one; `pooling` computes all other geometries."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.addressing import INDEX, pixel
from minitorch_style.kernels.codegen.gemm_tile import counted_loop, pointer, switched
from minitorch_style.kernels.codegen.modes import ACCUMULATE, GATED
from minitorch_style.kernels.codegen.simd import Vectors
from minitorch_style.kernels.fast.arguments import Epilogue
from minitorch_style.kernels.fast.compilation import parallel_kernel
from minitorch_style.kernels.fast.routines import routine
from minitorch_style.kernels.fast.target import JIT, LANES
from minitorch_style.nn.layers import AvgPool2d, MaxPool2d, Shape

Codes: TypeAlias = npt.NDArray[np.int16]
SHORT = 2  # bytes of a code
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # the window in row order: its n-th has code n in an index


def halves(spec: MaxPool2d | AvgPool2d, shape: Shape) -> bool:
    """Whether a pool over (H, W, C) is one of these."""
    plain = spec.kernel_size == spec.stride == (2, 2) and spec.padding == (0, 0)
    return plain and shape[0] % 2 == shape[1] % 2 == 0


def supports(spec: MaxPool2d | AvgPool2d, shape: Shape) -> bool:
    """Whether a pool over (H, W, C) is one of these, and there is a compiler."""
    return JIT and halves(spec, shape)


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


@routine("max_pool_row", short="index")
def _max_row(builder, x: MapView, x0, columns, out: MapView, o0, index, i0):
    def body(v: Vectors, places: list[Any]) -> None:
        x_c, o_c, i_c = places
        best, code = v.largest([v.load(pixel(builder, x_c, x.row, out.col, *at)) for at in CORNERS])
        v.store(best, o_c)
        v.store(code, i_c)

    source, target, where = (pointer(builder, *place) for place in ((x.data, x0), (out.data, o0), (index, i0)))
    _over_row(builder, columns, out.col, [source], [target, where], body)


@routine("average_pool_row")
def _average_row(builder, x: MapView, x0, columns, out: MapView, o0):
    def body(v: Vectors, places: list[Any]) -> None:
        x_c, o_c = places
        values = [v.load(pixel(builder, x_c, x.row, out.col, *at)) for at in CORNERS]
        v.store(v.times(0.25, functools.reduce(v.add, values)), o_c)

    _over_row(builder, columns, out.col, [pointer(builder, x.data, x0)], [pointer(builder, out.data, o0)], body)


def _emit_back(
    builder: Any,
    columns: Any,
    dx: MapView,
    x0: Any,
    epilogue: Epilogue,
    g0: Any,
    halved: list[Any],
    sent: Callable[[Vectors, list[Any]], list[Any]],
) -> None:
    """Two rows of dx from x0 on, whose gates are at g0: `sent` makes of what is at `halved` the four gradients of a window's
    corners."""
    channels, gate = dx.col, epilogue.gate
    target, gates = pointer(builder, dx.data, x0), pointer(builder, gate.data, g0)

    def by_mode(mode: int) -> None:
        def body(v: Vectors, places: list[Any]) -> None:
            x_c, g_c, *own, s_c = places
            for at, value in zip(CORNERS, sent(v, own), strict=True):
                place = pixel(builder, x_c, dx.row, channels, *at)
                if mode & ACCUMULATE:
                    value = v.add(value, v.load(place))
                if mode & GATED:
                    value = v.sloped(value, v.load(pixel(builder, g_c, gate.row, channels, *at)), v.load(s_c))
                v.store(value, place)

        _over_row(builder, columns, channels, [target, gates], halved, body, (epilogue.slope,))

    switched(builder, epilogue.mode, (0, ACCUMULATE, GATED, ACCUMULATE | GATED), by_mode)


@routine("max_pool_row_back", short="index")
def _max_row_back(builder, dy: MapView, d0, index, i0, columns, dx: MapView, x0, epilogue: Epilogue, g0):
    def sent(v: Vectors, places: list[Any]) -> list[Any]:
        gradient, code = v.load(places[0]), v.load(places[1], v.codes)
        return [
            builder.select(builder.icmp_signed("==", code, v.code(number)), gradient, v.zero)
            for number in range(len(CORNERS))
        ]

    halved = [pointer(builder, dy.data, d0), pointer(builder, index, i0)]
    _emit_back(builder, columns, dx, x0, epilogue, g0, halved, sent)


@routine("average_pool_row_back")
def _average_row_back(builder, dy: MapView, d0, columns, dx: MapView, x0, epilogue: Epilogue, g0):
    def sent(v: Vectors, places: list[Any]) -> list[Any]:
        return [v.times(0.25, v.load(places[0]))] * len(CORNERS)

    _emit_back(builder, columns, dx, x0, epilogue, g0, [pointer(builder, dy.data, d0)], sent)


@parallel_kernel
def max_pool2d(i: int, x: MapView, out: MapView, columns: int, index: Codes) -> None:
    _max_row(x, x.origin + 2 * i * x.row, columns, out, out.origin + i * out.row, index, i * columns * out.col)


@parallel_kernel
def avg_pool2d(i: int, x: MapView, out: MapView, columns: int) -> None:
    _average_row(x, x.origin + 2 * i * x.row, columns, out, out.origin + i * out.row)


@parallel_kernel
def max_pool2d_input_grad(i: int, dy: MapView, columns: int, index: Codes, dx: MapView, epilogue: Epilogue) -> None:
    d, k, x, gate = dy.origin + i * dy.row, i * columns * dx.col, dx.origin + 2 * i * dx.row, epilogue.gate
    _max_row_back(dy, d, index, k, columns, dx, x, epilogue, gate.origin + 2 * i * gate.row)


@parallel_kernel
def avg_pool2d_input_grad(i: int, dy: MapView, columns: int, dx: MapView, epilogue: Epilogue) -> None:
    d, x, gate = dy.origin + i * dy.row, dx.origin + 2 * i * dx.row, epilogue.gate
    _average_row_back(dy, d, columns, dx, x, epilogue, gate.origin + 2 * i * gate.row)
