"""Winograd convolution layers of the fast kernel set: buffers handed to `stages`, with weights
transformed once where these are few."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from minitorch_style.kernels.buffers import Buffer, Gate, MapView
from minitorch_style.kernels.codegen.modes import ACTIVATE, GATED
from minitorch_style.kernels.fast import microkernel
from minitorch_style.kernels.fast.arguments import NOTHING, NOWHERE, Epilogue, Extent, Panels, part
from minitorch_style.kernels.fast.direct import packed_floats
from minitorch_style.kernels.fast.target import LANES
from minitorch_style.kernels.fast.threads import compute_lock, threads
from minitorch_style.kernels.fast.winograd import blocking
from minitorch_style.kernels.fast.winograd import stages as winograd
from minitorch_style.kernels.fast.winograd.arguments import (
    AVERAGE,
    MAX,
    NO_POOL,
    NONE,
    Codes,
    Phases,
    Points,
    Pool,
    Scratch,
    Slices,
    Target,
    Weights,
)
from minitorch_style.kernels.fast.winograd.blocking import POINTS
from minitorch_style.kernels.fast.workspace import Layer
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d

FUSED_MAX_WEIGHTS = 128 * 128  # in × out; beyond, the 36 matrices leave no room for tiles in a 1 MB L2
PHASED_WIDTH = min(32, microkernel.PANELS[0])


@dataclass
class _Side:
    """One direction of a Winograd convolution: with weights transformed and packed once, or made on the spot (`phased`)."""

    back: bool
    depth: int
    channels: int
    width: int
    phased: bool


@dataclass
class Winograd(Layer):
    """3×3, stride 1, dilation 1, padding 1: F(4×4, 3×3), the gradient by the same code with turned weights. With `pool`
    one of 2×2 and stride 2 over even sides follows, and buffers on that side have its shape."""

    pool: MaxPool2d | AvgPool2d | None = None
    algorithm: str = "winograd"
    fused_pool: str | None = field(init=False, default=None)
    input_margin: int = 1
    input_slack: int = 0
    grad_margin: int = 1
    grad_slack: int = 0
    nbytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        spec = self.spec
        self._forward = self._side(False, spec.in_channels, spec.out_channels)
        if self.gradient:
            self._backward = self._side(True, spec.out_channels, spec.in_channels)
        self._codes: Codes | None = None
        self._kind = NONE
        self._slope = np.ones(spec.out_channels, np.float32) if self.slope is None else self.slope
        self._activation = Epilogue(self.bias, self._slope, ACTIVATE, NOWHERE)
        self._input, self._output = Extent(*self.shape), Extent(*self.shape[:2], spec.out_channels)
        self._ones = np.ones(spec.in_channels, np.float32)
        self._nothing_to_add = MapView(np.zeros(spec.in_channels, np.float32), 0, 0, 0)
        if self.pool is not None:
            rows, columns, channels = spec.output_shape(self.shape)
            self.fused_pool = "max" if isinstance(self.pool, MaxPool2d) else "average"
            self._kind = MAX if self.fused_pool == "max" else AVERAGE
            # Like a buffer with a margin: the windows of the gradient reach one pixel beyond.
            self._codes_shape = (-(-rows // 8) * 4 + 2, -(-columns // 8) * 4 + 2, channels)
            self.nbytes += math.prod(self._codes_shape)

    def _side(self, back: bool, depth: int, channels: int) -> _Side:
        if depth * channels > FUSED_MAX_WEIGHTS:
            return _Side(back, depth, channels, PHASED_WIDTH, True)
        self.nbytes += 4 * POINTS * packed_floats(depth, channels)
        return _Side(back, depth, channels, microkernel.panel_width(channels), False)

    def packed(self, back: bool) -> Panels:
        """The transformed weights of either direction as the kernel reads them; packed at the first call."""
        weight, share = self.weight, self.workspace.packed.of
        if not back:
            return share(weight, "winograd", lambda: winograd.transform_weight(weight))
        turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
        return share(weight, "winograd back", lambda: winograd.transform_weight(turned))

    @staticmethod
    def supports(spec: Conv2d) -> bool:
        fits = spec.in_channels % LANES == 0 and spec.out_channels % LANES == 0
        return fits and spec.kernel_size == (3, 3) and spec.stride == spec.dilation == spec.padding == (1, 1)

    def _run(self, side: _Side, x: Buffer, target: Target) -> None:
        rows, columns = self.shape[:2]
        across = -(-columns // 4)
        tiles, height = -(-rows // 4) * across, microkernel.tile_rows(side.width)
        padded = -(-side.channels // side.width) * side.width
        blocks = blocking.blocking(tiles, side.depth, padded, height, side.phased, threads())
        source, pool = part(x.view, (-1, -1)), self._pooled(side.back)
        with compute_lock:
            if not side.phased:
                v, m = self.workspace.take(*blocks.floats)
                scratch = Scratch(Points(v, *blocks.v), Points(m, *blocks.m))
                weights, copies, back = self.packed(side.back), blocks.copies, side.back
                winograd.fused(copies, copies, blocks.block, source, weights, scratch, target, back, pool)
            else:
                workers, step = threads(), blocking.slice_step(side.width)
                v, m, taps, points = self.workspace.take(*blocks.floats, 9 * workers * step, 6 * workers * step)
                scratch = Scratch(Points(v, *blocks.v), Points(m, *blocks.m))
                slices = Slices(taps.reshape(workers, -1), points.reshape(workers, -1), step)
                panels = padded // side.width
                parts = blocking.parts(panels, workers)
                phases = Phases(workers, panels * parts, parts, side.width, height)
                plain = Weights(self.weight.reshape(-1), self.spec.in_channels, self.spec.out_channels, side.back)
                for first in range(0, tiles, blocks.block):
                    some = min(blocks.block, tiles - first)
                    winograd.windows(some, first, across, source, side.back, pool, scratch.v)
                    winograd.multiplied(workers, phases, some, plain, scratch, slices)
                    winograd.delivered(some, first, across, scratch.m, target, side.back, pool)

    def _pooled(self, back: bool) -> Pool:
        """The pool with the codes that the forward pass writes, or those that the gradient's windows read."""
        if self._kind == NONE:
            return NO_POOL
        if self._codes is None:
            self._codes = np.zeros(math.prod(self._codes_shape), np.int8)
        _, columns, channels = self._codes_shape
        row = columns * channels
        return Pool(self._kind, self._codes, 0 if back else row + channels, row, self._slope)

    def forward(self, x: Buffer, out: Buffer) -> None:
        self._run(self._forward, x, Target(out.view, self._output, self._activation, NOWHERE))

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        gates, slope = (dx.view, self._ones) if gate is None else (gate.output.view, gate.slope)  # times one, whatever
        epilogue = Epilogue(NOTHING, slope, GATED, gates)
        add = dx.view if accumulate else self._nothing_to_add
        self._run(self._backward, dy, Target(dx.view, self._input, epilogue, add))
