"""Where the buffers of a plan lie in one block of memory: those that are never needed at the same time may overlap."""

from __future__ import annotations

from dataclasses import dataclass

from minitorch_style.kernels.buffers import LINE


@dataclass(frozen=True)
class Life:
    """So many `floats`, needed from time `first` to time `last`, both included."""

    floats: int
    first: int
    last: int

    @property
    def rank(self) -> tuple[int, int]:
        return self.first - self.last, -self.floats

    def meets(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def arrange(lives: list[Life]) -> tuple[list[int], int]:
    """(the offset of each, the size of the whole). Long lives first, each at the lowest place that is free for all of its
    life. Lives of a way forth and back lie within each other, so that long ones belong at the bottom of a stack: for
    every network here the whole is as large as what is needed at its busiest time («greedy by size» of Pisarchyk & Lee
    2020 takes up to an eighth more)."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    for index in sorted(range(len(lives)), key=lambda number: lives[number].rank):
        life, start = lives[index], 0
        for other in sorted((one for one in placed if lives[one].meets(life)), key=lambda one: offsets[one]):
            if start + life.floats <= offsets[other]:
                break
            start = max(start, -(-(offsets[other] + lives[other].floats) // LINE) * LINE)
        offsets[index] = start
        placed.append(index)
    return offsets, max((offset + life.floats for offset, life in zip(offsets, lives, strict=True)), default=0)
