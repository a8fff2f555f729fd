"""What the stages of a Winograd convolution are told together, as `fast.arguments`."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.fast.arguments import NOTHING, Epilogue, Extent

Codes: TypeAlias = npt.NDArray[np.int8]
NONE, MAX, AVERAGE = 0, 1, 2  # kinds of pool


class Points(NamedTuple):
    """Tiles transformed: the channels of point p of tile t begin at p · `step` + t · `row`."""

    data: Float32
    row: int
    step: int


class Scratch(NamedTuple):
    """Tiles of the input before the 36 products, and of the output after them."""

    v: Points
    m: Points


class Target(NamedTuple):
    """Where the output goes: `add` is added to a gradient."""

    out: MapView
    size: Extent
    epilogue: Epilogue
    add: MapView


class Pool(NamedTuple):
    """A 2×2 pool behind the convolution, if it does one of `kind` as well. Of pooled pixel (i, j) the bytes that tell where
    it came from begin at `origin` + i · `row` + j · channels. `slope` is that of the activation between."""

    kind: int
    codes: Codes
    origin: int
    row: int
    slope: Float32


class Weights(NamedTuple):
    """Plain weights, flat (3, 3, inputs, outputs). `turned`: they serve the gradient's convolution, whose kernel is turned
    by 180° and has in and out exchanged."""

    data: Float32
    inputs: int
    outputs: int
    turned: bool


class Phases(NamedTuple):
    """How `workers` share the products: one of `tasks` is a panel, of `width` columns for `height` tiles at a time, and one
    of `parts` of the six rows of points."""

    workers: int
    tasks: int
    parts: int
    width: int
    height: int


class Slices(NamedTuple):
    """Room of each worker for a slice of a panel's weights: their taps (workers, 9 · `step`) and a row of points made of
    these (workers, 6 · `step`)."""

    taps: Float32
    points: Float32
    step: int


NO_POOL = Pool(NONE, np.zeros(1, np.int8), 0, 0, NOTHING)
