"""What a plan asks of a kernel set. There are two, `numpy` and `numba`; the set is an argument, never a global."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import Array, Buffer, Gate, Halves
from minitorch_style.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

Indices = npt.NDArray[np.int16]


class ConvolutionKernel(Protocol):
    """One convolution layer with its weights packed, for pictures of one size.

    `algorithm` says how it computes; margins and slacks are what its buffers need around them, in pixels and floats. If
    it is `pooled`, `forward` writes the pooled map and `backward` takes that map's gradient: of a max-pool with the
    derivative of a fused activation in it (the sign of the largest tells that), of an average-pool without.
    """

    algorithm: str
    input_margin: int
    input_slack: int
    grad_margin: int
    grad_slack: int
    nbytes: int

    @property
    def pooled(self) -> bool: ...
    def forward(self, x: Buffer, out: Buffer) -> None: ...
    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None: ...


class KernelSet(Protocol):
    """Fused steps on buffers. Gradients are written to dx, or added where `accumulate`; a gate multiplies the sum."""

    @property
    def name(self) -> str: ...
    @property
    def algorithms(self) -> tuple[str, ...]: ...

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
    ) -> ConvolutionKernel:
        """The kernel for a layer with input `shape`; `slope` fuses an activation. A forced `algorithm` that cannot
        compute this layer is an UnsupportedError, never silently another one. `pool` is what alone reads the output (a
        slope is then not negative): a kernel that does it as well is `pooled`."""
        ...

    def max_pool2d(self, x: Buffer, spec: MaxPool2d, out: Buffer, index: Indices) -> None: ...
    def max_pool2d_input_grad(
        self, dy: Buffer, index: Indices, spec: MaxPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def avg_pool2d(self, x: Buffer, spec: AvgPool2d, out: Buffer) -> None: ...
    def avg_pool2d_input_grad(
        self, dy: Buffer, spec: AvgPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def leaky(self, x: Buffer, slope: Array, out: Buffer) -> None: ...
    def leaky_input_grad(
        self, dy: Buffer, x: Buffer, slope: Array, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def affine(self, x: Buffer, weight: Array, bias: Array, out: Buffer) -> None: ...
    def affine_input_grad(self, dy: Buffer, weight: Array, dx: Buffer, accumulate: bool, gate: Gate | None) -> None: ...
    def binarize(self, x: Buffer, threshold: Array, low: Array, high: Array, out: Buffer) -> None: ...
    def binarize_input_grad(
        self, dy: Buffer, x: Buffer, threshold: Array, reach: Array, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def concat(self, inputs: list[Buffer], out: Buffer) -> None: ...
    def add(self, inputs: list[Buffer], out: Buffer) -> None: ...
    def channels_input_grad(self, dy: Buffer, first: int, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        """The gradient of concatenation and addition: channels `first` … of dy."""
        ...

    def gate(self, gradient: Buffer, gate: Gate) -> None:
        """Multiplies a gradient by an activation's derivative, in place."""
        ...

    def narrow(self, x: Array, out: Halves) -> None:
        """Rounds x to bfloat16, in place and into `out`."""
        ...

    def inner_products(self, rows: Halves, columns: Array) -> npt.NDArray[np.float64]:
        """⟨rows[i], columns[j]⟩ of vectors (I, n) and (J, n), summed in double: (I, J)."""
        ...

    def combination(
        self, coefficients: npt.NDArray[np.float64], rows: Halves, factor: float, vector: Array, out: Array
    ) -> None:
        """out = factor · vector + Σ_i coefficients[i] · rows[i]; rows (I, n), vector and out (n,)."""
        ...

    def tap_slack(self, channels: int) -> int:
        """Floats beyond a feature map that `gram` and `product` may read."""
        ...

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]: ...
    def product(self, features: Buffer, matrix: Array, out: Buffer, accumulate: bool) -> None:
        """out[i, j] (+)= features[i, j] · matrix: the gradient of a Gram matrix."""
        ...
