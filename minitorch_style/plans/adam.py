"""Adam (Kingma & Ba 2015) in place, on one vector whose memory is made once."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32


class Adam:
    """`step(gradient)` moves `vector`, of whichever scale the gradient is."""

    def __init__(self, vector: Float32, rate: float, beta1: float, beta2: float, epsilon: float = 1e-12) -> None:
        self.vector, self.rate, self.beta1, self.beta2, self.epsilon = vector, rate, beta1, beta2, epsilon
        self.steps = 0
        self.mean, self.square, self._work = (np.zeros_like(vector) for _ in range(3))

    def step(self, gradient: Float32) -> None:
        self.steps += 1
        work = self._work
        np.subtract(gradient, self.mean, out=work)
        work *= np.float32(1 - self.beta1)
        self.mean += work
        np.multiply(gradient, gradient, out=work)
        work -= self.square
        work *= np.float32(1 - self.beta2)
        self.square += work
        np.sqrt(self.square, out=work)
        work *= np.float32(1 / np.sqrt(1 - self.beta2**self.steps))
        work += np.float32(self.epsilon)
        np.divide(self.mean, work, out=work)
        work *= np.float32(self.rate / (1 - self.beta1**self.steps))
        self.vector -= work
