"""Winograd convolution layers of the fast kernel set: weights transformed once, buffers handed to `numba_ops.winograd`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels import tile_modes
from minitorch_style.kernels.buffers import Array, Buffer, Gate
from minitorch_style.kernels.numba_ops import microkernel, winograd
from minitorch_style.kernels.numba_ops.compilation import compute_lock, threads
from minitorch_style.kernels.numba_workspace import NOTHING, Layer, gate_parts, mode_of
from minitorch_style.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

Codes: TypeAlias = npt.NDArray[np.int8]
NO_CODES = np.zeros(1, np.int8)
FUSED_MAX_WEIGHTS = 128 * 128  # in × out; beyond, the 36 matrices leave no room for tiles in a 1 MB L2
FUSED_BLOCK_FLOATS = 150_000  # transformed tiles of one thread: about 600 KB
PHASED_CHUNK_TILES = 128


@dataclass
class _Side:
    """One direction of a Winograd convolution."""

    weight: Array
    width: int
    depth: int
    channels: int


@dataclass
class Winograd(Layer):
    """3×3, stride 1, dilation 1, padding 1: F(4×4, 3×3), the gradient by the same code with turned weights. With `pool`
    one of 2×2 and stride 2 follows, and buffers on that side have its shape."""

    pool: MaxPool2d | AvgPool2d | None = None
    algorithm: str = "winograd"
    input_margin: int = 1
    input_slack: int = 0
    grad_margin: int = 1
    grad_slack: int = 0
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        share, weight = self.workspace.packed, self.weight
        transformed = share(weight, "winograd", lambda: winograd.transform_weight(weight))
        self._forward = _Side(*transformed, spec.in_channels, spec.out_channels)
        self.nbytes = self._forward.weight.nbytes
        if self.gradient:
            turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
            transformed = share(weight, "winograd back", lambda: winograd.transform_weight(turned))
            self._backward = _Side(*transformed, spec.out_channels, spec.in_channels)
            self.nbytes += self._backward.weight.nbytes
        self._codes: Codes | None = None
        self._pooling, self._pool_slope = 0, NOTHING
        if self.pool is not None:
            rows, columns, channels = spec.output_shape(self.shape)
            largest = isinstance(self.pool, MaxPool2d)
            self.algorithm = f"winograd, {'max' if largest else 'average'} pool"
            self._pooling = winograd.MAX if largest else winograd.AVERAGE
            # Like a buffer with a margin: the windows of the gradient reach one pixel beyond.
            self._codes_shape = (-(-rows // 8) * 4 + 2, -(-columns // 8) * 4 + 2, channels)
            self.nbytes += math.prod(self._codes_shape)
            self._pool_slope = np.ones(channels, np.float32) if self.slope is None else self.slope

    @staticmethod
    def supports(spec: Conv2d) -> bool:
        fits = spec.in_channels % winograd.LANES == 0 and spec.out_channels % winograd.LANES == 0
        return fits and spec.kernel_size == (3, 3) and spec.stride == spec.dilation == spec.padding == (1, 1)

    @property
    def pooled(self) -> bool:
        return self.pool is not None

    @staticmethod
    def pools(spec: MaxPool2d | AvgPool2d, shape: Shape) -> bool:
        """Whether a convolution with output `shape` can do this pool as well."""
        halves = spec.kernel_size == spec.stride == (2, 2) and spec.padding == (0, 0)
        return halves and shape[0] % 2 == shape[1] % 2 == 0 and shape[2] % winograd.VECTOR_WIDTH == 0

    def _run(
        self,
        side: _Side,
        x: Buffer,
        out: Buffer,
        bias: Array,
        slope: Array,
        mode: int,
        gate: Gate | None,
        pooling: int,
    ) -> None:
        rows, columns, channels = *self.shape[:2], side.channels
        count = -(-rows // 4) * -(-columns // 4)
        tile_m = microkernel.tile_rows(side.width)
        padded = -(-channels // side.width) * side.width
        if side.depth * channels <= FUSED_MAX_WEIGHTS:
            fit = FUSED_BLOCK_FLOATS // (winograd.POINTS * (side.depth + padded))
            block = min(max(tile_m, fit // tile_m * tile_m), count)
            function, workers = winograd.fused, threads()
        else:
            block = min(PHASED_CHUNK_TILES // tile_m * tile_m, count)
            function, workers = winograd.phased, 1
        capacity = -(-block // tile_m) * tile_m
        transformed = workers * winograd.POINTS * capacity
        _, output, origin, gate_row = gate_parts(gate)
        codes, codes_row, codes_channels = NO_CODES, 0, 0
        if pooling:
            if self._codes is None:
                self._codes = np.zeros(math.prod(self._codes_shape), np.int8)
            codes, codes_channels = self._codes, self._codes_shape[2]
            codes_row = self._codes_shape[1] * codes_channels
        codes_start = 0 if pooling & winograd.BACK else codes_row + codes_channels
        with compute_lock:
            v, m = self.workspace.take(transformed * side.depth, transformed * padded)
            function(
                x.flat,
                x.origin - x.row_step - side.depth,
                x.row_step,
                side.depth,
                side.weight,
                side.width,
                tile_m,
                out.flat,
                out.origin,
                out.row_step,
                rows,
                columns,
                channels,
                bias,
                slope,
                mode,
                output,
                origin,
                gate_row,
                v,
                m,
                capacity,
                block,
                workers,
                codes,
                codes_start,
                codes_row,
                pooling,
                self._pool_slope,
            )

    def forward(self, x: Buffer, out: Buffer) -> None:
        mode, slope = (0, self.bias) if self.slope is None else (tile_modes.ACTIVATE, self.slope)
        self._run(self._forward, x, out, self.bias, slope, mode, None, self._pooling)

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        zero = np.zeros(self.spec.in_channels, np.float32)
        slope = zero if gate is None else gate.slope
        pooling = self._pooling | winograd.BACK if self._pooling else 0
        self._run(self._backward, dy, dx, zero, slope, mode_of(accumulate, gate), gate, pooling)
