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
    light = (pixels[..., 0] + pixels[..., 1] + pixels[..., 2]) / np.float32(3)
    tall, wide = (np.diff([*range(0, size, SQUARE), size]) for size in light.shape)
    counts = np.multiply.outer(tall, wide).astype(np.float32)
    for channel in range(3):
        values = pixels[..., channel]
        means = _summed(_summed(values - light).T).T / counts
        wider = means.repeat(wide, axis=1)
        for first in range(SQUARE):
            lights = light[first::SQUARE]
            np.add(wider[: len(lights)], lights, out=values[first::SQUARE])
    return pixels


def _summed(values: Float32) -> Float32:
    """The sum of every SQUARE rows in turn, of fewer at the end."""
    first, *others = (values[row::SQUARE] for row in range(SQUARE))
    rest = np.zeros_like(first)
    for more in others:
        rest[: len(more)] += more
    return first + rest


def coarse_in_chroma(objective: Evaluate) -> Evaluate:
    """The objective with its gradient projected on such pictures: L-BFGS and gradient descent, whose steps are sums of
    gradients, then change a picture by such pictures alone. Adam, which scales each number by itself, nearly so."""

    def evaluate(pixels: Float32) -> tuple[float, Float32]:
        loss, gradient = objective(pixels)
        if isinstance(gradient, Parts):
            return loss, cast(Float32, gradient.on_pixels(coarse_chroma))
        return loss, coarse_chroma(gradient)

    return evaluate
