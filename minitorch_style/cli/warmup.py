"""minitorch_style warmup: compile the fast kernels now, so that no picture has to wait for them."""

from __future__ import annotations

import argparse
import time

import numpy as np

from minitorch_style.cli.streams import say
from minitorch_style.engine.network import load_network
from minitorch_style.kernels import compiled_ahead, kernel_set, notes
from minitorch_style.transfer.job import Job, prepare
from minitorch_style.transfer.settings import Settings

HELP = "Compile the fast kernels and keep them on disk; the first picture then starts as fast as any later one."
SIZES = (64, 64), (61, 51)  # pools of odd maps are other kernels
NETWORKS = ("distilled", "enet", "vgg16")  # between them they use every kernel
METHODS = ("auto", "statistics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _jobs() -> list[Job]:
    """Small ones that call every kernel."""
    rng = np.random.default_rng(0)
    networks = [load_network(name, "random:0", "numba", pooling) for name in NETWORKS for pooling in ("max", "average")]
    jobs = []
    for size in SIZES:
        photo, painting = (rng.random((*size, 3), np.float32) for _ in range(2))
        jobs += [prepare(photo, painting, Settings(method=method, iterations=2)) for method in METHODS]
        jobs += [prepare(photo, painting, Settings(method="gram", iterations=2), network) for network in networks]
    return jobs


def run(options: argparse.Namespace) -> int:
    begun = time.perf_counter()
    kernel_set("numba")  # refuses where there is no compiler

    def compiling(done: int, count: int) -> None:
        if not options.quiet:
            say(f"compiling kernels: {done} of {count}")

    stages = [stage for job in _jobs() for stage in job.stages]

    def rehearse() -> None:
        for stage in stages:
            stage.rehearse()

    with compiled_ahead(rehearse, compiling):
        for stage in stages:
            for _ in stage.run(None):
                pass
    if not options.quiet:
        for note in notes():
            say(f"note: {note}")
        say(f"the kernels are ready after {time.perf_counter() - begun:.1f} s")
    return 0
