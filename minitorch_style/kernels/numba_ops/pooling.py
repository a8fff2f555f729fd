"""Max and average pooling over flat channels-last arrays; one row of the written array is one task."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange
from minitorch_style.kernels.tile_modes import ACCUMULATE, GATED


@parallel_kernel
def max_pool2d(x, x0, x_row, height, width, channels, kh, kw, sh, sw, ph, pw, out, o0, o_row, rows, columns, index):
    for i in prange(rows):
        for j in range(columns):
            target = out[o0 + i * o_row + j * channels : o0 + i * o_row + (j + 1) * channels]
            where = index[(i * columns + j) * channels : (i * columns + j + 1) * channels]
            target[:] = -np.inf
            where[:] = 0
            for a in range(max(0, ph - i * sh), min(kh, height + ph - i * sh)):
                for b in range(max(0, pw - j * sw), min(kw, width + pw - j * sw)):
                    start = x0 + (i * sh + a - ph) * x_row + (j * sw + b - pw) * channels
                    source = x[start : start + channels]
                    code = np.int16(a * kw + b)
                    for c in range(channels):
                        larger = source[c] > target[c]
                        target[c] = source[c] if larger else target[c]
                        where[c] = code if larger else where[c]


@parallel_kernel
def max_pool2d_input_grad(
    dy, d0, d_row, rows, columns, index, channels, kh, kw, sh, sw, ph, pw, dx, x0, x_row, height, width,
    slope, mode, gate, g0, g_row,
):  # fmt: skip
    """Every input pixel gathers from the windows over it, so no two tasks write the same place."""
    for y in prange(height):
        total = np.empty(channels, np.float32)
        first_i, last_i = max(0, (y + ph - kh + sh) // sh), min(rows - 1, (y + ph) // sh)
        for x in range(width):
            start = x0 + y * x_row + x * channels
            target = dx[start : start + channels]
            for c in range(channels):
                total[c] = target[c] if mode & ACCUMULATE else np.float32(0)
            for i in range(first_i, last_i + 1):
                for j in range(max(0, (x + pw - kw + sw) // sw), min(columns - 1, (x + pw) // sw) + 1):
                    code = np.int16((y + ph - i * sh) * kw + x + pw - j * sw)
                    source = dy[d0 + i * d_row + j * channels : d0 + i * d_row + (j + 1) * channels]
                    where = index[(i * columns + j) * channels : (i * columns + j + 1) * channels]
                    for c in range(channels):
                        total[c] += source[c] if where[c] == code else np.float32(0)
            if mode & GATED:
                gates = gate[g0 + y * g_row + x * channels : g0 + y * g_row + (x + 1) * channels]
                for c in range(channels):
                    target[c] = total[c] if gates[c] > 0 else slope[c] * total[c]
            else:
                for c in range(channels):
                    target[c] = total[c]


@parallel_kernel
def avg_pool2d(x, x0, x_row, height, width, channels, kh, kw, sh, sw, ph, pw, out, o0, o_row, rows, columns):
    for i in prange(rows):
        tall = min(i * sh + kh, height + 2 * ph) - i * sh
        for j in range(columns):
            wide = min(j * sw + kw, width + 2 * pw) - j * sw
            share = np.float32(1) / np.float32(tall * wide)
            target = out[o0 + i * o_row + j * channels : o0 + i * o_row + (j + 1) * channels]
            target[:] = 0
            for a in range(max(0, ph - i * sh), min(kh, height + ph - i * sh)):
                for b in range(max(0, pw - j * sw), min(kw, width + pw - j * sw)):
                    start = x0 + (i * sh + a - ph) * x_row + (j * sw + b - pw) * channels
                    source = x[start : start + channels]
                    for c in range(channels):
                        target[c] += source[c]
            for c in range(channels):
                target[c] *= share


@parallel_kernel
def avg_pool2d_input_grad(
    dy, d0, d_row, rows, columns, channels, kh, kw, sh, sw, ph, pw, dx, x0, x_row, height, width,
    slope, mode, gate, g0, g_row,
):  # fmt: skip
    for y in prange(height):
        total = np.empty(channels, np.float32)
        first_i, last_i = max(0, (y + ph - kh + sh) // sh), min(rows - 1, (y + ph) // sh)
        for x in range(width):
            start = x0 + y * x_row + x * channels
            target = dx[start : start + channels]
            for c in range(channels):
                total[c] = target[c] if mode & ACCUMULATE else np.float32(0)
            for i in range(first_i, last_i + 1):
                tall = min(i * sh + kh, height + 2 * ph) - i * sh
                for j in range(max(0, (x + pw - kw + sw) // sw), min(columns - 1, (x + pw) // sw) + 1):
                    wide = min(j * sw + kw, width + 2 * pw) - j * sw
                    share = np.float32(1) / np.float32(tall * wide)
                    source = dy[d0 + i * d_row + j * channels : d0 + i * d_row + (j + 1) * channels]
                    for c in range(channels):
                        total[c] += share * source[c]
            if mode & GATED:
                gates = gate[g0 + y * g_row + x * channels : g0 + y * g_row + (x + 1) * channels]
                for c in range(channels):
                    target[c] = total[c] if gates[c] > 0 else slope[c] * total[c]
            else:
                for c in range(channels):
                    target[c] = total[c]
