"""The average of runs that fine-tuned one network: stochastic weight averaging (Izmailov et al. 2018).

    python -m tools.training.average RUN RUN [RUN …] --out RUN

Averages weights and the statistics of batch norms; the optimizer's state stays behind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from minitorch_style.errors import SettingsError, StyleError
from tools.training.runs import CHECKPOINT, read_run, save_atomically


def average(states: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """One checkpoint of several. SettingsError unless they hold the same model."""
    first = states[0]
    if others := {state["model"] for state in states} - {first["model"]}:
        raise SettingsError(f"runs of {first['model']} and {', '.join(sorted(others))} have no average")
    network = {
        key: sum(state["network"][key] for state in states) / len(states) if value.is_floating_point() else value
        for key, value in first["network"].items()
    }
    return {**first, "options": {**first["options"], "averaged": names}, "network": network, "optimizer": {}}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN")
    args = parser.parse_args(argv)
    try:
        averaged = average([read_run(run) for run in args.runs], [run.name for run in args.runs])
    except StyleError as error:
        print(f"average: {error}", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    save_atomically(averaged, args.out / CHECKPOINT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
