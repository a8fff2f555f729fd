"""A stage that loses its work now and then: every step is told once, and is that of a run that lost nothing."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from minitorch_style.arrays import Float32
from minitorch_style.errors import ClusterError, WorkerLostError
from minitorch_style.transfer import surviving as module
from minitorch_style.transfer.stages import Step
from minitorch_style.transfer.surviving import surviving
from minitorch_style.values import Arrays

STEPS = 9


class Elsewhere:
    """A picture on a machine that may be lost."""

    shape, dtype = (1, 1, 3), np.dtype(np.float32)

    def __init__(self, value: float, lost: list[bool]) -> None:
        self.value, self.lost = value, lost

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Float32:
        if self.lost[0]:
            raise WorkerLostError("gone")
        return np.full(self.shape, self.value, np.float32)


class Fragile:
    """Steps that triple a number in place; those named are lost before they are told, as often as they say."""

    def __init__(self, losses: dict[int, int]) -> None:
        self.losses, self.begun = losses, list[int]()

    def __call__(self, before: Float32 | None, state: Arrays | None) -> Generator[Step, None, str]:
        lost, number = [False], 0 if state is None else int(state["number"])
        value = np.ones(1) if state is None else state["value"].copy()
        self.begun.append(number)
        if state is None:
            yield Step(0, np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 3), np.float32))
        for now in range(number + 1, STEPS + 1):
            if self.losses.get(now, 0):
                self.losses[now] -= 1
                lost[0] = True
                raise WorkerLostError("gone")
            value *= 3
            picture = Elsewhere(now, lost)
            written = {"number": np.array(now), "value": value, "best": np.full((1, 1, 3), now, np.float32)}
            yield Step(now, picture, picture, float(value[0]), state=lambda written=written: written)  # type: ignore[misc, arg-type]
        return "done"


def told(fragile: Fragile) -> list[tuple[int, float | None]]:
    return [(step.number, step.loss) for step in surviving(fragile, None, None)]


@pytest.mark.parametrize("losses", [{1: 1}, {5: 1}, {2: 3, 9: 2}, {3: 1, 4: 1, 5: 1, 6: 1, 7: 1}])
def test_every_step_once(losses: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = told(Fragile({}))
    assert [number for number, _ in expected] == list(range(STEPS + 1))
    assert told(Fragile(dict(losses))) == expected
    monkeypatch.setattr(module, "SHARE", 1e-9)  # nothing is written down after the first
    fragile = Fragile(dict(losses))
    assert told(fragile) == expected and set(fragile.begun) <= {0, 1}


def test_it_ends_when_every_attempt_fails() -> None:
    steps = surviving(Fragile({5: 99}), None, None)
    reached = []
    with pytest.raises(ClusterError, match="gone"):
        reached.extend(step.number for step in steps)
    assert reached == [0, 1, 2, 3, 4]


def test_a_picture_that_is_lost_is_the_best_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1e-9)
    best = None
    with pytest.raises(ClusterError):
        for step in surviving(Fragile({5: 99}), None, None):
            best = step.best
            if step.number == 4:
                assert np.asarray(best).max() == 4
    assert np.asarray(best).max() == 1 and best is not None and best.shape == (1, 1, 3)


def test_what_is_lost_at_the_very_end_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1e-9)
    fragile = Fragile({})
    steps = surviving(fragile, None, None)
    best = [next(steps).best for _ in range(STEPS + 1)][-1]
    best.picture.lost[0] = True  # type: ignore[attr-defined]
    assert list(steps) == [] and len(fragile.begun) == 2
    assert isinstance(best.picture, np.ndarray) and best.picture.max() == STEPS  # type: ignore[attr-defined]
