"""Adam (Kingma & Ba 2015): needs no line search and does not care about the loss's scale."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, ignore, tracked

STEP = 0.02  # of the range of a pixel
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-12


def minimize(
    objective: Objective,
    pixels: Array,
    iterations: int,
    callback: Callback = ignore,
    kernels: KernelSet | None = None,
) -> Optimum:
    """`iterations` steps from `pixels` (H, W, 3); returns the best met. DivergedError on a loss that is not finite."""
    watched = tracked(objective)
    x = pixels.astype(np.float32)
    loss, gradient = watched(x)
    scale = np.float32(1 / (float(np.abs(gradient).max()) or 1.0))  # so that no square underflows
    mean, square = np.zeros_like(x), np.zeros_like(x)
    for step in range(1, iterations + 1):
        gradient = gradient * scale
        mean += (1 - BETA1) * (gradient - mean)
        square += (1 - BETA2) * (gradient * gradient - square)
        rate = STEP * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)
        change = np.float32(rate) * mean / (np.sqrt(square) + np.float32(EPSILON))
        x = np.subtract(x, change, dtype=np.float32)
        loss, gradient = watched(x)
        if callback(step, loss, x):
            return watched.optimum(step, "stopped by the callback")
    return watched.optimum(iterations, "all iterations done")
