"""Max and average pooling over flat channels-last arrays; one row of the written array is one task."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.modes import ACCUMULATE, GATED
from minitorch_style.kernels.fast.arguments import Epilogue, Extent, Window
from minitorch_style.kernels.fast.compilation import inlined_kernel, parallel_kernel

Codes: TypeAlias = npt.NDArray[np.int16]


@inlined_kernel
def _deliver(total, target, epilogue: Epilogue, y, x):
    """Writes the gradient of pixel (y, x), times the derivative that its gate tells."""
    if epilogue.mode & GATED:
        gate, slope = epilogue.gate, epilogue.slope
        at = gate.origin + y * gate.row + x * total.size
        gates = gate.data[at : at + total.size]
        for c in range(total.size):
            target[c] = total[c] if gates[c] > 0 else slope[c] * total[c]
    else:
        for c in range(total.size):
            target[c] = total[c]


@parallel_kernel
def max_pool2d(i: int, x: MapView, size: Extent, window: Window, out: MapView, columns: int, index: Codes) -> None:
    """`size` is that of x."""
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = size
    for j in range(columns):
        at = out.origin + i * out.row + j * channels
        target = out.data[at : at + channels]
        where = index[(i * columns + j) * channels : (i * columns + j + 1) * channels]
        target[:] = -np.inf
        where[:] = 0
        for a in range(max(0, ph - i * sh), min(kh, height + ph - i * sh)):
            for b in range(max(0, pw - j * sw), min(kw, width + pw - j * sw)):
                start = x.origin + (i * sh + a - ph) * x.row + (j * sw + b - pw) * channels
                source = x.data[start : start + channels]
                code = np.int16(a * kw + b)
                for c in range(channels):
                    larger = source[c] > target[c]
                    target[c] = source[c] if larger else target[c]
                    where[c] = code if larger else where[c]


@parallel_kernel
def max_pool2d_input_grad(
    y: int, dy: MapView, size: Extent, index: Codes, window: Window, dx: MapView, width: int, epilogue: Epilogue
) -> None:
    """Every input pixel gathers from the windows over it, so no two tasks write the same place. `size` is that of dy."""
    kh, kw, sh, sw, ph, pw = window
    rows, columns, channels = size
    total = np.empty(channels, np.float32)
    first_i, last_i = max(0, (y + ph - kh + sh) // sh), min(rows - 1, (y + ph) // sh)
    for x in range(width):
        start = dx.origin + y * dx.row + x * channels
        target = dx.data[start : start + channels]
        for c in range(channels):
            total[c] = target[c] if epilogue.mode & ACCUMULATE else np.float32(0)
        for i in range(first_i, last_i + 1):
            for j in range(max(0, (x + pw - kw + sw) // sw), min(columns - 1, (x + pw) // sw) + 1):
                code = np.int16((y + ph - i * sh) * kw + x + pw - j * sw)
                at = dy.origin + i * dy.row + j * channels
                source = dy.data[at : at + channels]
                where = index[(i * columns + j) * channels : (i * columns + j + 1) * channels]
                for c in range(channels):
                    total[c] += source[c] if where[c] == code else np.float32(0)
        _deliver(total, target, epilogue, y, x)


@parallel_kernel
def avg_pool2d(i: int, x: MapView, size: Extent, window: Window, out: MapView, columns: int) -> None:
    """`size` is that of x."""
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = size
    tall = min(i * sh + kh, height + 2 * ph) - i * sh
    for j in range(columns):
        wide = min(j * sw + kw, width + 2 * pw) - j * sw
        share = np.float32(1) / np.float32(tall * wide)
        at = out.origin + i * out.row + j * channels
        target = out.data[at : at + channels]
        target[:] = 0
        for a in range(max(0, ph - i * sh), min(kh, height + ph - i * sh)):
            for b in range(max(0, pw - j * sw), min(kw, width + pw - j * sw)):
                start = x.origin + (i * sh + a - ph) * x.row + (j * sw + b - pw) * channels
                source = x.data[start : start + channels]
                for c in range(channels):
                    target[c] += source[c]
        for c in range(channels):
            target[c] *= share


@parallel_kernel
def avg_pool2d_input_grad(
    y: int, dy: MapView, pooled: Extent, window: Window, dx: MapView, size: Extent, epilogue: Epilogue
) -> None:
    """`pooled` is the size of dy, `size` that of dx."""
    kh, kw, sh, sw, ph, pw = window
    rows, columns, channels = pooled
    total = np.empty(channels, np.float32)
    first_i, last_i = max(0, (y + ph - kh + sh) // sh), min(rows - 1, (y + ph) // sh)
    for x in range(size.columns):
        start = dx.origin + y * dx.row + x * channels
        target = dx.data[start : start + channels]
        for c in range(channels):
            total[c] = target[c] if epilogue.mode & ACCUMULATE else np.float32(0)
        for i in range(first_i, last_i + 1):
            tall = min(i * sh + kh, size.rows + 2 * ph) - i * sh
            for j in range(max(0, (x + pw - kw + sw) // sw), min(columns - 1, (x + pw) // sw) + 1):
                wide = min(j * sw + kw, size.columns + 2 * pw) - j * sw
                share = np.float32(1) / np.float32(tall * wide)
                at = dy.origin + i * dy.row + j * channels
                source = dy.data[at : at + channels]
                for c in range(channels):
                    total[c] += share * source[c]
        _deliver(total, target, epilogue, y, x)
