"""A photo and its paintings at the sizes that a plan works at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.image.resize import resized
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.style.moments import Mask, Moments

SMALLEST = 4  # pixels of a side at the coarsest scale


def fitted(shape: tuple[int, ...], longest: float, multiple: int = 1) -> tuple[int, int]:
    """(height, width) of a picture of `shape` with its longer side at `longest` pixels, rounded to a multiple."""
    factor = longest / max(shape[:2])
    height, width = (max(SMALLEST, multiple * round(side * factor / multiple)) for side in shape[:2])
    return height, width


def at_scale(picture: Pixels, longest: float, multiple: int = 1) -> Float32:
    """Shrunk or enlarged to that size, in [0, 1]."""
    found = resized(picture, fitted(picture.shape, longest, multiple))
    return np.ascontiguousarray(np.clip(found, 0, 1), np.float32)


class Pictures:
    """A photo and its paintings, (H, W, 3) in [0, 1] of any size, at each of `scales` from the coarsest (0) to the last, at
    which the longer side of the photo has `size` pixels and that of each painting `stroke_size` as many. `shares` are
    the paintings' own and add up to 1; even ones by default. `masks`, (H, W, 1) or None, say which parts of each painting
    count (above 0.5).

    ShapeError for what is not a picture, SettingsError for shares, masks and sizes that cannot be.
    """

    def __init__(
        self,
        photo: Pixels,
        paintings: Sequence[Float32],
        shares: Sequence[float] | None,
        size: int,
        scales: int,
        stroke_size: float,
        multiple: int = 1,
        masks: Sequence[Float32 | None] | None = None,
    ) -> None:
        for picture in (photo, *paintings):
            if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                raise ShapeError(f"expected pixels (height, width, 3), got an array {picture.shape}")
        given = [1.0] * len(paintings) if shares is None else [float(share) for share in shares]
        if not paintings or len(given) != len(paintings) or min(given) < 0 or not 0 < sum(given) < float("inf"):
            raise SettingsError(f"expected {len(paintings)} shares of at least 0, not all 0; got {given}")
        if size < SMALLEST or scales < 1 or not 0 < stroke_size < float("inf"):
            raise SettingsError(
                f"a plan has at least {SMALLEST} pixels, a scale and a stroke size above 0; got {size} pixels, {scales} "
                f"scales, stroke size {stroke_size}"
            )
        if masks is not None and len(masks) != len(paintings):
            raise SettingsError(f"expected {len(paintings)} masks, got {len(masks)}")
        self.shares = [share / sum(given) for share in given]
        self.masks = [None] * len(paintings) if masks is None else list(masks)
        self._photo, self._paintings, self._multiple = photo, paintings, multiple
        self._size, self._scales, self._stroke_size = size, scales, stroke_size

    def at(self, scale: int) -> tuple[Float32, list[Float32]]:
        """(photo, paintings)."""
        longest = self._size / 2 ** (self._scales - 1 - scale)
        paintings = [at_scale(painting, longest * self._stroke_size, self._multiple) for painting in self._paintings]
        return at_scale(self._photo, longest, self._multiple), paintings


def within(mask: Float32, shape: tuple[int, ...]) -> Mask:
    """Which values (H, W) of a painting's feature maps (H, W, …) count: those that stand for places most of which the mask
    (h, w, 1) covers; where there are none, those that it covers most."""
    covered = resized(mask, (shape[0], shape[1]))[..., 0]
    found: Mask = covered > min(0.5, float(covered.max()) - 1e-6)
    return found


def moments_within(mask: Float32 | None, features: Buffer, kernels: KernelSet) -> Moments:
    """Of a painting's feature maps where its mask covers them, or of all of them."""
    return Moments.of(features, kernels, None if mask is None else within(mask, features.shape))
