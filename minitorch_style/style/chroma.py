"""Pictures whose color changes by squares of a few pixels, while their light may change from pixel to pixel.

A network sees little of the finest color, and a narrow one least: an optimizer leaves there whatever its steps happened to
put, which the eye sees as colored speckles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.parts import Parts
from minitorch_style.engine.tiles import SQUARE

Evaluate = Callable[[Float32], tuple[float, Float32]]


def coarse_chroma(pixels: Float32) -> Float32:
    """The pixels (H, W, 3), written over: each keeps the mean of its colors, and what differs from that becomes the mean of
    its square. The orthogonal projection on such pictures."""
    light = (pixels[..., :1] + pixels[..., 1:2] + pixels[..., 2:]) / np.float32(3)
    pixels -= light
    rows, columns = (np.arange(0, size, SQUARE) for size in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0), columns, axis=1)
    tall, wide = (np.diff([*firsts, size]) for firsts, size in zip((rows, columns), pixels.shape, strict=False))
    means = sums / np.multiply.outer(tall, wide).astype(np.float32)[..., None]
    np.add(means.repeat(tall, axis=0).repeat(wide, axis=1), light, out=pixels)
    return pixels


def coarse_in_chroma(objective: Evaluate) -> Evaluate:
    """The objective with its gradient projected on such pictures: L-BFGS and gradient descent, whose steps are sums of
    gradients, then change a picture by such pictures alone. Adam, which scales each number by itself, nearly so."""

    def evaluate(pixels: Float32) -> tuple[float, Float32]:
        loss, gradient = objective(pixels)
        if isinstance(gradient, Parts):
            return loss, cast(Float32, gradient.on_pixels(coarse_chroma))
        return loss, coarse_chroma(gradient)

    return evaluate
