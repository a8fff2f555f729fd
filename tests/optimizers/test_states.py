"""Optimizers as steppers: a state is written down in the middle of a run, and what comes after it has the same bits."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minitorch_style.errors import DivergedError
from minitorch_style.optimizers import OPTIMIZERS, State, Stop, Tracked, lbfgsb, minimize, optimizer
from minitorch_style.values import from_arrays, to_arrays
from tests.optimizers.test_optimizers import SHAPE, Quadratic

START = np.zeros(SHAPE, np.float32)


def read_back(state: State) -> Any:
    file = io.BytesIO()
    np.savez(file, **to_arrays(state))
    file.seek(0)
    return from_arrays(type(state), dict(np.load(file)))


def bits(state: State) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in to_arrays(state).items()}


@pytest.mark.parametrize("at", [0, 1, 9, 17])  # 17: the history of L-BFGS is full
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_from_a_written_state_gives_the_same_bits(name: str, at: int) -> None:
    method, f = optimizer(name), Quadratic()
    state = method.start(f, START)
    for _ in range(at):
        state = method.step(f, state)
    assert isinstance(state, method.State)
    written = read_back(state)
    assert bits(written) == bits(state)
    another = optimizer(name)
    for number in range(at + 1, 25):
        state, written = method.step(f, state), another.step(f, written)
        assert state.iterations == written.iterations == number
        assert bits(written) == bits(state)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_minimize_goes_on_from_a_state(name: str) -> None:
    whole = minimize(optimizer(name), Quadratic(), START, 20)
    method, f = optimizer(name), Quadratic()
    state = method.start(f, START)
    for _ in range(8):
        state = method.step(f, state)
    numbers: list[int] = []
    rest = minimize(method, Quadratic(), read_back(state), 20, lambda number, loss, x: numbers.append(number))
    assert numbers == list(range(9, 21))
    assert np.array_equal(rest.pixels, whole.pixels) and rest.loss == whole.loss
    assert (rest.iterations, rest.evaluations) == (whole.iterations, whole.evaluations)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_best_from_before_is_not_forgotten(name: str) -> None:
    """A resumed run that only gets worse returns what it had met before it was written down."""
    method, f = optimizer(name), Quadratic()
    state = method.start(f, START)
    for _ in range(5):
        state = method.step(f, state)
    best = state.best.copy()

    def worse(x: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = f(x)
        return loss + 1e6, gradient

    watched = Tracked(worse)
    found = minimize(method, watched, read_back(state), 8)
    assert np.array_equal(found.pixels, best) and watched.best is not None and np.array_equal(watched.best, best)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_why_it_ended_is_data(name: str) -> None:
    assert minimize(optimizer(name), Quadratic(), START, 3).stop is Stop.ITERATIONS
    assert minimize(optimizer(name), Quadratic(), START, 9, lambda number, *_: number == 2).stop is Stop.CALLBACK
    flat = minimize(optimizer(name), lambda x: (0.0, np.zeros_like(x)), START, 5)
    assert flat.stop is (Stop.CONVERGED if name.startswith("lbfgs") else Stop.ITERATIONS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_evaluations_are_counted_over_a_break(name: str) -> None:
    method, f = optimizer(name), Quadratic()
    state = method.step(f, method.start(f, START))
    assert state.evaluations == f.evaluations

    def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float("nan"), np.zeros_like(x)

    with pytest.raises(DivergedError, match=f"evaluation {f.evaluations + 1}:"):
        method.step(broken, read_back(state))


def test_lbfgsb_is_scipys_own_loop() -> None:
    """Stepped, it visits the points that SciPy's public function visits, bit for bit."""
    from scipy import optimize

    f, visited = Quadratic(), []
    first = f(START)[0]

    def scaled(x: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = f(x.reshape(SHAPE).astype(np.float32))
        return loss / first, gradient.ravel().astype(np.float64) * (1.0 / first)

    options = {"maxiter": 30, "maxcor": 10, "maxls": 20, "ftol": 0.0, "gtol": 0.0}
    optimize.minimize(
        lambda x: (scaled(x)[0], scaled(x)[1]), START.ravel().astype(np.float64), jac=True, method="L-BFGS-B",
        callback=lambda x: visited.append(x.reshape(SHAPE).astype(np.float32)), options=options,
    )  # fmt: skip
    stepped: list[np.ndarray] = []
    minimize(optimizer("lbfgsb"), Quadratic(), START, 30, lambda number, loss, x: stepped.append(x))
    assert len(visited) == len(stepped) == 30
    assert all(np.allclose(one, other, rtol=0, atol=1e-7) for one, other in zip(visited, stepped, strict=True))


def test_the_plain_kernels_load_no_compiler() -> None:
    """Not to ask for an optimizer, and not to go a step: it would cost a second and a hundred megabytes."""
    code = (
        "import sys, numpy as np\n"
        "from minitorch_style.kernels import vector_ops\n"
        "from minitorch_style.optimizers import minimize, optimizer\n"
        "optimizer('lbfgs')\n"
        "f = lambda x: (float((x**2).sum()), 2 * x)\n"
        "minimize(optimizer('lbfgs', vector_ops('numpy')), f, np.ones((4, 4, 3), np.float32), 3)\n"
        "print('numba' in sys.modules, 'scipy' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["False", "False"]


def test_lbfgs_keeps_the_curvature_of_a_function_like_the_one_before() -> None:
    """The same quadratic with its minimum elsewhere, as the next frame of a film has it."""

    class Moved(Quadratic):
        def __call__(self, x: Any) -> tuple[float, Any]:
            return super().__call__(x - np.float32(0.1))

    method = optimizer("lbfgs")
    state = method.start(Quadratic(), START)
    for _ in range(20):
        state = method.step(Quadratic(), state)
    reached = {}
    for name, begun in (
        ("anew", method.start(Moved(), state.pixels.copy())),
        ("on", method.restart(Moved(), state.pixels.copy(), state)),
    ):
        assert begun.iterations == 0 and begun.evaluations == 1
        while begun.evaluations < 5:
            begun = method.step(Moved(), begun)
        reached[name] = begun.best_loss
    assert reached["on"] < 0.5 * reached["anew"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_look_ahead_evaluates_nothing_and_changes_nothing(name: str) -> None:
    method, f = optimizer(name), Quadratic()
    begun = method.start(f, START)
    assert np.array_equal(method.ahead(begun), begun.best), "nothing is known yet"
    found = []
    for looks in (False, True):
        state = method.start(f, START)
        for _ in range(4):
            if looks:
                method.ahead(state)
            state = method.step(f, state)
        found.append(bits(state))
    assert found[0] == found[1]
    ahead, tried, before = method.ahead(state).copy(), [], state.pixels.copy()
    method.step(lambda x: tried.append(x.copy()) or f(x), state)
    if name == "lbfgs":  # where a step begins, but for what the history rounds
        assert np.abs(ahead - tried[0]).max() < 0.01 * np.abs(ahead - before).max()
    else:
        assert np.array_equal(ahead, state.best)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_restart_at_another_size_is_a_start(name: str) -> None:
    method = optimizer(name)
    state = method.step(Quadratic(), method.start(Quadratic(), START))
    other = np.ones((4, 4, 3), np.float32)

    def f(x: Any) -> tuple[float, Any]:
        return float((x * x).sum()), 2 * x

    assert bits(method.restart(f, other, state)) == bits(method.start(f, other))


def test_a_scipy_with_a_clock_leaves_no_seconds_in_the_state() -> None:
    """Debian's, whose Fortran adds up the seconds that it takes."""

    def setulb(*given: Any) -> None:
        names = ("wa", "iwa", "task", "iprint", "csave", "lsave", "isave", "dsave", "maxls")
        dsave = dict(zip(names, given[-len(names) :], strict=True))["dsave"]
        dsave[:] = 1 + time.monotonic() % 1

    module = SimpleNamespace(setulb=setulb, types=SimpleNamespace(intvar=np.zeros(1, np.int32)))
    old = lbfgsb._Fortran(module)
    work, x = old.workspace(4), np.zeros(4)
    old.call(x, 1.0, x, work)
    assert not work["dsave"][5:10].any() and work["dsave"][:5].all() and work["dsave"][10:].all()
