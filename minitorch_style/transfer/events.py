"""What a run tells while it works; the command line, a page, a notebook and a checkpoint writer all listen to these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from minitorch_style.arrays import Rgb8
from minitorch_style.style.objective import Terms

if TYPE_CHECKING:
    from minitorch_style.transfer.job import Job
    from minitorch_style.transfer.run import Result

Look: TypeAlias = Callable[[], Rgb8]  # the picture as it is now, (H, W, 3) of the photo's size


@dataclass(frozen=True)
class Iteration:
    """One step of a stage: its number over all stages, the loss it reached and the lowest so far, the loss's parts, and how
    long it took. A stage that lowers no loss has None there."""

    number: int
    loss: float | None
    terms: Terms | None
    best_loss: float | None
    milliseconds: float


@dataclass(frozen=True)
class Started:
    """The job has begun."""

    job: Job


@dataclass(frozen=True)
class Iterated:
    """An iteration of stage `stage` (from 1) is done; about `seconds_left` until the end of the run."""

    iteration: Iteration
    stage: int
    seconds_left: float
    picture: Look


@dataclass(frozen=True)
class StageEnded:
    """A stage is done."""

    stage: int
    picture: Look


@dataclass(frozen=True)
class Finished:
    """All stages are done."""

    result: Result


Event: TypeAlias = Started | Iterated | StageEnded | Finished
