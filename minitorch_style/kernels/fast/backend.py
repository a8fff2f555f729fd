"""The fast kernel set: chooses an algorithm for each convolution and hands flat buffers to the compiled ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Float64
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.api import Places
from minitorch_style.kernels.buffers import Buffer, Gate, MapView, flattened
from minitorch_style.kernels.fast import direct, gram, microkernel, pointwise, pooling, resampling
from minitorch_style.kernels.fast import pool2x2 as halving
from minitorch_style.kernels.fast.arguments import NOTHING, NOWHERE, Extent, Taps, Window, gradient_epilogue
from minitorch_style.kernels.fast.direct_layer import Direct
from minitorch_style.kernels.fast.target import LANES
from minitorch_style.kernels.fast.threads import compute_lock
from minitorch_style.kernels.fast.winograd.layer import Winograd
from minitorch_style.kernels.fast.workspace import Workspace
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

FEW_CHANNELS = 3  # too few to fill a vector: a row is taken as one long pixel


def _from_channel(buffer: Buffer, first: int) -> MapView:
    data, origin, row, col = buffer.view
    return MapView(data, origin + first, row, col) if first else buffer.view


def _window(spec: MaxPool2d | AvgPool2d) -> Window:
    return Window(*spec.kernel_size, *spec.stride, *spec.padding)


class NumbaKernels:
    name = "numba"
    algorithms = ("direct", "winograd")

    def __init__(self) -> None:
        self._workspace = Workspace()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Sent to another process without what is packed: it packs its own."""
        return NumbaKernels, ()

    def convolution(
        self,
        spec: Conv2d,
        weight: Float32,
        bias: Float32 | None,
        slope: Float32 | None,
        shape: Shape,
        gradient: bool,
        algorithm: str | None,
        pool: MaxPool2d | AvgPool2d | None = None,
    ) -> Direct | Winograd:
        if algorithm not in (None, *self.algorithms):
            raise UnsupportedError(f"the numba kernels have no convolution algorithm {algorithm!r}, only "
                                   f"{' and '.join(self.algorithms)}")  # fmt: skip
        if algorithm == "winograd" and not Winograd.supports(spec):
            raise UnsupportedError(f"winograd cannot compute {spec}: it takes 3×3 kernels with stride, dilation and "
                                   f"padding 1 and channels that are multiples of {LANES}")  # fmt: skip
        if algorithm is None:
            algorithm = "winograd" if Winograd.supports(spec) else "direct"
        offsets = np.zeros(spec.out_channels, np.float32) if bias is None else bias
        if algorithm == "winograd":
            if pool is not None and not halving.halves(pool, spec.output_shape(shape)):
                pool = None
            return Winograd(spec, weight, offsets, slope, shape, gradient, self._workspace, pool)
        return Direct(spec, weight, offsets, slope, shape, gradient, self._workspace)

    def max_pool2d(self, x: Buffer, spec: MaxPool2d, out: Buffer, index: npt.NDArray[np.int16]) -> None:
        codes, (rows, columns, _) = index.reshape(-1), out.shape
        with compute_lock:
            if halving.supports(spec, x.shape):
                halving.max_pool2d(rows, x.view, out.view, columns, codes)
            else:
                pooling.max_pool2d(rows, x.view, Extent(*x.shape), _window(spec), out.view, columns, codes)

    def max_pool2d_input_grad(
        self, dy: Buffer, index: npt.NDArray[np.int16], spec: MaxPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        codes, (rows, columns, _) = index.reshape(-1), dy.shape
        epilogue = gradient_epilogue(NOTHING, accumulate, gate)
        with compute_lock:
            if halving.supports(spec, dx.shape):
                halving.max_pool2d_input_grad(rows, dy.view, columns, codes, dx.view, epilogue)
            else:
                pooling.max_pool2d_input_grad(
                    dx.shape[0], dy.view, Extent(*dy.shape), codes, _window(spec), dx.view, dx.shape[1], epilogue
                )

    def avg_pool2d(self, x: Buffer, spec: AvgPool2d, out: Buffer) -> None:
        rows, columns, _ = out.shape
        with compute_lock:
            if halving.supports(spec, x.shape):
                halving.avg_pool2d(rows, x.view, out.view, columns)
            else:
                pooling.avg_pool2d(rows, x.view, Extent(*x.shape), _window(spec), out.view, columns)

    def avg_pool2d_input_grad(
        self, dy: Buffer, spec: AvgPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        rows, columns, _ = dy.shape
        epilogue = gradient_epilogue(NOTHING, accumulate, gate)
        with compute_lock:
            if halving.supports(spec, dx.shape):
                halving.avg_pool2d_input_grad(rows, dy.view, columns, dx.view, epilogue)
            else:
                pooling.avg_pool2d_input_grad(
                    dx.shape[0], dy.view, Extent(*dy.shape), _window(spec), dx.view, Extent(*dx.shape), epilogue
                )

    def leaky(self, x: Buffer, slope: Float32, out: Buffer) -> None:
        with compute_lock:
            pointwise.leaky(out.shape[0], x.view, slope, out.view, out.shape[1])

    def affine(self, x: Buffer, weight: Float32, bias: Float32, out: Buffer) -> None:
        self._affine(x, weight, bias, out, 0, False)

    def _affine(self, x: Buffer, weight: Float32, bias: Float32, out: Buffer, first: int, accumulate: bool) -> None:
        """Into the channels `first` … of out."""
        rows, columns, channels = out.shape
        if x.shape[2] == channels <= FEW_CHANNELS:
            weight, bias, columns = np.tile(weight, columns), np.tile(bias, columns), 1
        with compute_lock:
            pointwise.affine(rows, x.view, weight, bias, _from_channel(out, first), columns, accumulate)

    def binarize(self, x: Buffer, threshold: Float32, low: Float32, high: Float32, out: Buffer) -> None:
        with compute_lock:
            pointwise.binarize(out.shape[0], x.view, threshold, low, high, out.view, out.shape[1])

    def binarize_input_grad(
        self, dy: Buffer, x: Buffer, threshold: Float32, reach: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        epilogue = gradient_epilogue(NOTHING, accumulate, gate)
        with compute_lock:
            pointwise.binarize_input_grad(
                dx.shape[0], dy.view, x.view, threshold, reach, dx.view, dx.shape[1], epilogue
            )

    def concat(self, inputs: list[Buffer], out: Buffer) -> None:
        first = 0
        for x in inputs:
            channels = x.shape[2]
            self._affine(x, np.ones(channels, np.float32), np.zeros(channels, np.float32), out, first, False)
            first += channels

    def add(self, inputs: list[Buffer], out: Buffer) -> None:
        widest = max(inputs, key=lambda x: x.shape[2])  # it alone writes every channel
        for x in (widest, *(x for x in inputs if x is not widest)):
            channels = x.shape[2]
            one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
            self._affine(x, one, zero, out, 0, accumulate=x is not widest)

    def _pass(
        self,
        dy: Buffer,
        first: int,
        weight: Float32,
        dx: Buffer,
        accumulate: bool,
        gate: Gate | None,
        own: Gate | None = None,
    ) -> None:
        epilogue = gradient_epilogue(NOTHING, accumulate, gate)
        inputs, own_slope = (NOWHERE, NOTHING) if own is None else (own.output.view, own.slope)
        rows, columns, channels = dx.shape
        if dy.shape[2] == channels <= FEW_CHANNELS:
            weight, slope, own_slope = (np.tile(array, columns) for array in (weight, epilogue.slope, own_slope))
            epilogue, columns = epilogue._replace(slope=slope), 1
        with compute_lock:
            pointwise.pass_gradient(
                rows, _from_channel(dy, first), weight, inputs, own_slope, own is not None, dx.view, columns, epilogue
            )

    def leaky_input_grad(
        self, dy: Buffer, x: Buffer, slope: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self._pass(dy, 0, np.ones(dx.shape[2], np.float32), dx, accumulate, gate, own=Gate(x, slope))

    def affine_input_grad(self, dy: Buffer, weight: Float32, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        self._pass(dy, 0, weight, dx, accumulate, gate)

    def channels_input_grad(self, dy: Buffer, first: int, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        self._pass(dy, first, np.ones(dx.shape[2], np.float32), dx, accumulate, gate)

    def gate(self, gradient: Buffer, gate: Gate) -> None:
        self._pass(gradient, 0, np.ones(gradient.shape[2], np.float32), gradient, False, gate)

    def combine_rows(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        self._combine(resampling.combine_rows, x, first, weights, out, accumulate)

    def combine_columns(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        self._combine(resampling.combine_columns, x, first, weights, out, accumulate)

    def _combine(
        self, combine: Any, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool
    ) -> None:
        with compute_lock:
            combine(
                out.shape[0],
                flattened(x),
                first,
                weights.reshape(-1),
                weights.shape[1],
                flattened(out),
                Extent(*out.shape),
                accumulate,
            )

    def tap_slack(self, channels: int, columns: int | None = None) -> int:
        width, other = microkernel.panel_width(channels), microkernel.panel_width(columns or channels)
        return max(direct.overread(other, channels), gram.overread(width))

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]:
        rows, columns, channels = features.shape
        width = microkernel.panel_width(channels)
        narrow = gram.diagonal_width(width)
        parts = gram.shares(channels, rows * columns)
        groups = gram.groups(channels, width, parts)
        sums = np.zeros((parts, channels, channels))
        with compute_lock:
            gram.products(
                parts * groups,
                groups,
                features.view,
                Extent(rows, columns, channels),
                gram.Tile(width, microkernel.tile_rows(width)),
                gram.Tile(narrow, microkernel.tile_rows(narrow)),
                sums,
            )
            if parts > 1:
                gram.total(channels, sums)
            gram.mirrored(-(-channels // gram.BLOCK), sums)
        whole: npt.NDArray[np.float64] = sums[0]
        return whole

    def matrix_product(self, left: Float64, right: Float64) -> Float64:
        out = np.empty_like(left)
        with compute_lock:
            gram.multiplied(-(-len(left) // gram.BLOCK), left, right, out)
        return out

    def product(
        self, features: Buffer, matrix: Float32, out: Buffer, accumulate: bool, bias: Float32 | None = None
    ) -> None:
        panels = direct.pack_panels(matrix)
        rows, columns, channels = out.shape
        zero = np.zeros(channels, np.float32)
        together = direct.together(rows, columns)
        with compute_lock:
            direct.tiled_product(
                -(-rows // together),
                together,
                features.view,
                Taps(1, 0, 1, 0, features.shape[2]),
                panels,
                out.view,
                Extent(rows, columns, channels),
                gradient_epilogue(zero if bias is None else bias, accumulate, None),
            )
