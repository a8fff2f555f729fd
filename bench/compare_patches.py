"""The patch kernels beside the same in NumPy with BLAS: seconds of each, and the ratio, medians of rounds in turn.

    python -m bench.compare_patches [--size 512] [--rounds 5]

The search is that of one round of repainting at this size; BLAS makes the products in chunks of 16 MB, whose arg-min
NumPy then looks for. The last rows are whole pictures in a warm process: the palette made, and already there. Prints the
table and writes bench/results/patches.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minitorch_style.image.resize import resized
from minitorch_style.kernels import threads
from minitorch_style.kernels.patches import PatchKernels, patch_kernels
from minitorch_style.restroke import INSTANT, Paintings, Strokes, restroke

RESULTS = Path(__file__).parent / "results"
SIDE, STEP = 7, 2


def noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Colored noise of several grains, about as rough as a painting."""
    layers = [resized(rng.random((size[0] // g, size[1] // g, 3), np.float32), size) for g in (1, 4, 16)]
    return np.mean(layers, axis=0, dtype=np.float32).clip(0, 1)


def operations(kernels: PatchKernels, size: int) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    picture, source = noise(rng, (size * 3 // 4, size)), noise(rng, (size * 3 // 4, size))
    axes = np.linalg.qr(rng.standard_normal((SIDE * SIDE * 3, 20)))[0].astype(np.float32)
    queries, vectors = (kernels.project(one, axes, SIDE, STEP).reshape(-1, 20) for one in (picture, source))
    keys, bias = kernels.pack(vectors), np.square(vectors).sum(1) / 2
    rows, columns = picture.shape[0] - SIDE + 1, picture.shape[1] - SIDE + 1
    corners = [rng.integers(0, count, (rows, columns)) for count in (rows, columns)]
    field = (corners[0] * source.shape[1] + corners[1]).astype(np.int32)
    penalty = np.full(source.shape[:2], np.inf, np.float32)
    penalty[:rows, :columns] = 0
    distance, weight, out = (
        kernels.distances(picture, source, field, SIDE),
        np.ones_like(field, np.float32),
        picture.copy(),
    )

    def sweep() -> None:
        kernels.sweep(picture, source, field.copy(), distance.copy(), penalty.ravel(), SIDE, True)

    return {
        "project": lambda: kernels.project(picture, axes, SIDE, STEP),
        "nearest": lambda: kernels.nearest(queries, keys, bias),
        "distances": lambda: kernels.distances(picture, source, field, SIDE),
        "sweep": sweep,
        "vote": lambda: kernels.vote(source, field, weight, SIDE, 0, out),
    }


def pictures(kernels: PatchKernels, size: int) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(1)
    photo, painting, plan = (noise(rng, (size * 3 // 4, size)) for _ in range(3))
    kept = Paintings([painting])
    return {
        "a picture": lambda: restroke(plan, photo, Paintings([painting]), kernels=kernels),
        "a picture, paintings known": lambda: restroke(plan, photo, kept, Strokes(), kernels=kernels),
        "an instant one": lambda: restroke(plan, photo, Paintings([painting]), INSTANT, kernels=kernels),
        "an instant one, paintings known": lambda: restroke(plan, photo, kept, INSTANT, kernels=kernels),
    }


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compared(size: int, rounds: int) -> dict[str, dict[str, float]]:
    """{what: {"fast", "numpy": seconds, "ratio": numpy over fast}}, medians."""
    sets = {"fast": patch_kernels("numba"), "numpy": patch_kernels("numpy")}
    work = {name: {**operations(kernels, size), **pictures(kernels, size)} for name, kernels in sets.items()}
    table = {}
    for what in work["fast"]:
        for name in sets:
            work[name][what]()
        taken = [{name: seconds(work[name][what]) for name in sets} for _ in range(rounds)]
        table[what] = {name: statistics.median(one[name] for one in taken) for name in sets}
        table[what]["ratio"] = statistics.median(one["numpy"] / one["fast"] for one in taken)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = compared(options.size, options.rounds)
    print(f"{threads()} threads, {options.size} pixels: seconds, and NumPy's over ours")
    for what, row in table.items():
        print(f"{what:34s}{row['fast']:9.4f}{row['numpy']:9.4f}{row['ratio']:8.1f}×")
    RESULTS.mkdir(exist_ok=True)
    result = {"size": options.size, "threads": threads(), "rounds": options.rounds, "table": table}
    (RESULTS / "patches.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
