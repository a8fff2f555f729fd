"""Direct convolution layers of the fast kernel set: weights packed once, buffers handed to `numba_ops.direct`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from minitorch_style.kernels import tile_modes
from minitorch_style.kernels.buffers import Array, Buffer, Gate
from minitorch_style.kernels.numba_ops import direct, microkernel, picture
from minitorch_style.kernels.numba_ops.compilation import compute_lock
from minitorch_style.kernels.numba_workspace import Layer, gate_parts, mode_of
from minitorch_style.layers import Conv2d


@dataclass
class _Phase:
    """The part of a direct convolution that writes every `stride`-th pixel: `taps` and offsets per axis."""

    start: tuple[int, int]  # first pixel written
    offset: tuple[int, int]  # the input pixel under its first tap
    taps: tuple[int, int]
    tap_step: tuple[int, int]
    weight: Array
    width: int
    depth: int


def _gradient_phases(spec: Conv2d, weight: Array) -> list[_Phase]:
    """The input gradient as convolutions of dy, one per residue of the input position modulo the stride.

    Input pixel i = r + s·q receives weight[a] · dy[(r + p − a·d)/s + q] for the taps a where s divides r + p − a·d.
    Those lie s/g apart (g = gcd of stride and dilation); taken backwards, they read dy with step d/g.
    """
    phases = []
    residues = [range(stride) for stride in spec.stride]
    for r in ((row, column) for row in residues[0] for column in residues[1]):
        per_axis = []
        for axis in (0, 1):
            k, s, p, d = spec.kernel_size[axis], spec.stride[axis], spec.padding[axis], spec.dilation[axis]
            taps = [a for a in reversed(range(k)) if (r[axis] + p - a * d) % s == 0]
            first = (r[axis] + p - taps[0] * d) // s if taps else 0
            per_axis.append((taps, first, d // math.gcd(s, d)))
        (rows, top, row_step), (columns, left, column_step) = per_axis
        turned = np.ascontiguousarray(weight[rows][:, columns].transpose(0, 1, 3, 2))
        matrix = turned.reshape(-1, spec.in_channels)
        packed, width = direct.pack_panels(matrix)
        phases.append(
            _Phase(r, (top, left), (len(rows), len(columns)), (row_step, column_step), packed, width, spec.out_channels)
        )
    return phases


class _PictureGradient:
    """The input gradient of the first layer of most networks, see `numba_ops.picture`."""

    margin = 1

    def __init__(self, weight: Array) -> None:
        *_, self.depth = weight.shape
        self.weight, self.width = direct.pack_panels(weight.reshape(-1, self.depth).T)
        self.slack = direct.overread(self.width, self.depth)

    @staticmethod
    def supports(spec: Conv2d) -> bool:
        plain = spec.kernel_size == (3, 3) and spec.stride == spec.dilation == spec.padding == (1, 1)
        return plain and spec.in_channels == picture.CHANNELS

    def run(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        rows, columns, _ = dx.shape
        slope, output, origin, row_step = gate_parts(gate)
        with compute_lock:
            picture.picture_gradient(
                dy.flat, dy.origin - dy.row_step - self.depth, dy.row_step, self.depth, self.weight, self.width,
                microkernel.tile_rows(self.width), self.weight.size // (self.depth * self.width),
                dx.flat, dx.origin, dx.row_step, rows, columns,
                slope, mode_of(accumulate, gate), output, origin, row_step,
            )  # fmt: skip


@dataclass
class Direct(Layer):
    """Convolution of any geometry by tiles over the padded picture, the gradient by phases of the stride."""

    algorithm: str = "direct"
    pooled: bool = False
    input_margin: int = field(init=False)
    input_slack: int = field(init=False)
    grad_margin: int = field(init=False, default=0)
    grad_slack: int = field(init=False, default=0)
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        share, weight = self.workspace.packed, self.weight
        packed, width = share(weight, "direct", lambda: direct.pack_panels(weight.reshape(-1, spec.out_channels)))
        offset = (-spec.padding[0], -spec.padding[1])
        self._forward = _Phase((0, 0), offset, spec.kernel_size, spec.dilation, packed, width, spec.in_channels)
        self.nbytes = packed.nbytes
        self._backward: list[_Phase] = []
        self._picture: _PictureGradient | None = None
        if self.gradient and _PictureGradient.supports(spec):
            self._picture = share(weight, "picture back", lambda: _PictureGradient(weight))
            self.grad_margin, self.grad_slack = self._picture.margin, self._picture.slack
            self.nbytes += self._picture.weight.nbytes
        elif self.gradient:
            self._backward = share(weight, "direct back", lambda: _gradient_phases(spec, weight))
        rows, columns, _ = spec.output_shape(self.shape)
        # A last row or column of windows may be cut short by the stride, never exceed the padded input.
        self.input_margin = max(spec.padding)
        self.input_slack = direct.overread(width, spec.stride[1] * spec.in_channels)
        for phase in self._backward:
            for axis, size in ((0, rows), (1, columns)):
                last = phase.offset[axis] + (phase.taps[axis] - 1) * phase.tap_step[axis]
                count = -(-(self.shape[axis] - phase.start[axis]) // spec.stride[axis])
                self.grad_margin = max(self.grad_margin, -phase.offset[axis], last + count - size)
            self.grad_slack = max(self.grad_slack, direct.overread(phase.width, spec.out_channels))
            self.nbytes += phase.weight.nbytes

    def _run(
        self,
        phase: _Phase,
        x: Buffer,
        in_stride: tuple[int, int],
        out: Buffer,
        out_stride: tuple[int, int],
        bias: Array,
        slope: Array,
        mode: int,
        gate: Gate | None,
    ) -> None:
        channels = out.shape[2]
        start = phase.start
        rows, columns = (-(-(out.shape[axis] - start[axis]) // out_stride[axis]) for axis in (0, 1))
        count_b, depth, step_b = phase.taps[1], phase.depth, phase.tap_step[1] * phase.depth
        if phase.tap_step[1] == 1:  # neighbouring taps lie behind one another in memory: one long product
            count_b, depth = 1, count_b * depth
        _, output, origin, gate_row = gate_parts(gate)
        with compute_lock:
            direct.tiled_product(
                x.flat,
                x.origin + phase.offset[0] * x.row_step + phase.offset[1] * x.shape[2],
                in_stride[0] * x.row_step,
                in_stride[1] * x.shape[2],
                phase.weight,
                phase.width,
                microkernel.tile_rows(phase.width),
                phase.taps[0],
                phase.tap_step[0] * x.row_step,
                count_b,
                step_b,
                depth,
                out.flat,
                out.origin + start[0] * out.row_step + start[1] * channels,
                out_stride[0] * out.row_step,
                out_stride[1] * channels,
                rows,
                columns,
                channels,
                bias,
                slope,
                mode,
                output,
                origin + start[0] * gate_row + start[1] * channels,
                out_stride[0] * gate_row,
                out_stride[1] * channels,
            )

    def forward(self, x: Buffer, out: Buffer) -> None:
        mode, slope = (0, self.bias) if self.slope is None else (tile_modes.ACTIVATE, self.slope)
        self._run(self._forward, x, self.spec.stride, out, (1, 1), self.bias, slope, mode, None)

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        if self._picture is not None:
            self._picture.run(dy, dx, accumulate, gate)
            return
        zero = np.zeros(self.spec.in_channels, np.float32)
        slope = zero if gate is None else gate.slope
        for phase in self._backward:
            self._run(phase, dy, (1, 1), dx, self.spec.stride, zero, slope, mode_of(accumulate, gate), gate)
