"""Coarse to fine: each patch of the picture is matched to one of the paintings, and the matches are averaged to a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.errors import SettingsError, ShapeError, StyleError
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import floats, resized
from minitorch_style.kernels.patches import Field, PatchKernels, patch_kernels
from minitorch_style.restroke.canvas import Canvas, Matched, inherited
from minitorch_style.restroke.guide import Columns, Guidance, Guide, Held, assembled, bands, columns_of, scaled
from minitorch_style.restroke.paintings import Paintings
from minitorch_style.values import Arrays, from_arrays, to_arrays

COARSEST = 64  # pixels of the long side, below which nothing is halved
FINE_ROUNDS, FINE_GUIDANCE = 2, 3.0  # on faces: eyes must not smear
STEP = 2  # in a small picture every second row and column is searched for, and searched
SPARSE = 256  # above so many pixels of the long side every fourth is searched for: coherence finds what lies between
DENSE = 512  # up to so many, every second of the paintings' is searched; at twice as many every fourth, and so on


@dataclass(frozen=True)
class Strokes:
    """How to repaint.

    `detail` κ is how much of the photo's fine light and dark comes back (see `guide`), a number or one for each pixel
    (H, W, 1). Patches have 2·`radius` + 1 pixels. `rounds` and `guidance` μ (how much more the guide counts than what has
    been painted) are given by level, from the coarsest; where there are more levels the last number serves them all,
    where there are fewer the last ones count. Where the guide is flat only the part `calm` of μ is left: there the
    painting's own forms, its swirls, are welcome; 1 keeps a calm sky calm. `occurrence` λ is what keeps the use of the
    painting even: 0 smears, 3 is noisy. `sharpness` is the part of the result that is single pixels of the painting, not
    their mean."""

    detail: float | Float32 = 0.85
    radius: int = 3
    rounds: tuple[int, ...] = (3, 3, 3, 2)
    guidance: tuple[float, ...] = (3, 3, 3, 1)
    calm: float = 0.1
    occurrence: float = 1.0
    sharpness: float = 0.6

    def __post_init__(self) -> None:
        if self.radius < 1:
            raise SettingsError(f"the radius of a patch must be at least 1 pixel, is {self.radius}")
        if not self.rounds or min(self.rounds) < 1:
            raise SettingsError(f"each level needs at least one round, rounds are {self.rounds}")
        if not self.guidance or min(self.guidance) < 0:
            raise SettingsError(f"guidance must not be negative, is {self.guidance}")
        if not (self.occurrence >= 0 and 0 <= self.sharpness <= 1 and 0 <= self.calm <= 1):
            raise SettingsError(
                "occurrence must be at least 0, sharpness and calm in [0, 1], are "
                f"{self.occurrence}, {self.sharpness} and {self.calm}"
            )

    @property
    def side(self) -> int:
        """Pixels of a patch."""
        return 2 * self.radius + 1

    @property
    def fine_side(self) -> int:
        """Pixels of a patch where something is fine."""
        return 2 * max(1, self.radius - 1) + 1


INSTANT = Strokes(detail=1.0, radius=2, rounds=(2, 2, 2, 1))


@dataclass(frozen=True)
class Round:
    """One round of one level is done (both counted from 1); `picture` (h, w, 3) is of that level's size."""

    level: int
    levels: int
    number: int
    rounds: int
    picture: Pixels
    state: Callable[[], Arrays] | None = None  # all that is needed to go on from here, until the next round


@dataclass(frozen=True)
class _Done:
    """So many rounds of a level (from 0), and what they have left of its canvas; `whole` is the picture that what is fine
    is painted on, once the rest is done."""

    level: int
    rounds: int
    picture: Float32
    field: Field
    weights: Float32
    whole: Pixels | None = None


def _of_level(values: tuple[float, ...], level: int, levels: int) -> float:
    if levels < len(values):
        return values[level + len(values) - levels]
    return values[min(level, len(values) - 1)]


def steps_of(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns from one patch that is searched for to the next, and from one that is searched to the next."""
    keys = STEP
    while max(size) * STEP > DENSE * keys:
        keys *= 2
    return STEP if max(size) <= SPARSE else 2 * STEP, keys


def _halvings(size: tuple[int, int], paintings: Paintings, side: int) -> int:
    """How often picture and paintings can be halved before there is nothing left to see in them."""
    count = 0
    while max(size) >= COARSEST * 2 ** (count + 1) and min(min(size), paintings.smallest) >= 2 * side * 2 ** (
        count + 1
    ):
        count += 1
    return count


def rounds_of(size: tuple[int, int], paintings: Paintings, strokes: Strokes, fine: bool = False) -> tuple[int, ...]:
    """How many rounds each level will have, from the coarsest, for a picture of `size`; with what is fine, at last."""
    levels = _halvings(size, paintings, strokes.side) + 1
    rounds = (int(_of_level(strokes.rounds, level, levels)) for level in range(levels))
    return (*rounds, FINE_ROUNDS) if fine else tuple(rounds)


def _to_paint(
    guide: Guide, strokes: Strokes, halvings: int, first: int
) -> list[tuple[tuple[int, int], Columns, Guidance]]:
    """(size, target, guidance) of the levels from the `first` on, the coarsest at the end. The finest target, which would
    take most of the memory, is made of the guide again and again."""
    found: list[tuple[tuple[int, int], Columns, Guidance]] = []
    finest = assembled(guide)
    for level in reversed(range(first, halvings + 1)):
        here = scaled(guide.size, halvings - level)
        pixels = resized(finest, here)
        most = _of_level(strokes.guidance, level, halvings + 1)
        target = guide if level == halvings else Held(pixels)
        found.append((here, target, Guidance(pixels, most, strokes.calm)))
    return found


def canvases(
    plan: Pixels,
    photo: Pixels,
    paintings: Paintings,
    strokes: Strokes,
    kernels: PatchKernels,
    mask: Float32 | None = None,
    fine: Float32 | Columns | None = None,
    first: int = 0,
) -> Iterator[Canvas]:
    """The picture at each level, from the coarsest or the `first`, and at last with the smaller patches of what is `fine`;
    each begins with what its rounds have made of the one before."""
    size = photo.shape[0], photo.shape[1]
    if min(size) < strokes.side:
        raise ShapeError(f"a picture of {size[0]}×{size[1]} pixels has no patch of {strokes.side}×{strokes.side}")
    for name, given in (("mask", mask), ("fine", fine)):
        if given is not None and given.shape != (*size, 1):
            raise ShapeError(f"{name} of a photo {size} must be {(*size, 1)}, is {given.shape}")
    eyes = None if fine is None else columns_of(fine)
    guide = Guide(plan, photo, np.asarray(strokes.detail, np.float32), eyes)
    halvings = _halvings(size, paintings, strokes.side)
    to_paint = _to_paint(guide, strokes, halvings, first)
    coarser: Matched | None = None
    for level in range(first, halvings + 1):
        here, target, guidance = to_paint.pop()
        step, keys = steps_of(here)
        palette = paintings.at(halvings - level, strokes.side, keys, kernels)
        field, coarser = None if coarser is None else inherited(coarser, palette, here), None
        canvas = Canvas(
            here,
            target,
            guidance,
            palette,
            kernels,
            step=step,
            rounds=int(_of_level(strokes.rounds, level, halvings + 1)),
            occurrence=strokes.occurrence,
            active=None if mask is None else _active(Held(resized(mask, here)), strokes.side),
            field=field,
        )
        del palette, field
        yield canvas
        coarser = canvas.left()
        del canvas  # with its palette: there may not be memory for this and the next
    if eyes is not None:
        side = strokes.fine_side
        step, keys = steps_of(size)
        palette = paintings.at(0, side, keys, kernels)
        field, coarser = None if coarser is None else inherited(coarser, palette, size), None
        canvas = Canvas(
            size,
            guide,
            Held(np.broadcast_to(np.float32(FINE_GUIDANCE), (*size, 1))),
            palette,
            kernels,
            step=step,
            rounds=FINE_ROUNDS,
            occurrence=strokes.occurrence,
            active=_active(eyes, side, mask),
            field=field,
        )
        del palette, field
        yield canvas


def repaint(
    plan: Pixels,
    photo: Pixels,
    paintings: Paintings,
    strokes: Strokes | None = None,
    mask: Float32 | None = None,
    fine: Float32 | Columns | None = None,
    kernels: PatchKernels | None = None,
    state: Arrays | None = None,
) -> Iterator[Round]:
    """Repaints `plan` (any size) at the size of `photo` (H, W, 3), round by round; the last one's picture is the result.
    Where `mask` (H, W, 1) is 0 the photo stays; nothing is searched there. Where `fine` (H, W, 1) is 1, on faces, smaller
    patches and more of the photo's detail are used at the end, on what was painted as bytes. With the `state` of a
    round, on from there to the same bits. ShapeError if a picture is smaller than a patch, StyleError for a state of another
    one."""
    strokes, kernels = strokes or Strokes(), kernels or patch_kernels()
    size = photo.shape[0], photo.shape[1]
    levels = _halvings(size, paintings, strokes.side) + (1 if fine is None else 2)
    before = None if state is None else from_arrays(_Done, state)
    begun, whole = (0, None) if before is None else (before.level, before.whole)
    _check_begun(begun, whole, levels, fine is not None, photo.shape)
    level = begun
    for canvas in canvases(plan, photo, paintings, strokes, kernels, mask, fine, begun):  # `enumerate` would hold them
        level += 1
        finest, done, fleeting = canvas.size == size, 0, whole is not None
        if before is not None:
            canvas.restore(before.picture, before.field, before.weights)
            done, before, state, fleeting = before.rounds, None, None, False
        for number in range(done + 1, canvas.rounds + 1):
            canvas.round(fleeting=fleeting)
            last = number == canvas.rounds
            if finest and last:
                canvas.sharpen(strokes.sharpness)
            picture: Pixels = canvas.picture
            if whole is not None and fine is not None:
                picture, fleeting = canvas.picture if last else np.empty(photo.shape, np.uint8), True
                _mix(whole, canvas.picture, fine, picture)
            now = _Done(level - 1, number, canvas.picture, canvas.field, canvas.weights, whole)
            shown = picture if mask is None else mixed(photo, picture, mask)
            yield Round(level, levels, number, canvas.rounds, shown, partial(to_arrays, now))
            del picture, now, shown
        if finest:
            whole = None if fine is None else to_bytes(canvas.picture)  # there may be no memory for it in floats
        del canvas


def _check_begun(level: int, whole: Pixels | None, levels: int, fine: bool, shape: tuple[int, ...]) -> None:
    """StyleError unless a state of this level (from 0) is one of a picture of `shape` in so many levels."""
    if not 0 <= level < levels:
        raise StyleError(f"of {levels} levels there is none of number {level}")
    last = fine and level == levels - 1
    fits = whole is not None and whole.shape == shape and whole.dtype == np.uint8
    if not (fits if last else whole is None):
        raise StyleError(f"level {level} of {levels} does not begin with this picture")


def mixed(below: Pixels, above: Pixels, share: Float32 | Columns) -> Float32:
    """As much of `above` (H, W, 3) as `share` says, the rest of `below`; both may have other sizes."""
    made = np.empty(above.shape, np.float32)
    _mix(below, above, share, made)
    return made


def _mix(below: Pixels, above: Pixels, share: Float32 | Columns, out: Pixels) -> None:
    """Likewise into `out`, which may be `above`, or bytes."""
    size = above.shape[0], above.shape[1]
    below = below if below.shape[:2] == size else resized(below, size)
    if isinstance(share, np.ndarray):
        share = resized(share, size) if share.shape[:2] not in (size, (1, 1)) else np.broadcast_to(share, (*size, 1))
    shares = columns_of(share)
    for here in bands(size[1]):
        under = floats(below[:, here])
        made = under + shares[here].clip(0, 1) * (floats(above[:, here]) - under)
        out[:, here] = to_bytes(made) if out.dtype == np.uint8 else made


def _active(painted: Columns, side: int, mask: Float32 | None = None) -> npt.NDArray[np.bool_]:
    """Which patches of a picture touch what is to be painted, where the `mask` of the same size, (H, W, 1), allows it."""
    some = np.empty(painted.shape[:2], bool)
    for here in bands(painted.shape[1]):
        some[:, here] = (painted[here] if mask is None else painted[here] * mask[:, here])[..., 0] > 1e-3
    columns = np.any(sliding_window_view(some, side, 1), 2)
    touched: npt.NDArray[np.bool_] = np.any(sliding_window_view(columns, side, 0), 2)
    return touched


def restroke(
    plan: Pixels,
    photo: Pixels,
    paintings: Paintings,
    strokes: Strokes | None = None,
    mask: Float32 | None = None,
    fine: Float32 | None = None,
    kernels: PatchKernels | None = None,
    progress: Callable[[Round], bool | None] | None = None,
) -> Float32:
    """The result of `repaint`, (H, W, 3) in [0, 1]. `progress` is called after each round; where it returns True, or at a
    KeyboardInterrupt, the picture so far is the result, enlarged."""
    picture: Pixels = resized(plan, (photo.shape[0], photo.shape[1]))
    try:
        for done in repaint(plan, photo, paintings, strokes, mask, fine, kernels):
            picture = done.picture
            if progress is not None and progress(done):
                break
    except KeyboardInterrupt:
        pass
    return np.clip(resized(picture, (photo.shape[0], photo.shape[1])), 0, 1)
