"""A painting's strokes without its picture."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.style.chroma import coarse_chroma
from minitorch_style.video.quilt import quilted
from tests.video import films


def painting(height: int, width: int) -> np.ndarray:
    return films.texture(3, height, width) / np.float32(255)


@pytest.mark.parametrize("size", [(48, 64), (97, 33), (16, 200)])
@pytest.mark.parametrize("of", [(96, 128), (64, 64), (20, 50), (1, 1)])
def test_of_any_size_and_about_nothing(of: tuple[int, int], size: tuple[int, int]) -> None:
    found = quilted(painting(*of), size)
    assert found.shape == (*size, 3)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found.mean()) < 0.02


def test_as_strong_as_the_painting_everywhere() -> None:
    """Where pieces run into one another the mean of two strokes would be weaker than either."""
    noise = np.random.default_rng(1).random((128, 128, 1), np.float32) * np.ones((1, 1, 3), np.float32)
    rows = quilted(noise, (256, 256)).std(axis=(1, 2))
    assert np.allclose(rows, noise.std(), rtol=0.15)


def test_what_is_broad_is_left_out_and_color_is_by_squares() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 256, dtype=np.float32)[:, None, None], (256, 256, 3))
    assert np.abs(quilted(ramp, (64, 64))).max() < 0.1
    found = quilted(painting(96, 128), (64, 64))
    assert np.allclose(found, coarse_chroma(found.copy()), atol=1e-6)


def test_the_same_every_time() -> None:
    assert np.array_equal(quilted(painting(96, 128), (48, 64)), quilted(painting(96, 128), (48, 64)))
