"""Everything that can stand for a picture → `Picture`: files, bytes, open files, arrays, Pillow's images."""

from __future__ import annotations

import os
import sys
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.errors import ImageError, ShapeError
from minitorch_style.image.io import USUAL, Picture, Room, load_picture, picture_of_image, read_picture
from minitorch_style.image.resize import PILLOW, reduced_size, resized

# A file (its name, its bytes, open for reading), pixels as `picture_of` says, Pillow's image, or a picture already read.
Source: TypeAlias = Any
TOLERANCE = 0.01  # floats may leave [0, 1] by this much, as rounding and resizing make them
BLACK = 0.5 / 255  # what all becomes black at


def picture_of(source: Source, size: int | None = None, room: Room = USUAL, name: str = "picture") -> Picture:
    """The picture that `source` stands for, its longest side reduced to `size` pixels, never enlarged.

    Arrays are grey (H, W) or (H, W, 1), RGB (H, W, 3), or RGBA (H, W, 4) with alpha that is not premultiplied; whole
    numbers count by the range of their type (uint8: 0 … 255, uint16: 0 … 65535), floats are in [0, 1], booleans are black
    and white. `name` is what messages call a source that has none. ImageError for what cannot be read (or would take
    more than there is `room` for) and for values outside their range, ShapeError for arrays of another shape.
    """
    if isinstance(source, Picture):
        return _reduced(_checked(source, name), size)
    if isinstance(source, str | os.PathLike):
        return load_picture(source, size, room)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_picture(BytesIO(source), name, size, room)
    if callable(getattr(source, "read", None)):
        return _of_file(source, name, size, room)
    if _is_image(source):
        return picture_of_image(source, name, size, room)
    if hasattr(source, "__array__"):
        return _of_array(np.asarray(source), name, size)
    raise ImageError(f"{name}: expected a file's name, its bytes, an open file or pixels, got {type(source).__name__}")


def is_one(source: Source | Any) -> bool:
    """Whether this is a single source, not a sequence of them."""
    kinds = (Picture, str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(source, kinds) or hasattr(source, "read") or hasattr(source, "__array__") or _is_image(source)


def _is_image(source: Any) -> bool:
    """Whether `source` is one of Pillow's; a program that has one has imported it."""
    module = sys.modules.get("PIL.Image")
    return PILLOW and module is not None and isinstance(source, module.Image)


def _of_file(file: Any, name: str, size: int | None, room: Room) -> Picture:
    name = str(getattr(file, "name", name))
    try:
        if isinstance(file.read(0), str):
            raise ImageError(f"{name}: is open for text; open it with mode 'rb'")
        if not file.seekable():
            file = BytesIO(file.read())
    except (AttributeError, OSError, TypeError, ValueError) as error:  # closed, write-only, or no file at all
        raise ImageError(f"{name}: cannot be read ({error})") from error
    return read_picture(file, name, size, room)


def _of_array(array: npt.NDArray[Any], name: str, size: int | None) -> Picture:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ShapeError(f"{name}: expected pixels (height, width), or (height, width, 1, 3 or 4), got {array.shape}")
    if array.dtype == np.uint8 and PILLOW:  # as from a file, to the last bit
        from PIL import Image

        array = array[..., 0] if array.shape[2] == 1 else array
        there = Image.fromarray(np.ascontiguousarray(array))
        return picture_of_image(there, name, size, Room(large=True))
    values = _in_unit_range(array, name)
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    if values.shape[2] == 3:
        return _reduced(Picture(values), size)
    alpha = np.ascontiguousarray(values[..., 3])
    pixels = 1 + alpha[..., None] * (values[..., :3] - 1)  # over white
    return _reduced(Picture(pixels, None if alpha.min() == 1 else alpha), size)


def _in_unit_range(array: npt.NDArray[Any], name: str) -> Float32:
    """Values of any type as float32 in [0, 1]. ImageError for values that are not what their type says."""
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    if np.issubdtype(array.dtype, np.floating):
        return _floats(array, name)
    if not np.issubdtype(array.dtype, np.integer):
        raise ImageError(f"{name}: expected numbers, got an array of {array.dtype}")
    least, most, white = int(array.min()), int(array.max()), int(np.iinfo(array.dtype).max)
    if least < 0:
        raise ImageError(f"{name}: {array.dtype} pixels must be from 0 to {white}, found {least}")
    if 0 < most < BLACK * white:
        raise ImageError(
            f"{name}: {array.dtype} pixels are from 0 to {white}, found none above {most}: all would be black; convert them "
            "to uint8 (.astype(np.uint8)) if white is 255"
        )
    scaled: Float32 = np.divide(np.ascontiguousarray(array), np.float32(white), dtype=np.float32, casting="unsafe")
    return scaled


def _floats(array: npt.NDArray[Any], name: str) -> Float32:
    least, most = float(array.min()), float(array.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        found = "NaN" if np.isnan(least) or np.isnan(most) else "infinity"
        raise ImageError(f"{name}: floating-point pixels must be from 0 to 1, found {found}")
    if least < -TOLERANCE or most > 1 + TOLERANCE:
        raise ImageError(
            f"{name}: floating-point pixels must be from 0 to 1, found {least:g} to {most:g}; divide by what white is, or "
            "give uint8"
        )
    values = np.ascontiguousarray(array, np.float32)
    return values if least >= 0 and most <= 1 else np.clip(values, 0, 1)


def _checked(picture: Picture, name: str) -> Picture:
    """A picture as given, or with its pixels in [0, 1] where they were out by a rounding."""
    values, alpha = np.asarray(picture.values), picture.alpha
    if values.ndim != 3 or values.shape[2] != 3 or not values.size:
        raise ShapeError(f"{name}: expected pixels (height, width, 3), got {values.shape}")
    if alpha is not None and alpha.shape != values.shape[:2]:
        raise ShapeError(f"{name}: expected alpha {values.shape[:2]} as its pixels, got {alpha.shape}")
    checked = None if alpha is None else _in_unit_range(alpha, name)
    pixels: Pixels = picture.values if values.dtype == np.uint8 else _in_unit_range(values, name)
    return Picture(pixels, checked, picture.notes, picture.reading_bytes)


def _reduced(picture: Picture, size: int | None) -> Picture:
    target = reduced_size(picture.size, size)
    if target == picture.size:
        return picture
    pixels, alpha = picture.pixels, picture.alpha
    pixels = np.clip(resized(pixels, target, "lanczos"), 0, 1)
    alpha = None if alpha is None else np.clip(resized(alpha[..., None], target, "lanczos")[..., 0], 0, 1)
    return Picture(pixels, alpha, picture.notes, picture.reading_bytes)
