"""What plans make of paintings alone, kept for the next photo."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """One value a name, made again when what it was made for differs; so no more is held than one job needs. It belongs to
    the paintings, and the network, that it was first used with."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[Hashable, Any]] = {}

    def get(self, name: Hashable, made_for: Hashable, make: Callable[[], T]) -> T:
        if name not in self._values or self._values[name][0] != made_for:
            self._values.pop(name, None)  # not two at once
            self._values[name] = made_for, make()
        found: T = self._values[name][1]
        return found


class Nothing(Kept):
    """Keeps nothing: for a single photo, whose memory is to be freed again."""

    def get(self, name: Hashable, made_for: Hashable, make: Callable[[], T]) -> T:
        return make()
