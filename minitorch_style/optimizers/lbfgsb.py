"""SciPy's L-BFGS-B (Byrd, Lu, Nocedal & Zhu 1995), the paper's optimizer; the only importer of scipy.

Three things that earlier tools got wrong. Losses of 1e11 make its tolerances, which are relative to max(|f|, 1), stop it
after a step or two: the loss is divided by its first value and the tolerances are zero. A failed line search ends the
run: it is begun again from the best picture with an empty history, until that no longer helps. Bounds given as arrays
are walked in Python at every step: there are none, pixels are clipped when all is done.

SciPy's public function is a closed loop. Called here is what it loops over, `setulb`, which asks for a loss or tells that
an iteration is done, and remembers everything in arrays of the caller. SciPy 1.15 translated it from Fortran to C and
changed its arguments; both forms are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Float64
from minitorch_style.errors import UnsupportedError
from minitorch_style.optimizers.base import Function, State, Stop, Tracked, tracked
from minitorch_style.values import Arrays

HISTORY = 10
LINE_SEARCH_STEPS = 20
CLOCKS = slice(5, 10)  # of `dsave`: seconds that a SciPy built with a clock, as Debian's is, has spent here and there


class _Answer(Enum):
    """What SciPy answers: it wants to know the loss and gradient at x; an iteration is done; it has given up."""

    ASKS = auto()
    ITERATED = auto()
    ENDED = auto()


def _doubles(size: int) -> dict[str, npt.NDArray[Any]]:
    return {"wa": np.zeros(2 * HISTORY * size + 5 * size + 11 * HISTORY**2 + 8 * HISTORY), "dsave": np.zeros(29)}


class _C:
    """`setulb` of SciPy 1.15 and later."""

    def __init__(self, module: Any) -> None:
        self.setulb = module.setulb

    def workspace(self, size: int) -> Arrays:
        integers = {"iwa": 3 * size, "task": 2, "lsave": 4, "isave": 44, "ln_task": 2}
        return {**_doubles(size), **{name: np.zeros(count, np.int32) for name, count in integers.items()}}

    def call(self, x: Float64, loss: float, gradient: Float64, work: Arrays) -> _Answer:
        no_bounds = np.zeros(x.size), np.zeros(x.size), np.zeros(x.size, np.int32)
        saved = (work[name] for name in ("wa", "iwa", "task", "lsave", "isave", "dsave"))
        self.setulb(HISTORY, x, *no_bounds, loss, gradient, 0.0, 0.0, *saved, LINE_SEARCH_STEPS, work["ln_task"])
        return {3: _Answer.ASKS, 1: _Answer.ITERATED}.get(int(work["task"][0]), _Answer.ENDED)


class _Fortran:
    """`setulb` before SciPy 1.15."""

    def __init__(self, module: Any) -> None:
        self.setulb, self.integer = module.setulb, module.types.intvar.dtype

    def workspace(self, size: int) -> Arrays:
        integers = {"iwa": 3 * size, "lsave": 4, "isave": 44}
        texts = {"task": np.array(["START"], "S60"), "csave": np.zeros(1, "S60")}
        return {**_doubles(size), **texts, **{name: np.zeros(count, self.integer) for name, count in integers.items()}}

    def call(self, x: Float64, loss: float, gradient: Float64, work: Arrays) -> _Answer:
        no_bounds = np.zeros(x.size), np.zeros(x.size), np.zeros(x.size, self.integer)
        first, second = ("wa", "iwa", "task"), ("csave", "lsave", "isave", "dsave")
        arrays, more = ([work[name] for name in names] for names in (first, second))
        self.setulb(HISTORY, x, *no_bounds, np.array(loss), gradient, 0.0, 0.0, *arrays, -1, *more, LINE_SEARCH_STEPS)
        work["dsave"][CLOCKS] = 0  # or no two runs would have the same state
        task = work["task"].tobytes()
        if task.startswith(b"FG"):
            return _Answer.ASKS
        return _Answer.ITERATED if task.startswith(b"NEW_X") else _Answer.ENDED


def _scipy() -> _C | _Fortran:
    try:
        from scipy.optimize import _lbfgsb

        return _C(_lbfgsb) if "ln_task" in (_lbfgsb.setulb.__doc__ or "") else _Fortran(_lbfgsb)
    except (ImportError, AttributeError) as error:
        raise UnsupportedError(f"this SciPy has no L-BFGS-B that can be stepped ({error}); take lbfgs") from error


@dataclass(frozen=True, kw_only=True)
class LBFGSBState(State):
    """What SciPy works with: x, (n,), the loss and gradient there times `scale`, and its workspace, which only the form of
    SciPy that made it can read. It began with an empty history at iteration `begun`, when `begun_loss` was the best loss."""

    x: Float64
    scaled_loss: float
    scaled_gradient: Float64
    scale: float
    workspace: Arrays
    begun: int
    begun_loss: float


class LBFGSB:
    State = LBFGSBState

    def __init__(self) -> None:
        self.scipy = _scipy()

    def start(self, f: Function, x: Float32) -> LBFGSBState:
        return self._begun(tracked(f), np.ascontiguousarray(x, np.float32), 0, None)

    def _begun(self, watched: Tracked, pixels: Float32, iterations: int, scale: float | None) -> LBFGSBState:
        """SciPy begun at `pixels`; without a `scale` that makes the loss there 1."""
        loss, gradient = watched(pixels)
        if scale is None:
            scale = 1.0 / abs(loss) if loss else 1.0
        state = LBFGSBState(
            pixels=pixels,
            loss=loss,
            iterations=iterations,
            x=pixels.ravel().astype(np.float64),
            scaled_loss=loss * scale,
            scaled_gradient=gradient.ravel().astype(np.float64) * scale,
            scale=scale,
            workspace=self.scipy.workspace(pixels.size),
            begun=iterations,
            begun_loss=watched.best_loss,
            **watched.seen(),
        )
        answer = self.scipy.call(state.x, state.scaled_loss, state.scaled_gradient, state.workspace)
        assert answer is _Answer.ASKS, "for the loss at its start, which is known"
        return state

    def restart(self, f: Function, x: Float32, state: LBFGSBState) -> LBFGSBState:
        return self.start(f, x)

    def ahead(self, state: LBFGSBState) -> Float32:
        return state.best

    def step(self, f: Function, state: LBFGSBState) -> LBFGSBState:
        watched, x, shape = tracked(f, state), state.x, state.pixels.shape
        loss, gradient = state.scaled_loss, state.scaled_gradient
        while (answer := self.scipy.call(x, loss, gradient, state.workspace)) is _Answer.ASKS:
            plain_loss, plain_gradient = watched(x.reshape(shape).astype(np.float32))
            loss, gradient = plain_loss * state.scale, plain_gradient.ravel().astype(np.float64) * state.scale
        if answer is _Answer.ITERATED:
            return replace(
                state,
                pixels=x.reshape(shape).astype(np.float32),
                loss=watched.loss,
                iterations=state.iterations + 1,
                scaled_loss=loss,
                scaled_gradient=gradient,
                **watched.seen(),
            )
        if not watched.best_loss < state.begun_loss:
            return replace(state, stop=Stop.CONVERGED, **watched.seen())
        assert watched.best is not None
        if state.iterations > state.begun:
            return self.step(f, self._begun(watched, watched.best, state.iterations, state.scale))
        # Progress inside a line search that then failed: worth another try, but not forever.
        return self._begun(watched, watched.best, state.iterations + 1, state.scale)
