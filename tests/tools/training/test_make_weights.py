"""The bundled files: how their numbers are rounded."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.torch


def test_weights_are_rounded_filter_by_filter(rng: np.random.Generator) -> None:
    """Small filters as finely as large ones; half precision holds what is left; a filter of zeros stays."""
    from tools.make_weights import rounded

    sizes = np.array([1e-3, 1.0, 50.0, 0.0], np.float32)
    weight = rng.standard_normal((3, 3, 64, 4), np.float32) * sizes
    coarse = rounded(weight, 5)
    error = np.sqrt(np.mean((coarse - weight) ** 2, (0, 1, 2)))
    assert np.all(error <= 0.01 * sizes) and np.all(error >= 0.004 * sizes)
    assert np.array_equal(coarse.astype(np.float16).astype(np.float32), coarse)
    assert max(len(np.unique(coarse[..., filter_])) for filter_ in range(4)) < 400
