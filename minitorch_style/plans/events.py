"""What a plan tells while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from minitorch_style.arrays import Float32
from minitorch_style.errors import SettingsError
from minitorch_style.values import Arrays


@dataclass(frozen=True)
class Step:
    """After a step: `picture` (h, w, 3) is the best so far, at the size of this scale; the caller may keep it.

    `scale` of `scales` and `number` of `steps` count from 1. `loss` is what the step lowers, None where nothing is
    lowered.
    """

    scale: int
    scales: int
    number: int
    steps: int
    loss: float | None
    picture: Float32
    state: Callable[[], Arrays] | None = None  # all that the plan needs to go on from here, until its next step

    @property
    def done(self) -> float:
        """The part of the work that is behind, in (0, 1]; measured, each scale takes about twice as long as the one before."""
        before = 2.0 ** (self.scale - 1)
        return (before - 1 + before * self.number / self.steps) / (2.0**self.scales - 1)


def finished(after: Step | None, scales: int) -> tuple[int, Float32 | None]:
    """How many scales are behind a plan that goes on from `after`, and the picture that they led to. SettingsError unless
    it is the last step of a scale of a plan with as many."""
    if after is None:
        return 0, None
    if after.number != after.steps or after.scales != scales:
        raise SettingsError(
            f"a plan of {scales} scales goes on from the last step of one of them, not from step {after.number} of "
            f"{after.steps} at scale {after.scale} of {after.scales}"
        )
    return after.scale, after.picture


def last(steps: Iterable[Step]) -> Float32:
    """The picture at the end."""
    picture = None
    for step in steps:
        picture = step.picture
    assert picture is not None, "a plan has steps"
    return picture
