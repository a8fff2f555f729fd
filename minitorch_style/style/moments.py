"""Style losses from sums over positions alone: the Gram matrix, the sum of the features, and their number.

Each loss knows its painting and is asked with the moments of the picture, so they may have been summed anywhere, in
tiles for one. It answers with its value, and with a symmetric matrix S and a row b for which F·S + b is its gradient
towards the features F, (M, N): the product that a kernel set computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.style.losses import style_loss

Matrix: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureSums:
    """Σ ffᵀ, (N, N), and Σ f, (N,), over so many positions. The parts of a picture add up to the whole. `total` is empty,
    (0,), where no loss asks for the mean."""

    gram: Matrix
    total: Matrix
    positions: int

    @classmethod
    def of(cls, features: Buffer, kernels: KernelSet, mean: bool = True) -> FeatureSums:
        height, width, channels = features.shape
        if not mean:
            return cls(kernels.gram(features), np.zeros(0), height * width)
        rows, one = np.empty((height, 1, channels), np.float32), np.ones((1, width), np.float32)
        kernels.combine_columns(features.interior, np.zeros(1, np.int64), one, rows, False)  # each row summed
        return cls(kernels.gram(features), rows[:, 0].sum(axis=0, dtype=np.float64), height * width)

    @classmethod
    def within(cls, features: Buffer, mask: Mask, kernels: KernelSet) -> FeatureSums:
        """Of the positions (H, W) where `mask` is true; there must be one."""
        found = features.interior[mask]
        some = Buffer((1, *found.shape), 0, features.slack)
        some.interior[0] = found
        return cls.of(some, kernels)

    def __add__(self, other: FeatureSums) -> FeatureSums:
        return FeatureSums(self.gram + other.gram, self.total + other.total, self.positions + other.positions)

    @property
    def moments(self) -> Moments:
        return Moments(self.gram / self.positions, self.total / self.positions)


@dataclass(frozen=True)
class Moments:
    """Of the features of one layer: `second` = FᵀF / M, (N, N), the mean Gram matrix, and `mean`, (N,)."""

    second: Matrix
    mean: Matrix

    @classmethod
    def of(cls, features: Buffer, kernels: KernelSet, mask: Mask | None = None) -> Moments:
        """Of all positions, or of those where `mask` (H, W) is true."""
        sums = FeatureSums.of(features, kernels) if mask is None else FeatureSums.within(features, mask, kernels)
        return sums.moments

    @classmethod
    def blended(cls, moments: Sequence[Moments], shares: Sequence[float]) -> Moments:
        """Of all paintings hung side by side, each as large as its share; the shares add up to 1."""
        weighted = list(zip(moments, shares, strict=True))
        return cls(sum(m.second * share for m, share in weighted), sum(m.mean * share for m, share in weighted))  # type: ignore[arg-type]

    def mapped(self, matrix: Matrix) -> Moments:
        """Of the features times a symmetric `matrix` (N, N)."""
        return Moments(matrix @ self.second @ matrix, self.mean @ matrix)

    @property
    def covariance(self) -> Matrix:
        return self.second - np.multiply.outer(self.mean, self.mean)

    @property
    def variance(self) -> float:
        """Of all maps together, the trace of the covariance."""
        return max(0.0, float(np.trace(self.second) - self.mean @ self.mean))


@dataclass(frozen=True)
class Slope:
    """F·`matrix` + `bias` is a loss's gradient towards the features F; no `bias` is one of 0."""

    matrix: Matrix
    bias: Matrix | None = None

    def times(self, factor: float) -> FlatSlope:
        bias = None if self.bias is None else (factor * self.bias).astype(np.float32)
        return FlatSlope((factor * self.matrix).astype(np.float32), bias)


class FlatSlope(NamedTuple):
    """A `Slope` as the kernels take it."""

    matrix: Float32
    bias: Float32 | None

    def apply(self, features: Buffer, out: Buffer, accumulate: bool, kernels: KernelSet) -> None:
        """out (+)= gradient."""
        kernels.product(features, self.matrix, out, accumulate, self.bias)


class StyleLoss(Protocol):
    """A loss that knows the painting's moments; asked with the picture's and their number of positions."""

    def __call__(self, picture: Moments, positions: int) -> tuple[float, Slope]: ...


@dataclass(frozen=True)
class GramLoss:
    """Equation 3 of Gatys et al."""

    target: Moments

    def __call__(self, picture: Moments, positions: int) -> tuple[float, Slope]:
        value, matrix = style_loss(picture.second * positions, positions, self.target.second)
        return value, Slope(matrix)


@dataclass(frozen=True)
class MomentsLoss:
    """Means and covariances, each relative to the painting's: ‖μ − μ_s‖² / tr Σ_s + ‖Σ − Σ_s‖² / ‖Σ_s‖²."""

    target: Moments

    def __call__(self, picture: Moments, positions: int) -> tuple[float, Slope]:
        spread, covariance = self.target.variance or 1.0, self.target.covariance
        square = float(np.sum(np.square(covariance))) or 1.0
        shift, difference = picture.mean - self.target.mean, picture.covariance - covariance
        value = float(np.sum(np.square(shift))) / spread + float(np.sum(np.square(difference))) / square
        matrix = 4 / (positions * square) * difference
        return value, Slope(matrix, 2 / (positions * spread) * shift - _row(picture.mean, matrix))


def _row(row: Matrix, matrix: Matrix) -> Matrix:
    """row · matrix, without BLAS."""
    found: Matrix = np.einsum("i,ij->j", row, matrix)
    return found


MakeLoss: TypeAlias = Callable[[Moments], StyleLoss]
