"""Small copies of many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.image.io import Picture, to_bytes

GAP = 8  # pixels of white around each
LONGEST = 60_000  # pixels of a side, which a JPEG file can hold


def thumbnail_side(count: int, columns: int, wanted: int = 256) -> int:
    """Pixels of each copy's longer side, so that all of them find room."""
    rows = -(-count // columns)
    return max(1, min(wanted, LONGEST // max(rows, columns) - 2 * GAP))


def contact_sheet(pictures: Sequence[Picture | None], columns: int, side: int) -> Rgb8:
    """`pictures`, of at most `side` pixels each, row by row, each in the middle of its place on white; None is a place that
    stays empty. (H, W, 3) bytes."""
    place, rows = side + 2 * GAP, -(-len(pictures) // columns)
    sheet = np.full((rows * place, columns * place, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        if picture is not None:
            height, width = picture.size
            top = number // columns * place + (place - height) // 2
            left = number % columns * place + (place - width) // 2
            sheet[top : top + height, left : left + width] = to_bytes(picture.pixels)
    return sheet
