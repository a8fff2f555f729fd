"""Feature maps in memory: a picture with a margin of zeros around it, so that a padded convolution needs no copy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from minitorch_style.layers import Shape

Array = npt.NDArray[np.float32]


@dataclass
class Buffer:
    """(H, W, C) float32 values inside `margin` zero pixels on each side.

    Rows and columns are rounded up to whole 4×4 tiles, and `slack` floats follow the last row: fast kernels read whole
    tiles and throw away what lies outside. Only the interior is ever written.
    """

    shape: Shape
    margin: int = 0
    slack: int = 0
    flat: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.flat = np.zeros(self.nbytes // 4, np.float32)

    @staticmethod
    def floats(shape: Shape, margin: int, slack: int) -> int:
        """How many floats such a buffer takes."""
        rows, columns = (-(-size // 4) * 4 + 2 * margin for size in shape[:2])
        return rows * columns * shape[2] + slack

    @property
    def nbytes(self) -> int:
        return 4 * self.floats(self.shape, self.margin, self.slack)

    @property
    def row_step(self) -> int:
        """Floats from one row to the next."""
        return (-(-self.shape[1] // 4) * 4 + 2 * self.margin) * self.shape[2]

    @property
    def origin(self) -> int:
        """Where in `flat` pixel (0, 0) begins."""
        return self.margin * (self.row_step + self.shape[2])

    @property
    def interior(self) -> Array:
        """The values without margin, as a writable view (H, W, C)."""
        height, width, channels = self.shape
        steps = (4 * self.row_step, 4 * channels, 4)
        return np.lib.stride_tricks.as_strided(self.flat[self.origin :], (height, width, channels), steps)


@dataclass(frozen=True)
class Gate:
    """Derivative of an activation that was fused into the layer before: 1 where `output` > 0, else slope[c]."""

    output: Buffer
    slope: Array
