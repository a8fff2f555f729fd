"""Gradient descent with momentum (Polyak 1964), the plainest there is, to compare with."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, ignore, tracked

STEP = 0.002  # how far the first step moves a pixel, root mean square
MOMENTUM = 0.9


def minimize(
    objective: Objective,
    pixels: Array,
    iterations: int,
    callback: Callback = ignore,
    kernels: KernelSet | None = None,
) -> Optimum:
    """`iterations` steps from `pixels` (H, W, 3); returns the best met. A step that doubles the loss is taken back and
    the step length halved, for no fixed length suits every loss. DivergedError on a loss that is not finite."""
    watched = tracked(objective)
    x = pixels.astype(np.float32)
    loss, gradient = watched(x)
    rate = STEP / (float(np.sqrt(np.mean(np.square(gradient, dtype=np.float64)))) or 1.0)
    velocity = np.zeros_like(x)
    for step in range(1, iterations + 1):
        velocity = np.float32(MOMENTUM) * velocity - np.float32(rate) * gradient
        following = x + velocity
        next_loss, next_gradient = watched(following)
        if next_loss > 2 * loss:
            rate *= 0.5
            velocity = np.zeros_like(x)
        else:
            x, loss, gradient = following, next_loss, next_gradient
        if callback(step, loss, x):
            return watched.optimum(step, "stopped by the callback")
    return watched.optimum(iterations, "all iterations done")
