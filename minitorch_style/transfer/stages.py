"""The parts that a job is made of: each takes the picture that the one before has left, and gives one after each step."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.style.objective import Terms
from minitorch_style.transfer.estimate import Estimate
from minitorch_style.values import Arrays


@dataclass(frozen=True)
class Step:
    """`number` counts a stage's steps from 1; 0 is the picture that it begins with. `picture` (h, w, 3) is as it stands, of
    any size, `best` the one to keep. `state` gives all that the stage needs to go on from here, until the next step is
    asked for; `ended` says that a scale or level is done. `fleeting`: the stage itself needs `best` no longer, and may need
    its memory."""

    number: int
    picture: Pixels
    best: Pixels
    loss: float | None = None
    best_loss: float | None = None
    terms: Terms | None = None
    state: Callable[[], Arrays] | None = None
    ended: bool = False
    fleeting: bool = False


class Stage(Protocol):
    """`title` says in a few words what it does, `steps` how many steps it has at most."""

    @property
    def title(self) -> str: ...
    @property
    def steps(self) -> int: ...
    def estimate(self, factor: float = 1) -> Estimate:
        """What it will take, for pictures `factor` times as large."""
        ...

    def run(self, before: Float32 | None, state: Arrays | None = None) -> Generator[Step, None, str]:
        """Step after step, beginning with the picture of the stage before, of any size, or None for the first stage;
        with the `state` of a step, on from there to the same bits. Returns why it ended. StyleError for a state of
        another stage."""
        ...

    def rehearse(self) -> None:
        """Calls every kernel that `run` calls, for one who listens: what they give need not be numbers."""
        ...
