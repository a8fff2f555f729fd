"""A measure for painted pictures: what a network that took no part in making them thinks of their style and content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.errors import ShapeError
from minitorch_style.image.io import Picture
from minitorch_style.transfer.run import objective_of, prepare, run
from minitorch_style.transfer.settings import Settings


@dataclass(frozen=True)
class Score:
    """`style`: 1 for the photo as it was, 0 for the judge's own optimum, the style loss between them in proportion (below
    0 is more style than the judge's own). `content`: 0 for the photo, 1 as much changed as in the judge's optimum."""

    style: float
    content: float


class Judge:
    """Scores pictures of one photo in the style of one painting, (H, W, 3) in [0, 1] both, by equations 1 and 3 under
    `network`. Its own optimum, the unit of both measures, takes `iterations` of L-BFGS."""

    def __init__(self, network: Network, photo: Float32, painting: Float32, iterations: int = 300) -> None:
        settings = Settings(method="gram", model=network.name, size=max(photo.shape), iterations=iterations)
        job = prepare(Picture(photo), Picture(painting), settings, network)
        self._objective = objective_of(job)
        self._first = self._terms(photo)
        self.optimum = run(job).complete().image
        self._last = self._terms(self.optimum.astype(np.float32) / np.float32(255))

    def _terms(self, pixels: Float32) -> tuple[float, float]:
        self._objective(pixels)
        return self._objective.terms.style, self._objective.terms.content

    def score(self, pixels: Float32) -> Score:
        """The score of a picture of the photo's size. ShapeError for another size."""
        if pixels.shape != self._objective.shape:
            raise ShapeError(f"expected a picture {self._objective.shape}, got {pixels.shape}")
        style, content = self._terms(pixels)
        (first, _), (last, changed) = self._first, self._last
        return Score((style - last) / (first - last), content / changed)
