"""Makes docs/models.jpg: every bundled model on one pair, a row a model, after 1, 10 and 100 iterations.

python -m tools.render_models PHOTO PAINTING [--models NAME …]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import minitorch_style as ms
from minitorch_style.transfer import Iteration
from tools.render_gallery import ROOT, sheet

MARKS = (1, 10, 100)
MODELS = ("segnet", "enet", "distilled", "distilled-perceptual", "segnet-bwn", "perceptual-bwn", "perceptual-xnor")
SIZE, HEIGHT, WIDTH = 320, 180, 240


def marked(model: str, photo: Path, painting: Path) -> list[np.ndarray]:
    """The pictures at MARKS."""
    seen: list[np.ndarray] = []

    def look(iteration: Iteration, picture: Callable[[], np.ndarray]) -> None:
        if iteration.number in MARKS:
            seen.append(picture())

    # A network of steps has no slope that a line search could follow.
    method = "sgd" if model.endswith("-xnor") else "lbfgs"
    ms.stylize(photo, painting, progress=look, model=model, size=SIZE, iterations=max(MARKS), optimizer=method)
    return seen


def named(text: str) -> Image.Image:
    """A white tile with a name on it."""
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    ImageDraw.Draw(page).text((WIDTH // 2, HEIGHT // 2), text, "black", anchor="mm", font_size=20)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    options = parser.parse_args()
    first: list[Image.Image | np.ndarray] = [
        named("photo, painting"),
        Image.open(options.photo),
        Image.open(options.painting),
    ]
    rows = [[*first, named("after 1, 10, 100")]]
    rows += [[named(model), *marked(model, options.photo, options.painting)] for model in options.models]
    sheet(rows, HEIGHT, WIDTH).save(ROOT / "docs" / "models.jpg", quality=82)


if __name__ == "__main__":
    main()
