"""Winograd convolution layers of the fast kernel set: buffers handed to `numba_ops.winograd`, with weights
transformed once where these are few."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import LINE, Array, Buffer, Gate
from minitorch_style.kernels.numba_ops import microkernel, winograd
from minitorch_style.kernels.numba_ops.compilation import compute_lock, threads
from minitorch_style.kernels.numba_workspace import NOTHING, Layer, gate_parts
from minitorch_style.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

Codes: TypeAlias = npt.NDArray[np.int8]
NO_CODES = np.zeros(1, np.int8)
FUSED_MAX_WEIGHTS = 128 * 128  # in × out; beyond, the 36 matrices leave no room for tiles in a 1 MB L2
FUSED_BLOCK_FLOATS = 150_000  # transformed tiles of one thread: about 600 KB
# 13 MB of them: more would not stay in an L3 cache, fewer would have the weights made more often.
PHASED_CHUNK_FLOATS = 3_300_000
PHASED_WIDTH = min(32, microkernel.PANELS[0])


@dataclass
class _Side:
    """One direction of a Winograd convolution: with its transformed weights, or None where they are made on the spot."""

    depth: int
    channels: int
    width: int
    weight: Array | None


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
    nbytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        spec, weight = self.spec, self.weight
        self._forward = self._side(spec.in_channels, spec.out_channels, "winograd", weight)
        if self.gradient:
            turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
            self._backward = self._side(spec.out_channels, spec.in_channels, "winograd back", turned)
        self._codes: Codes | None = None
        self._pooling = 0
        self._slope = np.ones(spec.out_channels, np.float32) if self.slope is None else self.slope
        self._zeros, self._ones = np.zeros(spec.in_channels, np.float32), np.ones(spec.in_channels, np.float32)
        if self.pool is not None:
            rows, columns, channels = spec.output_shape(self.shape)
            largest = isinstance(self.pool, MaxPool2d)
            self.algorithm = f"winograd, {'max' if largest else 'average'} pool"
            self._pooling = winograd.MAX if largest else winograd.AVERAGE
            # Like a buffer with a margin: the windows of the gradient reach one pixel beyond.
            self._codes_shape = (-(-rows // 8) * 4 + 2, -(-columns // 8) * 4 + 2, channels)
            self.nbytes += math.prod(self._codes_shape)

    def _side(self, depth: int, channels: int, how: str, weight: Array) -> _Side:
        if depth * channels > FUSED_MAX_WEIGHTS:
            return _Side(depth, channels, PHASED_WIDTH, None)
        packed, width = self.workspace.packed(self.weight, how, lambda: winograd.transform_weight(weight))
        self.nbytes += packed.nbytes
        return _Side(depth, channels, width, packed)

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
        return halves and shape[0] % 2 == shape[1] % 2 == 0

    def _run(
        self,
        side: _Side,
        x: Buffer,
        out: Buffer,
        way: int,
        slope: Array,
        add: tuple[Array, int, int, int],
        gate: tuple[Array, int, int],
    ) -> None:
        rows, columns = self.shape[:2]
        count = -(-rows // 4) * -(-columns // 4)
        tile_m = microkernel.tile_rows(side.width)
        padded = -(-side.channels // side.width) * side.width
        floats, copies = (PHASED_CHUNK_FLOATS, 1) if side.weight is None else (FUSED_BLOCK_FLOATS, threads())
        fit = max(1, floats // (winograd.POINTS * (side.depth + padded)) // tile_m) * tile_m
        if side.weight is None:  # chunks of one size
            fit = -(-count // -(-count // fit) // tile_m) * tile_m
        block = min(fit, count)
        capacity = -(-block // tile_m) * tile_m
        # A line more keeps points, and wide rows, from falling into the same few sets of a cache; narrow rows would only grow.
        v_row, m_row = (row + LINE if row > 4 * LINE else row for row in (side.depth, padded))
        v_step, m_step = capacity * v_row + LINE, capacity * m_row + LINE
        codes, codes_start, codes_row = self._codes_place(way)
        whither = (out.flat, out.origin, out.row_step, rows, columns, side.channels, self.bias, slope, *add, *gate)
        behind = (codes, codes_start, codes_row, way, self._slope)
        source = (x.flat, x.origin - x.row_step - side.depth, x.row_step, side.depth)
        with compute_lock:
            scratch = [copies * winograd.POINTS * step for step in (v_step, m_step)]
            if side.weight is not None:
                v, m = self.workspace.take(*scratch)
                winograd.fused(
                    *source, side.weight, side.width, tile_m, *whither, v, m, v_row, v_step, m_row, m_step, block, copies,
                    *behind,
                )  # fmt: skip
            else:
                workers, panels = threads(), padded // side.width
                parts = next((few for few in (1, 2, 3) if panels * few >= 2 * workers), 6)
                u_step = winograd.SLICE * side.width + LINE
                v, m, *own = self.workspace.take(*scratch, 9 * workers * u_step, 6 * workers * u_step)
                taps, u = (floats.reshape(workers, -1) for floats in own)
                winograd.phased(
                    *source, self.weight.reshape(-1), *self.weight.shape[2:], side.width, tile_m, *whither, v, m,
                    v_row, v_step, m_row, m_step, taps, u, u_step, parts, block, workers, *behind,
                )  # fmt: skip

    def _codes_place(self, way: int) -> tuple[Codes, int, int]:
        """(codes, where the first is that this way writes or reads, row step)."""
        if not self._pooling:
            return NO_CODES, 0, 0
        if self._codes is None:
            self._codes = np.zeros(math.prod(self._codes_shape), np.int8)
        channels = self._codes_shape[2]
        row = self._codes_shape[1] * channels
        return self._codes, 0 if way & winograd.BACK else row + channels, row

    def forward(self, x: Buffer, out: Buffer) -> None:
        self._run(self._forward, x, out, self._pooling, self._slope, (NOTHING, 0, 0, 0), (NOTHING, 0, 0))

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        add = (dx.flat, dx.origin, dx.row_step, self.spec.in_channels) if accumulate else (self._zeros, 0, 0, 0)
        slope = self._ones if gate is None else gate.slope  # whatever its sign, times one
        _, output, origin, row_step = gate_parts(gate or Gate(dx, slope))
        self._run(self._backward, dy, dx, self._pooling | winograd.BACK, slope, add, (output, origin, row_step))
