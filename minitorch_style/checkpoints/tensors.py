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


def view(storage: Values, offset: Any, shape: Any, strides: Any, where: str) -> Values:
    """The tensor at `offset` of a storage, all three in elements. CheckpointError unless it lies within the storage and
    has no more elements than it (a view that repeats elements could claim any amount of memory)."""
    numbers = [offset, *_sequence(shape, where), *_sequence(strides, where)]
    if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
        raise CheckpointError(f"{where}: offset, shape and strides must be whole numbers of at least 0")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise CheckpointError(f"{where}: {len(shape)} sizes and {len(strides)} strides do not belong together")
    count = prod(shape)
    if count == 0:
        return np.empty(tuple(shape), storage.dtype) if max(shape) < 2**31 else _refuse_empty(where)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= storage.size or count > storage.size:
        raise CheckpointError(f"{where}: reaches element {last} of a storage of {storage.size}")
    steps = tuple(stride * storage.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(shape), steps, writeable=False)


def _refuse_empty(where: str) -> Values:
    raise CheckpointError(f"{where}: an empty tensor of impossible shape")


def _sequence(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, tuple | list):
        raise CheckpointError(f"{where}: expected a tuple of sizes")
    return value
