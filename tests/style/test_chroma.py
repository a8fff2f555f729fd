"""Color that changes by squares: the projection, and pictures painted with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minitorch_style as ms
from minitorch_style.style.chroma import SQUARE, coarse_chroma, coarse_in_chroma
from minitorch_style.transfer import descent

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("size", [(12, 17), (9, 40), (1, 1), (3, 64)])
def test_it_is_the_orthogonal_projection(size: tuple[int, int], rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, *size, 3)).astype(np.float32)
    once, other = coarse_chroma(x.copy()), coarse_chroma(y.copy())
    assert np.allclose(coarse_chroma(once.copy()), once, atol=1e-5)
    assert np.vdot(once, y) == pytest.approx(np.vdot(x, other), rel=1e-3, abs=1e-2)
    assert np.allclose(once.mean(axis=2), x.mean(axis=2), atol=1e-5), "light stays"


def test_a_square_has_the_mean_of_its_colors(rng: np.random.Generator) -> None:
    """Pixel by pixel, at the border of odd sides too."""
    x = rng.random((10, 7, 3), np.float32)
    found = coarse_chroma(x.copy())
    for row in range(10):
        for column in range(7):
            square = x[row // SQUARE * SQUARE :, column // SQUARE * SQUARE :][:SQUARE, :SQUARE]
            color = square.mean(axis=(0, 1)) - square.mean()
            assert np.allclose(found[row, column], x[row, column].mean() + color, atol=1e-5)


def test_the_loss_is_that_of_the_objective(rng: np.random.Generator) -> None:
    slope = rng.standard_normal((8, 8, 3)).astype(np.float32)
    loss, gradient = coarse_in_chroma(lambda pixels: (3.0, slope.copy()))(slope)
    assert loss == 3 and np.array_equal(gradient, coarse_chroma(slope.copy()))


def fine_color(picture: np.ndarray) -> float:
    """Energy of color from pixel to pixel."""
    chroma = picture.astype(float) - picture.mean(axis=2, keepdims=True)
    return float(np.square(np.diff(chroma, axis=0)).sum() + np.square(np.diff(chroma, axis=1)).sum())


@pytest.mark.parametrize("init", ["content", "random"])
def test_pictures_have_few_colored_speckles(init: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def painted() -> np.ndarray:
        return ms.stylize(
            EXAMPLES / "photo.jpg", EXAMPLES / "painting.jpg", size=96, iterations=30, method="gram",
            model="distilled", kernels="numpy", init=init,
        ).image  # fmt: skip

    found = fine_color(painted())
    monkeypatch.setattr(descent, "coarse_in_chroma", lambda objective: objective)
    monkeypatch.setattr(descent, "coarse_chroma", lambda pixels: pixels)
    assert found < 0.6 * fine_color(painted())
