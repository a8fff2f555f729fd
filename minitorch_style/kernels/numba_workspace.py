"""What the layers of the fast kernel set share: packed weights, scratch memory, and a gate as a kernel takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from minitorch_style.kernels import tile_modes
from minitorch_style.kernels.buffers import Array, Gate, aligned
from minitorch_style.layers import Conv2d, Shape

NOTHING = np.zeros(1, np.float32)

T = TypeVar("T")


class Workspace:
    """What the layers of one network share: packed weights, so that plans of other sizes need not pack them again, and
    floats that a kernel needs only while it runs."""

    def __init__(self) -> None:
        self._floats = np.empty(0, np.float32)
        self._packed: dict[tuple[int, str], tuple[Array, Any]] = {}

    def packed(self, weight: Array, how: str, pack: Callable[[], T]) -> T:
        """`pack()`, remembered for this array and purpose (and the array held, so that its identity stays its own)."""
        key = (id(weight), how)
        if key not in self._packed:
            self._packed[key] = (weight, pack())
        found: T = self._packed[key][1]
        return found

    def take(self, *counts: int) -> list[Array]:
        """Arrays of so many floats, with whatever is in them. Only under `compute_lock`."""
        if self._floats.size < sum(counts):
            self._floats = aligned(sum(counts))
        parts, end = [], 0
        for count in counts:
            parts.append(self._floats[end : end + count])
            end += count
        return parts


def mode_of(accumulate: bool, gate: Gate | None) -> int:
    return (tile_modes.ACCUMULATE if accumulate else 0) | (tile_modes.GATED if gate else 0)


def gate_parts(gate: Gate | None) -> tuple[Array, Array, int, int]:
    """(slope, output, origin, row step) of a gate, or harmless values."""
    if gate is None:
        return NOTHING, NOTHING, 0, 0
    return gate.slope, gate.output.flat, gate.output.origin, gate.output.row_step


@dataclass
class Layer:
    """A convolution layer to compute: its definition and numbers, `slope` of an activation to fuse, and the input's shape."""

    spec: Conv2d
    weight: Array
    bias: Array
    slope: Array | None
    shape: Shape
    gradient: bool
    workspace: Workspace
