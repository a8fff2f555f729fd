"""The relative Wasserstein-2 distance of two layers' features, each taken for a normal distribution.

    W = ( ‖μ − μ_s‖² + tr(Σ + Σ_s − 2 (Σ_s^½ Σ Σ_s^½)^½) ) / tr Σ_s

It is how far the picture's features have to travel, on the average and squared, to be distributed as the painting's, as
a share of how far these are spread (Dowson & Landau 1982; as a style loss: Mroueh 2020). Its gradient is closed: it pushes
each feature vector along the map that takes one distribution to the other,

    ∂W/∂F = 2/(M tr Σ_s) · [ (F − μ)(1 − T) + (μ − μ_s) ],     T = R (R Σ R)^(−½) R,     R = Σ_s^½.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minitorch_style.errors import SettingsError
from minitorch_style.kernels.blas import one_thread
from minitorch_style.style.moments import GramLoss, MakeLoss, Matrix, Moments, MomentsLoss, Slope

# Added to both covariances, of the painting's mean variance: maps that never fire leave no singular matrix.
RIDGE = 1e-4


class WassersteinLoss:
    """See the module. `target` are the painting's moments."""

    def __init__(self, target: Moments) -> None:
        self.target = target
        maps = len(target.mean)
        self._spread = target.variance or 1.0
        self._ridge = RIDGE * self._spread / maps * np.eye(maps)
        with one_thread():
            values, vectors = np.linalg.eigh(target.covariance + self._ridge)
            values = np.maximum(values, 0)
            self._root = (vectors * np.sqrt(values)) @ vectors.T
        self._trace = float(values.sum())

    def __call__(self, picture: Moments, positions: int) -> tuple[float, Slope]:
        root, covariance = self._root, picture.covariance + self._ridge
        with one_thread():
            values, vectors = np.linalg.eigh(root @ covariance @ root)
            roots = np.sqrt(np.maximum(values, 1e-12 * self._spread**2))
            turned = root @ vectors
            transport = (turned / roots) @ turned.T
            matrix: Matrix = np.eye(len(root)) - transport
            shift = picture.mean - self.target.mean
            value = shift @ shift + np.trace(covariance) + self._trace - 2 * roots.sum()
            factor = 2 / (positions * self._spread)
            return float(value) / self._spread, Slope(factor * matrix, factor * (shift - picture.mean @ matrix))


GRAM = "gram"  # needs no means
STYLE_LOSSES: Mapping[str, MakeLoss] = {GRAM: GramLoss, "moments": MomentsLoss, "w2": WassersteinLoss}


def require_style_loss(name: str) -> None:
    """SettingsError for one that is none of them."""
    if name not in STYLE_LOSSES:
        raise SettingsError(f"no style loss {name!r}; there are {', '.join(STYLE_LOSSES)}")
