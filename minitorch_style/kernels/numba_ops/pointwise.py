"""What happens to each value by itself: activations, scales, sums, and the passing on of gradients."""

from __future__ import annotations

from minitorch_style.kernels.numba_ops.compilation import parallel_kernel, prange, types
from minitorch_style.kernels.tile_modes import ACCUMULATE, GATED


@parallel_kernel
def leaky(x, x0, x_row, slope, out, o0, o_row, rows, columns):
    channels = slope.size
    for i in prange(rows):
        for j in range(columns):
            source = x[x0 + i * x_row + j * channels : x0 + i * x_row + (j + 1) * channels]
            target = out[o0 + i * o_row + j * channels : o0 + i * o_row + (j + 1) * channels]
            for c in range(channels):
                target[c] = source[c] if source[c] > 0 else slope[c] * source[c]


@parallel_kernel
def affine(x, x0, x_row, x_col, weight, bias, out, o0, o_row, o_col, rows, columns, accumulate):
    """out = weight[c] · x + bias[c] (+ out) over the first `weight.size` channels of both."""
    channels = weight.size
    for i in prange(rows):
        for j in range(columns):
            source = x[x0 + i * x_row + j * x_col : x0 + i * x_row + j * x_col + channels]
            target = out[o0 + i * o_row + j * o_col : o0 + i * o_row + j * o_col + channels]
            if accumulate:
                for c in range(channels):
                    target[c] += weight[c] * source[c] + bias[c]
            else:
                for c in range(channels):
                    target[c] = weight[c] * source[c] + bias[c]


@parallel_kernel
def pass_gradient(
    dy, d0, d_row, d_col, weight, own, a0, a_row, own_slope, dx, x0, x_row, rows, columns,
    slope, mode, gate, g0, g_row, activated,
):  # fmt: skip
    """dx = weight[c] · dy, through the layer's own activation (input `own`) if `activated`, then as `mode` says."""
    channels = weight.size
    for i in prange(rows):
        for j in range(columns):
            source = dy[d0 + i * d_row + j * d_col : d0 + i * d_row + j * d_col + channels]
            target = dx[x0 + i * x_row + j * channels : x0 + i * x_row + (j + 1) * channels]
            inputs = own[a0 + i * a_row + j * channels : a0 + i * a_row + (j + 1) * channels]
            gates = gate[g0 + i * g_row + j * channels : g0 + i * g_row + (j + 1) * channels]
            for c in range(channels):
                value = weight[c] * source[c]
                if activated and not inputs[c] > 0:
                    value *= own_slope[c]
                if mode & ACCUMULATE:
                    value += target[c]
                if mode & GATED and not gates[c] > 0:
                    value *= slope[c]
                target[c] = value


@parallel_kernel
def binarize(x, x0, x_row, threshold, low, high, out, o0, o_row, rows, columns):
    channels = threshold.size
    for i in prange(rows):
        for j in range(columns):
            source = x[x0 + i * x_row + j * channels : x0 + i * x_row + (j + 1) * channels]
            target = out[o0 + i * o_row + j * channels : o0 + i * o_row + (j + 1) * channels]
            for c in range(channels):
                target[c] = high[c] if source[c] > threshold[c] else low[c]


@parallel_kernel
def binarize_input_grad(
    dy, d0, d_row, x, a0, a_row, threshold, reach, dx, x0, x_row, rows, columns, slope, mode, gate, g0, g_row
):  # fmt: skip
    channels = threshold.size
    for i in prange(rows):
        for j in range(columns):
            source = dy[d0 + i * d_row + j * channels : d0 + i * d_row + (j + 1) * channels]
            inputs = x[a0 + i * a_row + j * channels : a0 + i * a_row + (j + 1) * channels]
            target = dx[x0 + i * x_row + j * channels : x0 + i * x_row + (j + 1) * channels]
            gates = gate[g0 + i * g_row + j * channels : g0 + i * g_row + (j + 1) * channels]
            for c in range(channels):
                value = source[c] if abs(inputs[c] - threshold[c]) <= reach[c] else types.float32(0)
                if mode & ACCUMULATE:
                    value += target[c]
                if mode & GATED and not gates[c] > 0:
                    value *= slope[c]
                target[c] = value
