"""A film repainted: each frame goes on with what the one before has left. Matches and pixels move along with the scene, and only
patches that are new, or whose match no longer fits, are searched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import StyleError
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import resized
from minitorch_style.kernels.patches import Field, PatchKernels
from minitorch_style.restroke.canvas import Canvas
from minitorch_style.restroke.guide import scaled
from minitorch_style.restroke.paintings import UNIT, Paintings, Palette
from minitorch_style.restroke.strokes import Strokes, canvases, mixed, rounds_of

# A match stays until it fits so many times worse than when it was found, and by so much more for each pixel of its patch,
# which a camera's noise does not reach.
WORSE, NOISE = 2.0, 0.5 * UNIT


@dataclass(frozen=True)
class Level:
    """What a frame has left of one level: `picture` (h, w, 3), `field` its patches' matches, `aside` (rows, columns, 2) how
    far right and down of those they truly lie, up to half a pixel, and `fit` (rows, columns) how far each match was from
    its patch when it was found."""

    picture: Float32
    field: Field
    aside: Float32
    fit: Float32


@dataclass(frozen=True)
class Moved:
    """How the scene has moved since the frame before: `back` (H, W, 2) leads each pixel right and down to where it was,
    `trust` (H, W) is 1 where that can be believed, else 0; `carry(picture, back)` reads a picture there."""

    back: Float32
    trust: Float32
    carry: Callable[[Float32, Float32], Float32]

    def at(self, size: tuple[int, int]) -> Moved:
        """For pictures of another (height, width)."""
        if self.trust.shape == size:
            return self
        scale = np.array([size[1] / self.trust.shape[1], size[0] / self.trust.shape[0]], np.float32)
        trust = np.where(resized(self.trust[..., None], size)[..., 0] > 0.9, np.float32(1), np.float32(0))
        return Moved(resized(self.back, size) * scale, trust, self.carry)


def repaint_next(
    plan: Float32,
    photo: Float32,
    paintings: Paintings,
    strokes: Strokes,
    kernels: PatchKernels,
    before: Sequence[Level] = (),
    moved: Moved | None = None,
    fine: Float32 | None = None,
) -> tuple[Float32, list[Level]]:
    """The frame `photo` (H, W, 3) repainted after its `plan` of any size, and what the next frame goes on from: `before` is
    that of the one before, from which the scene has `moved`. A scene's first frame is painted as `restroke` does it, and
    `fine` (H, W, 1) is as there; it may come and go. ShapeError if it is smaller than a patch."""
    levels: list[Level] = []
    picture: Float32 | None = None
    for number, canvas in enumerate(canvases(plan, photo, paintings, strokes, kernels, fine=fine)):
        if moved is not None and number < len(before):
            level = _followed(canvas, before[number], moved.at(canvas.size))
        else:
            level = _begun(canvas)
        if canvas.size == photo.shape[:2]:
            level = replace(level, picture=canvas.picture.copy())  # sharpened in its place
            canvas.sharpen(strokes.sharpness)
            below = None if picture is None else to_bytes(picture)  # as in a picture
            picture = canvas.picture if below is None or fine is None else mixed(below, canvas.picture, fine)
        levels.append(level)
    assert picture is not None
    return picture, levels


def check_levels(levels: Sequence[Level], size: tuple[int, int], paintings: Paintings, strokes: Strokes) -> None:
    """StyleError unless a frame of `size` (height, width) can have left these."""
    count = len(rounds_of(size, paintings, strokes))
    if len(levels) not in (count, count + 1):
        raise StyleError(f"expected {count} levels, and one of what is fine, got {len(levels)}")
    for number, level in enumerate(levels, 1):
        height, width = scaled(size, max(0, count - number))
        side = strokes.side if number <= count else strokes.fine_side
        field = height - side + 1, width - side + 1
        shapes = {"picture": (height, width, 3), "field": field, "aside": (*field, 2), "fit": field}
        if any(getattr(level, name).shape != shape for name, shape in shapes.items()):
            raise StyleError(f"level {number} of {count} has arrays of other shapes")
        if level.field.dtype != np.int32 or any(
            array.dtype != np.float32 for array in (level.picture, level.aside, level.fit)
        ):
            raise StyleError(f"level {number} of {count} has arrays of other types")
        if not np.all(np.abs(level.aside) <= 0.5):
            raise StyleError(f"level {number} of {count} has matches more than half a pixel aside")


def _begun(canvas: Canvas) -> Level:
    for _ in range(canvas.rounds):
        canvas.round()
    return Level(canvas.picture, canvas.field, np.zeros((*canvas.field.shape, 2), np.float32), _fit(canvas))


def _fit(canvas: Canvas) -> Float32:
    """How far each match is from its patch; 0 where nothing was painted, so that it is searched for once it is."""
    found = canvas.distances()
    return found if canvas.active is None else np.where(canvas.active, found, np.float32(0))


def _followed(canvas: Canvas, before: Level, moved: Moved) -> Level:
    """Where the flow leads into the picture its match is tried, believed or not: whether it fits is seen."""
    field, aside, fit, known = _carried(before, moved.back, canvas.palette)
    picture = canvas.picture + moved.trust[..., None] * (moved.carry(before.picture, moved.back) - canvas.picture)
    anew = canvas.picture, canvas.field
    canvas.go_on(picture, np.where(known, field, canvas.field))
    known &= canvas.distances() <= np.float32(WORSE) * fit + np.float32(NOISE * canvas.palette.side**2)
    stale = _around(~known, canvas.palette.side)
    canvas.go_on(np.where(stale[..., None], anew[0], picture), np.where(known, field, anew[1]))
    canvas.round(~known)
    aside[~known] = 0
    return Level(canvas.picture, canvas.field, aside, np.where(known, fit, _fit(canvas)))


def _around(patches: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """The pixels in the middle of these patches, (H, W); beyond the outermost middles as there."""
    return np.pad(patches, side // 2, "edge")


def _carried(before: Level, back: Float32, palette: Palette) -> tuple[Field, Float32, Float32, npt.NDArray[np.bool_]]:
    """(field, aside, fit, known): matches moved by the flow `back`, to the nearest pixel and what is aside of it."""
    radius, width = palette.side // 2, palette.pixels.shape[1]
    rows, columns = before.field.shape
    middle = back[radius : radius + rows, radius : radius + columns]
    steps = np.rint(middle)
    to_column = np.arange(columns) + steps[..., 0].astype(np.int32)
    to_row = np.arange(rows)[:, None] + steps[..., 1].astype(np.int32)
    column, row = to_column.clip(0, columns - 1), to_row.clip(0, rows - 1)
    known = (column == to_column) & (row == to_row)
    aside = before.aside[row, column] + (middle - steps)
    whole = np.rint(aside)
    aside -= whole
    top, left = np.divmod(before.field[row, column], width)
    top, left = top + whole[..., 1].astype(np.int32), left + whole[..., 0].astype(np.int32)
    known &= (top >= 0) & (top < len(palette.pixels)) & (left >= 0) & (left < width)
    field = np.where(known, top * width + left, 0).astype(np.int32)
    known &= palette.allowed[field]
    return field, aside, before.fit[row, column], known
