"""Draws `docs/live.jpg`: a camera that pans over `examples/photo.jpg`, and what `ms.Live` makes of it as it goes.

python -m tools.render_live
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.writing import save_picture
from minitorch_style.video.live import Live

ROOT = Path(__file__).resolve().parent.parent
PAINTING = ROOT / "examples" / "painting.jpg"
SIZE, FRAMES, STEP = 256, 91, 2  # pixels, and pixels a frame
SHOWN = (0, 10, 30, 90)
GAP = 6


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    photo = to_bytes(load_picture(ROOT / "examples" / "photo.jpg", SIZE + STEP * FRAMES).pixels)
    height = min(photo.shape[0], SIZE * 3 // 4)
    frames = [np.ascontiguousarray(photo[:height, STEP * i : STEP * i + SIZE]) for i in range(FRAMES)]
    live = Live(PAINTING, SIZE)
    live.prepare(frames[0].shape[:2])
    pictures = [live.next(frame) for frame in frames]
    save_picture(ROOT / "docs" / "live.jpg", strip([[frames[i], pictures[i]] for i in SHOWN]))


def strip(columns: list[list[Rgb8]]) -> Rgb8:
    """Columns of pictures of one size, on white."""
    height, width = columns[0][0].shape[:2]
    rows = max(map(len, columns))
    sheet = np.full((rows * (height + GAP) - GAP, len(columns) * (width + GAP) - GAP, 3), 255, np.uint8)
    for column, pictures in enumerate(columns):
        for row, picture in enumerate(pictures):
            top, left = row * (height + GAP), column * (width + GAP)
            sheet[top : top + height, left : left + width] = picture
    return sheet


if __name__ == "__main__":
    main()
