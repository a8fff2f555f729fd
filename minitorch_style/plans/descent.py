"""From pixels and a loss to better pixels: Adam on the octaves of a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.image.pyramid import Pyramid
from minitorch_style.image.resample import Combine
from minitorch_style.plans.adam import Adam
from minitorch_style.values import Arrays, like, to_arrays

RATE, BETA1, BETA2 = 0.006, 0.9, 0.99
AVERAGING = 0.95  # of the pictures, the later ones counting more


@dataclass(frozen=True)
class Way:
    """How far a descent has come: the octaves after `steps` steps, the means that Adam keeps, (n,) each, and the weighted
    sum of the pictures, (H, W, 3). All but the number are the descent's own memory, which the next step changes."""

    steps: int
    octaves: Float32
    mean: Float32
    square: Float32
    average: Float32

    def arrays(self) -> Arrays:
        return to_arrays(self)


def descend(
    objective: Callable[[Float32], tuple[float, Float32]],
    start: Float32,
    kernels: Combine,
    steps: int,
    rate: float = RATE,
    state: Arrays | None = None,
) -> Iterator[tuple[float, Float32, Way]]:
    """After each step the loss before it, the average of the pictures so far, clipped to [0, 1]: an average lies
    lower than the pictures that Adam's last steps swing between; and how to go on, with the arrays of that as `state`.
    `start` is (H, W, 3). StyleError for a state of another descent."""
    pyramid = Pyramid((start.shape[0], start.shape[1]), kernels)
    vector = pyramid.split(start)
    adam, gradient = Adam(vector, rate, BETA1, BETA2), np.empty_like(vector)
    average, clipped = np.zeros_like(start), np.empty_like(start)
    own = Way(0, vector, adam.mean, adam.square, average)
    if state is not None:
        before = like(own, state)
        adam.steps = before.steps
        for name in ("octaves", "mean", "square", "average"):
            getattr(own, name)[...] = getattr(before, name)
    picture = pyramid.merge(vector)
    for number in range(adam.steps + 1, steps + 1):
        loss, of_pixels = objective(picture)
        adam.step(pyramid.merge_transposed(of_pixels, gradient))
        picture = pyramid.merge(vector)
        np.clip(picture, 0, 1, out=clipped)
        clipped -= average
        clipped *= np.float32(1 - AVERAGING)
        average += clipped
        yield loss, average / np.float32(1 - AVERAGING**number), replace(own, steps=number)
