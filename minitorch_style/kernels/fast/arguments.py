"""What kernels are told together, each a record: of twenty integers in a row two could be swapped and compile.

All arrays are flat, all steps in floats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import Gate, MapView
from minitorch_style.kernels.codegen.modes import ACCUMULATE, GATED

NOTHING = np.zeros(1, np.float32)


class Extent(NamedTuple):
    """The shape of a map, or of the part of it that is computed."""

    rows: int
    columns: int
    channels: int


class Window(NamedTuple):
    """The geometry of a pool: the size of its windows, the steps between them, and the padding."""

    kh: int
    kw: int
    sh: int
    sw: int
    ph: int
    pw: int


class Panels(NamedTuple):
    """A matrix packed in panels of `width` columns, which are multiplied by `height` rows at a time."""

    data: Float32
    width: int
    height: int


class Taps(NamedTuple):
    """What a product sums over from a pixel on: `depth` floats at each of `count_a` · `count_b` places, `step_a` and `step_b`
    apart."""

    count_a: int
    step_a: int
    count_b: int
    step_b: int
    depth: int


class Product(NamedTuple):
    """A tile of a plain product, `width` columns of out[m, n] = Σ_{a, k} x[m · `step_m` + a · `step_a` + k · `step_k`] · w[…, n]
    over `count_a` · `depth`. Rows of w are `ldw` apart, and `skip_w` floats more lie between one a and the next; rows of out
    are `ldo` apart."""

    width: int
    count_a: int
    step_a: int
    depth: int
    step_k: int
    step_m: int
    ldw: int
    skip_w: int
    ldo: int


class Epilogue(NamedTuple):
    """What becomes of a sum of channel c on its way to memory, by the bits of `mode` (`codegen.modes`): bias[c] is added,
    `slope` serves the activation or the gradient that passes the activation whose output is `gate`."""

    bias: Float32
    slope: Float32
    mode: int
    gate: MapView


NOWHERE = MapView(NOTHING, 0, 0, 0)


def part(view: MapView, start: tuple[int, int], step: tuple[int, int] = (1, 1)) -> MapView:
    """Every `step`-th pixel (down, across) from `start` on, which may lie in the margin."""
    data, origin, row, col = view
    return MapView(data, origin + start[0] * row + start[1] * col, step[0] * row, step[1] * col)


def gradient_epilogue(bias: Float32, accumulate: bool, gate: Gate | None) -> Epilogue:
    """Of a gradient: added to what is there if `accumulate`, then times the derivative that `gate` tells."""
    mode = ACCUMULATE if accumulate else 0
    if gate is None:
        return Epilogue(bias, NOTHING, mode, NOWHERE)
    return Epilogue(bias, gate.slope, mode | GATED, gate.output.view)
