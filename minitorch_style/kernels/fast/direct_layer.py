"""Direct convolution layers of the fast kernel set: weights packed when first used, buffers handed to `direct`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.kernels.codegen import modes as tile_modes
from minitorch_style.kernels.fast import direct, microkernel
from minitorch_style.kernels.fast import rgb_gradient as picture
from minitorch_style.kernels.fast.arguments import (
    NOWHERE,
    Epilogue,
    Extent,
    Panels,
    Taps,
    gradient_epilogue,
    part,
)
from minitorch_style.kernels.fast.threads import compute_lock
from minitorch_style.kernels.fast.workspace import Layer
from minitorch_style.nn.layers import Conv2d


@dataclass
class _Phase:
    """The part of a direct convolution that writes every `stride`-th pixel: `taps` and offsets per axis. Its matrix has
    `depth` rows for each tap and is packed in panels of `width` columns."""

    start: tuple[int, int]  # first pixel written
    offset: tuple[int, int]  # the input pixel under its first tap
    rows: list[int]  # of the kernel, in the order in which the input is read
    columns: list[int]
    tap_step: tuple[int, int]
    depth: int
    width: int

    @property
    def taps(self) -> tuple[int, int]:
        return len(self.rows), len(self.columns)

    def turned(self, weight: Float32) -> Float32:
        """Its matrix in the input gradient: these taps of the weights, with in and out exchanged."""
        exchanged = np.ascontiguousarray(weight[self.rows][:, self.columns].transpose(0, 1, 3, 2))
        return exchanged.reshape(-1, weight.shape[2])


def _gradient_phases(spec: Conv2d) -> list[_Phase]:
    """The input gradient as convolutions of dy, one per residue of the input position modulo the stride.

    Input pixel i = r + s·q receives weight[a] · dy[(r + p − a·d)/s + q] for the taps a where s divides r + p − a·d.
    Those lie s/g apart (g = gcd of stride and dilation); taken backwards, they read dy with step d/g.
    """
    phases = []
    width = microkernel.panel_width(spec.in_channels)
    residues = [range(stride) for stride in spec.stride]
    for r in ((row, column) for row in residues[0] for column in residues[1]):
        per_axis = []
        for axis in (0, 1):
            k, s, p, d = spec.kernel_size[axis], spec.stride[axis], spec.padding[axis], spec.dilation[axis]
            taps = [a for a in reversed(range(k)) if (r[axis] + p - a * d) % s == 0]
            first = (r[axis] + p - taps[0] * d) // s if taps else 0
            per_axis.append((taps, first, d // math.gcd(s, d)))
        (rows, top, row_step), (columns, left, column_step) = per_axis
        phases.append(_Phase(r, (top, left), rows, columns, (row_step, column_step), spec.out_channels, width))
    return phases


class _PictureGradient:
    """The input gradient of the first layer of most networks, see `rgb_gradient`."""

    margin = 1

    def __init__(self, spec: Conv2d) -> None:
        self.depth = spec.out_channels
        columns = math.prod(spec.kernel_size) * spec.in_channels
        self.width = microkernel.panel_width(columns)
        self.floats = direct.packed_floats(self.depth, columns)
        self.slack = direct.overread(self.width, self.depth)
        self._zeros = np.zeros(spec.in_channels, np.float32)

    @staticmethod
    def supports(spec: Conv2d) -> bool:
        plain = spec.kernel_size == (3, 3) and spec.stride == spec.dilation == spec.padding == (1, 1)
        return plain and spec.in_channels == picture.CHANNELS

    def run(self, panels: Panels, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        with compute_lock:
            picture.picture_gradient(
                -(-dx.shape[0] // picture.TASK_ROWS),
                part(dy.view, (-1, -1)),
                self.depth,
                panels,
                panels.data.size // (self.depth * self.width),
                dx.view,
                Extent(*dx.shape),
                gradient_epilogue(self._zeros, accumulate, gate),
            )


@dataclass
class Direct(Layer):
    """Convolution of any geometry by tiles over the padded picture, the gradient by phases of the stride."""

    algorithm: str = "direct"
    fused_pool: str | None = None
    input_margin: int = field(init=False)
    input_slack: int = field(init=False)
    grad_margin: int = field(init=False, default=0)
    grad_slack: int = field(init=False, default=0)
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        taps = math.prod(spec.kernel_size)
        width = microkernel.panel_width(spec.out_channels)
        offset, every = (-spec.padding[0], -spec.padding[1]), [list(range(size)) for size in spec.kernel_size]
        self._forward = _Phase((0, 0), offset, every[0], every[1], spec.dilation, spec.in_channels, width)
        floats = direct.packed_floats(taps * spec.in_channels, spec.out_channels)
        self._backward: list[_Phase] = []
        self._picture: _PictureGradient | None = None
        if self.gradient and _PictureGradient.supports(spec):
            self._picture = _PictureGradient(spec)
            self.grad_margin, self.grad_slack = self._picture.margin, self._picture.slack
            floats += self._picture.floats
        elif self.gradient:
            self._backward = _gradient_phases(spec)
        mode, slope = (0, self.bias) if self.slope is None else (tile_modes.ACTIVATE, self.slope)
        self._epilogue = Epilogue(self.bias, slope, mode, NOWHERE)
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
            floats += direct.packed_floats(math.prod(phase.taps) * phase.depth, spec.in_channels)
        self.nbytes = 4 * floats

    def packed(self, back: bool) -> list[Panels]:
        """The weights of either direction as the kernel reads them, a matrix a phase; packed at the first call."""
        weight, share = self.weight, self.workspace.packed.of
        if not back:
            return share(weight, "direct", lambda: [direct.pack_panels(weight.reshape(-1, self.spec.out_channels))])
        if self._picture is not None:
            matrix = weight.reshape(-1, self.spec.out_channels).T
            return share(weight, "picture back", lambda: [direct.pack_panels(matrix)])
        return share(
            weight, "direct back", lambda: [direct.pack_panels(phase.turned(weight)) for phase in self._backward]
        )

    def _run(
        self,
        phase: _Phase,
        panels: Panels,
        x: Buffer,
        in_step: tuple[int, int],
        out: Buffer,
        out_step: tuple[int, int],
        epilogue: Epilogue,
    ) -> None:
        height, width, channels = out.shape
        rows, columns = -(-(height - phase.start[0]) // out_step[0]), -(-(width - phase.start[1]) // out_step[1])
        count_b, depth, step_b = phase.taps[1], phase.depth, phase.tap_step[1] * phase.depth
        if phase.tap_step[1] == 1:  # neighbouring taps lie behind one another in memory: one long product
            count_b, depth = 1, count_b * depth
        together = direct.together(rows, columns)
        with compute_lock:
            direct.tiled_product(
                -(-rows // together),
                together,
                part(x.view, phase.offset, in_step),
                Taps(phase.taps[0], phase.tap_step[0] * x.row_step, count_b, step_b, depth),
                panels,
                part(out.view, phase.start, out_step),
                Extent(rows, columns, channels),
                epilogue,
            )

    def forward(self, x: Buffer, out: Buffer) -> None:
        (panels,) = self.packed(back=False)
        self._run(self._forward, panels, x, self.spec.stride, out, (1, 1), self._epilogue)

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        packed = self.packed(back=True)
        if self._picture is not None:
            self._picture.run(packed[0], dy, dx, accumulate, gate)
            return
        zeros, step = np.zeros(self.spec.in_channels, np.float32), self.spec.stride
        epilogue = gradient_epilogue(zeros, accumulate, gate)
        for phase, panels in zip(self._backward, packed, strict=True):
            gates = part(epilogue.gate, phase.start, step)
            self._run(phase, panels, dy, (1, 1), dx, step, epilogue._replace(gate=gates))
