"""Style losses from moments: their values against sums over positions, their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from minitorch_style.arrays import Float64
from minitorch_style.engine.network import Network, load_network
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.style.moments import FeatureSums, GramLoss, MakeLoss, Moments, MomentsLoss, Slope, StyleLoss
from minitorch_style.style.teacher import teacher_losses
from minitorch_style.style.wasserstein import RIDGE, STYLE_LOSSES, WassersteinLoss
from tests import oracle

N = 5


def moments(f: Float64) -> Moments:
    flat = f.reshape(-1, f.shape[-1])
    return Moments(flat.T @ flat / len(flat), flat.mean(axis=0))


def features(rng: np.random.Generator, height: int, width: int, channels: int = N) -> Float64:
    """Not centred, correlated, of different variance."""
    mix = rng.standard_normal((channels, channels)) * np.linspace(0.3, 2, channels)
    return rng.standard_normal((height, width, channels)) @ mix + rng.standard_normal(channels)


def gram(f: Float64, s: Float64) -> float:
    (a, _), (b, _) = _sums(f), _sums(s)
    return float(np.sum((a - b) ** 2)) / (4 * N**2)


def mean_and_covariance(f: Float64, s: Float64) -> float:
    (a, m), (b, m_s) = _sums(f), _sums(s)
    covariance, target = a - np.outer(m, m), b - np.outer(m_s, m_s)
    return float(np.sum((m - m_s) ** 2) / np.trace(target) + np.sum((covariance - target) ** 2) / np.sum(target**2))


def wasserstein(f: Float64, s: Float64) -> float:
    """By the eigenvalues of the product Σ_s Σ, whose square roots are those of the symmetric matrix under the root."""
    (a, m), (b, m_s) = _sums(f), _sums(s)
    target = b - np.outer(m_s, m_s)
    spread = float(np.trace(target))
    ridge = RIDGE * spread / N * np.eye(N)
    covariance, target = a - np.outer(m, m) + ridge, target + ridge
    roots = np.sqrt(np.linalg.eigvals(target @ covariance).real).sum()
    return float(np.sum((m - m_s) ** 2) + np.trace(covariance) + np.trace(target) - 2 * roots) / spread


def _sums(f: Float64) -> tuple[Float64, Float64]:
    flat = f.reshape(-1, N)
    return np.array([[np.mean(flat[:, i] * flat[:, j]) for j in range(N)] for i in range(N)]), flat.mean(axis=0)


def gradient_of(slope: Slope, f: Float64) -> Float64:
    return f @ slope.matrix + (0.0 if slope.bias is None else slope.bias)


CASES: list[tuple[Callable[[Moments], StyleLoss], Callable[[Float64, Float64], float]]] = [
    (GramLoss, gram),
    (MomentsLoss, mean_and_covariance),
    (WassersteinLoss, wasserstein),
]


@pytest.mark.parametrize(("loss", "expected"), CASES)
def test_values_and_gradients(
    loss: Callable[[Moments], StyleLoss], expected: Callable[[Float64, Float64], float], rng: np.random.Generator
) -> None:
    f, s = features(rng, 4, 7), features(rng, 9, 5)
    value, slope = loss(moments(s))(moments(f), 28)
    assert value == pytest.approx(expected(f, s), rel=1e-9)
    assert np.allclose(slope.matrix, slope.matrix.T)
    gradient = gradient_of(slope, f)
    error = oracle.projection_error(lambda v: np.array([expected(v, s)]), lambda dy: dy * gradient, f, rng)
    assert error <= 1e-6


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_the_painting_itself_is_the_optimum(name: str, rng: np.random.Generator) -> None:
    s = features(rng, 6, 6)
    value, slope = STYLE_LOSSES[name](moments(s))(moments(s), 36)
    assert abs(value) <= 1e-9
    assert np.abs(gradient_of(slope, s)).max() <= 1e-8


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_maps_that_never_fire_and_black_paintings(name: str, rng: np.random.Generator) -> None:
    f, s = features(rng, 6, 6), features(rng, 6, 6)
    for dead in (f, s):
        dead[..., 2] = 0
    for target in (s, np.zeros_like(s)):
        value, slope = STYLE_LOSSES[name](moments(target))(moments(f), 36)
        assert np.isfinite(value) and value > 0
        assert np.isfinite(gradient_of(slope, f)).all()


def test_w2_is_the_distance_of_shifted_distributions(rng: np.random.Generator) -> None:
    """A distribution moved by d is ‖d‖² away; one spread by a factor t, (t − 1)² of its variance."""
    s, shift = features(rng, 8, 8), rng.standard_normal(N)
    spread = moments(s).variance
    assert WassersteinLoss(moments(s))(moments(s + shift), 64)[0] == pytest.approx(np.sum(shift**2) / spread)
    mean = s.mean(axis=(0, 1))
    assert WassersteinLoss(moments(s))(moments(mean + 3 * (s - mean)), 64)[0] == pytest.approx(4, rel=1e-3)


def test_blending_is_hanging_paintings_side_by_side(rng: np.random.Generator) -> None:
    a, b = features(rng, 4, 6), features(rng, 4, 2)
    blended = Moments.blended([moments(a), moments(b)], [0.75, 0.25])
    together = moments(np.concatenate([a, b], axis=1))
    assert np.allclose(blended.second, together.second) and np.allclose(blended.mean, together.mean)


def test_moments_and_slopes_of_buffers(rng: np.random.Generator) -> None:
    """As a plan has them: cropped, in single precision."""
    kernels = kernel_set("numpy")
    f = features(rng, 8, 9).astype(np.float32)
    buffer, out = Buffer(f.shape), Buffer(f.shape)
    buffer.interior[...] = f
    inside, target = buffer.cropped((1, 2)), out.cropped((1, 2))
    expected = moments(f[1:-1, 2:-2].astype(np.float64))
    found = Moments.of(inside, kernels)
    assert np.allclose(found.second, expected.second, rtol=1e-5) and np.allclose(found.mean, expected.mean, rtol=1e-5)
    slope = Slope(rng.standard_normal((N, N)), rng.standard_normal(N))
    out.interior[...] = 1
    slope.times(0.5).apply(inside, target, True, kernels)
    want = np.ones(f.shape)
    want[1:-1, 2:-2] += 0.5 * (f[1:-1, 2:-2] @ slope.matrix + slope.bias)
    assert np.allclose(out.interior, want, rtol=1e-5, atol=1e-5)


def test_sums_of_tiles_are_those_of_the_picture(rng: np.random.Generator) -> None:
    kernels, f = kernel_set("numpy"), features(rng, 6, 8).astype(np.float32)

    def sums(part: np.ndarray) -> FeatureSums:
        buffer = Buffer(part.shape)
        buffer.interior[...] = part
        return FeatureSums.of(buffer, kernels)

    whole, added = sums(f).moments, (sums(f[:, :3]) + sums(f[:, 3:])).moments
    for one, other in (
        (whole.second, added.second),
        (whole.mean, added.mean),
    ):  # beside the largest: some nearly cancel
        assert oracle.relative_error(one, other) <= 1e-6


def test_the_teachers_gram_matrices(rng: np.random.Generator) -> None:
    """The student's features, mapped to the teacher's, have the loss (equation 3 but for its N) and the gradient of those."""
    f, s, to_teacher = features(rng, 4, 5), features(rng, 5, 5), rng.standard_normal((N, 9))
    network = taught(to_teacher)
    value, slope = teacher_losses(GramLoss, {"tap": moments(s)}, network.teacher_products)["tap"](moments(f), 20)

    def expected(v: Float64) -> Float64:
        a, b = (oracle.gram(x @ to_teacher) / (x.size // N) for x in (v, s))
        return np.array([np.sum((a - b) ** 2) / (4 * N**2)])

    assert value == pytest.approx(expected(f)[0])
    gradient = gradient_of(slope, f)
    assert oracle.projection_error(expected, lambda dy: dy * gradient, f, rng) <= 1e-6
    plain, _ = teacher_losses(GramLoss, {"other": moments(s)}, network.teacher_products)["other"](moments(f), 20)
    assert plain == pytest.approx(GramLoss(moments(s))(moments(f), 20)[0])


@pytest.mark.parametrize("make", [WassersteinLoss, MomentsLoss])
def test_losses_as_the_teacher_sees_them(make: MakeLoss, rng: np.random.Generator) -> None:
    """What is lost is what the teacher's own, larger features lose; the gradient is that of the student's."""
    f, s, to_teacher = features(rng, 4, 5), features(rng, 5, 5), rng.standard_normal((N, 9))
    loss = teacher_losses(make, {"tap": moments(s)}, taught(to_teacher).teacher_products)["tap"]
    value, slope = loss(moments(f), 20)
    assert value == pytest.approx(make(moments(s @ to_teacher))(moments(f @ to_teacher), 20)[0], rel=50 * RIDGE)

    def expected(v: Float64) -> Float64:
        return np.array([loss(moments(v), 20)[0]])

    gradient = gradient_of(slope, f)
    assert oracle.projection_error(expected, lambda dy: dy * gradient, f, rng) <= 1e-5


def taught(to_teacher: Float64) -> Network:
    """A network that knows of its `tap` how its features are to be mapped to the teacher's."""
    network = load_network("distilled", "random:1", "numpy")
    return replace(network, teacher_products={"tap": (to_teacher @ to_teacher.T).astype(np.float32)})
