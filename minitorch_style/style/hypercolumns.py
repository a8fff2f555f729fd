"""All that a network's shallow and middle layers say of each place of a picture, as one vector a place (Hariharan et al.
2015): its taps resized to a quarter of the picture's resolution, each scaled to the same variance, one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.image.resample import Resampling, interpolating
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.nn.architecture import Architecture
from minitorch_style.style.padded import Inject, PaddedPlan, strides

CELL = 4  # pixels along the side of the square that one hypercolumn stands for
DEEPEST = 8  # stride of the deepest taps taken
DEEP_TAPS = 3  # how many of those


def hypercolumn_taps(architecture: Architecture) -> tuple[str, ...]:
    """The taps of stride up to `DEEPEST`, of that stride the first `DEEP_TAPS`: conv1_1 … conv4_3 of a VGG."""
    step = strides(architecture)
    shallow = [tap for tap in architecture.taps if step[tap] < DEEPEST]
    deep = [tap for tap in architecture.taps if step[tap] == DEEPEST]
    return architecture.require_taps([*shallow, *deep[:DEEP_TAPS]])


def cells(size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of hypercolumns of a picture."""
    return max(1, size[0] // CELL), max(1, size[1] // CELL)


class Hypercolumns:
    """Of pictures of one size, as `network` sees them. `scales` are the factors of the taps, 1 by default; `also` are taps
    computed besides, for other losses. `shape` is (rows, columns, N).

    Raises ShapeError, SettingsError as for Plan.
    """

    def __init__(
        self,
        network: Network,
        size: tuple[int, int],
        taps: Iterable[str],
        also: Iterable[str] = (),
        scales: Mapping[str, float] | None = None,
        gradient: bool = True,
    ) -> None:
        taps = network.architecture.require_taps(taps)
        self.plan = PaddedPlan(network, size, [*taps, *also], gradient)
        scales, target = scales or {}, cells(size)
        self._resized: dict[str, Resampling] = {}
        self._channels: dict[str, slice] = {}
        first = 0
        for tap in taps:
            height, width, channels = self.plan.feature(tap).shape
            rows, columns = interpolating(height, target[0]), interpolating(width, target[1])
            self._resized[tap] = Resampling(rows, columns.scaled(scales.get(tap, 1.0)), channels, network.kernels)
            self._channels[tap] = slice(first, first + channels)
            first += channels
        self.shape = (*target, first)
        self.values = np.empty(self.shape, np.float32)  # of the last run
        self._back = {tap: resized.transposed() for tap, resized in self._resized.items()} if gradient else {}

    def channels(self, tap: str) -> slice:
        """Which numbers of a hypercolumn are this tap's."""
        return self._channels[tap]

    def run(self, pixels: Float32) -> Float32:
        """(rows, columns, N) of `pixels`, (H, W, 3), in memory that the next run writes over."""
        self.plan.run(pixels)
        for tap, resized in self._resized.items():
            resized(self.plan.feature(tap).interior, self.values[..., self._channels[tap]])
        return self.values

    def run_back(self, gradient: Float32, also: Inject | None = None) -> Float32:
        """The pixels' gradient, (H, W, 3), from that of the last run's hypercolumns and what `also` adds at each tap."""

        def inject(tap: str, features: Buffer, out: Buffer) -> None:
            if tap in self._back:
                self._back[tap](gradient[..., self._channels[tap]], out.interior)
            if also is not None:
                also(tap, features, out)

        return self.plan.run_back(inject)
