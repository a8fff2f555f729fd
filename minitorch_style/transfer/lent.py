"""The paintings of a job, read at the size that its photo asks for, with what is made of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.errors import SettingsError, StyleError
from minitorch_style.files import check_readable
from minitorch_style.image.io import USUAL, Picture, Room, load_picture
from minitorch_style.image.resize import resized
from minitorch_style.image.sources import Source, is_one, picture_of
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.restroke import Paintings
from minitorch_style.transfer.descent import scaled
from minitorch_style.transfer.settings import Settings

SAME_SHAPE = 0.02  # the part by which a mask's sides may be in another proportion than its painting's


@dataclass(frozen=True)
class Enlarged(Picture):
    """A painting `shown` at another size (height, width) than its values, where it may take far more memory than in its
    file."""

    shown: tuple[int, int] = field(kw_only=True)

    @property
    def pixels(self) -> Float32:
        """(H, W, 3) of the size that is shown, made at each call."""
        made = resized(self.values, self.shown)
        return np.clip(made, 0, 1, out=None if made is self.values else made)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.shown


@dataclass(frozen=True)
class Lent:
    """Paintings at one size: `kept` is what the stages make of them, for further photos of that size."""

    pictures: list[Picture]  # `alpha`: which parts of a painting may lend strokes
    blend: tuple[float, ...] | None = None
    kept: Kept = field(default_factory=Nothing)

    @cached_property
    def strokes(self) -> Paintings:
        return Paintings(self.pictures, self.blend, self.masks, keep=not isinstance(self.kept, Nothing))

    @property
    def masks(self) -> list[Float32 | None]:
        """(H, W, 1) for each painting: above 0.5 where it may be used; None for all of it."""
        return [None if picture.alpha is None else picture.alpha[..., None] for picture in self.pictures]

    def replaced(self, pixels: Sequence[Float32]) -> Lent:
        """The same paintings with other colors, for one photo alone."""
        pictures = [replace(one, values=other) for one, other in zip(self.pictures, pixels, strict=True)]
        return Lent(pictures, self.blend)


def listed(style: Source | Sequence[Source]) -> list[Source]:
    """One painting or several as a list."""
    return list(style) if isinstance(style, Iterable) and not is_one(style) else [style]


def longest_side(settings: Settings, photo: tuple[int, int]) -> int:
    """Pixels of the longer side of the paintings for a photo of that size."""
    if settings.method == "gram":
        return settings.style_size or settings.size
    return settings.style_size or round(settings.stroke_size * max(photo))


def lend(
    style: Source | Sequence[Source],
    settings: Settings,
    photo: tuple[int, int],
    room: Room = USUAL,
    kept: Kept | None = None,
) -> Lent:
    """The paintings for a photo of that size; there is `room` to read one in. ImageError, SettingsError."""
    sources = listed(style)
    if not sources:
        raise SettingsError("no style picture given")
    if settings.style_blend is not None and len(settings.style_blend) != len(sources):
        raise SettingsError(f"{len(sources)} styles need as many blend weights, got {len(settings.style_blend)}")
    longest = longest_side(settings, photo)
    found = [picture_of(source, longest, room, f"style {number}") for number, source in enumerate(sources, 1)]
    if settings.method != "gram":
        found = [_enlarged(picture, longest) for picture in found]
    if settings.style_mask is not None:
        found = [_masked(found, settings.style_mask, room)]
    return Lent(found, settings.style_blend, kept or Nothing())


def _enlarged(picture: Picture, longest: int) -> Picture:
    """Its longer side at `longest` pixels: strokes are as large in the picture as in the painting, whatever its file's
    size."""
    size = scaled(picture.size, longest / max(picture.size))
    alpha = None if picture.alpha is None else resized(picture.alpha[..., None], size)[..., 0]
    return Enlarged(picture.values, alpha, picture.notes, picture.reading_bytes, shown=size)


def _masked(pictures: list[Picture], path: str, room: Room) -> Picture:
    """The one painting, transparent where the picture `path` is dark: no strokes are taken from there. SettingsError where
    there are several paintings, or the mask has another shape."""
    if len(pictures) != 1:
        raise SettingsError(
            f"style_mask is for one painting, and there are {len(pictures)}; transparent parts of a painting lend no "
            "strokes either"
        )
    try:
        check_readable(path)
    except StyleError as error:
        raise SettingsError(f"style_mask is no picture file: {error}") from error
    painting, mask = pictures[0], load_picture(path, max(pictures[0].size), room)
    (height, width), (tall, wide) = painting.size, mask.size
    if abs(np.log(tall * width / (wide * height))) > SAME_SHAPE:
        raise SettingsError(f"{path}: the mask, {wide}×{tall}, has another shape than the painting, {width}×{height}")
    light = resized(mask.pixels.mean(axis=2, keepdims=True), painting.size)[..., 0]
    alpha = light if painting.alpha is None else light * painting.alpha
    if not np.any(alpha > 0.5):
        raise SettingsError(f"{path}: the mask is dark everywhere, which leaves nothing of the painting")
    return replace(painting, alpha=alpha)
