"""Gradient descent with momentum (Polyak 1964), the plainest there is, to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.optimizers.base import Function, State, met, tracked

STEP = 0.002  # how far the first step moves a pixel, root mean square
MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class SGDState(State):
    """The gradient at `pixels`, the step length, and the velocity; arrays (H, W, 3)."""

    gradient: Float32
    rate: float
    velocity: Float32


class SGD:
    """A step that doubles the loss is taken back and the step length halved, for no fixed length suits every loss."""

    State = SGDState

    def start(self, f: Function, x: Float32) -> SGDState:
        begun = met(tracked(f), x.astype(np.float32), 0)
        slope = float(np.sqrt(np.mean(np.square(begun["gradient"], dtype=np.float64)))) or 1.0
        return SGDState(rate=STEP / slope, velocity=np.zeros(x.shape, np.float32), **begun)

    def restart(self, f: Function, x: Float32, state: SGDState) -> SGDState:
        return self.start(f, x)

    def ahead(self, state: SGDState) -> Float32:
        return state.best

    def step(self, f: Function, state: SGDState) -> SGDState:
        watched, number = tracked(f, state), state.iterations + 1
        velocity = np.float32(MOMENTUM) * state.velocity - np.float32(state.rate) * state.gradient
        x = state.pixels + velocity
        after = met(watched, x, number)
        if after["loss"] > 2 * state.loss:
            still = np.zeros_like(velocity)
            return replace(state, iterations=number, rate=0.5 * state.rate, velocity=still, **watched.seen())
        return replace(state, velocity=velocity, **after)
