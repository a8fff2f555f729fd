"""Do the same settings still give the same pictures? Records a set of small runs as SHA-256 and losses, or compares with
such a record: `python -m bench.unchanged --record FILE` before a change of structure, `--check FILE` after it.

The bits of a picture depend on the processor, so a record holds for the machine that made it, and is not kept in git.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from minitorch_style.files import write_text

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SMALL: dict[str, Any] = {"size": 96, "iterations": 8}
RUNS: dict[str, dict[str, Any]] = {
    "perceptual": {},
    "perceptual, numpy": {"kernels": "numpy", "iterations": 4},
    "perceptual, max pooling": {"pooling": "max"},
    "perceptual, three scales": {"scales": 3, "size": 192},
    "perceptual, own colors": {"preserve_color": True, "init": "style"},
    "perceptual, random start": {"init": "random", "seed": 3, "tv_weight": 1e-3},
    "perceptual, adam": {"optimizer": "adam"},
    "perceptual, sgd": {"optimizer": "sgd"},
    "perceptual, lbfgsb": {"optimizer": "lbfgsb"},
    "paper": {"preset": "paper"},
    "fast with segnet": {"preset": "fast", "model": "segnet", "iterations": 3, "scales": 2},
    "distilled, background": {"model": "distilled", "region": "background"},
    "enet": {"model": "enet", "size": 128},
    "enet, numpy": {"model": "enet", "kernels": "numpy", "iterations": 3},
    "segnet, two styles": {"model": "segnet", "styles": 2, "style_blend": (2.0, 1.0), "iterations": 3},
    "vgg19, random filters": {"model": "vgg19", "weights": "random:1", "iterations": 3, "pooling": "max"},
}


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """The SHA-256 of the picture and the losses of one run."""
    import minitorch_style as ms
    from minitorch_style.transfer.settings import PRESETS

    given = {**SMALL, **settings}
    preset = PRESETS[given.pop("preset", "gram")]
    styles = [EXAMPLES / "painting.jpg", EXAMPLES / "photo.jpg"][: given.pop("styles", 1)]
    result = ms.stylize(EXAMPLES / "photo.jpg", styles, **{**preset, **given})
    return {
        "sha256": hashlib.sha256(result.image.tobytes()).hexdigest(),
        "losses": [iteration.loss for iteration in result.history],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    options = parser.parse_args()
    if (options.record is None) == (options.check is None):
        parser.error("give --record FILE or --check FILE")
    results = {}
    for name, settings in RUNS.items():
        results[name] = run(settings)
        print(f"{name}: {results[name]['sha256'][:16]}, loss {results[name]['losses'][-1]:.6g}", flush=True)
    if options.record:
        write_text(options.record, json.dumps(results, indent=1))
        return 0
    before = json.loads(options.check.read_text())
    changed = [name for name in results if results[name] != before.get(name)]
    for name in changed:
        print(f"changed: {name}", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
