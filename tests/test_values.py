"""Values become arrays and come back as they were."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pytest

from minitorch_style.arrays import Float32
from minitorch_style.errors import StyleError
from minitorch_style.values import from_arrays, to_arrays


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    order: tuple[int, ...]
    matrix: Float32


@dataclass(frozen=True)
class Outer:
    name: str
    loss: float
    count: int
    inner: Inner
    layers: Mapping[str, Float32]
    weights: Mapping[str, float]
    color: Color
    other: Color | None


def test_a_file_gives_back_the_same_bits() -> None:
    value = Outer(
        "a", 0.1, 2**60, Inner((), np.float32([[np.pi]])), {"1.0": np.ones(3, np.float32)}, {}, Color.BLUE, None
    )
    file = io.BytesIO()
    np.savez(file, **to_arrays(value))
    file.seek(0)
    found = from_arrays(Outer, dict(np.load(file)))
    assert (found.name, found.loss, found.count, found.color, found.other) == ("a", 0.1, 2**60, Color.BLUE, None)
    assert found.inner.order == () and found.inner.matrix.dtype == np.float32 and found.weights == {}
    assert np.array_equal(found.inner.matrix, value.inner.matrix) and list(found.layers) == ["1.0"]


def test_a_field_that_is_missing_is_named() -> None:
    arrays = to_arrays(Inner((1, 2), np.ones((1, 1), np.float32)))
    assert from_arrays(Inner, arrays).order == (1, 2)
    del arrays["matrix"]
    with pytest.raises(StyleError, match="expected a matrix, got only order"):
        from_arrays(Inner, arrays)
