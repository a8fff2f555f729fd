"""Convolution of any geometry by tiles that read the padded picture in place, and other products of that form."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import MapView, aligned
from minitorch_style.kernels.codegen.modes import RAW
from minitorch_style.kernels.fast.arguments import Epilogue, Extent, Panels, Taps
from minitorch_style.kernels.fast.compilation import parallel_kernel
from minitorch_style.kernels.fast.microkernel import SHAPES, finished_tile, panel_width, tile_rows
from minitorch_style.kernels.fast.tiles import finish

TASK_PIXELS = 128
MIN_TASKS = 8
TILE_FLOATS = max(rows * width for width, (rows, _) in SHAPES.items())


def packed_floats(depth: int, columns: int) -> int:
    """Floats of a matrix (depth, columns) once it is packed."""
    width = panel_width(columns)
    return -(-columns // width) * width * depth


def pack_panels(matrix: Float32) -> Panels:
    """(K, N) → panels, each (K, width) and zero-filled, in a row."""
    depth, columns = matrix.shape
    width = panel_width(columns)
    panels = -(-columns // width)
    if columns % width:
        matrix = np.pad(matrix, ((0, 0), (0, panels * width - columns)))
    packed = aligned(matrix.size)
    packed.reshape(panels, depth, width)[...] = matrix.reshape(depth, panels, width).transpose(1, 0, 2)
    return Panels(packed, width, tile_rows(width))


def together(rows: int, columns: int) -> int:
    """Rows of a task: few, so that a panel of weights, once it is in the cache, serves `TASK_PIXELS`."""
    return max(1, min(TASK_PIXELS // max(1, columns), rows // MIN_TASKS))


@parallel_kernel
def tiled_product(
    task: int, together: int, x: MapView, taps: Taps, w: Panels, out: MapView, size: Extent, epilogue: Epilogue
) -> None:
    """out[i, j, :channels] = epilogue(Σ_{a, b, k} x[(i, j) + a·step_a + b·step_b + k] · w[(a, b, k), :]).

    A task is `together` rows of the output.
    """
    width, height = w.width, w.height
    total = taps.count_a * taps.count_b * taps.depth
    panels = (size.channels + width - 1) // width
    gate = epilogue.gate
    tile = np.empty(TILE_FLOATS, np.float32)
    whole = MapView(tile, 0, 0, width)
    unfinished = Epilogue(epilogue.bias, epilogue.slope, RAW, gate)
    for step in range(panels * together):
        panel, i = step // together, task * together + step % together
        if i >= size.rows:
            continue
        c0 = panel * width
        valid = min(width, size.channels - c0)
        for j in range(0, size.columns, height):
            source, weights = x.origin + i * x.row + j * x.col, panel * total * width
            target, gated = out.origin + i * out.row + j * out.col + c0, gate.origin + i * gate.row + j * gate.col + c0
            if valid == width and j + height <= size.columns:
                finished_tile(x, source, taps, w, weights, out, target, epilogue, c0, gated)
            else:
                finished_tile(x, source, taps, w, weights, whole, 0, unfinished, 0, 0)
                finish(tile, width, min(height, size.columns - j), valid, out, target, epilogue, c0, gated)


def overread(width: int, column_step: int) -> int:
    """Floats beyond the last pixel of its input that `tiled_product` may read."""
    return tile_rows(width) * column_step
