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
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from minitorch_style.arrays import BFloat16, Float32, Float64
from minitorch_style.errors import StyleError
from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.api import VectorOps
from minitorch_style.optimizers.base import Function, State, Stop, tracked

HISTORY = 14  # pairs of a step and a gradient change
Zeros = Callable[..., Any]  # (shape, dtype, like=array)
ARMIJO, CURVATURE = 1e-4, 0.9  # the constants c₁ and c₂ of the Wolfe conditions
LINE_SEARCH_STEPS = 20
FIRST_STEP = 0.02  # how far the first step moves a pixel, root mean square


@dataclass
class History:
    """The last directions and gradient changes, and what inner products of these the two-loop recursion asks for.

    Rows 2k and 2k + 1 of `vectors`, in bfloat16, are direction d and gradient change y of slot k. The step s is that
    direction times its length, which `factors` holds, so that no step is ever written. `products` are those of s and y,
    `slopes` those of s and y with the gradient. Slots fill up from the first, and only rows that are filled are read: with
    as many `pairs` as iterations it is as good as any longer one.
    """

    scale: float  # of gradients
    vectors: BFloat16
    fresh: Float32  # the gradient; and the direction followed from there, then how that has changed the gradient
    factors: Float64
    products: Float64
    slopes: Float64
    order: tuple[int, ...] = ()  # slots in use, oldest first
    slot: int = 0  # that the next direction takes

    def __post_init__(self) -> None:
        slots = {*self.order, self.slot}
        if len(set(self.order)) != len(self.order) or not slots <= set(range(self.pairs)):
            raise StyleError(f"a history of {self.pairs} steps has no slots {self.order} and {self.slot}")

    @property
    def pairs(self) -> int:
        """How many it holds at most."""
        return int(self.vectors.shape[0]) // 2

    @classmethod
    def at(cls, gradient: Float32, scale: float, zeros: Zeros = np.zeros, pairs: int = HISTORY) -> History:
        """The empty one, at a start with this gradient, (n,); `zeros` makes the long arrays in which it grows."""
        history = cls(
            scale=float(np.float32(scale)),
            vectors=zeros((2 * pairs, gradient.size), np.uint16, like=gradient),
            fresh=np.zeros((2, gradient.size), np.float32, like=gradient),
            factors=np.ones(2 * pairs),
            products=np.zeros((2 * pairs,) * 2),
            slopes=np.zeros(2 * pairs),
        )
        np.multiply(gradient, np.float32(scale), out=history.fresh[0])
        return history

    def clear(self) -> None:
        self.order = ()

    def move(self, ops: VectorOps, gradient: Float32) -> None:
        """Goes on from another place, with this gradient (n,): steps and gradient changes stay as they are."""
        np.multiply(gradient, np.float32(self.scale), out=self.fresh[0])
        used = 2 * max(self.order, default=-1) + 2
        if used:
            self.slopes[:used] = self.factors[:used] * ops.inner_products(self.vectors[:used], self.fresh[:1])[:, 0]

    def update(self, ops: VectorOps, length: float, gradient: Float32) -> None:
        """Takes in a step of `length` along the last direction and the gradient it led to. A step without positive
        curvature is left out."""
        s, y = 2 * self.slot, 2 * self.slot + 1
        g, change = self.fresh
        np.multiply(gradient, np.float32(self.scale), out=change)
        change -= g
        np.multiply(gradient, np.float32(self.scale), out=g)
        ops.narrow(change, self.vectors[y])
        self.factors[s] = length
        used = 2 * max([*self.order, self.slot]) + 2
        found = self.factors[:used, None] * ops.inner_products(self.vectors[:used], self.fresh)
        self.slopes[:used] = found[:, 0]
        self.products[:used, y] = self.products[y, :used] = found[:, 1]
        if self.products[s, y] > 1e-10 * self.products[y, y]:
            self.order = (*self.order, self.slot)

    def direction(self, ops: VectorOps) -> tuple[Float32, float]:
        """−H·g, until the next update, and its slope, ⟨g, −H·g⟩. It takes the place of the oldest direction where no slot
        is free, so it must lead to an `update` or a `clear`."""
        out = self.newton(ops)
        free = [slot for slot in range(self.pairs) if slot not in self.order]
        if free:
            self.slot = free[0]
        else:
            self.slot, *rest = self.order
            self.order = tuple(rest)
        ops.narrow(out, self.vectors[2 * self.slot])
        return out, self._along(ops, self.fresh[:1])

    def newton(self, ops: VectorOps) -> Float32:
        """−H·g, until the next update or direction."""
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
        g: Float32
        out: Float32
        g, out = self.fresh
        ops.combination(coefficients * self.factors[:used], self.vectors[:used], factor, g, out)
        return out

    def slope(self, ops: VectorOps, gradient: Float32) -> float:
        """⟨gradient, the last direction⟩, scaled."""
        return self.scale * self._along(ops, gradient[None])

    def _along(self, ops: VectorOps, vectors: Float32) -> float:
        row = self.vectors[2 * self.slot : 2 * self.slot + 1]
        return float(ops.inner_products(row, vectors)[0, 0])


@dataclass
class _Bound:
    """An end of the bracket of the line search: step length, loss, slope along the line."""

    length: float
    loss: float
    slope: float


@dataclass
class _Point(_Bound):
    """A point that the search may lead to: pixels, gradient (unscaled; not held by the point that a search starts from, as
    the history has it)."""

    pixels: Float32
    gradient: Float32 | None = None

    @property
    def bound(self) -> _Bound:
        """Without what is as long as a picture."""
        return _Bound(self.length, self.loss, self.slope)


def _guess(loss: float, slope: float) -> float:
    """The length of a step: a parabola that begins like this and ends at zero does so at twice loss / slope."""
    return min(1.0, 2 * loss / -slope) if loss > 0 else 1.0


def _between(low: _Bound, high: _Bound) -> float:
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
    evaluate: Callable[[Float32], tuple[float, Float32]],
    start: _Point,
    direction: Float32,
    first: float,
    slope_of: Callable[[Float32], float],
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

    low, length = start, first
    high: _Bound | None = None
    for _ in range(LINE_SEARCH_STEPS):
        point = at(length)
        if too_high(point) or (low is not start and point.loss >= low.loss):
            high = point.bound
        elif abs(point.slope) <= -CURVATURE * start.slope:
            return point
        else:
            if high is None:
                if point.slope >= 0:
                    high = low.bound
            elif point.slope * (high.length - low.length) >= 0:
                high = low.bound
            low = point
        del point  # before the next one is made
        if high is None:
            length = 4 * length
        elif abs(high.length - low.length) <= 1e-9 * max(high.length, low.length):
            break
        else:
            length = _between(low, high)
    return low if low is not start else None


@dataclass(frozen=True, kw_only=True)
class LBFGSState(State):
    """The history, and the loss at `pixels` times `scale`, which keeps squares of gradients inside single precision."""

    scale: float
    scaled_loss: float
    history: History


class LBFGS:
    """`vectors` does the algebra on the history: by default the fastest there is. `zeros` makes the history, of so many
    `pairs`, as NumPy's function does, in memory or elsewhere."""

    State = LBFGSState

    def __init__(self, vectors: VectorOps | None = None, zeros: Zeros = np.zeros, pairs: int = HISTORY) -> None:
        self._vectors, self._zeros, self._pairs = vectors, zeros, pairs

    @cached_property
    def ops(self) -> VectorOps:
        """Found when first used: the compiler need not be loaded to ask for an optimizer."""
        return self._vectors or vector_ops()

    def start(self, f: Function, x: Float32) -> LBFGSState:
        watched = tracked(f)
        loss, gradient = watched(x)
        scale = 1.0 / abs(loss) if loss else 1.0
        return LBFGSState(
            pixels=np.ascontiguousarray(x, np.float32, like=x),
            loss=loss,
            iterations=0,
            scale=scale,
            scaled_loss=scale * loss,
            history=History.at(gradient.reshape(-1), scale, self._zeros, self._pairs),
            **watched.seen(),
        )

    def restart(self, f: Function, x: Float32, state: LBFGSState) -> LBFGSState:
        if x.shape != state.pixels.shape:
            return self.start(f, x)
        watched = tracked(f)
        loss, gradient = watched(x)
        state.history.move(self.ops, gradient.reshape(-1))
        return LBFGSState(
            pixels=np.ascontiguousarray(x, np.float32, like=x),
            loss=loss,
            iterations=0,
            scale=state.scale,
            scaled_loss=state.scale * loss,
            history=state.history,
            **watched.seen(),
        )

    def ahead(self, state: LBFGSState) -> Float32:
        history = state.history
        if not history.order:
            return state.best
        direction = history.newton(self.ops)
        slope = float(np.vdot(history.fresh[0], direction))
        if not slope < 0:
            return state.best
        length = np.float32(_guess(state.scaled_loss, slope))
        pixels: Float32 = state.pixels + length * direction.reshape(state.pixels.shape)
        return pixels

    def step(self, f: Function, state: LBFGSState) -> LBFGSState:
        watched, history, ops, shape = tracked(f, state), state.history, self.ops, state.pixels.shape

        def evaluate(x: Float32) -> tuple[float, Float32]:
            loss, gradient = watched(x.reshape(shape))
            return loss, gradient.reshape(-1)

        here = _Point(0.0, state.scaled_loss, 0.0, state.pixels.reshape(-1))
        first = not history.order
        direction, here.slope = history.direction(ops)
        if not here.slope < 0 and not first:  # rounding has spoilt the history
            history.clear()
            first = True
            direction, here.slope = history.direction(ops)
        found = None
        if here.slope < 0:
            length = FIRST_STEP * math.sqrt(direction.size / -here.slope) if first else _guess(here.loss, here.slope)
            found = _line_search(evaluate, here, direction, length, partial(history.slope, ops), state.scale)
        if found is not None:
            assert found.gradient is not None
            history.update(ops, found.length, found.gradient)
            here = found
        elif first:
            return replace(state, stop=Stop.CONVERGED, **watched.seen())
        else:
            history.clear()
        return replace(
            state,
            pixels=here.pixels.reshape(shape),
            loss=here.loss / state.scale,
            scaled_loss=here.loss,
            iterations=state.iterations + 1,
            **watched.seen(),
        )
