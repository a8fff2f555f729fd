"""Weighted sums of rows and of columns, on views as plans have them: channels of a wider map, pixels between others."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.api import KernelSet
from tests import oracle


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 8, 13, 32])
@pytest.mark.parametrize("along", ["rows", "columns"])
def test_outputs_are_weighted_sums(
    plain_kernels: KernelSet, along: str, channels: int, accumulate: bool, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((9, 7, channels + 5)).astype(np.float32)[1:8, 1:, 2 : 2 + channels]
    first = np.array([0, 2, 1, 3])
    weights = rng.standard_normal((4, 3)).astype(np.float32)
    weights[1, 2] = 0
    shape = (4, 6, channels) if along == "rows" else (7, 4, channels)
    around = np.full((shape[0] + 1, shape[1], channels + 2), np.nan, np.float32)
    out = around[1:, :, 1:-1]
    if accumulate:
        out[...] = rng.standard_normal(shape)
    expected = oracle.weighted_sums(x if along == "rows" else x.transpose(1, 0, 2), first, weights)
    expected = (expected if along == "rows" else expected.transpose(1, 0, 2)) + (out if accumulate else 0)
    combine = plain_kernels.combine_rows if along == "rows" else plain_kernels.combine_columns
    combine(x, first, weights, out, accumulate)
    assert oracle.relative_error(out, expected) <= 1e-6
    assert np.isnan(around[0]).all() and np.isnan(around[..., [0, -1]]).all(), "written beside the output"


@pytest.mark.parametrize("channels", [3, 16])
def test_rows_in_one_run(plain_kernels: KernelSet, channels: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 6, channels)).astype(np.float32)
    first, weights = np.array([3, 0]), rng.standard_normal((2, 2)).astype(np.float32)
    out = np.full((2, 6, channels), np.nan, np.float32)
    plain_kernels.combine_rows(x, first, weights, out, False)
    assert oracle.relative_error(out, oracle.weighted_sums(x, first, weights)) <= 1e-6
