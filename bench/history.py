"""How the loss of a transfer falls: the curve that the experiments draw against seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.image.io import Picture
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.run import Job, objective_of, prepare, run
from minitorch_style.transfer.settings import Settings


def job_of(network: Network, photo: Float32, painting: Float32, **settings: Any) -> Job:
    """A transfer of pixels at their own size, its kernels compiled and warm."""
    wanted = Settings(method="gram", model=network.name, size=max(photo.shape), **settings)
    job = prepare(Picture(photo), Picture(painting), wanted, network)
    objective_of(job)(photo)
    return job


def loss_history(job: Job) -> tuple[list[dict[str, float]], Float32]:
    """[{iteration, seconds, loss}] of the last stage, the loss the lowest so far, and the picture it ended with."""
    rows: list[dict[str, float]] = []
    spent = 0.0
    before = job.iterations - job.settings.iterations

    def look(event: Iterated) -> None:
        nonlocal spent
        iteration = event.iteration
        spent += iteration.milliseconds / 1e3
        if iteration.number > before:
            rows.append({"iteration": iteration.number, "seconds": spent, "loss": iteration.best_loss})

    result = run(job).complete(look)
    return rows, result.image.astype(np.float32) / 255
