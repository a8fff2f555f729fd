"""Buffers that share memory never meet."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.engine.allocation import Lifetime, arrange
from minitorch_style.engine.network import load_network
from minitorch_style.kernels.buffers import LINE, Buffer, aligned


@pytest.mark.parametrize("seed", range(20))
def test_what_lives_at_one_time_does_not_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lifetimes = []
    for _ in range(40):
        first = int(rng.integers(30))
        lifetimes.append(Lifetime(int(rng.integers(1, 1000)), first, first + int(rng.integers(10))))
    offsets, size = arrange(lifetimes)
    owner = np.full((41, size), -1)
    for number, (offset, lifetime) in enumerate(zip(offsets, lifetimes, strict=True)):
        taken = owner[lifetime.first : lifetime.last + 1, offset : offset + lifetime.floats]
        assert np.all(taken == -1)
        taken[...] = number
    busiest = max(
        sum(lifetime.floats for lifetime in lifetimes if lifetime.first <= time <= lifetime.last) for time in range(41)
    )
    assert busiest <= size <= 1.5 * busiest + 16 * len(lifetimes)


def test_nothing_needs_nothing() -> None:
    assert arrange([]) == ([], 0)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 4, 2)])
def test_a_margin_in_used_memory_becomes_zero_and_the_inside_stays(shape: tuple[int, int, int]) -> None:
    memory = np.full(Buffer.floats(shape, 2, 7), 9, np.float32)
    buffer = Buffer(shape, 2, 7, memory)
    buffer.clear_margin()
    assert np.all(buffer.interior == 9)
    buffer.interior[...] = 0
    assert np.all(memory[:-7] == 0) and np.all(memory[-7:] == 9)


@pytest.mark.parametrize("count", [1, LINE, 1000, 10**6])
def test_memory_begins_with_a_line_of_the_cache(count: int) -> None:
    memory = aligned(count)
    assert memory.__array_interface__["data"][0] % (4 * LINE) == 0
    assert memory.shape == (count,) and not memory.any()


def test_the_maps_of_a_plan_begin_with_a_line_of_the_cache() -> None:
    plan = load_network("distilled", "random:0").plan((16, 16), ["conv5_1"])
    plan.run(np.zeros((16, 16, 3), np.float32))
    starts = [buffer.flat.__array_interface__["data"][0] for buffer in plan._allocated()]
    assert {start % (4 * LINE) for start in starts} == {0}
