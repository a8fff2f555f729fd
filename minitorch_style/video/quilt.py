"""Strokes without a picture: pieces of a painting side by side, by their fine light and dark alone. What has no past begins
under them, many iterations nearer to the painting than the bare photo is."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.image.resize import resized
from minitorch_style.style.chroma import coarse_chroma

PIECE = 64  # pixels a side, every half of that: no object of the painting is whole
COARSE = 16  # pixels: what is as broad as this or broader is left to the photo


def quilted(painting: Float32, size: tuple[int, int]) -> Float32:
    """(H, W, 3) for `size` (height, width), about 0: random pieces of the painting (H', W', 3), the same ones every time,
    without what is broad. They run into one another at the deviation that they have, and in color by squares."""
    height, width = painting.shape[:2]
    small = max(1, round(height / COARSE)), max(1, round(width / COARSE))
    detail = painting - resized(resized(painting, small), (height, width))
    piece = min(PIECE, height, width)
    step = max(1, piece // 2)
    wave = np.sin(np.pi * (np.arange(piece, dtype=np.float32) + np.float32(0.5)) / piece) ** 2
    window = (wave[:, None] * wave)[..., None]
    random = np.random.default_rng(0)
    made = np.zeros((size[0] + 2 * piece, size[1] + 2 * piece, 3), np.float32)
    squares = np.zeros((*made.shape[:2], 1), np.float32)
    for top in range(0, size[0] + piece, step):
        for left in range(0, size[1] + piece, step):
            row, column = random.integers(0, (height - piece + 1, width - piece + 1))
            here = np.s_[top : top + piece, left : left + piece]
            made[here] += window * detail[row : row + piece, column : column + piece]
            squares[here] += window**2  # variances add up
    inner = np.s_[step : step + size[0], step : step + size[1]]
    return coarse_chroma(np.ascontiguousarray(made[inner] / np.sqrt(squares[inner])))
