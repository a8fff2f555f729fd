"""Colors moved at once: what a frame that has not been painted yet begins with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.image.color import color_map


@dataclass(frozen=True)
class Colors:
    """Moves a photo's colors to a painting's, as its mean and covariance are."""

    matrix: Float32
    offset: Float32

    @classmethod
    def of(cls, photo: Float32, painting: Float32) -> Colors:
        """Of every fourth pixel of a photo (H, W, 3), and all of a painting."""
        matrix, mean, new_mean = color_map(photo[::4, ::4], painting)
        return cls(matrix.T.astype(np.float32), (new_mean - matrix @ mean).astype(np.float32))

    def __call__(self, photo: Float32) -> Float32:
        moved = photo @ self.matrix
        moved += self.offset
        return np.clip(moved, 0, 1, out=moved)
