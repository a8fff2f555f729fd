"""Where a picture is calm: skies and walls, on which nothing would be lost under larger strokes."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.image.resize import resized

CELLS = 24  # along the longer side: what happens inside one counts as detail
LEVEL = 0.03  # deviation of brightness at which a place is half calm


def calm(picture: Float32) -> Float32:
    """(H, W, 1) in [0, 1]: 1 where the brightness of `picture`, (H, W, 3), does not change, near 0 at edges and texture."""
    size = picture.shape[0], picture.shape[1]
    height, width = (max(2, round(side * CELLS / max(size))) for side in size)

    def blurred(values: Float32) -> Float32:
        return resized(resized(values, (height, width), "bilinear"), size, "bilinear")

    grey = picture.mean(axis=2, keepdims=True)
    variance = np.maximum(blurred(np.square(grey - blurred(grey))), 0)
    found: Float32 = np.float32(LEVEL**2) / (np.float32(LEVEL**2) + variance)
    return found
