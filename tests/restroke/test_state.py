"""A repainting goes on from any round to the same bits, and from nothing that is not one of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minitorch_style.errors import StyleError
from minitorch_style.kernels.patches import patch_kernels
from minitorch_style.restroke import Paintings, Strokes, repaint


@pytest.fixture
def given(rng: np.random.Generator) -> dict[str, Any]:
    """A face in the middle, at two levels and then in finer patches."""
    plan, photo, painting = (rng.random((128, 128, 3), np.float32) for _ in range(3))
    fine = np.zeros((128, 128, 1), np.float32)
    fine[40:80, 40:80] = 1
    return {
        "plan": plan,
        "photo": photo,
        "paintings": Paintings([painting]),
        "strokes": Strokes(rounds=(1, 2)),
        "fine": fine,
        "kernels": patch_kernels("numpy"),
    }


def test_the_same_bits_from_every_round(given: dict[str, Any]) -> None:
    rounds, states = [], []
    for made in repaint(**given):
        assert made.state is not None
        rounds.append((made.level, made.number, made.picture.copy()))
        states.append({name: array.copy() for name, array in made.state().items()})
    assert [made[:2] for made in rounds] == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)]
    for count, state in enumerate(states, 1):
        rest = list(repaint(**given, state=state))
        assert [(made.level, made.number) for made in rest] == [made[:2] for made in rounds[count:]]
        for made, (_, _, picture) in zip(rest, rounds[count:], strict=True):
            assert np.array_equal(made.picture, picture)


def test_a_state_without_its_picture_is_refused(given: dict[str, Any]) -> None:
    first, *_, last = [dict(made.state()) for made in repaint(**given) if made.state is not None]
    whole = last.pop("whole")
    for state in (last, {**last, "whole": whole[:-1]}, {**first, "whole": whole}, {**first, "level": np.array(7)}):
        with pytest.raises(StyleError):
            list(repaint(**given, state=state))
