"""How many tiles a Winograd convolution takes at a time, and that what it keeps of them has room and lies apart."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("numba")

from minitorch_style.kernels.buffers import LINE
from minitorch_style.kernels.fast.winograd.blocking import (
    FUSED_BLOCK_FLOATS,
    PHASED_CHUNK_FLOATS,
    POINTS,
    SLICE,
    blocking,
    parts,
    slice_step,
)

CASES = list(itertools.product((1, 7, 64, 1000, 16384), (8, 64, 512), (16, 512), (4, 8, 12), (False, True), (1, 3)))


@pytest.mark.parametrize("phased", [False, True])
def test_a_block_fills_its_share_of_the_cache_and_no_more(phased: bool) -> None:
    for tiles, depth, columns, height, kind, threads in CASES:
        if kind != phased:
            continue
        limit = PHASED_CHUNK_FLOATS if phased else FUSED_BLOCK_FLOATS
        found = blocking(tiles, depth, columns, height, phased, threads)
        assert 1 <= found.block <= tiles
        assert found.block == tiles or found.block % height == 0, "only the last one has part of a matrix tile"
        one = POINTS * (depth + columns)
        assert found.block <= max(height, limit // one), "a block of one matrix tile is the least there is"
        if not phased and found.block < tiles:
            assert (found.block + height) * one > limit, "more would have fitted"
        assert found.copies == (1 if phased else threads)


def test_chunks_that_all_threads_share_are_of_one_size() -> None:
    for tiles, depth, columns, height, phased, threads in CASES:
        if phased:
            block = blocking(tiles, depth, columns, height, True, threads).block
            chunks = -(-tiles // block)
            assert block - tiles / chunks < height


def test_matrices_of_whole_tiles_have_room_and_rows_do_not_share_cache_sets() -> None:
    for tiles, depth, columns, height, phased, threads in CASES:
        found = blocking(tiles, depth, columns, height, phased, threads)
        read = -(-found.block // height) * height  # a product reads and writes whole matrix tiles
        for row, matrices in ((depth, found.v), (columns, found.m)):
            assert matrices.row >= row
            assert matrices.row == row or row > 4 * LINE
            assert matrices.step >= read * matrices.row
            assert row <= 4 * LINE or matrices.row % 256, "rows 1 KB apart fall into few sets"
        assert found.floats == (
            found.copies * POINTS * found.v.step,
            found.copies * POINTS * found.m.step,
        )


def test_known_layers() -> None:
    """64 → 64 and 256 → 512 channels, tiles of eight rows, as they were before the decision stood by itself."""
    fused = blocking(4096, 64, 64, 8, False, 2)
    assert (fused.block, fused.v, fused.m) == (32, (64, 32 * 64 + 16), (64, 32 * 64 + 16))
    phased = blocking(256, 256, 512, 8, True, 2)
    assert (phased.block, phased.v, phased.m) == (88, (272, 88 * 272 + 16), (528, 88 * 528 + 16))


def test_each_worker_has_two_tasks_if_rows_of_points_can_be_shared_out() -> None:
    for panels, workers in itertools.product(range(1, 40), range(1, 17)):
        found = parts(panels, workers)
        assert 6 % found == 0
        assert panels * found >= 2 * workers or found == 6
        fewer = [few for few in (1, 2, 3, 6) if few < found]
        assert all(panels * few < 2 * workers for few in fewer)


def test_a_slice_has_room() -> None:
    assert slice_step(32) >= SLICE * 32
