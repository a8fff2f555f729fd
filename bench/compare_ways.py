"""Ways to the loss of 100 plain iterations: coarse to fine, warm starts; loss against seconds of each.

    python -m bench.compare_ways [--model segnet] [--size 512] [--pictures ../shared/data/pictures]

Three pairs, every way in turn. Prints how long each takes to reach what plain L-BFGS has after 100 iterations, writes
bench/results/ways.json and the plot docs/ways.png. `--preset fast` is the best of them.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import matplotlib

from bench.history import job_of, loss_history
from bench.paper.setting import FIRST, PAIRS
from bench.record import RESULTS, save, thinned
from minitorch_style.engine.network import load_network
from minitorch_style.image.io import load_picture
from minitorch_style.transfer.settings import PRESETS

matplotlib.use("Agg")
from matplotlib import pyplot

ROOT = Path(__file__).resolve().parent.parent
PLOT = ROOT / "docs" / "ways.png"
PLAIN = "100 plain iterations"
SMALL = "distilled-perceptual"
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {"iterations": 100},
    "3 scales × 60": {"scales": 3, "iterations": 60},
    f"60 from 60 of {SMALL}": {"iterations": 60, "warm_start": SMALL},
    f"60 from 3 scales × 60 of {SMALL}": {"iterations": 60, "warm_start": SMALL, "scales": 3},
    f"40 from 3 scales × 40 of {SMALL}": {"iterations": 40, "warm_start": SMALL, "scales": 3},
}


def draw(pairs: list[dict[str, Any]], path: Path) -> None:
    figure, axes = pyplot.subplots(1, len(pairs), figsize=(4 * len(pairs), 3.4), layout="constrained", squeeze=False)
    for axis, found in zip(axes[0], pairs, strict=True):
        for way, rows in found["curves"].items():
            axis.plot([row["seconds"] for row in rows], [row["loss"] for row in rows], label=way)
        axis.axhline(found["goal"], color="black", linewidth=0.8, linestyle="--")
        axis.set(xlabel="seconds", title=found["pair"], yscale="log", ylim=(found["goal"] / 2, found["goal"] * 8))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("loss")
    figure.legend(*axes[0][0].get_legend_handles_labels(), ncols=3, loc="outside lower center")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="segnet")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pictures", type=Path, default=ROOT.parent / "shared" / "data" / "pictures")
    options = parser.parse_args()
    network = load_network(options.model, pooling="average")
    pairs: list[dict[str, Any]] = []
    for name, photo_file, painting_file in PAIRS[:FIRST]:
        photo, painting = (
            load_picture(options.pictures / file, options.size).pixels for file in (photo_file, painting_file)
        )
        found = {way: loss_history(job_of(network, photo, painting, **settings))[0] for way, settings in WAYS.items()}
        goal = found[PLAIN][-1]["loss"]
        reached = {
            way: next((row["seconds"] for row in rows if row["loss"] <= goal), None) for way, rows in found.items()
        }
        ended = {way: {"seconds": rows[-1]["seconds"], "loss": rows[-1]["loss"] / goal} for way, rows in found.items()}
        pairs.append(
            {
                "pair": name,
                "goal": goal,
                "reached": reached,
                "ended": ended,
                "curves": {way: thinned(rows) for way, rows in found.items()},
            }
        )
        for way, seconds in reached.items():
            told = f"reached after {seconds:.1f} s" if seconds else "not reached"
            print(
                f"{name:<12}{way:<38}{told:<24}ends at {ended[way]['loss']:.2f} after {ended[way]['seconds']:.1f} s",
                flush=True,
            )
    preset = ", ".join(f"{key} {value}" for key, value in PRESETS["fast"].items())
    print("mean seconds at the end:", {way: round(statistics.fmean(pair["ended"][way]["seconds"] for pair in pairs), 1)
                                       for way in pairs[0]["ended"]}, "· --preset fast:", preset)  # fmt: skip
    save({"model": options.model, "size": options.size, "pairs": pairs}, RESULTS / "ways.json")
    draw(pairs, PLOT)


if __name__ == "__main__":
    main()
