"""Tensors as checkpoints describe them, turned into array views with every bound checked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import CheckpointError

Values = npt.NDArray[Any]
MAX_DIMENSIONS = 32
MAX_EMPTY = 2**31  # what the other sides of a tensor without elements may claim


@dataclass(frozen=True)
class ElementType:
    """How elements are stored, and as what they are given. NumPy has no bfloat16: it becomes float32, exactly."""

    stored: str
    bfloat16: bool = False

    @property
    def size(self) -> int:
        return np.dtype(self.stored).itemsize


BFLOAT16 = ElementType("u2", bfloat16=True)


def elements(data: bytes | memoryview, kind: ElementType, little_endian: bool, where: str) -> Values:
    """The elements in `data`, native byte order, read-only where they are the bytes themselves."""
    if len(data) % kind.size:
        raise CheckpointError(f"{where}: {len(data)} bytes are no whole number of {kind.size}-byte elements")
    found = np.frombuffer(data, np.dtype(kind.stored).newbyteorder("<" if little_endian else ">"))
    if kind.bfloat16:
        return (found.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if kind.stored == "?" and np.any(found.view(np.uint8) > 1):
        raise CheckpointError(f"{where}: bytes that are neither true nor false")
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def view(storage: Values, offset: Any, shape: Any, strides: Any, where: object) -> Values:
    """The tensor at `offset` of a storage (one axis, without gaps), all three in elements. CheckpointError unless it lies
    within the storage and has no more elements than it (a view that repeats elements could claim any amount of memory).
    `where` names it in messages."""
    sizes, steps = _sequence(shape, where), _sequence(strides, where)
    if len(sizes) != len(steps) or len(sizes) > MAX_DIMENSIONS:
        raise _refused(where, f"{len(sizes)} sizes and {len(steps)} strides do not belong together")
    if not all(type(number) is int and 0 <= number < 2**62 for number in (offset, *sizes, *steps)):
        raise _refused(where, "offset, shape and strides must be whole numbers of at least 0")
    if storage.ndim != 1 or not storage.flags.c_contiguous:
        raise _refused(where, "its storage is another tensor")
    if prod(sizes) == 0:
        if prod(max(size, 1) for size in sizes) >= MAX_EMPTY:
            raise _refused(where, "an empty tensor of impossible shape")
        return np.empty(tuple(sizes), storage.dtype)
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if last >= storage.size or prod(sizes) > storage.size:
        raise _refused(where, f"reaches element {last} of a storage of {storage.size}")
    # The step of an axis of one element is never taken, and may be anything.
    jumps = tuple(step * storage.itemsize if size > 1 else 0 for size, step in zip(sizes, steps, strict=True))
    found = np.ndarray(tuple(sizes), storage.dtype, storage, offset * storage.itemsize, jumps)  # checks the bounds too
    found.flags.writeable = False
    return found


def _refused(where: object, why: str) -> CheckpointError:
    return CheckpointError(f"{where!s:.120}: {why}")


def _sequence(value: Any, where: object) -> Sequence[Any]:
    if not isinstance(value, tuple | list):
        raise _refused(where, "expected a tuple of sizes")
    return value
