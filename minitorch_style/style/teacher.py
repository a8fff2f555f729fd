"""What a small network's features are to the teacher that it learnt from.

Its file holds, for each tap, Q = M Mᵀ (N, N), where the linear map M takes its features to the teacher's
(`Weights.teacher_products`). Lengths and angles after F·M are those after F·R with R = Q^½, which is no larger than the
features themselves; so a loss of F·R measures what the teacher would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.blas import one_thread
from minitorch_style.style.moments import MakeLoss, Matrix, Moments, Slope, StyleLoss


def teacher_root(products: Mapping[str, npt.NDArray[np.floating[Any]]], tap: str) -> Matrix | None:
    """R (N, N), symmetric, for `products` {tap: Q}; None where they do not tell."""
    product = products.get(tap)
    if product is None:
        return None
    with one_thread():
        values, vectors = np.linalg.eigh(product.astype(np.float64))
        root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


@dataclass(frozen=True)
class TeacherLoss:
    """A `loss` that knows the moments of the painting's F·R, as a loss of F: its gradient is that towards F·R, times R."""

    loss: StyleLoss
    root: Matrix

    def __call__(self, picture: Moments, positions: int) -> tuple[float, Slope]:
        with one_thread():
            value, slope = self.loss(picture.mapped(self.root), positions)
            bias = None if slope.bias is None else slope.bias @ self.root
            return value, Slope(self.root @ slope.matrix @ self.root, bias)


def teacher_losses(
    make: MakeLoss, moments: Mapping[str, Moments], products: Mapping[str, npt.NDArray[np.floating[Any]]]
) -> dict[str, StyleLoss]:
    """{tap: loss} of a painting's moments, in the teacher's space where `products` {tap: Q} tell it, else in the network's
    own."""
    found: dict[str, StyleLoss] = {}
    for tap, of_painting in moments.items():
        root = teacher_root(products, tap)
        if root is None:
            found[tap] = make(of_painting)
        else:
            with one_thread():
                found[tap] = TeacherLoss(make(of_painting.mapped(root)), root)
    return found
