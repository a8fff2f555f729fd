"""Our L-BFGS beside SciPy's L-BFGS-B: loss after 50 and 200 evaluations, and what each costs besides the evaluations.

    python -m bench.compare_optimizers PAIR … [--size 256] [--model NAME] [--weights FILE]     (PAIR: photo:painting)

Both optimizers are run in turn on each pair, with the default settings of a transfer. Prints the table and writes
bench/results/optimizers.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import RESULTS, save
from minitorch_style.kernels import vector_ops
from minitorch_style.optimizers import Tracked, minimize, optimizer
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.settings import Settings

EVALUATIONS = (50, 200)


class _Enough(Exception):
    """Ends a run once its evaluations are spent."""


def measured(job: transfer.Job, name: str) -> dict[str, Any]:
    """{"loss": {evaluations: best loss until then}, "optimizer_ms": median cost of an iteration besides evaluations}."""
    objective = transfer.objective_of(job)
    objective(job.start)
    best: dict[int, float] = {}
    inside = [0.0]

    def timed(x: np.ndarray) -> tuple[float, np.ndarray]:
        if watched.evaluations in EVALUATIONS:
            best[watched.evaluations] = watched.best_loss
            if watched.evaluations == max(EVALUATIONS):
                raise _Enough
        begun = time.perf_counter()
        value = objective(x)
        inside[0] += time.perf_counter() - begun
        return value

    watched = Tracked(timed)
    shares: list[float] = []
    last = time.perf_counter()

    def after(number: int, loss: float, x: np.ndarray) -> None:
        nonlocal last
        now = time.perf_counter()
        shares.append(1e3 * (now - last - inside[0]))
        inside[0], last = 0.0, time.perf_counter()

    began = time.perf_counter()
    with suppress(_Enough):
        method = optimizer(name, vector_ops(job.network.kernels.name))
        minimize(method, watched, job.start, max(EVALUATIONS), after)
    for count in EVALUATIONS:
        best.setdefault(count, watched.best_loss)
    return {"loss": best, "optimizer_ms": statistics.median(shares[10:]), "seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="PHOTO:PAINTING")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--model", default=Settings().model)
    parser.add_argument("--weights")
    options = parser.parse_args()
    settings = Settings(method="gram", model=options.model, weights=options.weights, size=options.size)
    rows = []
    for pair in options.pairs:
        photo, painting = pair.split(":")
        for name in ("lbfgsb", "lbfgs"):
            row = measured(transfer.prepare(photo, painting, settings), name)
            rows.append({"pair": [Path(photo).name, Path(painting).name], "optimizer": name, **row})
            losses = ", ".join(f"{loss:.4e} after {count}" for count, loss in row["loss"].items())
            print(f"{Path(photo).stem} {Path(painting).stem} {name:<7} {losses}; {row['optimizer_ms']:.2f} ms an iteration "
                  f"besides evaluations; {row['seconds']:.1f} s", flush=True)  # fmt: skip
    record = {"model": options.model, "size": options.size, "rows": rows}
    save(record, RESULTS / "optimizers.json")


if __name__ == "__main__":
    main()
