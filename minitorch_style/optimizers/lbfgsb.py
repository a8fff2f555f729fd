"""SciPy's L-BFGS-B (Byrd, Lu, Nocedal & Zhu 1995), the paper's optimizer; the only importer of scipy.

Three things that earlier tools got wrong. Losses of 1e11 make its tolerances, which are relative to max(|f|, 1), stop it
after a step or two: the loss is divided by its first value and the tolerances are zero. A failed line search ends the
run: it is begun again from the best picture with an empty history, until that no longer helps. Bounds given as arrays
are walked in Python at every step: there are none, pixels are clipped when all is done.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, ignore, tracked

HISTORY = 10
LINE_SEARCH_STEPS = 20


def minimize(
    objective: Objective,
    pixels: Array,
    iterations: int,
    callback: Callback = ignore,
    kernels: KernelSet | None = None,
) -> Optimum:
    """At most `iterations` from `pixels` (H, W, 3); returns the best met. DivergedError on a loss that is not finite."""
    from scipy import optimize

    watched = tracked(objective)
    first_loss, first_gradient = watched(pixels)
    scale = 1.0 / abs(first_loss) if first_loss else 1.0
    known = (pixels.ravel().astype(np.float64), first_loss, first_gradient)
    done = 0
    stop = False

    def scaled(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        nonlocal known
        if not np.array_equal(x, known[0]):  # SciPy asks again for the point that it starts from
            known = (x.copy(), *watched(x.reshape(pixels.shape).astype(np.float32)))
        return known[1] * scale, known[2].ravel().astype(np.float64) * scale

    def after(x: npt.NDArray[np.float64]) -> None:
        nonlocal done, stop
        done += 1
        stop = bool(callback(done, watched.loss, x.reshape(pixels.shape).astype(np.float32)))
        if stop:
            raise _Stopped

    message = "all iterations done"
    while done < iterations:
        before, begun = watched.best_loss, done
        assert watched.best is not None
        start = watched.best.ravel().astype(np.float64)
        options: dict[str, Any] = {
            "maxiter": iterations - done,
            "maxfun": (LINE_SEARCH_STEPS + 1) * iterations,
            "maxcor": HISTORY,
            "maxls": LINE_SEARCH_STEPS,
            "ftol": 0.0,
            "gtol": 0.0,
        }
        try:
            optimize.minimize(scaled, start, jac=True, method="L-BFGS-B", callback=after, options=options)
        except _Stopped:
            message = "stopped by the callback"
            break
        if done < iterations and not watched.best_loss < before:
            message = "no step lowers the loss any more"
            break
        if done == begun:  # progress inside a line search that then failed: worth another try, but not forever
            done += 1
    return watched.optimum(done, message)


class _Stopped(Exception):
    """Carries a callback's wish to stop out of SciPy (its own StopIteration is younger than SciPy 1.10)."""
