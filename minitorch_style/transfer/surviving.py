"""A stage whose work may be lost with another machine goes on from what was written down last, to the same bits."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.parts import ON_DISK
from minitorch_style.errors import ClusterError, WorkerLostError
from minitorch_style.transfer.stages import Step
from minitorch_style.values import Arrays

SHARE = 0.05  # of the time, at most, goes into writing down
LOSSES = 4  # one after another, without a step between them


@dataclass
class _Kept:
    """A picture that lies elsewhere; where it has been lost, the best of those written down."""

    picture: Pixels
    spare: Pixels

    @property
    def shape(self) -> tuple[int, ...]:
        return self.picture.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.picture.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Float32:
        try:
            return np.asarray(self.picture, dtype)
        except ClusterError:
            return np.asarray(self.spare, dtype)


def surviving(
    steps: Callable[[Float32 | None, Arrays | None], Generator[Step, None, str]],
    before: Float32 | None,
    state: Arrays | None,
) -> Generator[Step, None, str]:
    """What `steps(before, state)` gives, as `Stage.run` does, each step once. ClusterError when nobody is left."""
    told, losses, cost, written = -1, 0, 0.0, time.monotonic()
    spare: Pixels | None = None if state is None else state["best"]
    best: _Kept | None = None  # of the step that was told last
    while True:
        under_way = steps(before, state)
        try:
            while True:
                try:
                    step = next(under_way)
                except StopIteration as end:
                    if best is not None:
                        best.picture = cast(Pixels, np.asarray(best.picture))  # or a loss now would go unseen
                    return str(end.value)
                if step.number <= told:
                    if step.number == told and best is not None:
                        best.picture = step.best
                    continue
                told, losses = step.number, 0
                if spare is None:
                    spare = step.best  # of the start: an array
                if step.state is not None and time.monotonic() - written >= cost / SHARE:
                    begun = time.monotonic()
                    # The next step may write over arrays, but not over those put together in a file.
                    state = {
                        name: array if array.nbytes >= ON_DISK else array.copy() for name, array in step.state().items()
                    }
                    spare, written = state["best"], time.monotonic()
                    cost = written - begun
                best = _Kept(step.best, spare)
                yield replace(step, picture=cast(Float32, _Kept(step.picture, spare)), best=cast(Float32, best))
        except WorkerLostError:
            losses += 1
            if losses >= LOSSES:
                raise
            if best is not None and spare is not None:
                best.picture = spare
        finally:
            under_way.close()
