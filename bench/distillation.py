"""Does the teacher help? Students trained with one and without, of several seeds, on the validation photographs.

    python -m bench.distillation RUN [RUN …] --data DIR

The runs are of `python -m tools.training.train distilled`; what decides the result of each is read from it. Writes
bench/results/distillation.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.record import RESULTS, save
from tools.training.data import read_split
from tools.training.evaluate import measure
from tools.training.runs import load_run

TOLD = ("init", "alpha", "attention", "seed", "lr", "epochs")
SIZE = 112  # what `tools.training.evaluate` takes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    photos = read_split(args.data, "val")
    rows = []
    for run in args.runs:
        network, state = load_run(run)
        options = {name: state["options"][name] for name in TOLD}
        found = measure(network, photos, SIZE)
        rows.append({**options, "init": Path(options["init"]).stem, "steps": state["step"], **found})
        print(rows[-1], flush=True)
    save({"photographs": len(photos), "rows": rows}, RESULTS / "distillation.json")


if __name__ == "__main__":
    main()
