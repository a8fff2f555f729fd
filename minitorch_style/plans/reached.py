"""How far a plan has come, as a value that can be written down and gone on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import StyleError
from minitorch_style.plans.descent import Way
from minitorch_style.plans.events import Step, finished
from minitorch_style.values import Arrays, from_arrays, to_arrays


@dataclass(frozen=True)
class Reached:
    """How far a plan has come: so many whole `scales`, and the `picture` (h, w, 3) that the last of them, or the last step
    of a plan without descent, has left; `way` is inside the next scale."""

    scales: int = 0
    steps: int = 0
    picture: Float32 | None = None
    way: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def by(cls, after: Step | None, state: Arrays | None, scales: int) -> Reached:
        """For a plan of so many scales that goes on from the last step of one, or from the state of any step. StyleError
        for one that cannot be."""
        if state is None:
            done, picture = finished(after, scales)
            return cls(done, 0, picture)
        found = from_arrays(cls, state)
        x = found.picture
        whole = x is not None and x.ndim == 3 and x.shape[2] == 3 and x.dtype == np.float32 and x.size > 0
        begun = found.scales or found.steps  # then there is a picture to go on from
        if not 0 <= found.scales <= scales or found.steps < 0 or not (whole or (x is None and not begun)):
            raise StyleError("not the state of this plan")
        return found

    def way_at(self, scale: int) -> Arrays | None:
        """Inside the scale of that number (from 0), if that is where it is."""
        return self.way if scale == self.scales and self.way else None

    def state(self) -> Callable[[], Arrays]:
        return partial(to_arrays, self)


def descended(
    scale: int, scales: int, steps: int, before: Float32 | None, descent: Iterable[tuple[float, Float32, Way]]
) -> Iterator[Step]:
    """The steps of a descent at the scale of that number (from 0), which began with the picture `before`."""
    for loss, x, way in descent:
        reached = Reached(scale + 1, 0, x) if way.steps == steps else Reached(scale, 0, before, way.arrays())
        yield Step(scale + 1, scales, way.steps, steps, loss, x, reached.state())
