"""Films in the painting's own strokes: what the method `gram` paints is the plan of each frame, repainted with patches of the
painting that move along with the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.errors import ResumeError
from minitorch_style.image.resize import resized
from minitorch_style.image.sources import Source
from minitorch_style.kernels.patches import patch_kernels
from minitorch_style.plans.kept import Kept
from minitorch_style.restroke import Paintings, Strokes
from minitorch_style.restroke.carried import Level, Moved, check_levels, repaint_next
from minitorch_style.restroke.guide import Held
from minitorch_style.transfer.lent import lend
from minitorch_style.transfer.region import QUICK_SEGMENTER, has_quick_segmenter, somewhere
from minitorch_style.transfer.settings import Settings
from minitorch_style.values import Arrays, from_arrays, to_arrays
from minitorch_style.video.colors import Colors
from minitorch_style.video.flow import Flow, Motion
from minitorch_style.video.people import People

# More than in a picture, for what is kept from frame to frame blurs a little: at the same sharpness it is stiller so.
SHARPNESS = 0.8
MOST_KEPT = 0.95
# People whose pixels would fill a square of so many a side are small, or large: strokes are as broad as a small face's eyes.
SMALL, LARGE = 128, 384
PLAIN = 0.8  # part of the way from the plan of small people to the photo
FRAME, SHOWN, PEOPLE = "frame", "shown", "people"


def legible(plan: Float32, photo: Float32, likely: Float32) -> Float32:
    """The plan, of any size, of a photo (H, W, 3) where people are `likely` (H, W): they go towards the photo in the plan's
    colors, the further the smaller they are, for a bold plan leaves nothing of a small face."""
    side = np.sqrt(np.count_nonzero(likely > 0.5))
    share = np.float32(np.interp(side, (SMALL, LARGE), (PLAIN, 0)))
    if share == 0:
        return plan
    size = plan.shape[0], plan.shape[1]
    small = resized(photo, size)
    plain = Colors.of(small, plan)(small)
    return plan + share * resized(likely[..., None], size) * (plain - plan)


class Repainter:
    """Repaints the frames of a film in order. `consistency` is from 0, lively, to 1, still: its root is the part of what was
    shown that stays, moved along, where the flow is believed."""

    def __init__(self, sources: Sequence[Source], settings: Settings, kernels: str, consistency: float) -> None:
        self._sources, self._settings, self._kept = sources, settings, np.float32(min(consistency**0.5, MOST_KEPT))
        self._kernels, self._strokes = patch_kernels(kernels), Strokes(detail=settings.detail, sharpness=SHARPNESS)
        self._paintings: dict[tuple[int, int], Paintings] = {}
        self._people = People(QUICK_SEGMENTER, kernels) if has_quick_segmenter() else None  # who get smaller patches
        self._levels: list[Level] = []
        self.frame: Rgb8 | None = None  # the last one
        self._shown: Float32 | None = None

    def lend(self, sources: Sequence[Source]) -> None:
        """Other paintings, from the next scene on."""
        self._sources = sources
        self._paintings.clear()

    def paintings(self, size: tuple[int, int]) -> Paintings:
        """The paintings for frames of `size` (height, width), read when those first come: ImageError, SettingsError."""
        if size not in self._paintings:
            self._paintings = {size: lend(self._sources, self._settings, size, kept=Kept()).strokes}
        return self._paintings[size]

    def paint(self, plan: Float32, frame: Rgb8, begins: bool, motion: Motion | None, finder: Flow | None) -> Float32:
        """`frame` (H, W, 3) after its `plan` of any size, in [0, 1]. Unless a scene `begins`, everything has moved by
        `motion` since the one before, or where none is given stays where it is on the screen."""
        photo, before = frame.astype(np.float32) / np.float32(255), self._shown
        self.frame, fine = frame, None
        if self._people is not None:
            likely = self._people.find(photo, begins or before is None, motion, finder)
            fine = likely[..., None] if somewhere(Held(likely[..., None])) else None
            plan = plan if fine is None else legible(plan, photo, likely)
        given = plan, photo, self.paintings((frame.shape[0], frame.shape[1])), self._strokes, self._kernels
        if begins or before is None:
            self._shown, self._levels = repaint_next(*given, fine=fine)
            return self._shown
        if motion is None or finder is None:
            still = Motion(np.zeros((*frame.shape[:2], 2), np.float32), np.ones(frame.shape[:2], np.float32))
            moved = Moved(still.back, still.trust, lambda picture, back: picture)
            picture, self._levels = repaint_next(*given, self._levels, moved, fine)
        else:
            moved = Moved(motion.back, motion.trust, finder.carry)
            picture, self._levels = repaint_next(*given, self._levels, moved, fine)
            picture = finder.carry(picture, self._aside(frame.shape, fine, finder))
        kept = self._kept * moved.trust[..., None]
        self._shown = picture + kept * (moved.carry(before, moved.back) - picture)
        return self._shown

    def _aside(self, shape: tuple[int, ...], fine: Float32 | None, finder: Flow) -> Float32:
        """How far right and down of what their matches show the strokes are, (H, W, 2): patches move by whole pixels."""

        def of(level: Level) -> Float32:
            around = (shape[0] - len(level.aside)) // 2
            padded = np.pad(level.aside, ((around, around), (around, around), (0, 0)), "edge")
            return finder.mean_around(padded)

        if fine is None:
            return of(self._levels[-1])
        large, small = map(of, self._levels[-2:])
        return large + fine * (small - large)

    def state(self) -> Arrays:
        """All that the next frame depends on, until that is painted: {name: array}."""
        if self.frame is None or self._shown is None:
            return {}
        levels = {
            f"{number}/{name}": array
            for number, level in enumerate(self._levels)
            for name, array in to_arrays(level).items()
        }
        people = {} if self._people is None or self._people.likely is None else {PEOPLE: self._people.likely}
        return {FRAME: self.frame, SHOWN: self._shown, **people, **levels}

    def restore(self, state: Arrays) -> None:
        """Goes on as the one did that had this `state`, to the same bits. StyleError for what is none."""
        frame, shown = state.get(FRAME), state.get(SHOWN)
        if frame is None or shown is None or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ResumeError("no state of a repainted film")
        if shown.shape != frame.shape or shown.dtype != np.float32:
            raise ResumeError(f"no state of a repainted film (frame {frame.shape}, shown {shown.shape})")
        numbers = sorted({int(name.split("/")[0]) for name in state if "/" in name})
        levels = []
        for number in numbers:
            own = {name.split("/", 1)[1]: array for name, array in state.items() if name.startswith(f"{number}/")}
            levels.append(from_arrays(Level, own))
        size = frame.shape[0], frame.shape[1]
        check_levels(levels, size, self.paintings(size), self._strokes)
        if self._people is not None:
            if state.get(PEOPLE, np.empty(0)).shape != size:
                raise ResumeError("no state of a repainted film (where its people are)")
            self._people.likely = state[PEOPLE]
        self.frame, self._shown, self._levels = frame, shown, levels
