"""The plain kernel set: `reference.ops` on the interiors of buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Float64
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.api import Places
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.kernels.reference import ops
from minitorch_style.kernels.reference.products import product
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d, Shape


def deliver(compute: Callable[[Float32], object], dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
    """Runs `compute` into dx, or beside it to be added, and applies the gate."""
    target = dx.interior
    if accumulate:
        value = np.empty(dx.shape, np.float32)
        compute(value)
        target += value
    else:
        compute(target)
    if gate is not None:
        ops.leaky_input_grad(target, gate.output.interior, gate.slope, target)


@dataclass
class Im2col:
    """Convolution by im2col + BLAS; needs nothing around its buffers, for it pads a copy."""

    spec: Conv2d
    weight: Float32
    bias: Float32 | None
    slope: Float32 | None
    algorithm: str = "im2col"
    fused_pool: str | None = None
    input_margin: int = 0
    input_slack: int = 0
    grad_margin: int = 0
    grad_slack: int = 0
    nbytes: int = 0

    def forward(self, x: Buffer, out: Buffer) -> None:
        y = ops.conv2d(x.interior, self.weight, self.bias, self.spec, out.interior, product)
        if self.slope is not None:
            np.copyto(y, y * self.slope, where=~(y > 0))

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        deliver(
            lambda out: ops.conv2d_input_grad(dy.interior, self.weight, self.spec, out, product), dx, accumulate, gate
        )


class NumpyKernels:
    name = "numpy"
    algorithms = ("im2col",)

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
    ) -> Im2col:
        if algorithm not in (None, *self.algorithms):
            raise UnsupportedError(f"the numpy kernels have no convolution algorithm {algorithm!r}, only im2col")
        return Im2col(spec, weight, bias, slope)

    def max_pool2d(self, x: Buffer, spec: MaxPool2d, out: Buffer, index: npt.NDArray[np.int16]) -> None:
        ops.max_pool2d(x.interior, spec, out.interior, index)

    def max_pool2d_input_grad(
        self, dy: Buffer, index: npt.NDArray[np.int16], spec: MaxPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        deliver(lambda out: ops.max_pool2d_input_grad(dy.interior, index, spec, out), dx, accumulate, gate)

    def avg_pool2d(self, x: Buffer, spec: AvgPool2d, out: Buffer) -> None:
        ops.avg_pool2d(x.interior, spec, out.interior)

    def avg_pool2d_input_grad(
        self, dy: Buffer, spec: AvgPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        deliver(lambda out: ops.avg_pool2d_input_grad(dy.interior, spec, out), dx, accumulate, gate)

    def leaky(self, x: Buffer, slope: Float32, out: Buffer) -> None:
        ops.leaky(x.interior, slope, out.interior)

    def leaky_input_grad(
        self, dy: Buffer, x: Buffer, slope: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        deliver(lambda out: ops.leaky_input_grad(dy.interior, x.interior, slope, out), dx, accumulate, gate)

    def affine(self, x: Buffer, weight: Float32, bias: Float32, out: Buffer) -> None:
        ops.affine(x.interior, weight, bias, out.interior)

    def affine_input_grad(self, dy: Buffer, weight: Float32, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        deliver(lambda out: ops.affine_input_grad(dy.interior, weight, out), dx, accumulate, gate)

    def binarize(self, x: Buffer, threshold: Float32, low: Float32, high: Float32, out: Buffer) -> None:
        ops.binarize(x.interior, threshold, low, high, out.interior)

    def binarize_input_grad(
        self, dy: Buffer, x: Buffer, threshold: Float32, reach: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        deliver(
            lambda out: ops.binarize_input_grad(dy.interior, x.interior, threshold, reach, out), dx, accumulate, gate
        )

    def concat(self, inputs: list[Buffer], out: Buffer) -> None:
        ops.concat([x.interior for x in inputs], out.interior)

    def add(self, inputs: list[Buffer], out: Buffer) -> None:
        ops.add([x.interior for x in inputs], out.interior)

    def channels_input_grad(self, dy: Buffer, first: int, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        deliver(lambda out: ops.concat_input_grad(dy.interior, first, out), dx, accumulate, gate)

    def gate(self, gradient: Buffer, gate: Gate) -> None:
        ops.leaky_input_grad(gradient.interior, gate.output.interior, gate.slope, gradient.interior)

    def combine_rows(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        if not accumulate:
            out.fill(0)
        for k in range(weights.shape[1]):
            out += weights[:, k, None, None] * x[first + k]

    def combine_columns(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        if not accumulate:
            out.fill(0)
        for k in range(weights.shape[1]):
            out += weights[:, k, None] * x[:, first + k]

    def tap_slack(self, channels: int, columns: int | None = None) -> int:
        return 0

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]:
        channels = features.shape[2]
        return ops.gram(features.interior, np.empty((channels, channels)))

    def product(
        self, features: Buffer, matrix: Float32, out: Buffer, accumulate: bool, bias: Float32 | None = None
    ) -> None:
        flat = np.ascontiguousarray(features.interior).reshape(-1, features.shape[2])
        found = product(flat, matrix).reshape(out.shape)
        deliver(lambda target: np.copyto(target, found), out, accumulate, None)
        if bias is not None:
            target = out.interior
            target += bias

    def matrix_product(self, left: Float64, right: Float64) -> Float64:
        return ops.matrix_product(left, right)
