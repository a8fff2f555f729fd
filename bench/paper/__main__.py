"""The paper's results, reproduced and extended: figures 1, 6 and 7, table 1, its open questions, and memory.

    python -m bench.paper --quick     minutes
    python -m bench.paper --full      the real thing, about an hour

Writes report.html (one file, no outside references) and results.json into --out. Stopped, the same command goes on with
the experiment it was at. Without ../shared/data it runs on the repository's own pair of pictures, and its judge is the
bundled distilled-perceptual network, which the report says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from bench.paper import discussion, figures, report
from bench.paper.setting import ROOT, Setting
from bench.record import save
from minitorch_style.errors import StyleError

EXPERIMENTS = {
    "figure1": figures.figure_1,
    "table1": figures.table_1,
    "figure6": figures.figure_6,
    "default": figures.default_model,
    "figure7": figures.figure_7,
    "steps": discussion.bigger_steps,
    "optimizers": discussion.optimizers,
    "onebit": discussion.one_bit,
    "memory": figures.memory,
}


def setting_of(options: argparse.Namespace) -> Setting:
    if options.full:
        return Setting(options.out, options.shared, options.size, (1, 10, 50, 100, 300), 300, 100, 10, 1000, True)
    return Setting(options.out, options.shared, options.size, (1, 5, 10), 20, 5, 2, 10, False)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="minutes (the default)")
    length.add_argument("--full", action="store_true", help="the real thing")
    parser.add_argument(
        "--size", type=int, default=256, help="longest side of the pictures (default: 256, the paper's)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "paper" / "run", help="folder for the results")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="pictures and judge")
    options = parser.parse_args(argv)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        setting = setting_of(options)
        results = {}
        bar = tqdm(EXPERIMENTS.items(), unit="experiment")
        for name, experiment in bar:
            bar.set_postfix_str(name)
            results[name] = setting.once(name, lambda run=experiment: run(setting))  # type: ignore[misc]
        save(results, setting.out / "results.json")
        page = report.write(setting, results)
    except StyleError as error:
        print(f"bench.paper: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench.paper: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
