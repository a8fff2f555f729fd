"""A measure for painted pictures: what a network that took no part in making them thinks of their style and content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitorch_style.errors import ShapeError
from minitorch_style.images import Picture
from minitorch_style.kernels.buffers import Array
from minitorch_style.network import Network
from minitorch_style.settings import Settings
from minitorch_style.transfer import objective_of, prepare, run


@dataclass(frozen=True)
class Score:
    """`style`: 1 for the photo as it was, 0 for the judge's own optimum, the style loss between them in proportion (below
    0 is more style than the judge's own). `content`: 0 for the photo, 1 as much changed as in the judge's optimum."""

    style: float
    content: float


class Judge:
    """Scores pictures of one photo in the style of one painting, (H, W, 3) in [0, 1] both, by equations 1 and 3 under
    `network`. Its own optimum, the unit of both measures, takes `iterations` of L-BFGS."""

    def __init__(self, network: Network, photo: Array, painting: Array, iterations: int = 300) -> None:
        settings = Settings(model=network.name, size=max(photo.shape), iterations=iterations)
        job = prepare(Picture(photo), Picture(painting), settings, network)
        self._objective = objective_of(job)
        self._first = self._terms(photo)
        self.optimum = run(job).image
        self._last = self._terms(self.optimum.astype(np.float32) / np.float32(255))

    def _terms(self, pixels: Array) -> tuple[float, float]:
        self._objective(pixels)
        return self._objective.terms.style, self._objective.terms.content

    def score(self, pixels: Array) -> Score:
        """The score of a picture of the photo's size. ShapeError for another size."""
        if pixels.shape != self._objective.shape:
            raise ShapeError(f"expected a picture {self._objective.shape}, got {pixels.shape}")
        style, content = self._terms(pixels)
        (first, _), (last, changed) = self._first, self._last
        return Score((style - last) / (first - last), content / changed)
