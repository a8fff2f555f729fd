"""What happens to each value by itself: activations, scales, sums, and the passing on of gradients."""

from __future__ import annotations

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.modes import ACCUMULATE, GATED
from minitorch_style.kernels.fast.arguments import Epilogue
from minitorch_style.kernels.fast.compilation import inlined_kernel, parallel_kernel, types


@inlined_kernel
def _floats(view: MapView, i, first, count):
    """`count` floats of row i from `first` on."""
    start = view.origin + i * view.row + first
    return view.data[start : start + count]


@parallel_kernel
def leaky(i: int, x: MapView, slope: Float32, out: MapView, columns: int) -> None:
    channels = slope.size
    for j in range(columns):
        source, target = _floats(x, i, j * channels, channels), _floats(out, i, j * channels, channels)
        for c in range(channels):
            target[c] = source[c] if source[c] > 0 else slope[c] * source[c]


@parallel_kernel
def affine(i: int, x: MapView, weight: Float32, bias: Float32, out: MapView, columns: int, accumulate: bool) -> None:
    """out = weight[c] · x + bias[c] (+ out) over the first `weight.size` channels of both."""
    channels = weight.size
    for j in range(columns):
        source, target = _floats(x, i, j * x.col, channels), _floats(out, i, j * out.col, channels)
        if accumulate:
            for c in range(channels):
                target[c] += weight[c] * source[c] + bias[c]
        else:
            for c in range(channels):
                target[c] = weight[c] * source[c] + bias[c]


@parallel_kernel
def pass_gradient(
    i: int,
    dy: MapView,
    weight: Float32,
    own: MapView,
    own_slope: Float32,
    activated: bool,
    dx: MapView,
    columns: int,
    epilogue: Epilogue,
) -> None:
    """dx = weight[c] · dy, through the layer's own activation (input `own`) if `activated`, then the epilogue."""
    channels, mode, slope = weight.size, epilogue.mode, epilogue.slope
    for j in range(columns):
        source, target = _floats(dy, i, j * dy.col, channels), _floats(dx, i, j * channels, channels)
        inputs, gates = _floats(own, i, j * channels, channels), _floats(epilogue.gate, i, j * channels, channels)
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
def binarize(i: int, x: MapView, threshold: Float32, low: Float32, high: Float32, out: MapView, columns: int) -> None:
    channels = threshold.size
    for j in range(columns):
        source, target = _floats(x, i, j * channels, channels), _floats(out, i, j * channels, channels)
        for c in range(channels):
            target[c] = high[c] if source[c] > threshold[c] else low[c]


@parallel_kernel
def binarize_input_grad(
    i: int,
    dy: MapView,
    x: MapView,
    threshold: Float32,
    reach: Float32,
    dx: MapView,
    columns: int,
    epilogue: Epilogue,
) -> None:
    channels, mode, slope = threshold.size, epilogue.mode, epilogue.slope
    for j in range(columns):
        source, target = _floats(dy, i, j * channels, channels), _floats(dx, i, j * channels, channels)
        inputs, gates = _floats(x, i, j * channels, channels), _floats(epilogue.gate, i, j * channels, channels)
        for c in range(channels):
            value = source[c] if abs(inputs[c] - threshold[c]) <= reach[c] else types.float32(0)
            if mode & ACCUMULATE:
                value += target[c]
            if mode & GATED and not gates[c] > 0:
                value *= slope[c]
            target[c] = value
