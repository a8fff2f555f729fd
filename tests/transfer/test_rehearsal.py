"""A rehearsal calls every kernel that the run calls, with arguments of the same types: nothing is left to be compiled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from minitorch_style import Settings
from minitorch_style.transfer import run as transfer

GRAM = {"method": "gram", "model": "distilled"}
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "weak": {"strength": 0.4},
    "statistics": {"method": "statistics"},
    "voting, odd size": {"method": "voting", "size": 45},
    "a plan alone": {"restroke": False, "size": 51, "plan_size": 51},
    "gram": GRAM,
    "gram, odd size": {**GRAM, "size": 45},
    "max pooling, random start": {**GRAM, "model": "enet", "pooling": "max", "init": "random"},
    "scales and a starter": {**GRAM, "model": "vgg16", "weights": "random:0", "warm_start": "distilled", "scales": 2},
    "adam": {**GRAM, "model": "segnet", "optimizer": "adam"},
    "style alone": {**GRAM, "content_weight": 0.0, "tv_weight": 1e-3},
}


@pytest.mark.jit
@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_rehearsed_kernels_are_those_of_the_run(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from minitorch_style.kernels.fast.compilation import Unit, listening

    rehearsed, called = set[Unit](), set[Unit]()

    def recording(units: set[Unit], instead: bool) -> AbstractContextManager[None]:
        def listener(unit: Unit) -> bool:
            units.add(unit)
            return instead

        return listening(listener)

    rehearsals: list[Callable[[], None]] = []

    def ahead(rehearse: Callable[[], None], report: object) -> AbstractContextManager[None]:
        rehearsals.append(rehearse)
        return nullcontext()

    monkeypatch.setattr(transfer, "compiled_ahead", ahead)
    photo, painting = np.random.default_rng(0).random((2, 64, 48, 3), np.float32)
    run = transfer.run(transfer.prepare(photo, painting, Settings(**{"size": 64, "iterations": 3, **settings})))
    with recording(rehearsed, instead=True):
        rehearsals[0]()
    with recording(called, instead=False):
        result = run.complete()
    assert result.history
    assert called and called <= rehearsed
