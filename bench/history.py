"""How the loss of a transfer falls: the curve that the experiments draw against seconds."""

from __future__ import annotations

from collections.abc import Callable
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
    """[{iteration, seconds, loss}] of the last stage, the loss the lowest so far, and the picture it ended with."""
    rows: list[dict[str, float]] = []
    spent = 0.0
    before = job.iterations - job.settings.iterations

    def look(iteration: Iteration, picture: Callable[[], np.ndarray]) -> None:
        nonlocal spent
        spent += iteration.milliseconds / 1e3
        if iteration.number > before:
            rows.append({"iteration": iteration.number, "seconds": spent, "loss": iteration.best_loss})

    result = run(job, look)
    return rows, result.image.astype(np.float32) / 255
