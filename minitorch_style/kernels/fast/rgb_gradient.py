"""The gradient of a 3×3 convolution towards a picture of three channels: too few for the columns of a matrix tile, so one
product of each pixel gives all that it sends to its neighbours, 27 numbers, and nine of them meet in every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.gemm_tile import counted_loop, pointer
from minitorch_style.kernels.codegen.modes import RAW
from minitorch_style.kernels.codegen.simd import Vectors
from minitorch_style.kernels.fast.arguments import Epilogue, Extent, Panels, Product
from minitorch_style.kernels.fast.compilation import parallel_kernel
from minitorch_style.kernels.fast.microkernel import gemm_tile
from minitorch_style.kernels.fast.routines import INDEX, routine
from minitorch_style.kernels.fast.tiles import finish

CHANNELS = 3
TASK_ROWS = 16  # each task computes two rows more


@routine("gather", float="sent line")
def _gather(builder, sent, below, here, above, step, line, count):
    """line[j, c] = Σ of what the nine pixels around j send it, for `count` pixels of three channels. `sent` holds three
    rows of pixels `step` apart, beginning one to the left. Writes one float more."""
    rows = [pointer(builder, sent, at) for at in (below, here, above)]
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

    counted_loop(builder, count, [*rows, line], pixel, [])


@parallel_kernel
def picture_gradient(
    task: int, dy: MapView, depth: int, w: Panels, panels: int, out: MapView, size: Extent, epilogue: Epilogue
) -> None:
    """dx[i, j] = epilogue(Σ_{a, b} dy[i + 1 − a, j + 1 − b] · w[a, b]). dy begins with pixel (−1, −1), its margin is zero.
    w: `panels` of (depth, 27)."""
    width, height, gate = w.width, w.height, epilogue.gate
    step = panels * width
    length = (size.columns + 2 + height - 1) // height * height
    row = length * step
    sent = np.empty(3 * row, np.float32)
    line = np.empty(CHANNELS * size.columns + 1, np.float32)
    top = task * TASK_ROWS
    product = Product(width, 1, 0, depth, 1, depth, width, 0, step)
    for i in range(top, min(size.rows, top + TASK_ROWS) + 2):  # rows of dy, counted from its margin
        for panel in range(panels):
            for j in range(0, length, height):
                source, sums = dy.origin + i * dy.row + j * depth, i % 3 * row + j * step + panel * width
                gemm_tile(dy.data, source, w.data, panel * depth * width, sent, sums, product, RAW)
        if i >= top + 2:
            below, here, above = i % 3 * row, (i - 1) % 3 * row, (i - 2) % 3 * row
            _gather(sent, below, here, above, step, line, size.columns)
            target, gated = out.origin + (i - 2) * out.row, gate.origin + (i - 2) * gate.row
            finish(line, CHANNELS, size.columns, CHANNELS, out, target, epilogue, 0, gated)
