"""Sheets: a row a pair, a column a method; and blind ones, where nobody sees which column is whose."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from minitorch_style.arrays import Float32

GAP, TITLE = 4, 18  # pixels between pictures, and for the names above them


def _image(picture: Float32, height: int) -> Image.Image:
    image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    if image.height == height:
        return image
    return image.resize((max(1, round(image.width * height / image.height)), height), Image.Resampling.LANCZOS)


def draw(rows: Sequence[Sequence[tuple[str, Float32]]], path: Path, height: int, quality: int = 88) -> None:
    """Writes rows of (name, picture) as a JPEG; all pictures are made `height` pixels tall."""
    lines = [[(name, _image(picture, height)) for name, picture in row] for row in rows]
    width = max(sum(image.width + GAP for _, image in row) for row in lines)
    sheet = Image.new("RGB", (width, len(lines) * (height + TITLE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    top = 0
    for row in lines:
        left = 0
        for name, image in row:
            pen.text((left + 2, top + 3), name, fill="black")
            sheet.paste(image, (left, top + TITLE))
            left += image.width + GAP
        top += height + TITLE + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=quality)


def shuffled(names: Sequence[str], seed: int) -> list[str]:
    """The methods in an order of chance, another one for each pair."""
    order = list(names)
    random.Random(seed).shuffle(order)
    return order
