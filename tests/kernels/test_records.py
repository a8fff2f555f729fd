"""Records as arguments of kernels: taken apart, put together, and what a kernel writes through them."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import pytest

from minitorch_style.arrays import Float32

pytest.importorskip("numba")


class Place(NamedTuple):
    data: Float32
    start: int


class Sum(NamedTuple):
    factor: int
    source: Place
    offset: int


def test_records_are_taken_apart_and_put_together_in_one_order() -> None:
    from minitorch_style.kernels.fast import records

    assert [name for name, _ in records.leaves("sum", Sum)] == [
        "sum_factor",
        "sum_source_data",
        "sum_source_start",
        "sum_offset",
    ]
    assert list(records.leaves("count", None)) == [("count", None)]
    array = np.zeros(1, np.float32)
    given = Sum(2, Place(array, 3), 4)
    assert records.gathered(Sum, iter([2, array, 3, 4])) == given
    leaves = eval(f"({records.scattered('sum', Sum)}{records.scattered('place', Place)}{records.scattered('n', None)})",
                  {"sum": given, "place": given.source, "n": 7})  # fmt: skip
    assert [value for value in leaves if value is not array] == [2, 3, 4, 3, 7]
    scope: dict[str, object] = {}
    made = records.source("sum", Sum, scope)
    assert (
        eval(made, {**scope, "sum_factor": 2, "sum_source_data": array, "sum_source_start": 3, "sum_offset": 4})
        == given
    )


def test_a_kernel_reads_and_writes_through_records() -> None:
    """Interpreted or compiled, on several tasks; only what it is to write changes."""
    from minitorch_style.kernels.fast.compilation import parallel_kernel

    @parallel_kernel
    def scaled(i: int, out: Place, how: Sum, length: int) -> None:
        for c in range(length):
            at = i * length + c
            out.data[out.start + at] = how.factor * how.source.data[how.source.start + at] + how.offset

    x, out = np.arange(10, dtype=np.float32), np.full(10, np.nan, np.float32)
    scaled(3, Place(out, 2), Sum(10, Place(x, 1), 5), 2)
    assert np.array_equal(out[2:8], 10 * x[1:7] + 5)
    assert np.isnan(out[[0, 1, 8, 9]]).all()
    out[:] = np.nan
    scaled(3, length=2, how=Sum(1, Place(x, 0), 0), out=Place(out, 0))
    assert np.array_equal(out[:6], x[:6])


def test_tasks_borrow_their_arrays() -> None:
    """What a task slices, keeps in a record or makes is gone after it; what it was lent is as it was."""
    from minitorch_style.kernels.fast.compilation import parallel_kernel

    @parallel_kernel
    def rotated(i: int, out: Place, how: Sum) -> None:
        own = np.empty(4, np.float32)
        moved = Place(own, how.source.start)
        row = how.source.data[4 * i : 4 * i + 4]
        for c in range(4):
            moved.data[c] = row[(c + moved.start) % 4]
        for c in range(4):
            out.data[4 * i + c] = own[c]

    x, out = np.arange(12, dtype=np.float32), np.zeros(12, np.float32)
    arguments = Place(out, 0), Sum(1, Place(x, 1), 0)
    before = sys.getrefcount(x), sys.getrefcount(out)
    for _ in range(50):
        rotated(3, *arguments)
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before
    assert np.array_equal(out.reshape(3, 4), np.roll(x.reshape(3, 4), -1, axis=1))


@pytest.mark.jit
def test_a_routine_takes_records() -> None:
    from minitorch_style.kernels.buffers import MapView
    from minitorch_style.kernels.codegen.modes import GATED
    from minitorch_style.kernels.fast.arguments import Epilogue, Panels, Taps
    from minitorch_style.kernels.fast.compilation import kernel
    from minitorch_style.kernels.fast.direct import pack_panels
    from minitorch_style.kernels.fast.microkernel import PANELS, finished_tile

    @kernel
    def run(x, taps, w, out, epilogue):
        finished_tile(x, x.origin, taps, w, 0, out, out.origin, epilogue, 0, epilogue.gate.origin)

    width = PANELS[0]
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, width), np.float32)
    panels: Panels = pack_panels(weight)
    a, gates = (rng.standard_normal((panels.height, columns), np.float32) for columns in (6, width))
    slope = rng.standard_normal(width, np.float32)
    out = np.full((panels.height, width), np.nan, np.float32)
    epilogue = Epilogue(np.zeros(width, np.float32), slope, GATED, MapView(gates.reshape(-1), 0, 0, width))
    run(MapView(a.reshape(-1), 0, 0, 6), Taps(1, 0, 1, 0, 6), panels, MapView(out.reshape(-1), 0, 0, width), epilogue)
    expected = a.astype(float) @ weight * np.where(gates > 0, 1, slope)
    assert np.allclose(out, expected, atol=1e-5)
