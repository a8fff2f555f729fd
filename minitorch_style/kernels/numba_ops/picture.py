"""The gradient of a 3×3 convolution towards a picture of three channels: too few for the columns of a matrix tile, so one
product of each pixel gives all that it sends to its neighbours, 27 numbers, and nine of them meet in every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import intrinsic, parallel_kernel, prange, types
from minitorch_style.kernels.numba_ops.lanes import Vectors
from minitorch_style.kernels.numba_ops.microkernel import gemm_tile
from minitorch_style.kernels.numba_ops.places import INDEX, place_of
from minitorch_style.kernels.numba_ops.tiles import finish
from minitorch_style.kernels.tile_ir import counted_loop, pointer
from minitorch_style.kernels.tile_modes import RAW

CHANNELS = 3
TASK_ROWS = 16  # each task computes two rows more


@intrinsic
def _gather(typing_context, sent, below, here, above, step, line, count):
    """line[j, c] = Σ of what the nine pixels around j send it, for `count` pixels of three channels. `sent` holds three
    rows of pixels `step` apart, beginning one to the left. Writes one float more."""
    signature = types.void(sent, *[types.int64] * 4, line, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        step, count = arguments[4], arguments[6]
        rows = [place_of(context, builder, signature, arguments, 0, at) for at in (1, 2, 3)]
        v = Vectors(builder, CHANNELS + 1)  # the last lane is overwritten by the next pixel

        def pixel(places: list[Any], _: list[Any]) -> list[Any]:
            *rows, out = places
            total = v.zero
            for a, row in enumerate(rows):
                for b in range(3):
                    at = builder.add(builder.mul(INDEX(2 - b), step), INDEX(CHANNELS * (3 * a + b)))
                    total = v.add(total, v.load(pointer(builder, row, at)))
            v.store(total, out)
            return [*(pointer(builder, row, step) for row in rows), pointer(builder, out, INDEX(CHANNELS))]

        counted_loop(builder, count, [*rows, place_of(context, builder, signature, arguments, 5)], pixel, [])
        return context.get_dummy_value()

    return signature, codegen


@parallel_kernel
def picture_gradient(
    dy, y0, y_row, depth, w, width, tile_m, panels, out, o0, o_row, rows, columns, slope, mode, gate, g0, g_row
):  # fmt: skip
    """dx[i, j] = Σ_{a, b} dy[i + 1 − a, j + 1 − b] · w[a, b], then `finish`. y0: pixel (−1, −1) of dy, whose margin is zero.
    w: packed (depth, 27)."""
    step = panels * width
    length = (columns + 2 + tile_m - 1) // tile_m * tile_m
    row = length * step
    nothing = np.zeros(CHANNELS, np.float32)
    for task in prange((rows + TASK_ROWS - 1) // TASK_ROWS):
        sent = np.empty(3 * row, np.float32)
        line = np.empty(CHANNELS * columns + 1, np.float32)
        top = task * TASK_ROWS
        for i in range(top, min(rows, top + TASK_ROWS) + 2):  # rows of dy, counted from its margin
            for panel in range(panels):
                for j in range(0, length, tile_m):
                    gemm_tile(
                        width, dy, y0 + i * y_row + j * depth, w, panel * depth * width,
                        sent, i % 3 * row + j * step + panel * width, 1, 0, depth, 1, depth, width, 0, step, RAW,
                    )  # fmt: skip
            if i >= top + 2:
                below, here, above = i % 3 * row, (i - 1) % 3 * row, (i - 2) % 3 * row
                _gather(sent, below, here, above, step, line, columns)
                finish(
                    line, 0, CHANNELS, columns, CHANNELS, out, o0 + (i - 2) * o_row, CHANNELS,
                    nothing, slope, 0, mode, gate, g0 + (i - 2) * g_row, CHANNELS,
                )  # fmt: skip
