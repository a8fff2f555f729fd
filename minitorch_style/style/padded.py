"""A network on pictures whose borders are mirrored outwards: features near a border then are like any others, instead of
knowing where the zeros begin. The padding's own features are left out of every loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.image.resample import Reflection
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.nn.architecture import Architecture

PADDING = 16  # pixels on each side

# (tap, features, gradient): adds to the gradient, which is zero at first
Inject = Callable[[str, Buffer, Buffer], None]


def strides(architecture: Architecture, size: int = 512) -> dict[str, int]:
    """{tap: pixels of the picture from one value to the next}."""
    shapes = architecture.shapes((size, size), architecture.until(architecture.taps))
    return {tap: round(size / shapes[node][0]) for tap, node in architecture.taps.items()}


class PaddedPlan:
    """Of pictures of one `size`: features at `taps` and the backward pass, as `Plan`, without what belongs to the padding.

    Raises ShapeError, SettingsError as for Plan.
    """

    def __init__(self, network: Network, size: tuple[int, int], taps: Iterable[str], gradient: bool = True) -> None:
        self.network, self.size = network, size
        self._reflection = Reflection(size, PADDING)
        self._plan = network.plan(self._reflection.padded, taps, gradient)
        self._padded = np.empty((*self._reflection.padded, 3), np.float32)
        step = strides(network.architecture)
        self._edges = {tap: (PADDING // step[tap],) * 2 for tap in self._plan.taps}
        self._features = {tap: self._plan.feature(tap).cropped(edge) for tap, edge in self._edges.items()}

    @property
    def taps(self) -> tuple[str, ...]:
        return self._plan.taps

    @property
    def nbytes(self) -> int:
        return self._plan.nbytes + self._padded.nbytes

    def run(self, pixels: Float32) -> None:
        """Computes the features of `pixels`, (H, W, 3) in [0, 1]."""
        self._plan.run(self._reflection(pixels, self._padded))

    def feature(self, tap: str) -> Buffer:
        """Of the last run, until `run_back` or the next run."""
        return self._features[tap]

    def run_back(self, inject: Inject) -> Float32:
        """The pixels' gradient, (H, W, 3); `inject` is called for each tap, from the last to the first."""

        def inside(tap: str, features: Buffer, gradient: Buffer) -> None:
            gradient.interior.fill(0)
            inject(tap, self._features[tap], gradient.cropped(self._edges[tap]))

        return self._reflection.transposed(self._plan.run_back(inside))
