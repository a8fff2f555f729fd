"""L-BFGS of our own (Nocedal 1980): SciPy's costs more than a small network's forward and backward pass together.

The two-loop recursion runs on coefficients, not on pixels (Chen, Wang & Zhou 2014, «vector-free L-BFGS»): with the inner
products of all steps s, gradient changes y and the gradient g at hand, the direction is a linear combination of these
vectors, whose coefficients are found with numbers alone. So an iteration reads the history twice, once for the products
with the newest vectors, once for the combination, and waits for memory both times: it is kept in bfloat16. A direction
is followed as it was rounded, so that the pairs stay exact but for the rounding of y; sums are in double.

The line search finds a point of the strong Wolfe conditions by bracketing and cubic interpolation (Nocedal & Wright 2006,
algorithms 3.5 and 3.6); its first guess allows for losses not being negative. When it fails, the history is emptied and
the search begins again from the best picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Array, Halves
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, ignore, tracked

HISTORY = 14
ARMIJO, CURVATURE = 1e-4, 0.9  # the constants c₁ and c₂ of the Wolfe conditions
LINE_SEARCH_STEPS = 20
FIRST_STEP = 0.02  # how far the first step moves a pixel, root mean square


class History:
    """The last directions and gradient changes, and what inner products of these the two-loop recursion asks for.

    Rows 2k and 2k + 1 of `vectors`, in bfloat16, are direction d and gradient change y of slot k. The step s is that
    direction times its length, which `factors` holds, so that no step is ever written. `products` are those of s and y,
    `slopes` those of s and y with the gradient. Slots fill up from the first, and only rows that are filled are read.
    """

    def __init__(self, size: int, kernels: KernelSet, scale: float) -> None:
        self.kernels = kernels
        self.scale = np.float32(scale)  # of gradients
        self.vectors: Halves = np.zeros((2 * HISTORY, size), np.uint16)
        # The gradient; and the direction followed from there, then how that has changed the gradient.
        self.fresh: Array = np.zeros((2, size), np.float32)
        self.factors: npt.NDArray[np.float64] = np.ones(2 * HISTORY)
        self.products: npt.NDArray[np.float64] = np.zeros((2 * HISTORY,) * 2)
        self.slopes: npt.NDArray[np.float64] = np.zeros(2 * HISTORY)
        self.order: list[int] = []  # slots in use, oldest first
        self.slot = 0  # that the next direction takes

    def clear(self) -> None:
        self.order = []

    def begin(self, gradient: Array) -> None:
        """Takes in the gradient at the start."""
        np.multiply(gradient, self.scale, out=self.fresh[0])

    def update(self, length: float, gradient: Array) -> None:
        """Takes in a step of `length` along the last direction and the gradient it led to. A step without positive
        curvature is left out."""
        s, y = 2 * self.slot, 2 * self.slot + 1
        g, change = self.fresh
        np.multiply(gradient, self.scale, out=change)
        change -= g
        np.multiply(gradient, self.scale, out=g)
        self.kernels.narrow(change, self.vectors[y])
        self.factors[s] = length
        used = 2 * max([*self.order, self.slot]) + 2
        found = self.factors[:used, None] * self.kernels.inner_products(self.vectors[:used], self.fresh)
        self.slopes[:used] = found[:, 0]
        self.products[:used, y] = self.products[y, :used] = found[:, 1]
        if self.products[s, y] > 1e-10 * self.products[y, y]:
            self.order.append(self.slot)

    def direction(self) -> tuple[Array, float]:
        """−H·g, until the next update, and its slope, ⟨g, −H·g⟩. It takes the place of the oldest direction where no slot
        is free, so it must lead to an `update` or a `clear`."""
        used = 2 * max(self.order, default=-1) + 2
        products, slopes = self.products[:used, :used], self.slopes[:used]
        factor, coefficients = -1.0, np.zeros(used)  # of g and of the rows
        alphas = {}
        for slot in reversed(self.order):
            s, y = 2 * slot, 2 * slot + 1
            alphas[slot] = (factor * slopes[s] + coefficients @ products[:, s]) / products[s, y]
            coefficients[y] -= alphas[slot]
        if self.order:
            s, y = 2 * self.order[-1], 2 * self.order[-1] + 1
            factor = -products[s, y] / products[y, y]
            coefficients *= -factor
        for slot in self.order:
            s, y = 2 * slot, 2 * slot + 1
            beta = (factor * slopes[y] + coefficients @ products[:, y]) / products[s, y]
            coefficients[s] += alphas[slot] - beta
        g, out = self.fresh
        self.kernels.combination(coefficients * self.factors[:used], self.vectors[:used], factor, g, out)
        free = [slot for slot in range(HISTORY) if slot not in self.order]
        self.slot = free[0] if free else self.order.pop(0)
        self.kernels.narrow(out, self.vectors[2 * self.slot])
        return out, self._along(self.fresh[:1])

    def slope(self, gradient: Array) -> float:
        """⟨gradient, the last direction⟩, scaled."""
        return float(self.scale) * self._along(gradient[None])

    def _along(self, vectors: Array) -> float:
        row = self.vectors[2 * self.slot : 2 * self.slot + 1]
        return float(self.kernels.inner_products(row, vectors)[0, 0])


@dataclass
class _Point:
    """A point of the line search: step length, loss, slope along the line, pixels, gradient (unscaled; not held by the
    point that a search starts from, as the history has it)."""

    length: float
    loss: float
    slope: float
    pixels: Array
    gradient: Array | None = None


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
    evaluate: Callable[[Array], tuple[float, Array]],
    start: _Point,
    direction: Array,
    first: float,
    slope_of: Callable[[Array], float],
    scale: float,
) -> _Point | None:
    """A point of the strong Wolfe conditions along `direction`; failing that the lowest found, or None."""

    def at(length: float) -> _Point:
        pixels = np.float32(length) * direction
        pixels += start.pixels
        loss, gradient = evaluate(pixels)
        return _Point(length, scale * loss, slope_of(gradient), pixels, gradient)

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
    loss, gradient = watched(pixels)
    scale = 1.0 / abs(loss) if loss else 1.0  # keeps squares of gradients inside single precision

    def evaluate(x: Array) -> tuple[float, Array]:
        loss, gradient = watched(x.reshape(pixels.shape))
        return loss, gradient.reshape(-1)

    history = History(pixels.size, kernels, scale)
    history.begin(gradient.reshape(-1))
    here = _Point(0.0, scale * loss, 0.0, np.ascontiguousarray(pixels, np.float32).reshape(-1))
    del gradient
    for iteration in range(1, iterations + 1):
        first = not history.order
        direction, here.slope = history.direction()
        if not here.slope < 0 and not first:  # rounding has spoilt the history
            history.clear()
            first = True
            direction, here.slope = history.direction()
        if not here.slope < 0:
            return watched.optimum(iteration - 1, "no step lowers the loss any more")
        if first:
            length = FIRST_STEP * math.sqrt(pixels.size / -here.slope)
        else:  # a parabola that begins like this and ends at zero does so at twice loss / slope
            length = min(1.0, 2 * here.loss / -here.slope) if here.loss > 0 else 1.0
        found = _line_search(evaluate, here, direction, length, history.slope, scale)
        if found is not None:
            assert found.gradient is not None
            history.update(found.length, found.gradient)
            here = _Point(0.0, found.loss, 0.0, found.pixels)
            del found
        elif first:
            return watched.optimum(iteration - 1, "no step lowers the loss any more")
        else:
            history.clear()
        if callback(iteration, here.loss / scale, here.pixels.reshape(pixels.shape)):
            return watched.optimum(iteration, "stopped by the callback")
    return watched.optimum(iterations, "all iterations done")
