"""The fast kernel set: chooses an algorithm for each convolution and hands flat buffers to `numba_ops`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.buffers import Array, Buffer, Gate, Halves
from minitorch_style.kernels.numba_direct import Direct
from minitorch_style.kernels.numba_ops import direct, gram, halving, microkernel, pointwise, pooling, vectors, winograd
from minitorch_style.kernels.numba_ops.compilation import compute_lock
from minitorch_style.kernels.numba_winograd import Winograd
from minitorch_style.kernels.numba_workspace import NOTHING, Workspace, gate_parts, mode_of
from minitorch_style.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

FEW_CHANNELS = 3  # too few to fill a vector: a row is taken as one long pixel


def _pool_geometry(spec: MaxPool2d | AvgPool2d) -> tuple[int, ...]:
    return (*spec.kernel_size, *spec.stride, *spec.padding)


class NumbaKernels:
    name = "numba"
    algorithms = ("direct", "winograd")

    def __init__(self) -> None:
        self._workspace = Workspace()

    def convolution(
        self,
        spec: Conv2d,
        weight: Array,
        bias: Array | None,
        slope: Array | None,
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
                                   f"padding 1 and channels that are multiples of {winograd.LANES}")  # fmt: skip
        if algorithm is None:
            algorithm = "winograd" if Winograd.supports(spec) else "direct"
        offsets = np.zeros(spec.out_channels, np.float32) if bias is None else bias
        if algorithm == "winograd":
            if pool is not None and not Winograd.pools(pool, spec.output_shape(shape)):
                pool = None
            return Winograd(spec, weight, offsets, slope, shape, gradient, self._workspace, pool)
        return Direct(spec, weight, offsets, slope, shape, gradient, self._workspace)

    def max_pool2d(self, x: Buffer, spec: MaxPool2d, out: Buffer, index: npt.NDArray[np.int16]) -> None:
        geometry = _pool_geometry(spec)
        if halving.supports(geometry, x.shape):
            with compute_lock:
                halving.max_pool2d(
                    x.flat, x.origin, x.row_step, x.shape[2], out.flat, out.origin, out.row_step, *out.shape[:2],
                    index.reshape(-1),
                )  # fmt: skip
            return
        with compute_lock:
            pooling.max_pool2d(
                x.flat, x.origin, x.row_step, *x.shape, *geometry,
                out.flat, out.origin, out.row_step, *out.shape[:2], index.reshape(-1),
            )  # fmt: skip

    def max_pool2d_input_grad(
        self, dy: Buffer, index: npt.NDArray[np.int16], spec: MaxPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        slope, output, origin, row_step = gate_parts(gate)
        geometry = _pool_geometry(spec)
        if halving.supports(geometry, dx.shape):
            with compute_lock:
                halving.max_pool2d_input_grad(
                    dy.flat, dy.origin, dy.row_step, *dy.shape[:2], index.reshape(-1), dy.shape[2],
                    dx.flat, dx.origin, dx.row_step, slope, mode_of(accumulate, gate), output, origin, row_step,
                )  # fmt: skip
            return
        with compute_lock:
            pooling.max_pool2d_input_grad(
                dy.flat, dy.origin, dy.row_step, *dy.shape[:2], index.reshape(-1), dy.shape[2], *geometry,
                dx.flat, dx.origin, dx.row_step, *dx.shape[:2], slope, mode_of(accumulate, gate), output, origin, row_step,
            )  # fmt: skip

    def avg_pool2d(self, x: Buffer, spec: AvgPool2d, out: Buffer) -> None:
        geometry = _pool_geometry(spec)
        if halving.supports(geometry, x.shape):
            with compute_lock:
                halving.avg_pool2d(
                    x.flat, x.origin, x.row_step, x.shape[2], out.flat, out.origin, out.row_step, *out.shape[:2]
                )
            return
        with compute_lock:
            pooling.avg_pool2d(
                x.flat, x.origin, x.row_step, *x.shape, *geometry,
                out.flat, out.origin, out.row_step, *out.shape[:2],
            )  # fmt: skip

    def avg_pool2d_input_grad(
        self, dy: Buffer, spec: AvgPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        slope, output, origin, row_step = gate_parts(gate)
        geometry = _pool_geometry(spec)
        if halving.supports(geometry, dx.shape):
            with compute_lock:
                halving.avg_pool2d_input_grad(
                    dy.flat, dy.origin, dy.row_step, *dy.shape[:2], dy.shape[2],
                    dx.flat, dx.origin, dx.row_step, slope, mode_of(accumulate, gate), output, origin, row_step,
                )  # fmt: skip
            return
        with compute_lock:
            pooling.avg_pool2d_input_grad(
                dy.flat, dy.origin, dy.row_step, *dy.shape[:2], dy.shape[2], *geometry,
                dx.flat, dx.origin, dx.row_step, *dx.shape[:2], slope, mode_of(accumulate, gate), output, origin, row_step,
            )  # fmt: skip

    def leaky(self, x: Buffer, slope: Array, out: Buffer) -> None:
        with compute_lock:
            pointwise.leaky(x.flat, x.origin, x.row_step, slope, out.flat, out.origin, out.row_step, *out.shape[:2])

    def affine(self, x: Buffer, weight: Array, bias: Array, out: Buffer) -> None:
        self._affine(x, weight, bias, out, 0, False)

    def _affine(self, x: Buffer, weight: Array, bias: Array, out: Buffer, first: int, accumulate: bool) -> None:
        """Into the channels `first` … of out."""
        rows, columns, channels = out.shape
        if x.shape[2] == channels <= FEW_CHANNELS:
            weight, bias, columns = np.tile(weight, columns), np.tile(bias, columns), 1
        with compute_lock:
            pointwise.affine(
                x.flat, x.origin, x.row_step, x.shape[2], weight, bias,
                out.flat, out.origin + first, out.row_step, channels, rows, columns, accumulate,
            )  # fmt: skip

    def binarize(self, x: Buffer, threshold: Array, low: Array, high: Array, out: Buffer) -> None:
        with compute_lock:
            pointwise.binarize(
                x.flat, x.origin, x.row_step, threshold, low, high, out.flat, out.origin, out.row_step, *out.shape[:2]
            )

    def binarize_input_grad(
        self, dy: Buffer, x: Buffer, threshold: Array, reach: Array, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        slope, output, origin, row_step = gate_parts(gate)
        with compute_lock:
            pointwise.binarize_input_grad(
                dy.flat, dy.origin, dy.row_step, x.flat, x.origin, x.row_step, threshold, reach,
                dx.flat, dx.origin, dx.row_step, *dx.shape[:2], slope, mode_of(accumulate, gate), output, origin, row_step,
            )  # fmt: skip

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
        weight: Array,
        dx: Buffer,
        accumulate: bool,
        gate: Gate | None,
        own: Gate | None = None,
    ) -> None:
        slope, output, origin, row_step = gate_parts(gate)
        own_slope, own_input, own_origin, own_row = gate_parts(own)
        rows, columns, channels = dx.shape
        if dy.shape[2] == channels <= FEW_CHANNELS:
            weight, slope, own_slope = (np.tile(array, columns) for array in (weight, slope, own_slope))
            columns = 1
        with compute_lock:
            pointwise.pass_gradient(
                dy.flat, dy.origin + first, dy.row_step, dy.shape[2], weight,
                own_input, own_origin, own_row, own_slope,
                dx.flat, dx.origin, dx.row_step, rows, columns,
                slope, mode_of(accumulate, gate), output, origin, row_step, own is not None,
            )  # fmt: skip

    def leaky_input_grad(
        self, dy: Buffer, x: Buffer, slope: Array, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self._pass(dy, 0, np.ones(dx.shape[2], np.float32), dx, accumulate, gate, own=Gate(x, slope))

    def affine_input_grad(self, dy: Buffer, weight: Array, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        self._pass(dy, 0, weight, dx, accumulate, gate)

    def channels_input_grad(self, dy: Buffer, first: int, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        self._pass(dy, first, np.ones(dx.shape[2], np.float32), dx, accumulate, gate)

    def gate(self, gradient: Buffer, gate: Gate) -> None:
        self._pass(gradient, 0, np.ones(gradient.shape[2], np.float32), gradient, False, gate)

    def narrow(self, x: Array, out: Halves) -> None:
        with compute_lock:
            vectors.narrow(x, out)

    def inner_products(self, rows: Halves, columns: Array) -> npt.NDArray[np.float64]:
        out = np.empty((rows.shape[0], columns.shape[0]))
        partial = np.zeros((-(-rows.shape[1] // vectors.CHUNK), *out.shape))
        with compute_lock:
            vectors.inner_products(rows, columns, partial, out)
        return out

    def combination(
        self, coefficients: npt.NDArray[np.float64], rows: Halves, factor: float, vector: Array, out: Array
    ) -> None:
        with compute_lock:
            vectors.combination(coefficients.astype(np.float32), rows, np.float32(factor), vector, out)

    def tap_slack(self, channels: int) -> int:
        width = microkernel.panel_width(channels)
        return max(direct.overread(width, channels), gram.overread(width))

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]:
        rows, columns, channels = features.shape
        width = microkernel.panel_width(channels)
        narrow = gram.diagonal_width(width)
        sums = np.zeros((gram.shares(channels, rows * columns), channels, channels))
        with compute_lock:
            gram.gram(
                features.flat, features.origin, features.row_step, rows, columns, channels, width,
                microkernel.tile_rows(width), narrow, microkernel.tile_rows(narrow), sums,
            )  # fmt: skip
        whole: npt.NDArray[np.float64] = sums[0]
        return whole

    def product(self, features: Buffer, matrix: Array, out: Buffer, accumulate: bool) -> None:
        packed, width = direct.pack_panels(matrix)
        rows, columns, channels = out.shape
        zero = np.zeros(channels, np.float32)
        with compute_lock:
            direct.tiled_product(
                features.flat, features.origin, features.row_step, features.shape[2], packed, width,
                microkernel.tile_rows(width), 1, 0, 1, 0, features.shape[2], out.flat, out.origin, out.row_step,
                channels, rows, columns, channels, zero, zero, mode_of(accumulate, None), NOTHING, 0, 0, 0,
            )  # fmt: skip
