"""Animated pictures by Pillow: WebP, which FFmpeg writes but does not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ImageError
from minitorch_style.image.io import MAX_PIXELS

DEFAULT_MILLISECONDS = 100  # where the file says 0, as browsers do


def animation(path: Path) -> Iterator[tuple[Rgb8, int]]:
    """(pixels (H, W, 3) over white, milliseconds) of each frame of a WebP; ImageError for what is none."""
    try:
        from PIL import Image

        with Image.open(path, formats=["WEBP"]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{path}: {image.width}×{image.height} pixels are too many")
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()
                shown = image.convert("RGBA")
                white = Image.new("RGBA", shown.size, (255, 255, 255, 255))
                pixels = np.asarray(Image.alpha_composite(white, shown).convert("RGB"))
                yield pixels, int(image.info.get("duration", 0)) or DEFAULT_MILLISECONDS
    except ImportError as error:
        raise ImageError(f"{path}: WebP is read by Pillow, which is not installed") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise ImageError(f"{path}: no WebP that can be read ({error})") from error
