"""What is to be repainted: the plan at the photo's size, with the photo's fine light and dark given back to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.errors import ShapeError
from minitorch_style.image.resize import floats, resized

COLUMNS = 64  # of a picture at once
BLUR = 16  # the plan is trusted with what is coarser than so many pixels

EVENTFUL, AROUND = 0.08, 8  # deviation of light and dark, within so many pixels, above which a place is not calm
FINE_DETAIL = 1.0  # on faces: eyes must not smear


def scaled(size: tuple[int, ...], halvings: int) -> tuple[int, int]:
    """(height, width) halved so many times."""
    return max(1, round(size[0] / 2**halvings)), max(1, round(size[1] / 2**halvings))


def bands(width: int) -> Iterator[slice]:
    """Columns that are worked on at once, so that what is computed on the way takes little memory. Not rows: pictures are
    resized across first, and then each column for itself, to the same bits in whatever bands."""
    for left in range(0, width, COLUMNS):
        yield slice(left, min(width, left + COLUMNS))


class Columns(Protocol):
    """A picture (H, W, C) of which any columns can be had, (H, w, C)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, columns: slice) -> Float32: ...


@dataclass(frozen=True)
class Held:
    """A picture (H, W, C) that is there."""

    pixels: Float32

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __getitem__(self, columns: slice) -> Float32:
        return self.pixels[:, columns]


class Enlarged:
    """A small picture at another size (height, width), of which any columns are made when they are needed."""

    def __init__(self, pixels: Pixels, size: tuple[int, int], how: str = "bicubic") -> None:
        self.shape = (*size, pixels.shape[2])
        self._across, self._how = resized(pixels, (pixels.shape[0], size[1]), how), how

    def __getitem__(self, columns: slice) -> Float32:
        """(H, w, C)."""
        across = np.ascontiguousarray(self._across[:, columns])
        return resized(across, (self.shape[0], across.shape[1]), self._how)


def columns_of(picture: Float32 | Columns) -> Columns:
    return Held(picture) if isinstance(picture, np.ndarray) else picture


class Guide:
    """T = clamp(resize(plan) + κ·(Y − blur(Y))): Y is the mean of the photo's (H, W, 3) three channels, `detail` κ a number
    or one for each pixel, (H, W, 1). 0 leaves the plan as it is, above 1 edges look embossed. Where `fine` (H, W, 1) is
    1, κ is `FINE_DETAIL`."""

    def __init__(self, plan: Pixels, photo: Pixels, detail: Float32, fine: Columns | None = None) -> None:
        if plan.ndim != 3 or plan.shape[2] != 3 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ShapeError(f"expected pixels (height, width, 3), got a plan {plan.shape} and a photo {photo.shape}")
        self.size = size = photo.shape[0], photo.shape[1]
        self.shape = photo.shape
        if detail.ndim and detail.shape != (*size, 1):
            raise ShapeError(f"detail for each pixel of a photo {size} must be {(*size, 1)}, is {detail.shape}")
        self._photo, self._detail, self._fine = photo, detail, fine
        small = max(1, round(size[0] / BLUR)), max(1, round(size[1] / BLUR))
        luminance = np.empty((*size, 1), np.float32)
        for columns in bands(size[1]):
            luminance[:, columns] = self._luminance(columns)
        self._plan, self._blurred = Enlarged(plan, size), Enlarged(resized(luminance, small), size)

    def _luminance(self, columns: slice) -> Float32:
        luminance: Float32 = floats(self._photo[:, columns]).mean(axis=2, dtype=np.float32, keepdims=True)
        return luminance

    def __getitem__(self, columns: slice) -> Float32:
        """T in these columns, (H, w, 3)."""
        detail = self._detail[:, columns] if self._detail.ndim else self._detail
        if self._fine is not None:
            detail = detail + self._fine[columns] * (FINE_DETAIL - detail)
        wanted = self._plan[columns] + detail * (self._luminance(columns) - self._blurred[columns])
        return np.clip(wanted, 0, 1, out=wanted)


def assembled(picture: Columns, out: Float32 | None = None) -> Float32:
    """A copy of all of a picture, (H, W, C)."""
    made = np.empty(picture.shape, np.float32) if out is None else out
    for columns in bands(picture.shape[1]):
        made[:, columns] = picture[columns]
    return made


class Guidance:
    """μ, how much more a guide T (H, W, 3) counts than what has been painted: `most` where light and dark around a pixel
    deviate by EVENTFUL, in proportion where they do less, but at least `calm` of it."""

    def __init__(self, target: Float32, most: float, calm: float) -> None:
        size = target.shape[0], target.shape[1]
        small = max(1, size[0] // AROUND), max(1, size[1] // AROUND)
        light = target.mean(axis=2, dtype=np.float32, keepdims=True)
        self._mean = Enlarged(resized(light, small), size)
        np.square(light, out=light)
        self._square = Enlarged(resized(light, small), size)
        self.shape = (*size, 1)
        self._most, self._calm = most, calm

    def __getitem__(self, columns: slice) -> Float32:
        """(H, w, 1)."""
        mean, square = self._mean[columns], self._square[columns]
        deviation = np.sqrt(np.maximum(square - mean * mean, 0))
        shares: Float32 = np.float32(self._most) * (deviation / np.float32(EVENTFUL)).clip(self._calm, 1)
        return shares.astype(np.float32)
