"""Where the buffers of a plan lie in one block of memory: those that are never needed at the same time may overlap."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from minitorch_style.kernels.buffers import LINE


@dataclass(frozen=True)
class Lifetime:
    """So many `floats`, needed from time `first` to time `last`, both included."""

    floats: int
    first: int
    last: int

    @property
    def rank(self) -> tuple[int, int]:
        return self.first - self.last, -self.floats

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


def arrange(lifetimes: list[Lifetime], bottom: Collection[int] = ()) -> tuple[list[int], int]:
    """(the offset of each, the size of the whole). Those whose numbers are to be at the `bottom` first, then long lifetimes,
    each at the lowest place that is free for all of it.

    Those of a forward and backward pass lie within each other, so that long ones belong at the bottom of a stack: for every
    network here the whole is as large as what is needed at its busiest time («greedy by size» of Pisarchyk & Lee 2020 takes
    up to an eighth more)."""
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for index in sorted(range(len(lifetimes)), key=lambda number: (number not in bottom, lifetimes[number].rank)):
        lifetime, start = lifetimes[index], 0
        for other in sorted((one for one in placed if lifetimes[one].meets(lifetime)), key=lambda one: offsets[one]):
            if start + lifetime.floats <= offsets[other]:
                break
            start = max(start, -(-(offsets[other] + lifetimes[other].floats) // LINE) * LINE)
        offsets[index] = start
        placed.append(index)
    return offsets, max(
        (offset + lifetime.floats for offset, lifetime in zip(offsets, lifetimes, strict=True)), default=0
    )
