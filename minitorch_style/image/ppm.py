"""Pictures with nothing but NumPy, for boards without Pillow: binary PPM files, and resizing."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import ImageError

HEADER = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s")

Bytes = npt.NDArray[np.uint8]


class Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


Values = npt.NDArray[np.floating[Any]]


def decode(data: bytes, name: str) -> Bytes:
    """(H, W, 3) of a binary PPM file of 8 bits, which messages call `name`. ImageError for anything else."""
    header = HEADER.match(data)
    if header is None:
        raise ImageError(f"{name}: without Pillow only binary PPM pictures (P6) can be read")
    width, height, most = (int(number) for number in header.groups())
    if most != 255 or not width * height or len(data) - header.end() < 3 * width * height:
        raise ImageError(f"{name}: a damaged PPM picture, or one of more than 8 bits")
    return np.frombuffer(data, np.uint8, 3 * width * height, header.end()).reshape(height, width, 3)


def write(file: Writable, image: Bytes) -> None:
    """A binary PPM file of (H, W, 3), row by row."""
    file.write(b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]))
    for row in image:
        file.write(row.tobytes())


def encode(image: Bytes) -> bytes:
    """The same in memory."""
    stream = BytesIO()
    write(stream, image)
    return stream.getvalue()


def _weights(before: int, after: int) -> npt.NDArray[np.float32]:
    """(after, before): each new value as a weighted mean of old ones under a triangle, widened when shrinking."""
    scale = max(1.0, before / after)
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    triangle = np.maximum(0, 1 - np.abs(np.arange(before) - centres[:, None]) / scale)
    weights: npt.NDArray[np.float32] = (triangle / triangle.sum(1, keepdims=True)).astype(np.float32)
    return weights


def resample(values: Values, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W, C) at another size (height, width), bilinear, without aliasing when it shrinks."""
    rows = np.tensordot(_weights(values.shape[0], size[0]), values, axes=1)
    columns = np.tensordot(_weights(values.shape[1], size[1]), rows, axes=(1, 1))
    return np.ascontiguousarray(columns.transpose(1, 0, 2), np.float32)
