"""What the layers of the fast kernel set share: packed weights and scratch memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import aligned
from minitorch_style.kernels.packing import PackedWeights
from minitorch_style.nn.layers import Conv2d, Shape


class Workspace:
    """What the layers of one kernel set share: packed weights, so that plans of other sizes need not pack them again, and
    floats that a kernel needs only while it runs."""

    def __init__(self) -> None:
        self._floats = np.empty(0, np.float32)
        self.packed = PackedWeights()

    def take(self, *counts: int) -> list[Float32]:
        """Arrays of so many floats, with whatever is in them. Only under `compute_lock`."""
        if self._floats.size < sum(counts):
            self._floats = aligned(sum(counts))
        parts, end = [], 0
        for count in counts:
            parts.append(self._floats[end : end + count])
            end += count
        return parts


@dataclass
class Layer:
    """A convolution layer to compute: its definition and numbers, `slope` of an activation to fuse, and the input's shape."""

    spec: Conv2d
    weight: Float32
    bias: Float32
    slope: Float32 | None
    shape: Shape
    gradient: bool
    workspace: Workspace
