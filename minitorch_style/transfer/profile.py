"""Where the time of a loss and its gradient goes: every step of a plan timed, forward and back."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from typing import Any

from minitorch_style.arrays import Float32
from minitorch_style.style.objective import Objective


def profile(objective: Objective, x: Float32, repeat: int) -> list[dict[str, Any]]:
    """`Plan.describe` with medians over `repeat` evaluations: forward_ms, backward_ms, and the GFLOP/s of both, None for
    a step without arithmetic to count; a last record holds what is outside the steps, the losses."""
    plan = objective.plan
    times: dict[tuple[int, int | None], list[float]] = defaultdict(
        list
    )  # of a step's forward pass, and of each input's
    whole: list[float] = []
    for _ in range(repeat):
        begun = time.perf_counter()
        objective(x, on_step=lambda position, which, seconds: times[position, which].append(1e3 * seconds))
        whole.append(1e3 * (time.perf_counter() - begun))
    medians = {key: statistics.median(found) for key, found in times.items()}
    rows = plan.describe()
    for position, (row, step) in enumerate(zip(rows, plan.steps, strict=True)):
        forward = medians[position, None]
        backward = sum(medians[position, which] for which in range(len(step.inputs)))
        flop = 2e-9 * step.macs
        row.update(forward_ms=forward, backward_ms=backward)
        for way, milliseconds in (("forward", forward), ("backward", backward)):
            row[f"{way}_gflops"] = 1e3 * flop / milliseconds if flop and milliseconds else None
    rest = {"step": "losses", "algorithm": "", "forward_ms": max(0.0, statistics.median(whole) - sum(medians.values()))}
    return [*rows, rest]
