"""Makes docs/models.jpg: every bundled model on one pair, a row a model: the default method, and Gatys' (`gram`).

python -m tools.render_models PHOTO PAINTING [--models NAME …]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.looks.sheet import draw
from minitorch_style.image.io import load_picture
from tools.render_gallery import ROOT, painted

MODELS = (
    "distilled-perceptual",
    "distilled-wide",
    "quarter",
    "segnet",
    "distilled",
    "enet",
    "segnet-bwn",
    "perceptual-bwn",
    "perceptual-xnor",
)
SIZE, HEIGHT = 384, 190


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    options = parser.parse_args()
    files = options.photo, options.painting
    rows = [[(name, load_picture(file, SIZE).pixels) for name, file in zip(("photo", "painting"), files, strict=True)]]
    for model in options.models:
        # A network of steps has no slope that a line search could follow.
        optimizer = "sgd" if model.endswith("-xnor") else "lbfgs"
        ways = {model: {}, f"{model}, --preset gram": {"method": "gram", "optimizer": optimizer}}
        rows.append([(name, painted(*files, {**way, "model": model, "size": SIZE})) for name, way in ways.items()])
        print(model, flush=True)
    draw(rows, ROOT / "docs" / "models.jpg", HEIGHT)


if __name__ == "__main__":
    main()
