"""Makes the pictures of the README: the main job on our own example pair, and on real photographs and paintings.

    python tools/render_gallery.py [--pictures FOLDER] [--weights NAME=FILE …]

docs/result.jpg is examples/photo.jpg, examples/painting.jpg and what `stylize` makes of them, side by side. With
--pictures (the folder of content_* and style_* files) docs/gallery.jpg shows a row a pair and a column a model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import minitorch_style as ms  # noqa: E402  (found from the checkout that this file is in)

PAIRS = [
    ("content_tubingen.jpg", "style_van_gogh_starry_night_1889.jpg"),
    ("content_coffee.png", "style_hokusai_great_wave_1831.jpg"),
    ("content_astronaut.png", "style_kandinsky_composition_vii_1913.jpg"),
    ("content_tubingen.jpg", "style_van_gogh_wheat_field_1889.jpg"),
]
HEIGHT = 200


def tile(image: Image.Image | np.ndarray, height: int, width: int) -> Image.Image:
    """The middle of a picture, filling height × width."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    factor = max(height / picture.height, width / picture.width)
    picture = picture.convert("RGB").resize((round(picture.width * factor), round(picture.height * factor)))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def sheet(rows: list[list[Image.Image | np.ndarray]], height: int, width: int) -> Image.Image:
    page = Image.new("RGB", (len(rows[0]) * (width + 4) - 4, len(rows) * (height + 4) - 4), "white")
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page.paste(tile(picture, height, width), (j * (width + 4), i * (height + 4)))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    options = parser.parse_args()
    photo, painting = ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"
    result = ms.stylize(photo, painting)
    sheet([[Image.open(photo), Image.open(painting), result.image]], 256, 384).save(
        ROOT / "docs" / "result.jpg", quality=88
    )
    if options.pictures:
        models: dict[str, str | None] = {ms.Settings().model: None}
        models.update(entry.split("=", 1) for entry in options.weights)
        networks = [ms.load_network(name, file, pooling=ms.Settings().pooling) for name, file in models.items()]
        rows: list[list[Image.Image | np.ndarray]] = []
        for content, style in PAIRS:
            files = options.pictures / content, options.pictures / style
            made = []
            for network in networks:
                result = ms.stylize(*files, network=network, size=384)
                first, last = result.history[0].loss, result.history[-1].best_loss
                print(
                    f"{content} {style} {network.name}: loss {first:.4g} → {last:.4g}, {result.seconds:.1f} s",
                    flush=True,
                )
                made.append(result.image)
            rows.append([Image.open(files[0]), Image.open(files[1]), *made])
        sheet(rows, HEIGHT, HEIGHT * 4 // 3).save(ROOT / "docs" / "gallery.jpg", quality=82)


if __name__ == "__main__":
    main()
