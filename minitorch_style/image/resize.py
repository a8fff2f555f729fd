"""Pixels at another size. Sizes are (height, width)."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.image import ppm

try:
    from PIL import Image

    PILLOW = True
except ImportError:  # a board with Python and NumPy alone
    PILLOW = False


def reduced_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """`size` with its longest side brought down to `longest`, never up; None leaves it."""
    if longest is None or longest >= max(size):
        return size
    return max(1, round(size[0] * longest / max(size))), max(1, round(size[1] * longest / max(size)))


def floats(pixels: Pixels) -> Float32:
    """Bytes of any shape as floats in [0, 1], made anew; floats as they are."""
    if pixels.dtype != np.uint8:
        return np.asarray(pixels, np.float32)
    made = pixels.astype(np.float32)
    made /= np.float32(255)
    return made


def resized(pixels: Pixels, size: tuple[int, int], how: str = "bicubic") -> Float32:
    """(H, W, C) stretched to `size` (height, width), each channel in full precision, bicubic, bilinear or lanczos;
    `pixels` themselves where they are floats of that size."""
    if pixels.shape[:2] == size:
        return floats(pixels)
    if not PILLOW:
        return ppm.resample(floats(pixels), size)
    resampling = Image.Resampling[how.upper()]
    out = np.empty((*size, pixels.shape[2]), np.float32)
    for c in range(pixels.shape[2]):  # one at a time: large pictures are held once
        channel = Image.fromarray(np.ascontiguousarray(floats(pixels[..., c]))).resize(size[::-1], resampling)
        out[..., c] = np.asarray(channel)
    return out
