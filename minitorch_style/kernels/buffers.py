"""Feature maps in memory: a picture with a margin of zeros around it, so that a padded convolution needs no copy."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field

import numpy as np
import numpy.typing as npt

from minitorch_style.layers import Shape

Array = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]  # numbers in bfloat16: the upper half of a float32


LINE = 16  # floats of a line of the cache


def aligned(count: int) -> Array:
    """Zeros that begin with a line of the cache: a vector that lies across two costs two accesses."""
    memory = np.zeros(count + LINE, np.float32)
    start = -memory.__array_interface__["data"][0] // 4 % LINE
    return memory[start : start + count]


@dataclass
class Buffer:
    """(H, W, C) float32 values inside `margin` zero pixels on each side.

    Rows and columns are rounded up to whole 4×4 tiles, and `slack` floats follow the last row: fast kernels read whole
    tiles and throw away what lies outside. Only the interior is ever written. `memory` is where it lies, of at least
    `floats` floats; where others use that too, `clear_margin` comes before the interior is written.
    """

    shape: Shape
    margin: int = 0
    slack: int = 0
    memory: InitVar[Array | None] = None
    flat: Array = field(init=False, repr=False)
    row_step: int = field(init=False)  # floats from one row to the next
    origin: int = field(init=False)  # where in `flat` pixel (0, 0) begins
    interior: Array = field(init=False, repr=False)  # the values without margin, (H, W, C), in the same memory
    _outside: list[Array] = field(init=False, repr=False)

    def __post_init__(self, memory: Array | None) -> None:
        count = self.floats(self.shape, self.margin, self.slack)
        self.flat = aligned(count) if memory is None else memory[:count]
        height, width, channels = self.shape
        self.row_step = (-(-width // 4) * 4 + 2 * self.margin) * channels
        self.origin = self.margin * (self.row_step + channels)
        view = np.lib.stride_tricks.as_strided
        steps = (4 * self.row_step, 4 * channels, 4)
        self.interior = view(self.flat[self.origin :], (height, width, channels), steps)
        row, last = self.origin + width * channels, self.origin + (height - 1) * self.row_step + width * channels
        between = view(self.flat[row:], (height - 1, self.row_step - width * channels), (steps[0], 4))
        parts = (self.flat[: self.origin], between, self.flat[last : count - self.slack])
        self._outside = [part for part in parts if part.size] if self.margin else []

    def clear_margin(self) -> None:
        """Zeroes all that lies before, between and behind the interior's rows."""
        for part in self._outside:
            part.fill(0)

    @staticmethod
    def floats(shape: Shape, margin: int, slack: int) -> int:
        """How many floats such a buffer takes."""
        rows, columns = (-(-size // 4) * 4 + 2 * margin for size in shape[:2])
        return rows * columns * shape[2] + slack


@dataclass(frozen=True)
class Gate:
    """Derivative of an activation that was fused into the layer before: 1 where `output` > 0, else slope[c]."""

    output: Buffer
    slope: Array
