"""Renders the tutorial's strips: one thing turned at a time, all from the repository's own pictures.

    python -m tools.render_tutorial [NAME …]

Writes docs/tutorial/NAME.jpg each, and docs/result.jpg for the name result; without names all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minitorch_style as ms
from bench.looks.sheet import draw
from minitorch_style.arrays import Float32
from minitorch_style.image.io import load_picture
from minitorch_style.transfer.settings import PRESETS

ROOT = Path(__file__).resolve().parent.parent
PHOTO, PAINTING = ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"
WALL = ROOT / "examples" / "paintings"
SIZE, HEIGHT = 512, 232  # pixels: of the pictures made, and of those shown

# A strip each: {what stands above a picture: settings}.
STRIPS: dict[str, dict[str, dict[str, Any]]] = {
    "presets": {f"--preset {name}": PRESETS[name] for name in ("instant", "default", "best", "gram", "paper")},
    "strength": {f"--strength {value}": {"strength": value} for value in (0.1, 0.3, 0.6, 0.8, 1.0)},
    "detail": {f"--detail {value}": {"detail": value} for value in (0.0, 0.5, 0.85, 1.5)},
    "stroke-size": {f"--stroke-size {value}": {"stroke_size": value} for value in (0.5, 1.0, 2.0)},
    "color": {"as it is": {}, "--color match": {"color": "match"}, "--preserve-color": {"preserve_color": True}},
    "style-loss": {
        "--preset gram": {"method": "gram"},
        "--style-loss moments": {"method": "gram", "style_loss": "moments"},
        "--style-loss w2": {"method": "gram", "style_loss": "w2"},
        "--style-layer-weights 1,1,1,9,9": {"method": "gram", "style_layer_weights": (1, 1, 1, 9, 9)},
    },
    "restroke": {"as it is": {}, "--no-restroke": {"restroke": False}},
}
PAINTINGS = (
    "woodblock-wave",
    "stained-glass",
    "pointillism",
    "mosaic",
    "ink-wash",
    "cut-paper",
    "linocut",
    "watercolor",
)


NAMES = ("result", *STRIPS, "blend", "paintings")


def shown(path: Path) -> Float32:
    return load_picture(path, SIZE).pixels


def painted(painting: Path | list[Path], **settings: Any) -> Float32:
    made = ms.stylize(PHOTO, painting, size=SIZE, **settings)
    return made.image.astype(np.float32) / np.float32(255)


def strip(name: str) -> list[list[tuple[str, Float32]]]:
    if name == "paintings":
        made = [(title, painted(WALL / f"{title}.jpg")) for title in PAINTINGS]
        return [made[:4], made[4:]]
    if name == "blend":
        pair = [PAINTING, WALL / "woodblock-wave.jpg"]
        return [[(f"--style-blend {a},{b}", painted(pair, style_blend=(a, b))) for a, b in ((4, 1), (1, 1), (1, 4))]]
    return [[(title, painted(PAINTING, **settings)) for title, settings in STRIPS[name].items()]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no strip {unknown[0]!r}; there are {', '.join(NAMES)}")
    folder = ROOT / "docs" / "tutorial"
    for name in names or NAMES:
        if name == "result":
            row = [("photo", shown(PHOTO)), ("painting", shown(PAINTING)), ("result", painted(PAINTING))]
            draw([row], ROOT / "docs" / "result.jpg", 256)
        else:
            draw(strip(name), folder / f"{name}.jpg", HEIGHT)


if __name__ == "__main__":
    main()
