"""minitorch_style bench: how fast a network is here, split into forward pass, gradient and optimizer."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.cli.values import whole
from minitorch_style.engine.network import load_network
from minitorch_style.errors import SettingsError
from minitorch_style.kernels import KERNEL_SETS, vector_ops
from minitorch_style.nn.registry import NETWORKS
from minitorch_style.optimizers import OPTIMIZERS, minimize, optimizer
from minitorch_style.style.objective import Objective
from minitorch_style.transfer.profile import profile

MOST_REPEATS, MOST_PIXELS = 10_000, 8192
HELP = "Measure a network on this machine: medians over repeated runs on random pictures."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        choices=list(NETWORKS),
        default="distilled",
        metavar="NAME",
        help="network to measure (default: distilled)",
    )
    parser.add_argument(
        "--size", type=whole, default=256, metavar="PX", help="side of the square picture (default: 256)"
    )
    parser.add_argument("--repeat", type=whole, default=20, metavar="R", help="measurements of each (default: 20)")
    parser.add_argument("--kernels", choices=KERNEL_SETS, default="auto")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="lbfgs")
    parser.add_argument("--profile", action="store_true", help="each step's milliseconds and GFLOP/s, forward and back")
    add_threads(parser)
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")


def _median_ms(function: Callable[[], Any], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


def _peak_rss_mb() -> float | None:
    try:
        import resource
    except ImportError:  # not on this system
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _compile_seconds(model: str, kernels: str) -> float:
    """How much longer the first loss and gradient of all take than the second, in a process with an empty cache."""
    code = (
        "import time, numpy as np\n"
        "from minitorch_style.engine.network import load_network\n"
        "from minitorch_style.style.objective import Objective\n"
        f"network, x = load_network({model!r}, 'random:0', {kernels!r}), np.full((64, 64, 3), 0.5, np.float32)\n"
        "def once():\n"
        "    begun = time.perf_counter()\n"
        "    Objective(network, x, x)(x)\n"
        "    return time.perf_counter() - begun\n"
        "print(once() - once())"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure(model: str, size: int, repeat: int, kernels: str, method: str) -> dict[str, Any]:
    """The record that `bench` prints. Weights are random: speed does not depend on them."""
    rng = np.random.default_rng(0)
    content, style, x = (rng.random((size, size, 3), np.float32) for _ in range(3))
    network = load_network(model, "random:0", kernels)
    objective = Objective(network, content, style)
    objective(x)
    forward = _median_ms(lambda: objective.plan.run(x), repeat)
    gradient = _median_ms(lambda: objective(x), repeat)
    # An iteration's time from those between callbacks; the optimizer's share is what its evaluations leave over.
    spent = [0.0]

    def timed(pixels: Any) -> tuple[float, Any]:
        start = time.perf_counter()
        value = objective(pixels)
        spent[0] += 1e3 * (time.perf_counter() - start)
        return value

    iterations: list[float] = []
    shares: list[float] = []
    last = [0.0]

    def after(number: int, loss: float, pixels: Any) -> None:
        now = time.perf_counter()
        if number > 1:
            iterations.append(1e3 * (now - last[0]))
            shares.append(iterations[-1] - spent[0])
        spent[0], last[0] = 0.0, time.perf_counter()

    minimize(optimizer(method, vector_ops(network.kernels.name)), timed, x, repeat + 1, after)
    return {
        "model": model,
        "size": size,
        "kernels": network.kernels.name,
        "optimizer": method,
        "repeat": repeat,
        "forward_ms": forward,
        "gradient_ms": gradient,
        "iteration_ms": statistics.median(iterations),
        "optimizer_ms": statistics.median(shares),
        "compile_s": _compile_seconds(model, kernels) if network.kernels.name == "numba" else 0.0,
        "peak_rss_mb": _peak_rss_mb(),
    }


def _profile(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    content, style, x = (rng.random((options.size, options.size, 3), np.float32) for _ in range(3))
    objective = Objective(load_network(options.model, "random:0", options.kernels), content, style)
    objective(x)
    rows = profile(objective, x, options.repeat)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'step':<20}{'algorithm':<14}{'output':>15}{'MB':>8}{'GFLOP':>8}{'forward ms':>12}{'GFLOP/s':>9}"
          f"{'back ms':>10}{'GFLOP/s':>9}")  # fmt: skip
    for row in rows[:-1]:
        rates = [f"{row[key]:>9.0f}" if row[key] else f"{'':>9}" for key in ("forward_gflops", "backward_gflops")]
        output = "×".join(str(side) for side in row["output"])
        print(f"{row['step']:<20}{row['algorithm']:<14}{output:>15}{row['bytes'] / 1e6:>8.2f}{row['gflop']:>8.3f}"
              f"{row['forward_ms']:>12.3f}{rates[0]}{row['backward_ms']:>10.3f}{rates[1]}")  # fmt: skip
    forward, backward = (sum(row[key] for row in rows[:-1]) for key in ("forward_ms", "backward_ms"))
    print(f"forward {forward:.2f} ms, back {backward:.2f} ms, losses {rows[-1]['forward_ms']:.2f} ms")


def run(options: argparse.Namespace) -> int:
    if not 2 <= options.repeat <= MOST_REPEATS or not 16 <= options.size <= MOST_PIXELS:
        raise SettingsError(f"--repeat must be from 2 to {MOST_REPEATS} and --size from 16 to {MOST_PIXELS}")
    if options.profile:
        with limited(options.threads):
            _profile(options)
        return 0
    with limited(options.threads):
        record = measure(options.model, options.size, options.repeat, options.kernels, options.optimizer)
    if options.json:
        print(json.dumps(record))
        return 0
    for key, value in record.items():
        print(f"{key:<14} {value:.2f}" if isinstance(value, float) else f"{key:<14} {value}")
    return 0
