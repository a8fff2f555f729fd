"""Convolution of any geometry by tiles that read the padded picture in place, and other products of that form."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import Array, aligned
from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange
from minitorch_style.kernels.numba_ops.microkernel import SHAPES, finished_tile, panel_width, tile_rows
from minitorch_style.kernels.numba_ops.tiles import finish
from minitorch_style.kernels.tile_modes import RAW

TASK_PIXELS = 128
MIN_TASKS = 8
TILE_FLOATS = max(rows * width for width, (rows, _) in SHAPES.items())


def pack_panels(matrix: Array) -> tuple[Array, int]:
    """(K, N) → (panels of `width` columns, each (K, width) and zero-filled, in a row; the width)."""
    depth, columns = matrix.shape
    width = panel_width(columns)
    panels = -(-columns // width)
    if columns % width:
        matrix = np.pad(matrix, ((0, 0), (0, panels * width - columns)))
    packed = aligned(matrix.size)
    packed.reshape(panels, depth, width)[...] = matrix.reshape(depth, panels, width).transpose(1, 0, 2)
    return packed, width


@parallel_kernel
def tiled_product(
    x, x0, x_row, x_col, w, width, tile_m, count_a, step_a, count_b, step_b, depth,
    out, o0, o_row, o_col, rows, columns, channels, bias, slope, mode, gate, g0, g_row, g_col,
):  # fmt: skip
    """out[i, j, :channels] = Σ_{a, b, k} x[i·x_row + j·x_col + a·step_a + b·step_b + k] · w[(a, b, k), :], then `finish`.

    All arrays are flat, all steps in floats. A task is a few rows of the output, so that a panel of weights, once it
    is in the cache, serves `TASK_PIXELS`.
    """
    total = count_a * count_b * depth
    panels = (channels + width - 1) // width
    together = max(1, min(TASK_PIXELS // max(1, columns), rows // MIN_TASKS))
    for task in prange((rows + together - 1) // together):
        tile = np.empty(TILE_FLOATS, np.float32)
        for step in range(panels * together):
            panel, i = step // together, task * together + step % together
            if i >= rows:
                continue
            c0 = panel * width
            valid = min(width, channels - c0)
            for j in range(0, columns, tile_m):
                target = o0 + i * o_row + j * o_col + c0
                gated = g0 + i * g_row + j * g_col + c0
                if valid == width and j + tile_m <= columns:
                    finished_tile(
                        width, x, x0 + i * x_row + j * x_col, w, panel * total * width, out, target,
                        bias, c0, slope, c0, gate, gated,
                        count_a, step_a, count_b, step_b, depth, 1, x_col, width, o_col, mode, g_col,
                    )  # fmt: skip
                else:
                    finished_tile(
                        width, x, x0 + i * x_row + j * x_col, w, panel * total * width, tile, 0,
                        bias, 0, slope, 0, gate, 0,
                        count_a, step_a, count_b, step_b, depth, 1, x_col, width, width, RAW, 0,
                    )  # fmt: skip
                    finish(
                        tile, 0, width, min(tile_m, columns - j), valid, out, target, o_col,
                        bias, slope, c0, mode, gate, gated, g_col,
                    )  # fmt: skip


def overread(width: int, column_step: int) -> int:
    """Floats beyond the last pixel of its input that `tiled_product` may read."""
    return tile_rows(width) * column_step
