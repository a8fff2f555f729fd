"""Where the time of a loss and its gradient goes: every step of a plan timed, forward and back."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from minitorch_style.kernels.buffers import Array, Buffer, Gate
from minitorch_style.objective import Objective
from minitorch_style.steps import Step


@dataclass
class _Timed:
    """A step that keeps how long it took, in milliseconds; otherwise the step itself."""

    step: Step
    forward_ms: list[float] = field(default_factory=list)
    backward_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.step, name)

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        begun = time.perf_counter()
        self.step.forward(inputs, out)
        self.forward_ms.append(1e3 * (time.perf_counter() - begun))

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        begun = time.perf_counter()
        self.step.backward(which, inputs, dy, dx, accumulate, gate)
        self.backward_ms[which].append(1e3 * (time.perf_counter() - begun))


def profile(objective: Objective, x: Array, repeat: int) -> list[dict[str, Any]]:
    """`Plan.describe` with medians over `repeat` evaluations: forward_ms, backward_ms, and the GFLOP/s of both, None for
    a step without arithmetic to count; a last record holds what is outside the steps, the losses."""
    plan = objective.plan
    plain = plan.steps
    timed = [_Timed(step) for step in plain]
    whole: list[float] = []
    try:
        plan.steps = list(timed)
        for _ in range(repeat):
            begun = time.perf_counter()
            objective(x)
            whole.append(1e3 * (time.perf_counter() - begun))
    finally:
        plan.steps = plain
    rows = plan.describe()
    for row, step in zip(rows, timed, strict=True):
        forward = statistics.median(step.forward_ms)
        backward = sum(statistics.median(times) for times in step.backward_ms.values())
        flop = 2e-9 * step.macs
        row.update(forward_ms=forward, backward_ms=backward)
        for way, milliseconds in (("forward", forward), ("backward", backward)):
            row[f"{way}_gflops"] = 1e3 * flop / milliseconds if flop and milliseconds else None
    inside = sum(float(str(row[way])) for row in rows for way in ("forward_ms", "backward_ms"))
    rest = {"step": "losses", "algorithm": "", "forward_ms": max(0.0, statistics.median(whole) - inside)}
    return [*rows, rest]
