"""What it costs to make a picture of method `gram` in tiles: time against the whole, memory told and taken.

    python -m bench.tiles [--short]

Each in a process of its own, on one thread, in turn: the ratios hold on a machine that does something else as well. Writes
bench/results/tiles.json; `python -m bench.readme` makes the table of docs/scale.md of it. The short form, a small picture by
a small network, only prints.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import RESULTS, save, text
from minitorch_style.cli.threads import limited
from minitorch_style.image.io import load_picture
from minitorch_style.image.resize import resized
from minitorch_style.optimizers import HISTORY
from minitorch_style.transfer.descent import Descent
from minitorch_style.transfer.estimate import LIBRARY_BYTES
from minitorch_style.transfer.job import Job, prepare
from minitorch_style.transfer.run import run
from minitorch_style.transfer.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_000_000_000  # bytes
# Just too large for it.
CASES = [("distilled-perceptual", (1216, 1824)), ("quarter", (1016, 1524)), ("segnet", (730, 1096))]
SHORT = "distilled-perceptual", (288, 432)
TIMES, PAIRS = 3, 2
ITERATIONS = HISTORY  # as many as the optimizer remembers: from then on it takes no more memory


def made(model: str, size: tuple[int, int], limit: int | None) -> Job:
    photo, painting = (load_picture(ROOT / "examples" / name).pixels for name in ("photo.jpg", "painting.jpg"))
    settings = Settings(
        method="gram", model=model, size=max(size), style_size=512, max_memory=limit, iterations=ITERATIONS
    )
    return prepare(np.clip(resized(photo, size), 0, 1), painting, settings)


def measured(model: str, size: tuple[int, int], limit: int | None) -> dict[str, float]:
    """Of one job: seconds of the processor for an evaluation and for the run, bytes at the peak (without the libraries'
    files), and what was told of both."""
    with limited(1):
        job = made(model, size, limit)
        begun = time.process_time()
        run(job).complete()
        seconds = time.process_time() - begun
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        peak, files = (1024 * int(lines[name].split()[0]) for name in ("VmHWM", "RssFile"))
        (stage,) = job.stages
        assert isinstance(stage, Descent)
        objective, x, best = stage.objective(), np.array(job.content.pixels), float("inf")
        for _ in range(TIMES):
            begun = time.process_time()
            objective(x)
            best = min(best, time.process_time() - begun)
    return {"tiles": len(stage.plan.tiles.tiles), "evaluation_s": best, "run_s": seconds, "told_s": job.estimate.seconds,
            "peak_bytes": peak - files, "told_bytes": job.estimate.nbytes - LIBRARY_BYTES["numba"]}  # fmt: skip


def apart(*case: object) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.tiles", json.dumps(case)]
    found: dict[str, float] = json.loads(subprocess.check_output(command, cwd=ROOT))
    return found


def compared(model: str, size: tuple[int, int], limit: int, pairs: int) -> dict[str, Any]:
    """The whole picture beside the same within a limit, the best of so many pairs."""
    runs = [(apart(model, size, None), apart(model, size, limit)) for _ in range(pairs)]
    whole, tiled = (min(kind, key=lambda one: one["evaluation_s"]) for kind in zip(*runs, strict=True))
    ratio = tiled["evaluation_s"] / whole["evaluation_s"]
    row = {
        "model": model,
        "size": f"{size[1]}×{size[0]}",
        "limit": limit,
        "ratio": ratio,
        "whole": whole,
        "tiled": tiled,
    }
    print(text(row), end="", flush=True)
    return row


def main() -> None:
    if sys.argv[1:] == ["--short"]:
        model, size = SHORT
        compared(model, size, made(model, size, None).estimate.nbytes - 1, 1)
    elif sys.argv[1:]:
        model, size, limit = json.loads(sys.argv[1])
        print(json.dumps(measured(model, tuple(size), limit)))
    else:
        save([compared(*case, LIMIT, PAIRS) for case in CASES], RESULTS / "tiles.json")


if __name__ == "__main__":
    main()
