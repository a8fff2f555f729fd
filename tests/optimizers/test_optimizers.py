"""The optimizers on problems whose answer is known, and on those that made older tools stop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minitorch_style.errors import DivergedError, SettingsError
from minitorch_style.optimizers import OPTIMIZERS, Tracked, minimize, optimizer

SHAPE = (5, 6, 3)


class Quadratic:
    """factor · ½ Σ d (x − t)², condition number 100."""

    def __init__(self, factor: float = 1.0) -> None:
        self.target = np.random.default_rng(0).random(SHAPE)
        self.curvature = np.geomspace(0.1, 10, self.target.size).reshape(SHAPE)
        self.factor, self.evaluations = factor, 0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.evaluations += 1
        assert x.dtype == np.float32 and x.shape == SHAPE
        difference = x - self.target
        value = 0.5 * float(np.sum(self.curvature * difference**2))
        return self.factor * value, (self.factor * self.curvature * difference).astype(np.float32)


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e12])
@pytest.mark.parametrize(("name", "share"), [("lbfgs", 1e-6), ("lbfgsb", 1e-6), ("adam", 0.01), ("sgd", 0.1)])
def test_they_go_downhill_whatever_the_scale(name: str, share: float, factor: float) -> None:
    objective, start = Quadratic(factor), np.zeros(SHAPE, np.float32)
    losses: list[float] = []
    result = minimize(optimizer(name), objective, start, 120, lambda number, loss, x: losses.append(loss))
    assert result.loss <= share * objective(start)[0]
    assert result.loss == pytest.approx(objective(result.pixels)[0])
    assert result.loss <= min(losses) * (1 + 1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_they_report_every_iteration_and_leave_the_start_alone(name: str) -> None:
    start, seen = np.zeros(SHAPE, np.float32), []
    result = minimize(
        optimizer(name), Quadratic(), start, 7, lambda number, loss, x: seen.append((number, x.shape, x.dtype))
    )
    assert seen == [(number, SHAPE, np.float32) for number in range(1, 8)]
    assert result.iterations == 7 and not start.any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_callback_can_stop_them(name: str) -> None:
    result = minimize(
        optimizer(name), Quadratic(), np.zeros(SHAPE, np.float32), 50, lambda number, loss, x: number == 3
    )
    assert result.iterations == 3 and "callback" in result.message


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error_and_keeps_the_best(name: str, bad: float) -> None:
    good = Quadratic()

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = good(x)
        return (bad if good.evaluations > 4 else value), gradient

    watched = Tracked(objective)
    with pytest.raises(DivergedError, match="evaluation 5"):
        minimize(optimizer(name), watched, np.zeros(SHAPE, np.float32), 20)
    assert watched.best is not None and watched.best_loss < math.inf


@pytest.mark.parametrize("name", ["lbfgs", "lbfgsb"])
def test_it_begins_again_when_its_line_search_fails(name: str) -> None:
    """A gradient that lies for a while makes the line search fail; the run goes on and still arrives."""
    good = Quadratic()

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = good(x)
        return value, -gradient if 6 <= good.evaluations < 20 else gradient

    result = minimize(optimizer(name), objective, np.zeros(SHAPE, np.float32), 100)
    assert result.loss <= 1e-5 * good(np.zeros(SHAPE, np.float32))[0]


@pytest.mark.parametrize("name", ["lbfgs", "lbfgsb"])
def test_it_ends_where_nothing_is_left_to_gain(name: str) -> None:
    objective = Quadratic()
    result = minimize(optimizer(name), objective, objective.target.astype(np.float32), 200)
    assert result.iterations < 200 and "no step" in result.message
    assert minimize(optimizer(name), lambda x: (0.0, np.zeros_like(x)), np.zeros(SHAPE, np.float32), 5).loss == 0


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="lbfgsb, adam"):
        optimizer("newton")


def test_vector_free_direction_is_the_two_loop_recursion(rng: np.random.Generator) -> None:
    """Coefficients on inner products give the direction that Nocedal's loops over vectors give, beyond a full history."""
    from minitorch_style.kernels import vector_ops
    from minitorch_style.kernels.reference import vectors as numpy_vectors
    from minitorch_style.optimizers.lbfgs import HISTORY, History

    size, scale = 300, 0.25
    curvature = rng.uniform(0.5, 2, size)
    x = rng.standard_normal(size)
    ops, history = vector_ops(), History.at((curvature * x / scale).astype(np.float32), scale)
    pairs = []
    for length in rng.uniform(0.1, 0.4, HISTORY + 3):
        direction, _ = history.direction(ops)
        step = length * direction.astype(float)
        before = history.fresh[0].copy()
        x += step
        history.update(ops, length, (curvature * x / scale).astype(np.float32))
        change = history.fresh[0] - before
        numpy_vectors.narrow(change, np.empty(size, np.uint16))  # as the history keeps it
        pairs.append((step, change.astype(float)))
    direction, slope = history.direction(ops)
    gradient = curvature * x
    q, alphas = gradient.copy(), []
    for s, y in reversed(pairs[-HISTORY:]):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    s, y = pairs[-1]
    q *= (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs[-HISTORY:], reversed(alphas), strict=True):
        q += s * (alpha - y @ q / (s @ y))
    # The direction is followed as bfloat16 has it: off by at most half a unit of its last of eight places.
    assert np.allclose(direction, -q, rtol=2**-8, atol=1e-3 * np.abs(q).max())
    assert slope == pytest.approx(-gradient @ q, rel=1e-3)
