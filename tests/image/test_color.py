"""Colors moved from one picture to another."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.arrays import Float32
from minitorch_style.image.color import keep_colors, match_colors


def picture(rng: np.random.Generator, mean: float, spread: float, size: tuple[int, int] = (40, 30)) -> Float32:
    mix = spread * np.array([[1.0], [0.7], [0.5]]) * np.linalg.qr(rng.standard_normal((3, 3)))[0]
    return (mean + np.clip(rng.standard_normal((*size, 3)), -2, 2) @ mix).astype(np.float32)


def covariance(colors: Float32) -> np.ndarray:
    return np.cov(colors.reshape(-1, 3).astype(float), rowvar=False, bias=True)


def test_the_mean_and_the_covariance_become_the_photos(rng: np.random.Generator) -> None:
    painting, photo = picture(rng, 0.4, 0.05), picture(rng, 0.55, 0.08, (25, 33))
    found = match_colors(painting, photo)
    assert found.shape == painting.shape and found.dtype == np.float32
    assert np.allclose(found.mean(axis=(0, 1)), photo.mean(axis=(0, 1)), atol=1e-4)
    assert np.allclose(covariance(found), covariance(photo), atol=2e-5)


def test_it_is_the_map_that_moves_colors_least(rng: np.random.Generator) -> None:
    """Any other linear map to the same covariance, the best one followed by a turn, moves them farther."""
    painting, photo = picture(rng, 0.5, 0.05), picture(rng, 0.5, 0.06)
    found = match_colors(painting, photo)
    distance = np.mean(np.square(found - painting))
    values, vectors = np.linalg.eigh(covariance(found))
    root = (vectors * np.sqrt(values)) @ vectors.T
    away = (found - found.mean(axis=(0, 1))).reshape(-1, 3) @ np.linalg.inv(root)
    for _ in range(20):
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        other = (away @ turn @ root).reshape(found.shape) + found.mean(axis=(0, 1))
        assert np.allclose(covariance(other.astype(np.float32)), covariance(found), atol=1e-6)
        assert np.mean(np.square(other - painting)) >= distance - 1e-9


def test_few_pixels_leave_the_range(rng: np.random.Generator) -> None:
    painting, photo = picture(rng, 0.5, 0.1, (50, 50)), np.clip(picture(rng, 0.85, 0.3), 0, 1)
    found = match_colors(painting, photo)
    at_an_end = np.any((found < 0.5 / 255) | (found > 1 - 0.5 / 255), axis=2).mean()
    assert found.min() >= 0 and found.max() <= 1
    assert at_an_end <= 0.0101
    assert np.allclose(found.mean(axis=(0, 1)), photo.mean(axis=(0, 1)), atol=0.06)
    assert np.sqrt(np.trace(covariance(found)) / np.trace(covariance(photo))) > 0.8, "it has lost its contrast"


@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_pictures_without_any_color(grey: float, rng: np.random.Generator) -> None:
    flat, other = np.full((8, 9, 3), grey, np.float32), picture(rng, 0.5, 0.1)
    assert np.allclose(match_colors(other, flat), grey, atol=0.05)
    assert np.isfinite(match_colors(flat, other)).all()


def test_kept_colors_have_the_luminance_of_the_painted(rng: np.random.Generator) -> None:
    painted, photo = rng.random((4, 5, 3), np.float32), rng.random((4, 5, 3), np.float32)
    luma = np.array([0.299, 0.587, 0.114])
    found = keep_colors(painted, photo)
    assert np.allclose(found @ luma, painted @ luma, atol=1e-6)
    assert np.allclose(found - found @ luma[:, None], photo - photo @ luma[:, None], atol=1e-6)
