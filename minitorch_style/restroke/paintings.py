"""The paintings that lend their strokes: cropped, halved, and cut into patches, once for all pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from minitorch_style.arrays import Float32, Float64
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.image.io import Picture
from minitorch_style.image.resize import resized
from minitorch_style.kernels.blas import one_thread
from minitorch_style.kernels.buffers import roomy
from minitorch_style.kernels.patches import SLACK, Field, PatchKernels
from minitorch_style.restroke.guide import scaled

AXES = 20  # numbers that stand for a patch while it is searched
BIN = 4  # pixels; squares of the painting whose use is counted
COUNTED = 1 << 18  # matches at once
SAMPLE = 8192  # patches that the axes are made from
WHOLE = 4  # a painting with a tenth too much of the picture costs like a square used 0.4 times too often
UNIT = 0.005  # squared difference of colors that a square used at its fair share costs a pixel


@dataclass(frozen=True)
class Palette:
    """The paintings at one level, under one another on one canvas, and all of their patches of one size."""

    pixels: Float32  # (h, w, 3)
    side: int
    places: tuple[tuple[int, int, int], ...]  # (first row, height, width) of each painting
    allowed: npt.NDArray[np.bool_]  # (h·w,): corners of patches that may be used
    fair: Float64  # (squares,): the share of all patches that each square is to have; together 1
    axes: Float32  # (side·side·3, AXES)
    step: int  # keys are the patches at every step-th row and column
    corners: Field  # (m,): of the keys
    halves: Float32  # (m,): half the squared length of each key
    keys: Any  # as the kernels pack them

    def penalty(self, counts: npt.NDArray[np.int64] | None, weight: float) -> Float32:
        """What using each corner's patch costs when the squares have been used so often; (h·w,), infinite where it may not
        be used."""
        cost = np.zeros(len(self.fair), np.float32)
        if counts is not None and counts.any():
            used = counts / np.maximum(self.fair * counts.sum(), 1e-9) + WHOLE * self._whole(counts)
            cost = (weight * self.side**2 * UNIT * used).astype(np.float32)
        height, width, _ = self.pixels.shape
        rows, columns = (_squares(np.arange(size), self.side) for size in (height, width))
        penalty = np.empty((height, width), np.float32)
        for out, first in zip(penalty, rows * _squares_across(width, self.side), strict=True):
            np.take(cost, first + columns, out=out)
        np.copyto(penalty.reshape(-1), np.float32(np.inf), where=~self.allowed)
        return penalty.reshape(-1)

    def _whole(self, counts: npt.NDArray[np.int64]) -> Float64:
        """For each square how much more of all patches its painting has than its share."""
        across = _squares_across(self.pixels.shape[1], self.side)
        starts = [_squares(top, self.side) * across + _squares(0, self.side) for top, *_ in self.places]
        used, share = np.add.reduceat(counts, starts) / counts.sum(), np.add.reduceat(self.fair, starts)
        out = np.zeros(len(counts))
        out[starts[0] :] = np.repeat(used - share, np.diff([*starts, len(counts)]))
        return out

    def counts(self, used: Field) -> npt.NDArray[np.int64]:
        """How often each square is used by the given matches."""
        return _counts(used.ravel(), self.pixels.shape[1], self.side, len(self.fair))


def _squares(corners: Any, side: int) -> Any:
    """Along one axis, the squares that the middles of patches lie in."""
    return (corners + side // 2) // BIN


def _squares_across(width: int, side: int) -> int:
    return int(_squares(width, side)) + 1


def _counts(corners: npt.NDArray[Any], width: int, side: int, length: int) -> npt.NDArray[np.int64]:
    """How many of these patches lie in each square. They are counted in parts, for NumPy makes each 8 bytes."""
    found = np.zeros(length, np.int64)
    for first in range(0, len(corners), COUNTED):
        rows, columns = np.divmod(corners[first : first + COUNTED], corners.dtype.type(width))
        squares = _squares(rows, side) * _squares_across(width, side) + _squares(columns, side)
        found += np.bincount(squares, minlength=length)
    return found


def _checked(painting: Float32 | Picture, mask: Float32 | None) -> Picture:
    picture = painting if isinstance(painting, Picture) else Picture(painting)
    values = picture.values
    if values.ndim != 3 or values.shape[2] != 3 or not values.size:
        raise ShapeError(f"expected a painting (height, width, 3), got an array {values.shape}")
    if mask is not None and mask.shape != (*picture.size, 1):
        raise ShapeError(f"the mask of a painting {picture.size} must be {(*picture.size, 1)}, is {mask.shape}")
    return picture


@dataclass(frozen=True)
class _Trimmed:
    """A painting without the part `trim` of its height and width at each border."""

    picture: Picture
    mask: Float32 | None
    trim: float

    @property
    def size(self) -> tuple[int, int]:
        height, width = (size - 2 * round(self.trim * size) for size in self.picture.size)
        return height, width

    def at(self, halvings: int) -> tuple[Float32, Float32 | None]:
        """Pixels (h, w, 3) and mask (h, w, 1), halved so many times."""
        size, (top, left) = scaled(self.size, halvings), (round(self.trim * size) for size in self.picture.size)
        inner = np.s_[top : top + self.size[0], left : left + self.size[1]]
        mask = None if self.mask is None else resized(self.mask[inner], size)
        return resized(self.picture.pixels[inner], size), mask


@dataclass
class Paintings:
    """`pictures`, or their pixels (h, w, 3), at the scale of the result. `shares` say how much of it each is to give
    (default: equal parts), `masks` (h, w, 1) which parts of each may be used (above 0.5), and `trim` the fraction of
    height and width that is cut away at each border: frames, signatures. What a level needs is made when it is asked
    for; to `keep` it saves that for the next photo.

    ShapeError where a painting is no picture or less than a patch; SettingsError where masks or shares do not fit.
    """

    pictures: Sequence[Float32 | Picture]
    shares: Sequence[float] | None = None
    masks: Sequence[Float32 | None] | None = None
    trim: float = 0.02
    keep: bool = True  # for another photo
    _palettes: dict[tuple[int, int, int, str], Palette] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        count = len(self.pictures)
        shares = [1.0] * count if self.shares is None else [float(share) for share in self.shares]
        masks = [None] * count if self.masks is None else list(self.masks)
        if not count or len(shares) != count or len(masks) != count:
            raise SettingsError(
                f"{count} paintings with {len(shares)} shares and {len(masks)} masks: need as many of each"
            )
        if min(shares) < 0 or not 0 < sum(shares) < np.inf:
            raise SettingsError(f"shares of the paintings must not be negative, and some above 0, are {shares}")
        if not 0 <= self.trim < 0.5:
            raise SettingsError(f"the trim of the paintings' borders must be in [0, 0.5), is {self.trim}")
        given = zip(self.pictures, masks, shares, strict=True)
        self._trimmed = [_Trimmed(_checked(picture, mask), mask, self.trim) for picture, mask, share in given if share]
        self._shares = [share / sum(shares) for share in shares if share]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each that is used."""
        return [one.picture.size for one in self._trimmed]

    @property
    def nbytes(self) -> int:
        """Bytes of what was read of them."""
        return sum(int(one.picture.values.nbytes) for one in self._trimmed)

    @property
    def smallest(self) -> int:
        """Pixels of the shortest side of any of them."""
        return min(min(one.size) for one in self._trimmed)

    def at(self, halvings: int, side: int, step: int, kernels: PatchKernels) -> Palette:
        """The paintings halved so many times, cut into patches of `side` pixels, every `step`-th of them a key."""
        name = (halvings, side, step, type(kernels).__name__)
        if name in self._palettes:
            return self._palettes[name]
        made = self._palette(halvings, side, step, kernels)
        if self.keep:
            self._palettes[name] = made
        return made

    def _palette(self, halvings: int, side: int, step: int, kernels: PatchKernels) -> Palette:
        sizes = [scaled(one.size, halvings) for one in self._trimmed]
        smallest = min(sizes, key=min)
        if min(smallest) < side:
            raise ShapeError(
                f"a painting of {smallest[0]}×{smallest[1]} pixels (without its border) has no patch of {side}×{side}"
            )
        unit = max(BIN, step)
        tall = [-(-size[0] // unit) * unit for size in sizes]  # no square lies in two paintings
        height, width = sum(tall), max(size[1] for size in sizes)
        canvas = roomy((height, width, 3), SLACK)
        allowed = np.zeros((height, width), bool)
        fair = np.zeros(_squares(height - 1, side) * _squares_across(width, side) + _squares(width - 1, side) + 1)
        places = []
        top = 0
        for one, size, share, taken in zip(self._trimmed, sizes, self._shares, tall, strict=True):
            picture, mask = one.at(halvings)
            np.clip(picture, 0, 1, out=canvas[top : top + size[0], : size[1]])
            del picture
            corners = np.s_[top : top + size[0] - side + 1, : size[1] - side + 1]
            usable = allowed[corners]
            usable[...] = True
            if mask is not None:
                usable[...] = sliding_window_view(mask[..., 0], (side, side)).min((2, 3)) > 0.5
            if not usable.any():
                raise SettingsError(f"the mask of a painting leaves no patch of {side}×{side} pixels to paint with")
            own = np.flatnonzero(allowed[top : top + size[0]]) + top * width
            fair += share / len(own) * _counts(own, width, side, len(fair))
            places.append((top, *size))
            top += taken
        axes = _axes(canvas, allowed, side)
        on_grid = np.flatnonzero(allowed[: height - side + 1 : step, : width - side + 1 : step])
        keys = kernels.project(canvas, axes, side, step)
        columns_of_keys = keys.shape[1]
        keys = keys.reshape(-1, axes.shape[1])[on_grid]
        corners_of_keys = on_grid // columns_of_keys * step * width + on_grid % columns_of_keys * step
        halves = np.einsum("ij,ij->i", keys, keys) / 2
        return Palette(
            canvas, side, tuple(places), allowed.ravel(), fair, axes,
            step, corners_of_keys.astype(np.int32), halves, kernels.pack(keys),
        )  # fmt: skip


def _axes(canvas: Float32, allowed: npt.NDArray[np.bool_], side: int) -> Float32:
    """The leading principal axes of the patches (side·side·3, AXES), from a regular sample of them."""
    corners = np.flatnonzero(allowed)
    corners = corners[:: -(-len(corners) // SAMPLE)]
    windows = sliding_window_view(canvas, (side, side), (0, 1))[np.divmod(corners, canvas.shape[1])]
    patches = windows.transpose(0, 2, 3, 1).reshape(len(corners), -1).astype(np.float64)
    patches -= patches.mean(0)
    with one_thread():
        axes: Float32 = np.linalg.eigh(patches.T @ patches)[1][:, ::-1][:, :AXES].astype(np.float32)
    return axes
