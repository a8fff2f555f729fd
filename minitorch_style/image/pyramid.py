"""A picture as the sum of its octaves (Burt & Adelson 1983), the variables of a plan: one step moves large shapes as
easily as details. The finest levels are grey, so no coloured speckles can arise there."""

from __future__ import annotations

import itertools

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.image.resample import Combine, Resampling, interpolating, resizing

LEVELS = 6
GREY = 2  # finest levels without chroma
SMALLEST = 8  # a picture with a shorter side is not halved any more


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)


class Pyramid:
    """Pictures (H, W, 3) of one size ↔ flat vectors that hold the levels, the finest first: (h, w, 1) for the `grey`
    finest, (h, w, 3) for the others; the last is the smallest picture itself."""

    def __init__(self, size: tuple[int, int], kernels: Combine, levels: int = LEVELS, grey: int = GREY) -> None:
        sizes = [size]
        while len(sizes) < levels and min(sizes[-1]) >= SMALLEST:
            sizes.append(_halved(sizes[-1]))
        steps = list(itertools.pairwise(sizes))
        self.shapes = [(*size, 1 if level < min(grey, len(steps)) else 3) for level, size in enumerate(sizes)]
        self._down = [
            Resampling(resizing(big[0], small[0]), resizing(big[1], small[1]), 3, kernels) for big, small in steps
        ]
        self._up = [
            Resampling(interpolating(small[0], big[0]), interpolating(small[1], big[1]), 3, kernels)
            for big, small in steps
        ]
        self._up_transposed = [up.transposed() for up in self._up]
        self._pictures = [np.empty((*size, 3), np.float32) for size in sizes]

    @property
    def count(self) -> int:
        """Numbers in a vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def levels(self, vector: Float32) -> list[Float32]:
        """Views of a vector, one a level."""
        ends = np.cumsum([np.prod(shape) for shape in self.shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), self.shapes, strict=True)]

    def split(self, picture: Float32) -> Float32:
        """The vector of a picture: each level what its half, enlarged, lacks; a grey level keeps the mean of RGB."""
        vector = np.empty(self.count, np.float32)
        current = picture
        for level, out in enumerate(self.levels(vector)):
            rest = current
            if level < len(self._down):
                current = self._down[level](rest)
                rest = rest - self._up[level](current)
            out[...] = rest.mean(axis=2, keepdims=True) if out.shape[2] == 1 else rest
        return vector

    def merge(self, vector: Float32) -> Float32:
        """The picture of a vector, in memory that the next call writes over."""
        levels, pictures = self.levels(vector), self._pictures
        pictures[-1][...] = levels[-1]
        for level in reversed(range(len(self._up))):
            pictures[level][...] = levels[level]
            self._up[level](pictures[level + 1], pictures[level], accumulate=True)
        return pictures[0]

    def merge_transposed(self, gradient: Float32, out: Float32) -> Float32:
        """The vector's gradient, into `out`, of a picture's."""
        for level, part in enumerate(self.levels(out)):
            if part.shape[2] == 1:
                np.sum(gradient, axis=2, keepdims=True, out=part)
            else:
                part[...] = gradient
            if level < len(self._up_transposed):
                gradient = self._up_transposed[level](gradient, self._pictures[level + 1])
        return out
