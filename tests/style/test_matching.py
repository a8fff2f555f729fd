"""Nearest neighbours and the loss that draws features to them."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.kernels.patches import PatchKernels
from minitorch_style.style.matching import cosine_loss, nearest, shared_out, unit
from tests import oracle


def test_units_point_away_from_the_centre(rng: np.random.Generator) -> None:
    x, centre = rng.standard_normal((4, 3, 5)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    x[1, 2] = centre
    found = unit(x, centre)
    lengths = np.linalg.norm(found, axis=2)
    assert np.all(found[1, 2] == 0)
    lengths[1, 2] = 1
    assert np.allclose(lengths, 1, atol=1e-6)
    assert np.allclose(found[0, 0], (x[0, 0] - centre) / np.linalg.norm(x[0, 0] - centre), atol=1e-6)


@pytest.mark.parametrize("channels", [3, 24, 340])
def test_nearest_is_the_largest_cosine(
    patches: PatchKernels,
    channels: int,
    rng: np.random.Generator,
) -> None:
    origin = np.zeros(channels, np.float32)
    queries = unit(rng.standard_normal((5, 6, channels)).astype(np.float32), origin)
    keys = unit(rng.standard_normal((300, channels)).astype(np.float32), origin)
    where, best = nearest(queries, keys, patches)
    cosines = queries.astype(np.float64) @ keys.astype(np.float64).T
    assert np.array_equal(where, cosines.argmax(axis=2))
    assert np.allclose(best, cosines.max(axis=2), atol=1e-6)


def test_of_equal_keys_the_first_is_taken(
    patches: PatchKernels,
    rng: np.random.Generator,
) -> None:
    key = unit(rng.standard_normal((1, 8)).astype(np.float32), np.zeros(8, np.float32))
    where, _ = nearest(key[None], np.repeat(key, 10, axis=0), patches)
    assert where[0, 0] == 0


@pytest.mark.parametrize("shares", [[1], [0.5, 0.5], [0.9, 0.1], [0, 1], [0.2, 0.3, 0.5], [1, 0, 1]])
def test_each_choice_gets_its_share(shares: list[float], rng: np.random.Generator) -> None:
    scores = rng.random((len(shares), 1000))
    scores[0] += 0.3  # the first would be everyone's choice
    found = np.bincount(shared_out(scores, shares), minlength=len(shares)) / 1000
    assert np.allclose(found, np.array(shares) / sum(shares), atol=0.01)


def test_those_choose_a_painting_who_gain_most(rng: np.random.Generator) -> None:
    scores = rng.random((2, 50))
    choice = shared_out(scores, [0.4, 0.6])
    lead = scores[0] - scores[1]
    assert lead[choice == 0].min() >= lead[choice == 1].max()


def test_cosine_loss_and_gradient(rng: np.random.Generator) -> None:
    f, centre = rng.standard_normal((3, 4, 6)), rng.standard_normal(6)
    keys = unit(rng.standard_normal((3, 4, 6)).astype(np.float32), np.zeros(6, np.float32)).astype(np.float64)

    def expected(v: np.ndarray) -> np.ndarray:
        u = v - centre
        return np.array([np.mean(1 - np.sum(u * keys, axis=2) / np.linalg.norm(u, axis=2))])

    gradient = np.full(f.shape, np.nan)
    value = cosine_loss(f, centre, keys, gradient)
    assert value == pytest.approx(expected(f)[0])
    assert oracle.projection_error(expected, lambda dy: dy * gradient, f, rng) <= 1e-6
