"""Feature maps in memory: a picture with a margin of zeros around it, so that a padded convolution needs no copy."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.nn.layers import Shape

LINE = 16  # floats of a line of the cache


def aligned(count: int) -> Float32:
    """Zeros that begin with a line of the cache: a vector that lies across two costs two accesses."""
    memory = np.zeros(count + LINE, np.float32)
    start = -memory.__array_interface__["data"][0] // 4 % LINE
    return memory[start : start + count]


def roomy(shape: tuple[int, ...], slack: int) -> Float32:
    """Zeros of this shape with so many floats more behind them in memory, for `with_slack`."""
    count = math.prod(shape)
    return aligned(count + slack)[:count].reshape(shape)


def with_slack(values: Float32, slack: int) -> Float32:
    """The values flat, and `slack` floats behind them that mean nothing: of `roomy` arrays the same memory, else a copy."""
    whole = values.base
    if isinstance(whole, np.ndarray) and whole.ndim == 1 and whole.dtype == np.float32 and values.flags.c_contiguous:
        start = (values.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // 4
        if whole.flags.c_contiguous and len(whole) >= start + values.size + slack:
            return whole[start : start + values.size + slack]
    flat = aligned(values.size + slack)
    flat[: values.size] = values.reshape(-1)
    return flat


class MapView(NamedTuple):
    """A map in flat memory: the channels of pixel (i, j) begin at `origin` + i · `row` + j · `col`, in floats."""

    data: Float32
    origin: int
    row: int
    col: int


def flattened(view: Float32) -> MapView:
    """The memory of a float32 view (H, W, C) whose channels lie side by side, flat from its first value to its last, and
    the steps in it."""
    rows, columns, channels = view.shape
    if view.flags.c_contiguous:
        return MapView(view.reshape(-1), 0, columns * channels, channels)
    row, column = (0 if count == 1 else step // 4 for step, count in zip(view.strides, (rows, columns), strict=False))
    assert view.dtype == np.float32 and (channels == 1 or view.strides[2] == 4), "channels must lie side by side"
    count = (rows - 1) * row + (columns - 1) * column + channels
    return MapView(np.lib.stride_tricks.as_strided(view, (count,), (4,)), 0, row, column)


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
    memory: InitVar[Float32 | None] = None
    flat: Float32 = field(init=False, repr=False)
    row_step: int = field(init=False)  # floats from one row to the next
    origin: int = field(init=False)  # where in `flat` pixel (0, 0) begins
    interior: Float32 = field(init=False, repr=False)  # the values without margin, (H, W, C), in the same memory
    view: MapView = field(init=False, repr=False)  # the same for kernels
    _outside: list[Float32] = field(init=False, repr=False)

    def __post_init__(self, memory: Float32 | None) -> None:
        count = self.floats(self.shape, self.margin, self.slack)
        self.flat = aligned(count) if memory is None else memory[:count]
        height, width, channels = self.shape
        self.row_step = (-(-width // 4) * 4 + 2 * self.margin) * channels
        self.origin = self.margin * (self.row_step + channels)
        self.view = MapView(self.flat, self.origin, self.row_step, channels)
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

    def cropped(self, edge: tuple[int, int]) -> Buffer:
        """The same memory without `edge` (rows, columns) of the values on each side; at least one is left."""
        down, across = (min(crop, (size - 1) // 2) for crop, size in zip(edge, self.shape, strict=False))
        return self.window(slice(down, self.shape[0] - down), slice(across, self.shape[1] - across))

    def window(self, rows: slice, columns: slice) -> Buffer:
        """The same memory, of which only these rows and columns are seen; both slices have a start and a stop."""
        inside = copy(self)
        inside.shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        inside.origin = self.origin + rows.start * self.row_step + columns.start * self.shape[2]
        inside.interior = self.interior[rows, columns]
        inside.view = self.view._replace(origin=inside.origin)
        inside._outside = []
        return inside

    @staticmethod
    def floats(shape: Shape, margin: int, slack: int) -> int:
        """How many floats such a buffer takes."""
        rows, columns = (-(-size // 4) * 4 + 2 * margin for size in shape[:2])
        return rows * columns * shape[2] + slack


@dataclass(frozen=True)
class Gate:
    """Derivative of an activation that was fused into the layer before: 1 where `output` > 0, else slope[c]."""

    output: Buffer
    slope: Float32
