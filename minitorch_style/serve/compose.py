"""What the page plays with after the work, computed once more for the file: colors, strength, and where.

`static/compose.js` does the same on the page; a test holds the two against each other.
"""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.image.color import keep_colors
from minitorch_style.image.io import to_bytes
from minitorch_style.serve.worker import Painted

COLORS, REGIONS = ("painting", "photo"), ("all", "person", "background")


def to_linear(values: Float32) -> Float32:
    """sRGB in [0, 1] to light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(light: Float32) -> Float32:
    """The way back."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def composed(painted: Painted, strength: float = 1.0, colors: str = "painting", region: str = "all") -> Rgb8:
    """(H, W, 3): the painted picture over the photo, blended in linear light, `strength` of it where `region` is."""
    if strength == 1 and colors == "painting" and region == "all":
        return painted.image
    image, photo = (picture.astype(np.float32) / np.float32(255) for picture in (painted.image, painted.photo))
    if colors == "photo":
        image = np.clip(keep_colors(image, photo), 0, 1)
    share = np.full((*image.shape[:2], 1), strength, np.float32)
    if region != "all":
        people = painted.people[..., None].astype(np.float32) / np.float32(255)
        share *= people if region == "person" else 1 - people
    below = to_linear(photo)
    return to_bytes(to_srgb(below + share * (to_linear(image) - below)))
