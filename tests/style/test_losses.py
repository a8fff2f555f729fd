"""Equations 1 to 6 against sums written out, and their gradients against differences."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.engine.network import load_network
from minitorch_style.errors import SettingsError
from minitorch_style.style import losses
from minitorch_style.style.objective import Objective
from tests import oracle


def test_content_loss_is_equation_1(rng: np.random.Generator) -> None:
    f, p = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 5))
    value, gradient = losses.content_loss(f, p)
    assert value == pytest.approx(0.5 * sum((a - b) ** 2 for a, b in zip(f.flat, p.flat, strict=True)))
    error = oracle.projection_error(lambda v: np.array([0.5 * np.sum((v - p) ** 2)]), lambda dy: dy * gradient, f, rng)
    assert error <= 1e-6


def test_style_loss_is_equation_3_where_sizes_agree(rng: np.random.Generator) -> None:
    n, m = 4, 6
    f, a = rng.standard_normal((2, 3, n)), rng.standard_normal((3, 2, n))
    gram_f, gram_a = oracle.gram(f), oracle.gram(a)
    value, _ = losses.style_loss(gram_f, m, losses.mean_gram(gram_a, m))
    assert value == pytest.approx(np.sum((gram_f - gram_a) ** 2) / (4 * n**2 * m**2))


def test_style_gradient_is_equation_5(rng: np.random.Generator) -> None:
    n, m = 5, 12
    f, target = rng.standard_normal((3, 4, n)), losses.mean_gram(oracle.gram(rng.standard_normal((7, 2, n))), 14)
    value, matrix = losses.style_loss(oracle.gram(f), m, target)
    gradient = f @ matrix
    assert np.array_equal(matrix, matrix.T)
    assert np.allclose(gradient, f @ (oracle.gram(f) / m - target) / (n**2 * m))

    def forward(v: np.ndarray) -> np.ndarray:
        return np.array([np.sum((oracle.gram(v) / m - target) ** 2) / (4 * n**2)])

    assert value == pytest.approx(forward(f)[0])
    assert oracle.projection_error(forward, lambda dy: dy * gradient, f, rng) <= 1e-6


def test_paintings_of_another_size_are_comparable(rng: np.random.Generator) -> None:
    """A painting tiled twice has the same mean Gram matrix, hence the same loss."""
    f, a = rng.standard_normal((3, 4, 5)), rng.standard_normal((4, 4, 5))
    once = losses.style_loss(oracle.gram(f), 12, losses.mean_gram(oracle.gram(a), 16))[0]
    twice = losses.style_loss(oracle.gram(f), 12, losses.mean_gram(oracle.gram(np.vstack([a, a])), 32))[0]
    assert once == pytest.approx(twice)


def test_total_variation(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5, 3))

    def forward(v: np.ndarray) -> np.ndarray:
        return np.array([0.5 * (np.sum((v[1:] - v[:-1]) ** 2) + np.sum((v[:, 1:] - v[:, :-1]) ** 2))])

    value, gradient = losses.total_variation(x)
    assert value == pytest.approx(forward(x)[0])
    assert oracle.projection_error(forward, lambda dy: dy * gradient, x, rng) <= 1e-6


def test_objective_is_equation_6_exactly(rng: np.random.Generator) -> None:
    """α·L_content + β·Σ w_l E_l, from the network's own features."""
    network = load_network("distilled", "random:1", "numpy")
    content, x = rng.random((32, 40, 3), np.float32), rng.random((32, 40, 3), np.float32)
    style = rng.random((48, 24, 3), np.float32)
    alpha, beta = 3e-3, 2.0
    objective = Objective(network, content, style, content_weight=alpha, style_weight=beta, tv_weight=0.5)
    loss, _ = objective(x)
    taps = [*network.architecture.style_layers, "conv4_2"]
    f, p, s = (network.features(picture, taps) for picture in (x, content, style))
    expected = alpha * 0.5 * np.sum((f["conv4_2"].astype(float) - p["conv4_2"]) ** 2)
    for tap in network.architecture.style_layers:
        n, m, m_s = f[tap].shape[2], f[tap][..., 0].size, s[tap][..., 0].size
        expected += beta / 5 * np.sum((oracle.gram(f[tap]) / m - oracle.gram(s[tap]) / m_s) ** 2) / (4 * n**2)
    across, down = (np.diff(x.astype(float), axis=axis) for axis in (0, 1))
    expected += 0.5 * 0.5 * (np.sum(across**2) + np.sum(down**2))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert objective.terms.total == loss


def test_blending_averages_the_gram_matrices(rng: np.random.Generator) -> None:
    network = load_network("distilled", "random:1", "numpy")
    content, a, b = (rng.random((32, 32, 3), np.float32) for _ in range(3))
    first = Objective(network, content, a, content_weight=0)(content)[0]
    only_first = Objective(network, content, [a, b], content_weight=0, style_blend=[2, 0])(content)[0]
    assert only_first == pytest.approx(first, rel=1e-6)
    both = Objective(network, content, [a, a], content_weight=0)(content)[0]
    assert both == pytest.approx(first, rel=1e-6)
    with pytest.raises(SettingsError, match="2 blend weights"):
        Objective(network, content, [a, b], style_blend=[1])


def test_weights_of_zero_leave_their_part_out(rng: np.random.Generator) -> None:
    network = load_network("distilled", "random:1", "numpy")
    picture = rng.random((32, 32, 3), np.float32)
    objective = Objective(network, picture, picture, style_weight=0, content_layers=["conv2_1"], content_weight=1)
    assert objective.plan.taps == ("conv2_1",)
    assert objective(picture)[0] == 0
    with pytest.raises(SettingsError, match="nothing to minimise"):
        Objective(network, picture, picture, style_weight=0, content_weight=0)


def test_the_teachers_loss_is_that_of_the_teachers_features(rng: np.random.Generator) -> None:
    """Features that a linear map takes to the teacher's: there equation 3 of them, but for the number of maps."""
    features, target = rng.random((2, 50, 6))
    towards = rng.standard_normal((6, 9))
    product = towards @ towards.T
    value, matrix = losses.teacher_loss(features.T @ features, 50, target.T @ target / 50, product)
    seen, wanted = features @ towards, target @ towards
    expected = np.sum((seen.T @ seen / 50 - wanted.T @ wanted / 50) ** 2) / (4 * 6**2)
    assert value == pytest.approx(expected, rel=1e-9)
    step = 1e-6 * rng.standard_normal(features.shape)
    ends = [
        losses.teacher_loss(moved.T @ moved, 50, target.T @ target / 50, product)[0]
        for moved in (features + step, features - step)
    ]
    assert ends[0] - ends[1] == pytest.approx(2 * float(np.sum(features @ matrix * step)), rel=1e-5)


def test_without_a_teacher_it_is_equation_3(rng: np.random.Generator) -> None:
    features, target = rng.random((2, 50, 6))
    given = features.T @ features, 50, target.T @ target / 50
    value, matrix = losses.style_loss(*given)
    found = losses.teacher_loss(*given, np.eye(6))
    assert found[0] == pytest.approx(value, rel=1e-12)
    assert np.allclose(found[1], matrix, rtol=1e-12)
