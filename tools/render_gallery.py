"""Makes the pictures of the README: the main job on our own example pair, and on real photographs and paintings.

    python -m tools.render_gallery [--pictures FOLDER --vgg19 FILE]

docs/result.jpg is examples/photo.jpg, examples/painting.jpg and what `stylize` makes of them, side by side. With
--pictures (the folder of content_* and style_* files) docs/gallery.jpg shows a row a pair and a column a preset; the last
is the yardstick, the method of Gatys et al. coarse to fine with a real VGG-19 (made by `weights convert`).
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

PAIRS = [
    ("content_tubingen.jpg", "style_van_gogh_starry_night_1889.jpg"),
    ("content_coffee.png", "style_hokusai_great_wave_1831.jpg"),
    ("content_astronaut.png", "style_kandinsky_composition_vii_1913.jpg"),
    ("content_tubingen.jpg", "style_van_gogh_wheat_field_1889.jpg"),
]
SIZE, HEIGHT = 512, 170
SHOWN = "instant", "default", "best"
YARDSTICK = {"method": "gram", "model": "vgg19", "scales": 3, "iterations": 60}


def painted(photo: Path, painting: Path, settings: dict[str, Any]) -> Float32:
    """(H, W, 3) in [0, 1]."""
    return ms.stylize(photo, painting, **settings).image / np.float32(255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--vgg19", type=Path, help="weights of the real VGG-19")
    options = parser.parse_args()
    if options.pictures is None:
        pair = ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"
        seen = [load_picture(file, SIZE).pixels for file in pair]
        shown = [("photo", seen[0]), ("painting", seen[1]), ("result", painted(*pair, {}))]
        draw([shown], ROOT / "docs" / "result.jpg", 256)
        return
    columns = {f"--preset {name}" if name != "default" else name: {**PRESETS[name], "size": SIZE} for name in SHOWN}
    if options.vgg19 is not None:
        columns["real VGG-19, Gatys"] = {**YARDSTICK, "size": SIZE, "weights": str(options.vgg19)}
    rows = []
    for content, style in PAIRS:
        files = options.pictures / content, options.pictures / style
        photo, painting = (load_picture(file, SIZE).pixels for file in files)
        made = [(name, painted(*files, settings)) for name, settings in columns.items()]
        rows.append([("photo", photo), ("painting", painting), *made])
        print(content, style, flush=True)
    draw(rows, ROOT / "docs" / "gallery.jpg", HEIGHT)


if __name__ == "__main__":
    main()
