"""How the threads' way of waiting shows on an idle machine, and on one where other processes want every processor.

    python -m bench.busy [--processes 6] [--model distilled] [--layers omp,tbb,workqueue]

Each way is a process of its own, all take turns, and only ratios within a round count. Writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

ROUNDS = 9
ITERATIONS = 12

# What the package sets by itself where the user sets nothing, and what there is beside it.
WAYS: dict[str, dict[str, str]] = {
    "one thread": {"NUMBA_NUM_THREADS": "1"},
    "as it comes": {},
    "spinning": {"GOMP_SPINCOUNT": "30000000000", "OMP_WAIT_POLICY": "active"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
WORKER = """
import json, statistics, sys, time
import numpy as np
from minitorch_style import Objective, load_network
model, side, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
photo, painting, x = np.random.default_rng(0).random((3, side, side, 3), np.float32)
objective = Objective(load_network(model, "random:0"), photo, painting)
objective(x)
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        objective(x)
        times.append(time.perf_counter() - begun)
    print(json.dumps(times), flush=True)
"""


def worker(model: str, side: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    unset = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    started = subprocess.Popen(
        [sys.executable, "-c", WORKER, model, str(side), str(ITERATIONS)],
        env={**kept, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def measured(workers: dict[str, subprocess.Popen[str]]) -> dict[str, float]:
    """{way: how long an iteration takes, as a multiple of the first way's}: medians over the rounds, of means in each."""
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        means = {}
        for way, process in workers.items():
            assert process.stdin is not None and process.stdout is not None
            print("go", file=process.stdin, flush=True)
            means[way] = statistics.mean(json.loads(process.stdout.readline()))
        rounds.append(means)
    first = next(iter(workers))
    return {way: statistics.median(means[way] / means[first] for means in rounds) for way in workers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--model", default="distilled")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--layers", default="omp", help="Numba's threading layers, comma-separated")
    options = parser.parse_args()
    for layer in options.layers.split(","):
        ways = WAYS if layer == "omp" else {"one thread": WAYS["one thread"], "as it comes": {}}
        workers: dict[str, Any] = {
            way: worker(options.model, options.size, {"NUMBA_THREADING_LAYER": layer, **environment})
            for way, environment in ways.items()
        }
        others: list[subprocess.Popen[bytes]] = []
        try:
            for state, count in (("idle", 0), (f"{options.processes} busy processes", options.processes)):
                others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
                found = ", ".join(f"{way} {ratio:.2f}" for way, ratio in measured(workers).items())
                print(f"{layer}, {state}: {found}", flush=True)
        finally:
            for process in [*others, *workers.values()]:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
