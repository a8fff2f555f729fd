"""How the loss of a transfer falls: the curve that the experiments draw against seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minitorch_style.images import Picture
from minitorch_style.kernels.buffers import Array
from minitorch_style.network import Network
from minitorch_style.settings import Settings
from minitorch_style.transfer import Iteration, Job, objective_of, prepare, run


def job_of(network: Network, photo: Array, painting: Array, **settings: Any) -> Job:
    """A transfer of pixels at their own size, its kernels compiled and warm."""
    wanted = Settings(model=network.name, size=max(photo.shape), **settings)
    job = prepare(Picture(photo), Picture(painting), wanted, network)
    objective_of(job)(photo)
    return job


def loss_history(job: Job) -> tuple[list[dict[str, float]], Array]:
    """[{iteration, seconds, loss}] at the finest scale, the loss the lowest so far, and the picture it ended with."""
    rows: list[dict[str, float]] = []
    spent = 0.0
    coarse = job.settings.iterations * (job.settings.scales - 1)

    def look(iteration: Iteration, picture: Callable[[], np.ndarray]) -> None:
        nonlocal spent
        spent += iteration.milliseconds / 1e3
        if iteration.number > coarse:
            rows.append({"iteration": iteration.number, "seconds": spent, "loss": iteration.best_loss})

    result = run(job, look)
    return rows, result.image.astype(np.float32) / 255


def warm_started(job: Job, other: Job) -> list[dict[str, float]]:
    """The curve of `job` begun from the picture that `other` ends with, whose seconds count."""
    before, start = loss_history(other)
    rows, _ = loss_history(replace(job, start=start))
    return [{**row, "seconds": row["seconds"] + before[-1]["seconds"]} for row in rows]
