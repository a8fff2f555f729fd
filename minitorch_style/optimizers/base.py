"""What every optimizer shares: its interface, its state, the function watched, and the loop over steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar

from minitorch_style.arrays import Float32
from minitorch_style.errors import DivergedError

Function: TypeAlias = Callable[[Float32], tuple[float, Float32]]
# (iteration, loss, pixels) after each iteration; True asks to stop.
Callback: TypeAlias = Callable[[int, float, Float32], bool | None]


class Stop(Enum):
    """Why an optimization ended; the value is the sentence for people."""

    ITERATIONS = "all iterations done"
    CONVERGED = "no step lowers the loss any more"
    CALLBACK = "stopped by the callback"


@dataclass(frozen=True, kw_only=True)
class State:
    """Where an optimizer stands after so many `iterations`: `pixels` (H, W, 3) and the loss there, the best pixels met
    until now, and how many evaluations that took. `stop` is set when there is nothing left to gain.

    Each optimizer adds what it has to remember. `values.to_arrays` and `values.from_arrays` write a state to a file and
    read it back; going on from it then gives the same bits.
    """

    pixels: Float32
    loss: float
    best: Float32
    best_loss: float
    iterations: int
    evaluations: int
    stop: Stop | None = None


S = TypeVar("S", bound=State)


class Optimizer(Protocol[S]):
    """One iteration at a time: it knows f(x) → (loss, gradient) and its own state, nothing else.

    `State` is the type of its state. `step` takes over the arrays of the state that it is given, for a history of
    gradients is too large to be copied each time: whoever wants to go back to a state writes it down first. Both raise
    DivergedError on a loss or gradient that is not finite.
    """

    @property
    def State(self) -> type[S]: ...
    def start(self, f: Function, x: Float32) -> S:
        """The state before the first iteration, at pixels x (H, W, 3)."""
        ...

    def restart(self, f: Function, x: Float32, state: S) -> S:
        """Likewise, of a function much like the one before and at pixels x near `state`'s, as those of the next frame of a
        film: what is known of its curvature is kept, where the optimizer knows anything. Takes over the arrays of `state`."""
        ...

    def step(self, f: Function, state: S) -> S:
        """The state one iteration later; the same iteration with `stop` set where no step helps."""
        ...

    def ahead(self, state: S) -> Float32:
        """Pixels one more step on, as far as what is known of the curvature tells: nothing is evaluated there, so they may
        be worse. The best ones where nothing is known."""
        ...


@dataclass(frozen=True)
class Optimum:
    """The best pixels met, their loss, how many iterations and evaluations were made, and why it ended."""

    pixels: Float32
    loss: float
    iterations: int
    evaluations: int
    stop: Stop

    @property
    def message(self) -> str:
        return self.stop.value


class Tracked:
    """A function that counts its evaluations, keeps the best pixels, and refuses losses that are not finite. Pixels that
    it has been shown must not be written to any more.

    When a run is interrupted, whoever holds this has the best picture so far in `best` with loss `best_loss`.
    """

    def __init__(self, f: Function) -> None:
        self.f = f
        self.evaluations = 0
        self.loss = self.best_loss = math.inf
        self.best: Float32 | None = None

    def __call__(self, pixels: Float32) -> tuple[float, Float32]:
        loss, gradient = self.f(pixels)
        self.evaluations += 1
        if not math.isfinite(loss) or not math.isfinite(gradient.sum()):
            raise DivergedError(
                f"evaluation {self.evaluations}: the loss is {loss} or its gradient not finite; "
                "the pictures, weights or loss weights are out of range"
            )
        self.loss = loss
        if loss < self.best_loss:
            self.best_loss, self.best = loss, pixels
        return loss, gradient

    def recall(self, state: State) -> None:
        """Takes in what was met before `state` was written down."""
        self.evaluations = max(self.evaluations, state.evaluations)
        if state.best_loss < self.best_loss:
            self.best_loss, self.best = state.best_loss, state.best

    def seen(self) -> dict[str, Any]:
        """The fields of a `State` that are known here."""
        return {"best": self.best, "best_loss": self.best_loss, "evaluations": self.evaluations}


def tracked(f: Function, state: State | None = None) -> Tracked:
    """`f` watched, which knows what `state` does."""
    watched = f if isinstance(f, Tracked) else Tracked(f)
    if state is not None:
        watched.recall(state)
    return watched


def met(watched: Tracked, pixels: Float32, iterations: int) -> dict[str, Any]:
    """Evaluates at `pixels`; the fields of a `State` with a gradient there, after so many iterations."""
    loss, gradient = watched(pixels)
    return {"pixels": pixels, "loss": loss, "iterations": iterations, "gradient": gradient, **watched.seen()}


def ignore(iteration: int, loss: float, pixels: Float32) -> None:
    """The no-op callback."""


def minimize(
    optimizer: Optimizer[Any], f: Function, start: Float32 | State, iterations: int, callback: Callback = ignore
) -> Optimum:
    """At most `iterations` in all, from pixels (H, W, 3) or on from a state; the best met. DivergedError on a loss that is
    not finite."""
    watched = tracked(f)
    state: State = start if isinstance(start, State) else optimizer.start(watched, start)
    stop = Stop.ITERATIONS
    while state.iterations < iterations:
        state = optimizer.step(watched, state)
        if state.stop is not None:
            stop = state.stop
            break
        if callback(state.iterations, state.loss, state.pixels):
            stop = Stop.CALLBACK
            break
    return Optimum(state.best, state.best_loss, state.iterations, state.evaluations, stop)
