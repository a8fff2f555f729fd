"""A camera's frames painted as they come, each as well as its milliseconds allow.

Every frame begins with the painted one before, moved along with the film, and with the curvature that L-BFGS has learnt
there; what is new begins under strokes of the painting. Then as many iterations follow as there is time for, and a step
more that is not looked at again: it costs no evaluation. Where there is no time for an iteration, every second frame makes
do with that step; a machine that is too slow even so paints smaller frames.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.engine.network import Network
from minitorch_style.errors import SettingsError
from minitorch_style.image.color import keep_colors
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import reduced_size, resized
from minitorch_style.image.sources import Source, picture_of
from minitorch_style.optimizers import State
from minitorch_style.style.targets import StyleTargets
from minitorch_style.transfer.checks import require_number, require_whole
from minitorch_style.transfer.settings import Settings
from minitorch_style.video import flow
from minitorch_style.video.colors import Colors
from minitorch_style.video.film import CONSISTENCY, Film, Pace, again, require_frame
from minitorch_style.video.quilt import quilted
from minitorch_style.video.temporal import Anchor, Painted, anchor

BUDGET_MS = 33.0  # 30 frames a second
LEAST_SIZE = 64
STEP = 0.8  # from one working size to the next smaller one
PATIENCE = 10  # frames that were too slow before the size is lowered, and thrice as many quick ones before it is raised
ENOUGH = 2  # iterations that a larger size must leave time for
LEARNT = 8  # iterations of a scene before a frame may do without one
FADE_SECONDS = 1.0
# From frame to frame, where the one before is known: this much of the color goes that is finer than FINE pixels, which a
# network hardly sees and the eye takes for speckles; this much of what it lacks in broad light and dark comes.
CALMED, FINE = 0.3, 5
REFRESHED = 0.03
PALETTE = 96  # pixels of a painting, when only its colors matter


class Live:
    """Paints a camera's frames in the manner of `painting`, a picture or several.

    size: the longer side of the pictures. budget_ms: how long a frame may take. consistency: from 0, lively, to 1, still.
    `settings` are the fields of `Settings` for the method gram. SettingsError, ImageError for what cannot be.

    live = ms.Live("painting.jpg")
    picture = live.next(frame)  # (H, W, 3) uint8, both

    `painting` may be set to another while it runs, and fades in over a second. `working_size` is the longer side at which
    the last frame was painted, `iterations` how many of the optimizer it got.
    """

    def __init__(
        self,
        painting: Source | Sequence[Source],
        size: int = 256,
        budget_ms: float = BUDGET_MS,
        consistency: float = CONSISTENCY,
        network: Network | None = None,
        **settings: Any,
    ) -> None:
        require_whole("size", size, LEAST_SIZE, None)
        require_number("budget_ms", budget_ms, 1, None)
        if settings.get("method", "gram") != "gram":
            raise SettingsError(f"live pictures are painted by the method gram only, not by {settings['method']}")
        self.size, self.budget = size, budget_ms / 1000
        self._film = Film(painting, Settings(**{"method": "gram", **settings}), Pace(consistency), network)
        self._painting, self._colors = painting, self._colors_of()
        self._strokes: Float32 | None = None
        self._way = np.zeros(2)  # pixels (right, down) that the camera has gone since the scene began
        self.working_size, self.iterations = size, 0
        self._last: Painted | None = None
        self._state: State | None = None
        self._finder: flow.Flow | None = None
        self._fading: tuple[StyleTargets, float] | None = None
        self._each = self._spent = 0.0  # seconds of an iteration, of the last frame
        self._slow = self._quick = 0  # frames in turn
        self._learnt, self._rested = 0, False  # iterations of the scene; whether the last frame did without

    @property
    def painting(self) -> Source | Sequence[Source]:
        return self._painting

    @painting.setter
    def painting(self, painting: Source | Sequence[Source]) -> None:
        known = self._film
        film = Film(painting, known.settings, known.pace, known.network)
        before, size = self._style(), self._at
        if size is not None:
            film.prepare(size)  # refused before anything has changed
        self._film, self._painting = film, painting
        self._colors, self._strokes = self._colors_of(), None
        if size is not None:
            self._strokes_at(size)
        self._fading = None if before is None else (before, time.perf_counter())

    def prepare(self, size: tuple[int, int]) -> None:
        """Makes all that frames of `size` (height, width) need, and compiles what is not compiled: the first frame then is as
        quick as any. ShapeError if it is too small for the network."""
        noise = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
        for frame in noise:
            self.next(frame)
        self.next(frame)
        self._last = self._state = None
        self.working_size, self._spent, self._slow, self._quick = self.size, 0.0, 0, 0

    def next(self, frame: Rgb8) -> Rgb8:
        """The next frame, painted; `size` pixels long, or as long as the frame where that is smaller. ShapeError for what
        is no frame, or is too small for the network."""
        begun = time.perf_counter()
        require_frame(frame)
        if self._finder is None and flow.available(frame.shape[:2]):
            self._finder = flow.Flow(quick=True)
        whole = reduced_size((frame.shape[0], frame.shape[1]), self.size)
        small = self._resized(frame, reduced_size(whole, self.working_size))
        picture = self._painted(small, begun)
        self._adapt(time.perf_counter() - begun)
        return self._resized(to_bytes(picture), whole)

    def _painted(self, frame: Rgb8, begun: float) -> Float32:
        photo = _floats(frame)
        self._follow(frame.shape)
        held = None
        if self._last is not None:
            held = anchor([self._last], frame, self._finder, self._film.pace.strength)
        loss = self._film.objective(photo, self._style())
        start = self._start(held, photo)
        if held is None:  # the first frame, and each after a cut
            self._state = None
        f = loss if held is None else held.beside(loss)
        state = again(self._film.method, f, start, self._state)
        self.iterations = 0
        if held is None:
            self._learnt = 0
        may_rest = self._learnt >= LEARNT and not self._rested
        while state.stop is None:
            now = time.perf_counter()
            if (self.iterations or may_rest) and now + self._each > begun + self.budget:
                break
            state = self._film.method.step(f, state)
            self.iterations += 1
            spent = time.perf_counter() - now
            self._each = spent if not self._each else 0.8 * self._each + 0.2 * spent
        self._state, self._rested = state, not self.iterations
        self._learnt += self.iterations
        picture = np.clip(self._film.method.ahead(state), 0, 1)
        self._last = Painted(frame, picture, None if self._finder is None else self._finder.grey(frame))
        return keep_colors(picture, photo) if self._film.settings.preserve_color else picture

    def _start(self, held: Anchor | None, photo: Float32) -> Float32:
        """The frame before, moved along; what is not known of it, and all of a scene's first frame, is the photo in the
        colors of the painting, under its strokes."""
        if held is not None and (self._finder is None or held.moved is None):
            return held.target
        # Where strokes stayed on the screen as a camera pans, the same few columns would come again and again.
        back = np.zeros((1, 1, 2)) if held is None or held.moved is None else held.moved.back[::8, ::8]
        self._way = back.mean(axis=(0, 1)) + (0 if held is None else self._way)
        right, down = np.rint(self._way).astype(int)
        strokes = np.roll(self._strokes_at((photo.shape[0], photo.shape[1])), (-down, -right), axis=(0, 1))
        new = Colors.of(photo, self._colors)(photo)
        if held is None or self._finder is None:
            new += strokes
            return np.clip(new, 0, 1, out=new)
        lacking = new - held.target
        new += strokes
        start = self._finder.mean_around(lacking)
        start *= np.float32(REFRESHED)
        start += held.target
        # Their mean, in a third of its time.
        light = (start[..., :1] + start[..., 1:2] + start[..., 2:]) / np.float32(3)
        colors = np.subtract(start, light, out=lacking)
        coarser = self._finder.mean_around(colors, FINE)
        coarser -= colors
        coarser *= np.float32(CALMED)
        start += coarser
        np.copyto(start, new, where=held.trust == 0)
        return start

    def _strokes_at(self, size: tuple[int, int]) -> Float32:
        """The painting's strokes for frames of `size` (height, width), made when the first one comes."""
        if self._strokes is None or self._strokes.shape[:2] != size:
            self._strokes = quilted(self._film.paintings(size)[0], size)
        return self._strokes

    @property
    def _at(self) -> tuple[int, int] | None:
        """(height, width) of the last frame, as it was painted."""
        return None if self._last is None else (self._last.frame.shape[0], self._last.frame.shape[1])

    def _follow(self, shape: tuple[int, ...]) -> None:
        """Takes the last frame along to another working size; forgets it if the camera has turned."""
        last, size = self._last, (shape[0], shape[1])
        if last is None or self._at == size:
            return
        height, width = last.frame.shape[:2]
        self._last = self._state = None
        if abs(width * size[0] - height * size[1]) <= max(*size, height, width):  # the same aspect, but for rounding
            frame = self._resized(last.frame, size)
            grey = None if self._finder is None else self._finder.grey(frame)
            self._last = Painted(frame, np.clip(resized(last.picture, size), 0, 1), grey)

    def _style(self) -> StyleTargets | None:
        """What is painted towards now: the painting, or while it fades in, a blend of its Gram matrices with those before.
        None before the first frame."""
        if self._at is None:
            return None
        style = self._film.canvas(self._at).style
        if self._fading is None or style is None:
            return style
        before, begun = self._fading
        share = (time.perf_counter() - begun) / FADE_SECONDS
        if share >= 1:
            self._fading = None
            return style
        return style.after(before, share)

    def _colors_of(self) -> Float32:
        return picture_of(self._film.sources[0], PALETTE, name="style").pixels

    def _resized(self, frame: Rgb8, size: tuple[int, int]) -> Rgb8:
        if (frame.shape[0], frame.shape[1]) == size:
            return frame
        if self._finder is not None:
            return self._finder.resized(frame, size)
        return to_bytes(resized(_floats(frame), size))

    def _adapt(self, spent: float) -> None:
        """Lowers the working size where a single iteration takes too long, and raises it where more than enough fit."""
        both = (spent + (self._spent or spent)) / 2  # of every two frames one may do without an iteration
        self._spent = spent
        slow = both > self.budget and self.iterations <= 1
        once = spent - self._each * (self.iterations - ENOUGH)  # what ENOUGH iterations would have taken
        quick = self.working_size < self.size and once < STEP**2 * self.budget
        self._slow, self._quick = (self._slow + 1 if slow else 0), (self._quick + 1 if quick else 0)
        if self._slow >= PATIENCE and self.working_size > LEAST_SIZE:
            self._change(max(LEAST_SIZE, round(STEP * self.working_size)))
        elif self._quick >= 3 * PATIENCE:
            self._change(min(self.size, round(self.working_size / STEP)))

    def _change(self, size: int) -> None:
        self.working_size, self._each, self._spent, self._slow, self._quick = size, 0.0, 0.0, 0, 0


def _floats(frame: Rgb8) -> Float32:
    return frame.astype(np.float32) / np.float32(255)
