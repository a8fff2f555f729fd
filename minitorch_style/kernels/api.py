"""What a plan asks of a kernel set. There are two, `numpy` and `numba`; the set is an argument, never a global."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import BFloat16, Float32, Float64
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

Indices = npt.NDArray[np.int16]
Places = npt.NDArray[np.int64]


class ConvolutionKernel(Protocol):
    """One convolution layer for pictures of one size; its weights are packed when it first runs, `nbytes` counts them.

    `algorithm` says how it computes; margins and slacks are what its buffers need around them, in pixels and floats. If
    it has a `fused_pool`, `max` or `average`, `forward` writes the pooled map and `backward` takes that map's gradient: of
    a max-pool with the derivative of a fused activation in it (the sign of the largest tells that), of an average-pool
    without.
    """

    algorithm: str
    fused_pool: str | None
    input_margin: int
    input_slack: int
    grad_margin: int
    grad_slack: int
    nbytes: int

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
        weight: Float32,
        bias: Float32 | None,
        slope: Float32 | None,
        shape: Shape,
        gradient: bool,
        algorithm: str | None,
        pool: MaxPool2d | AvgPool2d | None = None,
    ) -> ConvolutionKernel:
        """The kernel for a layer with input `shape`; `slope` fuses an activation. A forced `algorithm` that cannot
        compute this layer is an UnsupportedError, never silently another one. `pool` is what alone reads the output (a
        slope is then not negative): a kernel that does it as well tells so in `fused_pool`."""
        ...

    def max_pool2d(self, x: Buffer, spec: MaxPool2d, out: Buffer, index: Indices) -> None: ...
    def max_pool2d_input_grad(
        self, dy: Buffer, index: Indices, spec: MaxPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def avg_pool2d(self, x: Buffer, spec: AvgPool2d, out: Buffer) -> None: ...
    def avg_pool2d_input_grad(
        self, dy: Buffer, spec: AvgPool2d, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def leaky(self, x: Buffer, slope: Float32, out: Buffer) -> None: ...
    def leaky_input_grad(
        self, dy: Buffer, x: Buffer, slope: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def affine(self, x: Buffer, weight: Float32, bias: Float32, out: Buffer) -> None: ...
    def affine_input_grad(
        self, dy: Buffer, weight: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def binarize(self, x: Buffer, threshold: Float32, low: Float32, high: Float32, out: Buffer) -> None: ...
    def binarize_input_grad(
        self, dy: Buffer, x: Buffer, threshold: Float32, reach: Float32, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None: ...
    def concat(self, inputs: list[Buffer], out: Buffer) -> None: ...
    def add(self, inputs: list[Buffer], out: Buffer) -> None: ...
    def channels_input_grad(self, dy: Buffer, first: int, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        """The gradient of concatenation and addition: channels `first` … of dy."""
        ...

    def gate(self, gradient: Buffer, gate: Gate) -> None:
        """Multiplies a gradient by an activation's derivative, in place."""
        ...

    def combine_rows(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        """out[i] (+)= Σ_k weights[i, k] · x[first[i] + k]; x (H, W, C) and out (H', W, C) float32 views whose channels lie
        side by side."""
        ...

    def combine_columns(self, x: Float32, first: Places, weights: Float32, out: Float32, accumulate: bool) -> None:
        """out[:, j] (+)= Σ_k weights[j, k] · x[:, first[j] + k], likewise."""
        ...

    def tap_slack(self, channels: int, columns: int | None = None) -> int:
        """Floats beyond a feature map that `gram` and `product` (with a matrix of so many columns, by default as many as
        the map has channels) may read."""
        ...

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]: ...
    def product(
        self, features: Buffer, matrix: Float32, out: Buffer, accumulate: bool, bias: Float32 | None = None
    ) -> None:
        """out[i, j] (+)= features[i, j] · matrix + bias: the gradient of a loss of Gram matrix and mean. `matrix` may have
        any number of columns."""
        ...

    def matrix_product(self, left: Float64, right: Float64) -> Float64:
        """left · right, (N, N) each, every element summed in order."""
        ...


class VectorOps(Protocol):
    """What L-BFGS does with many long vectors at once; its history is in bfloat16, the upper half of a float32."""

    def narrow(self, x: Float32, out: BFloat16) -> None:
        """Rounds x to bfloat16, in place and into `out`."""
        ...

    def inner_products(self, rows: BFloat16, columns: Float32) -> npt.NDArray[np.float64]:
        """⟨rows[i], columns[j]⟩ of vectors (I, n) and (J, n), summed in double: (I, J)."""
        ...

    def combination(
        self, coefficients: npt.NDArray[np.float64], rows: BFloat16, factor: float, vector: Float32, out: Float32
    ) -> None:
        """out = factor · vector + Σ_i coefficients[i] · rows[i]; rows (I, n), vector and out (n,)."""
        ...
