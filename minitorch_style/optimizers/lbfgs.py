"""L-BFGS of our own (Nocedal 1980): SciPy's costs more than a small network's forward and backward pass together.

The history is single precision, its inner products are summed in double. The two-loop recursion runs on coefficients, not
on pixels (Chen, Wang & Zhou 2014, «vector-free L-BFGS»): with the inner products of all steps s, gradient changes y and
the gradient g at hand, the direction is a linear combination of these vectors, whose coefficients are found with numbers
alone. So an iteration reads the history twice, once for the products with the newest vectors, once for the combination.

The line search finds a point of the strong Wolfe conditions by bracketing and cubic interpolation (Nocedal & Wright 2006,
algorithms 3.5 and 3.6). When it fails, the history is emptied and the search begins again from the best picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, ignore, tracked

HISTORY = 10
ARMIJO, CURVATURE = 1e-4, 0.9  # the constants c₁ and c₂ of the Wolfe conditions
LINE_SEARCH_STEPS = 20
FIRST_STEP = 0.002  # how far the first step moves a pixel, root mean square


class History:
    """The last steps and gradient changes with the inner products of all of them and the gradient.

    Row 0 of `vectors` is g, rows 2k + 1 and 2k + 2 are step s and change y of slot k; `products` is their Gram matrix.
    Slots fill up from the first, and only rows that are filled are read.
    """

    def __init__(self, size: int, kernels: KernelSet) -> None:
        self.kernels = kernels
        self.vectors: Array = np.zeros((2 * HISTORY + 1, size), np.float32)
        self.products: npt.NDArray[np.float64] = np.zeros((2 * HISTORY + 1,) * 2)
        self.order: list[int] = []  # slots in use, oldest first

    def clear(self) -> None:
        self.order = []

    def update(self, step: Array | None, gradient: Array) -> None:
        """Takes in the step just made and the gradient it led to. A step without positive curvature is left out."""
        fresh = [0]
        slot = next((free for free in range(HISTORY) if free not in self.order), self.order[0] if self.order else 0)
        s, y = 2 * slot + 1, 2 * slot + 2
        if step is not None:
            np.subtract(gradient, self.vectors[0], out=self.vectors[y])
            self.vectors[s] = step
            fresh += [s, y]
            self.order = [other for other in self.order if other != slot]
        self.vectors[0] = gradient
        used = 2 * max([*self.order, slot], default=-1) + 3
        found = self.kernels.inner_products(self.vectors[:used], self.vectors[fresh])
        self.products[:used, fresh] = found
        self.products[fresh, :used] = found.T
        if step is not None and self.products[s, y] > 1e-10 * self.products[y, y]:
            self.order.append(slot)

    def direction(self, out: Array) -> float:
        """Writes −H·g; returns its slope, ⟨g, direction⟩."""
        used = 2 * max(self.order, default=-1) + 3
        products = self.products[:used, :used]
        coefficients = np.zeros(used)
        coefficients[0] = -1.0
        alphas = {}
        for slot in reversed(self.order):
            s, y = 2 * slot + 1, 2 * slot + 2
            alphas[slot] = coefficients @ products[:, s] / products[s, y]
            coefficients[y] -= alphas[slot]
        if self.order:
            s, y = 2 * self.order[-1] + 1, 2 * self.order[-1] + 2
            coefficients *= products[s, y] / products[y, y]
        for slot in self.order:
            s, y = 2 * slot + 1, 2 * slot + 2
            beta = coefficients @ products[:, y] / products[s, y]
            coefficients[s] += alphas[slot] - beta
        self.kernels.combination(coefficients, self.vectors[:used], out)
        return float(coefficients @ products[:, 0])


@dataclass
class _Point:
    """A point of the line search: step length, loss, slope along the line, pixels, gradient."""

    length: float
    loss: float
    slope: float
    pixels: Array
    gradient: Array


def _between(low: _Point, high: _Point) -> float:
    """The minimum of the cubic through two points and slopes, kept away from the ends; the middle where there is none."""
    width = high.length - low.length
    d1 = low.slope + high.slope - 3 * (high.loss - low.loss) / width
    square = d1 * d1 - low.slope * high.slope
    middle = low.length + 0.5 * width
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    divisor = high.slope - low.slope + 2 * d2
    if divisor == 0:
        return middle
    found = high.length - width * (high.slope + d2 - d1) / divisor
    ends = sorted((low.length + 0.1 * width, high.length - 0.1 * width))
    return min(max(found, ends[0]), ends[1])


def _line_search(
    evaluate: Callable[[Array], tuple[float, Array]], start: _Point, direction: Array, first: float, kernels: KernelSet
) -> _Point | None:
    """A point of the strong Wolfe conditions along `direction`; failing that the lowest found, or None."""

    def at(length: float) -> _Point:
        pixels = start.pixels + np.float32(length) * direction
        loss, gradient = evaluate(pixels)
        slope = kernels.inner_products(gradient[None], direction[None])[0, 0]
        return _Point(length, loss, float(slope), pixels, gradient)

    def too_high(point: _Point) -> bool:
        return point.loss > start.loss + ARMIJO * point.length * start.slope

    low, high, length = start, None, first
    for _ in range(LINE_SEARCH_STEPS):
        point = at(length)
        if too_high(point) or (low is not start and point.loss >= low.loss):
            high = point
        elif abs(point.slope) <= -CURVATURE * start.slope:
            return point
        else:
            if high is None:
                if point.slope >= 0:
                    high = low
            elif point.slope * (high.length - low.length) >= 0:
                high = low
            low = point
        if high is None:
            length = 4 * length
        elif abs(high.length - low.length) <= 1e-9 * max(high.length, low.length):
            break
        else:
            length = _between(low, high)
    return low if low is not start else None


def minimize(
    objective: Objective,
    pixels: Array,
    iterations: int,
    callback: Callback = ignore,
    kernels: KernelSet | None = None,
) -> Optimum:
    """At most `iterations` from `pixels` (H, W, 3); returns the best met. DivergedError on a loss that is not finite."""
    kernels = kernels or kernel_set()
    watched = tracked(objective)
    first_loss, first_gradient = watched(pixels)
    scale = 1.0 / abs(first_loss) if first_loss else 1.0  # keeps squares of gradients inside single precision

    def evaluate(x: Array) -> tuple[float, Array]:
        loss, gradient = watched(x.reshape(pixels.shape))
        return scale * loss, gradient.reshape(-1) * np.float32(scale)

    history = History(pixels.size, kernels)
    direction = np.empty(pixels.size, np.float32)
    flat = pixels.astype(np.float32).ravel()
    here = _Point(0.0, scale * first_loss, 0.0, flat, first_gradient.reshape(-1) * np.float32(scale))
    step: Array | None = None
    for iteration in range(1, iterations + 1):
        history.update(step, here.gradient)
        here.slope = history.direction(direction)
        if not here.slope < 0 and history.order:  # rounding has spoilt the history
            history.clear()
            here.slope = history.direction(direction)
        if not here.slope < 0:
            return watched.optimum(iteration - 1, "no step lowers the loss any more")
        length = 1.0 if history.order else FIRST_STEP * math.sqrt(pixels.size / -here.slope)
        here.length = 0.0
        found = _line_search(evaluate, here, direction, length, kernels)
        if found is None:
            if not history.order:
                return watched.optimum(iteration - 1, "no step lowers the loss any more")
            history.clear()
            step = None
        else:
            step = found.pixels - here.pixels
            here = found
        if callback(iteration, here.loss / scale, here.pixels.reshape(pixels.shape)):
            return watched.optimum(iteration, "stopped by the callback")
    return watched.optimum(iterations, "all iterations done")
