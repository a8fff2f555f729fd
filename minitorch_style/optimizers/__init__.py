"""Optimizers behind one interface: state = start(f, x), state = step(f, state); `minimize` is the loop over steps.

They know only f(x) → (loss, gradient) and their own state; scaling, restarts and step lengths are their own business.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.errors import SettingsError
from minitorch_style.kernels.api import VectorOps
from minitorch_style.optimizers.adam import Adam
from minitorch_style.optimizers.base import Optimizer, Optimum, State, Stop, Tracked, minimize
from minitorch_style.optimizers.lbfgs import HISTORY, LBFGS, Zeros
from minitorch_style.optimizers.lbfgsb import LBFGSB
from minitorch_style.optimizers.sgd import SGD

__all__ = [
    "HISTORY",
    "IN_PARTS",
    "LINE_SEARCHES",
    "OPTIMIZERS",
    "Optimizer",
    "Optimum",
    "State",
    "Stop",
    "Tracked",
    "minimize",
    "optimizer",
]

OPTIMIZERS: dict[str, type[Optimizer[Any]]] = {"lbfgs": LBFGS, "lbfgsb": LBFGSB, "adam": Adam, "sgd": SGD}

IN_PARTS = "lbfgs"  # the one whose vectors may lie in parts (`engine.parts`)
LINE_SEARCHES = ("lbfgs", "lbfgsb")  # that go no step unless the loss falls as its gradient promises


def optimizer(
    name: str, vectors: VectorOps | None = None, zeros: Zeros = np.zeros, pairs: int = HISTORY
) -> Optimizer[Any]:
    """The optimizer `name`; `vectors` is what L-BFGS computes with, the fastest there is by default, `zeros` makes its
    history, of so many `pairs`. SettingsError for an unknown name."""
    if name not in OPTIMIZERS:
        raise SettingsError(f"no optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    return LBFGS(vectors, zeros, pairs) if name == "lbfgs" else OPTIMIZERS[name]()
