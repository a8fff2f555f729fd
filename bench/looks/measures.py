"""Rulers for a painted picture: speckles, clipping, legibility, and how much style is left undone before a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.image.resize import resized
from minitorch_style.style.objective import Objective

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LEGIBLE = 128  # pixels of the long side at which edges are compared: what is seen at a glance


def _finest(channel: Float32) -> float:
    """The energy of the finest octave of (H, W, …): what a halved picture cannot hold."""
    smooth = ndimage.gaussian_filter(channel, (1, 1, *([0] * (channel.ndim - 2))))
    return float(np.mean(np.square(channel - smooth, dtype=np.float64)))


def luma(picture: Float32) -> Float32:
    found: Float32 = picture @ LUMA
    return found


def energies(picture: Float32) -> tuple[float, float]:
    """(luma, chroma) energy of the finest octave of a picture (H, W, 3)."""
    grey = luma(picture)
    return _finest(grey), _finest(picture - grey[..., None])


def clipped(picture: Float32) -> float:
    """The share of pixels with a channel at either end of its range."""
    return float(np.mean(np.any((picture <= 1 / 255) | (picture >= 254 / 255), axis=2)))


def legibility(picture: Float32, photo: Float32) -> float:
    """The correlation of edge strengths in picture and photo, both `LEGIBLE` pixels long."""
    height, width = photo.shape[:2]
    factor = LEGIBLE / max(height, width)
    size = round(height * factor), round(width * factor)
    edges = [ndimage.gaussian_gradient_magnitude(luma(resized(one, size)), 1.0).ravel() for one in (picture, photo)]
    return float(np.corrcoef(*edges)[0, 1])


@dataclass(frozen=True)
class Verdict:
    """`style`: the style loss of the picture over that of the photo (0 is the painting's statistics, 1 nothing done).
    `content`: equation 1 over the photo's own size (0 is the photo)."""

    style: float
    content: float


class LooksJudge:
    """What a network says of pictures of one photo after one painting, (H, W, 3) both, by balanced losses: every layer
    relative to its own target."""

    def __init__(self, network: Network, photo: Float32, painting: Float32) -> None:
        self._objective = Objective(network, photo, painting, content_weight=1.0, balanced=True)
        self._objective(photo)
        self._untouched = self._objective.terms.style

    def __call__(self, picture: Float32) -> Verdict:
        self._objective(picture)
        terms = self._objective.terms
        return Verdict(terms.style / self._untouched, terms.content)
