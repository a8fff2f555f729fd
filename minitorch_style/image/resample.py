"""Resizing as a linear map that knows its transpose: the picture's gradient goes back through it.

Along each axis an output is a weighted sum of a few neighbouring inputs, so enlarging, and antialiased shrinking
are one thing, an `Axis`, and so are their transposes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32

Curve = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: npt.NDArray[np.float64], a: float = -0.5) -> npt.NDArray[np.float64]:
    """Keys (1981); a = −½ as in Pillow."""
    x = np.abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


CURVES: dict[str, tuple[Curve, float]] = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}  # with their reach


@dataclass(frozen=True)
class Axis:
    """out[i] = Σ_k weights[i, k] · x[first[i] + k] along one axis that has `length` inputs."""

    length: int
    first: npt.NDArray[np.int64]
    weights: Float32

    @classmethod
    def from_matrix(cls, matrix: npt.NDArray[np.float64]) -> Axis:
        """Of the map out = matrix · x."""
        _count, length = matrix.shape
        used = matrix != 0
        start = np.where(used.any(axis=1), used.argmax(axis=1), 0)
        end = np.where(used.any(axis=1), length - used[:, ::-1].argmax(axis=1), 1)
        taps = int((end - start).max())
        first = np.minimum(start, length - taps)
        weights = np.take_along_axis(matrix, first[:, None] + np.arange(taps), axis=1)
        return cls(length, first, np.ascontiguousarray(weights, np.float32))

    @property
    def outputs(self) -> int:
        return len(self.first)

    def matrix(self) -> npt.NDArray[np.float64]:
        """(outputs, length)."""
        dense = np.zeros((self.outputs, self.length))
        np.put_along_axis(dense, self.first[:, None] + np.arange(self.weights.shape[1]), self.weights, axis=1)
        return dense

    def transposed(self) -> Axis:
        return Axis.from_matrix(self.matrix().T)

    def scaled(self, factor: float) -> Axis:
        return Axis(self.length, self.first, self.weights * np.float32(factor))


def resizing(length: int, outputs: int, how: str = "bicubic") -> Axis:
    """`length` inputs to `outputs`, pixel centres at half integers. Where it shrinks, the curve
    is as much wider as the picture gets smaller, so that nothing is skipped (antialiasing, as in Pillow)."""
    curve, reach = CURVES[how]
    scale = length / outputs
    wide = max(scale, 1.0)
    centre = (np.arange(outputs) + 0.5) * scale
    at = np.arange(length) + 0.5
    distance = (at - centre[:, None]) / wide
    weights = np.where(np.abs(distance) < reach, curve(distance), 0.0)
    return Axis.from_matrix(weights / weights.sum(axis=1, keepdims=True))


def interpolating(length: int, outputs: int) -> Axis:
    """Bilinear, clamped at the ends and never antialiased when it enlarges (align_corners=False); when it shrinks, as
    `resizing`."""
    if outputs < length:
        return resizing(length, outputs, "bilinear")
    centre = np.clip((np.arange(outputs) + 0.5) * length / outputs - 0.5, 0, length - 1)
    low = np.minimum(np.floor(centre).astype(int), max(length - 2, 0))
    matrix = np.zeros((outputs, length))
    rows = np.arange(outputs)
    matrix[rows, low] = 1 - (centre - low)
    if length > 1:
        matrix[rows, low + 1] = centre - low
    return Axis.from_matrix(matrix)


@dataclass(frozen=True)
class Reflection:
    """Pictures of `size` with `padding` more on each side, mirrored at their outermost pixels; as often as it takes where
    the picture is smaller than its padding."""

    size: tuple[int, int]
    padding: int

    @property
    def padded(self) -> tuple[int, int]:
        return self.size[0] + 2 * self.padding, self.size[1] + 2 * self.padding

    def __call__(self, pixels: Float32, out: Float32) -> Float32:
        rows, columns = (np.pad(np.arange(length), self.padding, mode="reflect") for length in self.size)
        p, (height, width) = self.padding, self.size
        out[p : p + height, p : p + width] = pixels
        for side in (slice(0, p), slice(p + width, None)):
            out[p : p + height, side] = pixels[:, columns[side]]
        for side in (slice(0, p), slice(p + height, None)):
            out[side] = out[p + rows[side]]
        return out

    def transposed(self, gradient: Float32) -> Float32:
        """(H, W, 3) of the padded picture's gradient, which is written over."""
        p, (height, width) = self.padding, self.size
        for length, g in ((height, gradient), (width, gradient.transpose(1, 0, 2))):
            source = np.pad(np.arange(length), p, mode="reflect")
            for at in (*range(p), *range(p + length, length + 2 * p)):
                g[p + source[at]] += g[at]
        return gradient[p : p + height, p : p + width]


class Combine(Protocol):
    """What resampling asks of a kernel set, which says what these do."""

    def combine_rows(
        self, x: Float32, first: npt.NDArray[np.int64], weights: Float32, out: Float32, accumulate: bool
    ) -> None: ...
    def combine_columns(
        self, x: Float32, first: npt.NDArray[np.int64], weights: Float32, out: Float32, accumulate: bool
    ) -> None: ...


@dataclass
class Resampling:
    """Both axes at once, on (H, W, C) of a fixed number of channels; holds the map between its two passes."""

    rows: Axis
    columns: Axis
    channels: int
    kernels: Combine
    _between: Float32 = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._down_first = self.rows.outputs < self.rows.length
        shape = (
            (self.rows.outputs, self.columns.length) if self._down_first else (self.rows.length, self.columns.outputs)
        )
        self._between = np.empty((*shape, self.channels), np.float32)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        return self.rows.outputs, self.columns.outputs, self.channels

    def transposed(self) -> Resampling:
        return Resampling(self.rows.transposed(), self.columns.transposed(), self.channels, self.kernels)

    def __call__(self, x: Float32, out: Float32 | None = None, accumulate: bool = False) -> Float32:
        """x resampled, into `out`, a view whose channels lie side by side, or added to it."""
        if out is None:
            out = np.empty(self.output_shape, np.float32)
        expected = (self.rows.length, self.columns.length, self.channels)
        assert x.shape == expected and out.shape == self.output_shape, (x.shape, expected, out.shape, self.output_shape)
        rows, columns = self.rows, self.columns
        if self._down_first:
            self.kernels.combine_rows(x, rows.first, rows.weights, self._between, False)
            self.kernels.combine_columns(self._between, columns.first, columns.weights, out, accumulate)
        else:
            self.kernels.combine_columns(x, columns.first, columns.weights, self._between, False)
            self.kernels.combine_rows(self._between, rows.first, rows.weights, out, accumulate)
        return out
