"""Arrays in, arrays out: runs one operation of a kernel set on buffers filled with NaN where nothing may be read."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d


def filled(x: np.ndarray, margin: int = 0, slack: int = 0) -> Buffer:
    buffer = Buffer(x.shape, margin, slack)  # type: ignore[arg-type]
    buffer.interior[...] = x
    return buffer


def poisoned(shape: tuple[int, ...], margin: int = 0, slack: int = 0) -> Buffer:
    """Whatever the kernel does not write stays NaN, and shows."""
    buffer = Buffer(shape, margin, slack)  # type: ignore[arg-type]
    buffer.interior[...] = np.nan
    return buffer


def assert_margin_untouched(buffer: Buffer) -> None:
    inside = float(np.sum(np.abs(buffer.interior), dtype=np.float64))
    everything = float(np.sum(np.abs(buffer.flat), dtype=np.float64))
    assert np.isclose(inside, everything, rtol=1e-9), "something was written outside the interior"


class Convolution:
    """A convolution layer of a kernel set, on arrays."""

    def __init__(self, kernels: KernelSet, spec: Conv2d, weight: np.ndarray, bias: np.ndarray | None,
                 shape: tuple[int, ...], algorithm: str | None = None, slope: np.ndarray | None = None) -> None:  # fmt: skip
        self.kernel = kernels.convolution(spec, weight, bias, slope, shape, True, algorithm)  # type: ignore[arg-type]
        self.spec, self.shape = spec, shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        out = poisoned(self.spec.output_shape(self.shape), margin=2)  # type: ignore[arg-type]
        self.kernel.forward(filled(x, self.kernel.input_margin, self.kernel.input_slack), out)
        assert_margin_untouched(out)
        return out.interior.copy()

    def backward(self, dy: np.ndarray, before: np.ndarray | None = None, gate: Gate | None = None) -> np.ndarray:
        dx = poisoned(self.shape, margin=1) if before is None else filled(before, margin=1)
        y = filled(dy, self.kernel.grad_margin, self.kernel.grad_slack)
        self.kernel.backward(y, dx, before is not None, gate)
        assert_margin_untouched(dx)
        return dx.interior.copy()


class Pool:
    """A pooling layer of a kernel set, on arrays."""

    def __init__(self, kernels: KernelSet, spec: MaxPool2d | AvgPool2d, shape: tuple[int, ...]) -> None:
        self.kernels, self.spec, self.shape = kernels, spec, shape
        self.out_shape = spec.output_shape(shape)  # type: ignore[arg-type]
        self.index = np.full(self.out_shape, -1, np.int16)

    def forward(self, x: np.ndarray) -> np.ndarray:
        out = poisoned(self.out_shape, margin=1)
        if isinstance(self.spec, MaxPool2d):
            self.kernels.max_pool2d(filled(x, 1), self.spec, out, self.index)
        else:
            self.kernels.avg_pool2d(filled(x, 1), self.spec, out)
        assert_margin_untouched(out)
        return out.interior.copy()

    def backward(self, dy: np.ndarray, before: np.ndarray | None = None, gate: Gate | None = None) -> np.ndarray:
        dx = poisoned(self.shape, margin=1) if before is None else filled(before, margin=1)
        if isinstance(self.spec, MaxPool2d):
            self.kernels.max_pool2d_input_grad(filled(dy), self.index, self.spec, dx, before is not None, gate)
        else:
            self.kernels.avg_pool2d_input_grad(filled(dy), self.spec, dx, before is not None, gate)
        assert_margin_untouched(dx)
        return dx.interior.copy()
