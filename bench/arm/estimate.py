"""How long an iPad 2 would take: a range from instructions counted on the emulated board and a stated model of its A5.

    python -m bench.arm.estimate [--models distilled enet] [--out bench/results/arm.json]

The model (Cortex-A9 at 1 GHz, one core): a 128-bit vector instruction keeps the NEON unit for 2 cycles (4 multiply-adds:
4 GFLOP/s), a 64-bit or scalar one for 1; integer instructions, loads and stores issue beside them, one a cycle; what the
busier of the two takes is divided by an efficiency of 0.8 (range's low end) or 0.4. Memory moves every feature map out
and in once a pass, and back twice, at 1.5 GB/s beside the arithmetic, or at 0.5 GB/s after it. Emulated seconds are in
none of these figures.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.arm.emulated import HERE, MODELS, Counts, bundle, counted, make_root
from bench.record import RESULTS, save
from minitorch_style.engine.network import load_network

CLOCK = 1e9
EFFICIENCY = (0.8, 0.4)
BYTES_A_SECOND = (1.5e9, 0.5e9)
SIZE = 256


@dataclass(frozen=True)
class Range:
    """Seconds, between."""

    low: float
    high: float

    @classmethod
    def of(cls, counts: Counts, moved: float) -> Range:
        vector = 2 * counts["neon_128"] + counts["neon_64"] + counts["vfp"]
        other = counts["integer"] + counts["load_store"] + counts["vector_load_store"]
        busy = max(vector, other) / CLOCK
        memory = [moved / speed for speed in BYTES_A_SECOND]
        return cls(max(busy / EFFICIENCY[0], memory[0]), busy / EFFICIENCY[1] + memory[1])


def moved_bytes(model: str, size: int) -> float:
    """Bytes of all feature maps of a forward pass, each written once and read once."""
    network = load_network(model)
    architecture = network.architecture
    plan = network.plan((size, size), (*architecture.style_layers, *architecture.content_layers))
    return 2.0 * sum(4 * height * width * maps for height, width, maps in (row["output"] for row in plan.describe()))  # type: ignore[attr-defined]


def estimated(model: str, kernels: str, counted_size: int, folder: Path) -> dict[str, Any]:
    """Counts at `counted_size`², scaled by pixels to 256², and the range for a forward pass and for an iteration."""
    regions = counted([HERE / "job.py", "count", model, kernels, str(counted_size)], folder)
    factor = (SIZE / counted_size) ** 2
    scaled = {region: {name: round(number * factor) for name, number in regions[region].items()} for region in (1, 2)}
    moved = moved_bytes(model, SIZE)
    forward, iteration = Range.of(scaled[1], moved), Range.of(scaled[2], 3 * moved)
    return {
        "model": model,
        "kernels": kernels,
        "counted_at": counted_size,
        "forward": {"instructions": scaled[1], "low_s": forward.low, "high_s": forward.high},
        "iteration": {"instructions": scaled[2], "low_s": iteration.low, "high_s": iteration.high},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--size", type=int, default=128, help="side of the pictures that are counted, scaled to 256")
    parser.add_argument("--out", type=Path, default=RESULTS / "arm.json")
    options = parser.parse_args()
    make_root()
    folder = bundle(options.models)
    rows = []
    print(f"{'model':<22}{'kernels':<9}{'forward, M instr.':>18}{'forward, s':>14}{'iteration, s':>14}")
    for model in options.models:
        for kernels in ("numpy", "native"):
            row = estimated(model, kernels, options.size, folder)
            rows.append(row)
            spans = [f"{row[what]['low_s']:.2f}–{row[what]['high_s']:.2f}" for what in ("forward", "iteration")]
            millions = sum(row["forward"]["instructions"].values()) / 1e6
            print(f"{model:<22}{kernels:<9}{millions:>18,.0f}{spans[0]:>14}{spans[1]:>14}", flush=True)
    save(rows, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
