"""minitorch_style warmup: compile the fast kernels now, so that no picture has to wait for them."""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from minitorch_style.kernels import kernel_set
from minitorch_style.network import load_network
from minitorch_style.objective import Objective
from minitorch_style.optimizers import optimizer

HELP = "Compile the fast kernels and keep them on disk; the first picture then starts as fast as any later one."
SIDE = 48
NETWORKS = ("distilled", "enet", "vgg16")  # between them they use every kernel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    begun = time.perf_counter()
    kernels = kernel_set("numba")
    rng = np.random.default_rng(0)
    photo, painting = (rng.random((SIDE, SIDE, 3), np.float32) for _ in range(2))
    for name in NETWORKS:
        for pooling in ("max", "average"):
            network = load_network(name, "random:0", "numba", pooling)
            optimizer("lbfgs")(Objective(network, photo, painting), photo, 2, lambda *_: None, kernels)
    if not options.quiet:
        print(f"the kernels are ready after {time.perf_counter() - begun:.1f} s", file=sys.stderr)
    return 0
