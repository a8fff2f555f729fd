"""The steps of a plan: which kernel runs on which buffers. State that the way back needs lies here, in the open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import Array, Buffer, Gate
from minitorch_style.kernels.kernel_set import ConvolutionKernel, KernelSet
from minitorch_style.layers import AvgPool2d, MaxPool2d, Shape


class Step(Protocol):
    """`output` and `inputs` name values of the plan. `backward` writes the gradient of input `which`."""

    output: str
    inputs: tuple[str, ...]

    @property
    def algorithm(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def macs(self) -> int: ...
    def forward(self, inputs: list[Buffer], out: Buffer) -> None: ...
    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...


@dataclass
class ConvolutionStep:
    output: str
    inputs: tuple[str, ...]
    kernel: ConvolutionKernel
    macs: int

    @property
    def algorithm(self) -> str:
        return self.kernel.algorithm

    @property
    def nbytes(self) -> int:
        return self.kernel.nbytes

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernel.forward(inputs[0], out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernel.backward(dy, dx, accumulate, gate)


@dataclass
class MaxPoolStep:
    output: str
    inputs: tuple[str, ...]
    kernels: KernelSet
    spec: MaxPool2d
    shape: Shape
    algorithm: str = "max pool"
    macs: int = 0
    index: npt.NDArray[np.int16] | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        return 2 * self.shape[0] * self.shape[1] * self.shape[2]

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
class ForwardStep:
    """A decoder's step, which nothing differentiates: Plan refuses it where a gradient is wanted."""

    output: str
    inputs: tuple[str, ...]

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        raise AssertionError(f"{self.output} has no gradient")


@dataclass
class TransposedStep(ForwardStep):
    """A transposed convolution: the input gradient of its adjoint, then the bias."""

    kernels: KernelSet
    adjoint: ConvolutionKernel
    bias: Array | None
    macs: int

    @property
    def algorithm(self) -> str:
        return f"{self.adjoint.algorithm}, transposed"

    @property
    def nbytes(self) -> int:
        return self.adjoint.nbytes

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.adjoint.backward(inputs[0], out, False, None)
        if self.bias is not None:
            self.kernels.affine(out, np.ones_like(self.bias), self.bias, out)


@dataclass
class UnpoolStep(ForwardStep):
    """The gradient of a max-pool: values to where `pool` found its maxima."""

    kernels: KernelSet
    pool: MaxPoolStep
    algorithm: str = "max unpool"
    nbytes: int = 0
    macs: int = 0

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        assert self.pool.index is not None, "a pool comes before its unpooling"
        self.kernels.max_pool2d_input_grad(inputs[0], self.pool.index, self.pool.spec, out, False, None)


@dataclass
class _Plain:
    output: str
    inputs: tuple[str, ...]
    kernels: KernelSet
    nbytes = 0
    macs = 0


@dataclass
class AveragePoolStep(_Plain):
    spec: AvgPool2d
    algorithm: str = "average pool"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.avg_pool2d(inputs[0], self.spec, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.avg_pool2d_input_grad(dy, self.spec, dx, accumulate, gate)


@dataclass
class LeakyStep(_Plain):
    slope: Array
    algorithm: str = "leaky"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.leaky(inputs[0], self.slope, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.leaky_input_grad(dy, inputs[0], self.slope, dx, accumulate, gate)


@dataclass
class AffineStep(_Plain):
    weight: Array
    bias: Array
    algorithm: str = "affine"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.affine(inputs[0], self.weight, self.bias, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.affine_input_grad(dy, self.weight, dx, accumulate, gate)


@dataclass
class BinarizeStep(_Plain):
    threshold: Array
    low: Array
    high: Array
    algorithm: str = "binarize"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.binarize(inputs[0], self.threshold, self.low, self.high, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        reach = (self.high - self.low) / np.float32(2)
        self.kernels.binarize_input_grad(dy, inputs[0], self.threshold, reach, dx, accumulate, gate)


@dataclass
class ConcatStep(_Plain):
    algorithm: str = "concat"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.concat(inputs, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        first = sum(x.shape[2] for x in inputs[:which])
        self.kernels.channels_input_grad(dy, first, dx, accumulate, gate)


@dataclass
class AddStep(_Plain):
    algorithm: str = "add"

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        self.kernels.add(inputs, out)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        self.kernels.channels_input_grad(dy, 0, dx, accumulate, gate)
