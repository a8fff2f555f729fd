"""Optimizers behind one interface: minimize(objective, pixels, iterations, callback, kernels) → Optimum.

They know only f(x) → (value, gradient); scaling, restarts and step lengths are their own business.
"""

from __future__ import annotations

from typing import Protocol

from minitorch_style.errors import SettingsError
from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.optimizers import adam, lbfgs, lbfgsb, sgd
from minitorch_style.optimizers.tracking import Callback, Objective, Optimum, Tracked, ignore

__all__ = ["LINE_SEARCHES", "OPTIMIZERS", "Optimum", "Tracked", "optimizer"]


class Minimize(Protocol):
    def __call__(
        self,
        objective: Objective,
        pixels: Array,
        iterations: int,
        callback: Callback = ignore,
        kernels: KernelSet | None = None,
    ) -> Optimum: ...


OPTIMIZERS: dict[str, Minimize] = {
    "lbfgs": lbfgs.minimize,
    "lbfgsb": lbfgsb.minimize,
    "adam": adam.minimize,
    "sgd": sgd.minimize,
}

LINE_SEARCHES = ("lbfgs", "lbfgsb")  # that go no step unless the loss falls as its gradient promises


def optimizer(name: str) -> Minimize:
    if name not in OPTIMIZERS:
        raise SettingsError(f"no optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]
