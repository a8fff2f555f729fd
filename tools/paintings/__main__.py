"""python -m tools.paintings [FOLDER]: renders all paintings of our own, by default into examples/paintings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tools.paintings import pieces, prints, strokes, washes

PAINTINGS: dict[str, Callable[[], Image.Image]] = {
    "pointillism": strokes.pointillism,
    "palette-knife": strokes.palette_knife,
    "impression": strokes.impression,
    "woodblock-wave": prints.woodblock_wave,
    "engraving": prints.engraving,
    "linocut": prints.linocut,
    "stained-glass": pieces.stained_glass,
    "mosaic": pieces.mosaic,
    "cut-paper": pieces.cut_paper,
    "cubist-planes": pieces.cubist_planes,
    "ink-wash": washes.ink_wash,
    "watercolor": washes.watercolor,
    "composition": washes.composition,
}


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "examples" / "paintings"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for name, paint in PAINTINGS.items():
        paint().save(folder / f"{name}.jpg", quality=84)


if __name__ == "__main__":
    main()
