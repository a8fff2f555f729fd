"""Weights packed as a kernel reads them: made when first used, and gone with the plain weights they were made of."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from minitorch_style.arrays import Float32

T = TypeVar("T")


class PackedWeights:
    """What a kernel set has packed in this process, by array and purpose. Plans of all sizes share it. It holds no plain
    weights: when the last network and plan that hold an array are gone, so is all that was packed of it."""

    def __init__(self) -> None:
        self._packed: dict[int, tuple[weakref.ref[Float32], dict[str, Any]]] = {}

    def of(self, weight: Float32, purpose: str, pack: Callable[[], T]) -> T:
        """`pack()`, remembered for as long as the array `weight` lives."""
        if id(weight) not in self._packed:
            mine, key = weakref.ref(self), id(weight)

            def forget(_: object) -> None:
                packed = mine()
                if packed is not None:
                    del packed._packed[key]

            self._packed[key] = weakref.ref(weight, forget), {}
        known = self._packed[id(weight)][1]
        if purpose not in known:
            known[purpose] = pack()
        found: T = known[purpose]
        return found

    @property
    def arrays(self) -> int:
        """How many arrays something is packed of."""
        return len(self._packed)
