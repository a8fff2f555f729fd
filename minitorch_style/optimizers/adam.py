"""Adam (Kingma & Ba 2015): needs no line search and does not care about the loss's scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.optimizers.base import Function, State, met, tracked

STEP = 0.02  # of the range of a pixel
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-12


@dataclass(frozen=True, kw_only=True)
class AdamState(State):
    """The gradient at `pixels`, its factor, and the means of scaled gradients and of their squares; (H, W, 3) each."""

    gradient: Float32
    scale: float
    mean: Float32
    square: Float32


class Adam:
    State = AdamState

    def start(self, f: Function, x: Float32) -> AdamState:
        begun = met(tracked(f), x.astype(np.float32), 0)
        largest = float(np.abs(begun["gradient"]).max()) or 1.0
        scale = float(np.float32(1 / largest))  # so that no square underflows
        still = np.zeros(x.shape, np.float32)
        return AdamState(scale=scale, mean=still, square=still.copy(), **begun)

    def restart(self, f: Function, x: Float32, state: AdamState) -> AdamState:
        return self.start(f, x)

    def ahead(self, state: AdamState) -> Float32:
        return state.best

    def step(self, f: Function, state: AdamState) -> AdamState:
        watched, number = tracked(f, state), state.iterations + 1
        gradient = state.gradient * np.float32(state.scale)
        mean = state.mean + (1 - BETA1) * (gradient - state.mean)
        square = state.square + (1 - BETA2) * (gradient * gradient - state.square)
        rate = STEP * np.sqrt(1 - BETA2**number) / (1 - BETA1**number)
        change = np.float32(rate) * mean / (np.sqrt(square) + np.float32(EPSILON))
        x = np.subtract(state.pixels, change, dtype=np.float32)
        return replace(state, mean=mean, square=square, **met(watched, x, number))
