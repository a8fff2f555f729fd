"""What every optimizer shares: the objective watched, the best picture kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from minitorch_style.errors import DivergedError
from minitorch_style.kernels.buffers import Array

Objective: TypeAlias = Callable[[Array], tuple[float, Array]]
# (iteration, loss, pixels) after each iteration; True asks to stop.
Callback: TypeAlias = Callable[[int, float, Array], bool | None]


@dataclass(frozen=True)
class Optimum:
    """The best pixels met, their loss, how many iterations and evaluations were made, and why it ended."""

    pixels: Array
    loss: float
    iterations: int
    evaluations: int
    message: str


class Tracked:
    """An objective that counts its evaluations, keeps the best pixels, and refuses losses that are not finite. Pixels that
    it has been shown must not be written to any more.

    When a run is interrupted, whoever holds this has the best picture so far in `best` with loss `best_loss`.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.evaluations = 0
        self.loss = self.best_loss = math.inf
        self.best: Array | None = None

    def __call__(self, pixels: Array) -> tuple[float, Array]:
        loss, gradient = self.objective(pixels)
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

    def optimum(self, iterations: int, message: str) -> Optimum:
        assert self.best is not None
        return Optimum(self.best, self.best_loss, iterations, self.evaluations, message)


def tracked(objective: Objective) -> Tracked:
    return objective if isinstance(objective, Tracked) else Tracked(objective)


def ignore(iteration: int, loss: float, pixels: Array) -> None:
    """The callback of someone who does not listen."""
