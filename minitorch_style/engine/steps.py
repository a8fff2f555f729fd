"""The steps of a plan: which kernel runs on which buffers. State that the backward pass needs lies here, in the open.

A step answers for itself what a plan asks when it lays out memory; see `Step`.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.kernels.api import ConvolutionKernel, KernelSet
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.nn.layers import AvgPool2d, MaxPool2d, Shape


class Border(NamedTuple):
    """What a kernel wants around a feature map: `margin` pixels of zeros on each side, `slack` floats behind the last row."""

    margin: int = 0
    slack: int = 0

    def joined(self, other: Border) -> Border:
        """Enough for both."""
        return Border(max(self.margin, other.margin), max(self.slack, other.slack))


BARE = Border()


@dataclass
class Step:
    """One fused operation; `output` and `inputs` name values of the plan.

    algorithm, fused_pool: how it computes, and which pooling (`max`, `average`) it does as well.
    macs, nbytes: its multiply-adds, and what it holds besides the values, packed weights included.
    input_border, grad_border: what it wants around its inputs, and around its output's gradient.
    saves_inputs: its backward pass reads them again.
    gate_slope: of an activation fused into what it writes; the steps that read that apply its derivative.
    """

    output: str
    inputs: tuple[str, ...]
    _: KW_ONLY
    algorithm: str = ""
    fused_pool: str | None = None
    macs: int = 0
    nbytes: int = 0
    input_border: Border = BARE
    grad_border: Border = BARE
    saves_inputs: bool = False
    gate_slope: Float32 | None = None

    @property
    def label(self) -> str:
        """How it computes, for people."""
        return f"{self.algorithm}, {self.fused_pool} pool" if self.fused_pool else self.algorithm

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        raise NotImplementedError

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        """Writes the gradient of input `which`, or adds it where `accumulate`; a gate multiplies the sum."""
        raise NotImplementedError


@dataclass
class ConvolutionStep(Step):
    kernel: ConvolutionKernel

    def __post_init__(self) -> None:
        kernel = self.kernel
        self.algorithm, self.fused_pool, self.nbytes = kernel.algorithm, kernel.fused_pool, kernel.nbytes
        self.input_border = Border(kernel.input_margin, kernel.input_slack)
        self.grad_border = Border(kernel.grad_margin, kernel.grad_slack)

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernel.forward(inputs[0], out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernel.backward(dy, dx, accumulate, gate)


@dataclass
class MaxPoolStep(Step):
    """`index`, (H', W', C), is where each window's maximum lies."""

    kernels: KernelSet
    spec: MaxPool2d
    shape: Shape
    _: KW_ONLY
    algorithm: str = "max pool"
    index: npt.NDArray[np.int16] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.nbytes = 2 * math.prod(self.shape)

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        if self.index is None:
            self.index = np.empty(self.shape, np.int16)
        self.kernels.max_pool2d(inputs[0], self.spec, out, self.index)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        assert self.index is not None, "run before run_back"
        self.kernels.max_pool2d_input_grad(dy, self.index, self.spec, dx, accumulate, gate)


@dataclass
class TransposedStep(Step):
    """A transposed convolution: the input gradient of its adjoint, then the bias. It has no gradient of its own."""

    kernels: KernelSet
    adjoint: ConvolutionKernel
    bias: Float32 | None

    def __post_init__(self) -> None:
        self.algorithm, self.nbytes = f"{self.adjoint.algorithm}, transposed", self.adjoint.nbytes
        self.input_border = Border(self.adjoint.grad_margin, self.adjoint.grad_slack)

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.adjoint.backward(inputs[0], out, False, None)
        if self.bias is not None:
            self.kernels.affine(out, np.ones_like(self.bias), self.bias, out)


@dataclass
class UnpoolStep(Step):
    """The gradient of a max-pool: values to where `pool` found its maxima. It has no gradient of its own."""

    kernels: KernelSet
    pool: MaxPoolStep
    _: KW_ONLY
    algorithm: str = "max unpool"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        assert self.pool.index is not None, "a pool comes before its unpooling"
        self.kernels.max_pool2d_input_grad(inputs[0], self.pool.index, self.pool.spec, out, False, None)


@dataclass
class AveragePoolStep(Step):
    kernels: KernelSet
    spec: AvgPool2d
    _: KW_ONLY
    algorithm: str = "average pool"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.avg_pool2d(inputs[0], self.spec, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.avg_pool2d_input_grad(dy, self.spec, dx, accumulate, gate)


@dataclass
class LeakyStep(Step):
    """An activation by itself, whose derivative needs the sign of its input."""

    kernels: KernelSet
    slope: Float32
    _: KW_ONLY
    algorithm: str = "leaky"
    saves_inputs: bool = True

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.leaky(inputs[0], self.slope, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.leaky_input_grad(dy, inputs[0], self.slope, dx, accumulate, gate)


@dataclass
class AffineStep(Step):
    kernels: KernelSet
    weight: Float32
    bias: Float32
    _: KW_ONLY
    algorithm: str = "affine"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.affine(inputs[0], self.weight, self.bias, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.affine_input_grad(dy, self.weight, dx, accumulate, gate)


@dataclass
class BinarizeStep(Step):
    kernels: KernelSet
    threshold: Float32
    low: Float32
    high: Float32
    _: KW_ONLY
    algorithm: str = "binarize"
    saves_inputs: bool = True

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.binarize(inputs[0], self.threshold, self.low, self.high, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        reach = (self.high - self.low) / np.float32(2)
        self.kernels.binarize_input_grad(dy, inputs[0], self.threshold, reach, dx, accumulate, gate)


@dataclass
class ConcatStep(Step):
    kernels: KernelSet
    _: KW_ONLY
    algorithm: str = "concat"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.concat(inputs, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        first = sum(x.shape[2] for x in inputs[:which])
        self.kernels.channels_input_grad(dy, first, dx, accumulate, gate)


@dataclass
class AddStep(Step):
    kernels: KernelSet
    _: KW_ONLY
    algorithm: str = "add"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.add(inputs, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.channels_input_grad(dy, 0, dx, accumulate, gate)
