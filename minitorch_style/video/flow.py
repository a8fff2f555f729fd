"""What has moved from one frame to the next, by DIS optical flow (Kroeger et al. 2016); the only importer of OpenCV.

A flow (H, W, 2) from frame a to frame b holds for each pixel of a how far right and down it has moved in b, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Rgb8

# At rest: so many pixels of flow at most, squared differences by so much larger without it, or by so many levels of 255.
REST_PIXELS, REST_RATIO, REST_LEVELS = 0.3, 1.25, 1.0
AROUND = 9  # pixels
LARGE = 256  # pixels of the longer side: quick flows of larger frames are found at half their size
SMALLEST = 16  # pixels a side: below, DIS has no patches to compare


def available(size: tuple[int, int]) -> bool:
    """Whether flows of frames of `size` (height, width) can be found here: OpenCV is an extra."""
    return min(size) >= SMALLEST and find_spec("cv2") is not None


class Flow:
    """Finds flows; holds OpenCV's buffers. `quick` carries pictures bicubically, in a tenth of Lanczos' time, and looks at
    large frames at half their size, in half the time."""

    def __init__(self, quick: bool = False) -> None:
        import cv2

        self._cv2: Any = cv2
        self._carrying = cv2.INTER_CUBIC if quick else cv2.INTER_LANCZOS4
        self._dis = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self.half: Flow | None = Flow() if quick else None  # finds the motion of large frames
        if self.half is not None:
            self.half._dis.setFinestScale(self._dis.getFinestScale() - 1)  # as large as in the whole

    def grey(self, frame: Rgb8) -> Rgb8:
        """(H, W), what flows are found on."""
        return np.asarray(self._cv2.cvtColor(np.ascontiguousarray(frame), self._cv2.COLOR_RGB2GRAY), np.uint8)

    def between(self, first: Rgb8, second: Rgb8) -> Float32:
        """The flow from one grey frame to another."""
        return np.asarray(self._dis.calc(first, second, None), np.float32)

    def warp(self, picture: Float32, flow: Float32) -> Float32:
        """`picture` (H, W, C) or (H, W) read at x + flow(x), bilinearly, the border pixel where that is outside: with the
        flow from b to a, picture a as it would be seen at b."""
        return self._read(picture, flow, self._cv2.INTER_LINEAR)

    def carry(self, picture: Float32, flow: Float32) -> Float32:
        """Likewise, by Lanczos over 8×8 pixels, in [0, 1]: what is warped again at every frame blurs away bilinearly."""
        found = self._read(picture, flow, self._carrying)
        return np.clip(found, 0, 1, out=found)

    def resized(self, picture: Rgb8, size: tuple[int, int]) -> Rgb8:
        """(H, W, 3) or (H, W) at another (height, width), averaged where it shrinks."""
        shrinks = size[0] < picture.shape[0]
        how = self._cv2.INTER_AREA if shrinks else self._cv2.INTER_CUBIC
        return np.asarray(self._cv2.resize(picture, size[::-1], interpolation=how), np.uint8)

    def enlarged(self, motion: Motion, size: tuple[int, int]) -> Motion:
        """Of frames of a larger (height, width)."""
        height, width = motion.trust.shape
        back = self._cv2.resize(motion.back, size[::-1], interpolation=self._cv2.INTER_LINEAR)
        back *= np.array([size[1] / width, size[0] / height], np.float32)
        trust = self._cv2.resize(motion.trust, size[::-1], interpolation=self._cv2.INTER_NEAREST)
        return Motion(np.asarray(back, np.float32), np.asarray(trust, np.float32))

    def mean_around(self, values: Float32, side: int = AROUND) -> Float32:
        """(H, W) or (H, W, C): the mean of the side × side values about each."""
        return np.asarray(self._cv2.blur(values, (side, side)), np.float32)

    def _read(self, picture: Float32, flow: Float32, how: int) -> Float32:
        column, row = _places(flow)
        border = self._cv2.BORDER_REPLICATE
        return np.asarray(self._cv2.remap(picture, column, row, how, borderMode=border), np.float32)


@dataclass(frozen=True)
class Motion:
    """How frame `before` is seen at the present one: `back` is the flow from here to there, `trust` (H, W) 1 where it can
    be believed, else 0."""

    back: Float32
    trust: Float32


def motion(finder: Flow, before: Rgb8, now: Rgb8) -> Motion:
    """Between two grey frames. What is at rest has no flow at all and is believed."""
    if finder.half is not None and max(now.shape) > LARGE:
        height, width = now.shape
        small = max(SMALLEST, height // 2), max(SMALLEST, width // 2)
        found = motion(finder.half, finder.resized(before, small), finder.resized(now, small))
        return finder.enlarged(found, (height, width))
    there, back = finder.between(before, now), finder.between(now, before)
    trust = consistent(finder.warp(there, back), back)
    rest = at_rest(finder, before, now, back)
    return Motion(np.where(rest[..., None], np.float32(0), back), np.where(rest, np.float32(1), trust))


def at_rest(finder: Flow, before: Rgb8, now: Rgb8, back: Float32) -> npt.NDArray[np.bool_]:
    """Where nothing moves but a camera's noise, (H, W): the flow is short, and without it the frames are as like around
    there. Else a still background would tremble with the noise, as the flow does."""
    first, second = before.astype(np.float32), now.astype(np.float32)
    unmoved = finder.mean_around(np.square(first - second))
    moved = finder.mean_around(np.square(finder.warp(first, back) - second))
    alike = unmoved <= REST_RATIO * moved + REST_LEVELS**2
    return np.asarray((_squared(back) < REST_PIXELS**2) & alike)


def consistent(there: Float32, back: Float32) -> Float32:
    """Ruder, Dosovitskiy & Brox 2016: 1 where the flow `back` can be believed, (H, W). Not where it does not lead back,

        |w̃ + ŵ|² ≥ 0.01 (|w̃|² + |ŵ|²) + 0.5,

    w̃ being the flow from there to here, warped by ŵ (that is `there`); nor at motion boundaries, |∇û|² + |∇v̂|² ≥
    0.01 |ŵ|² + 0.002; nor where it leads out of the picture."""
    length = _squared(back)
    covered = _squared(there + back) >= 0.01 * (_squared(there) + length) + 0.5
    boundary = _squared(_slope(back, 0)) + _squared(_slope(back, 1)) >= 0.01 * length + 0.002
    return np.where(covered | boundary | outside(back), np.float32(0), np.float32(1))


def outside(back: Float32) -> npt.NDArray[np.bool_]:
    """Where a flow leads out of the picture, (H, W)."""
    height, width = back.shape[:2]
    column, row = _places(back)
    found: npt.NDArray[np.bool_] = (column < -0.5) | (column > width - 0.5) | (row < -0.5) | (row > height - 0.5)
    return found


def _squared(flow: Float32) -> Float32:
    """|w|² of each pixel, (H, W)."""
    found: Float32 = np.einsum("ijk,ijk->ij", flow, flow)
    return found


def _slope(flow: Float32, axis: int) -> Float32:
    """np.gradient along an axis, several times as fast: differences of the neighbors, at the border of one."""
    values = np.moveaxis(flow, axis, 0)
    slope = np.empty_like(flow)
    out = np.moveaxis(slope, axis, 0)
    np.subtract(values[2:], values[:-2], out=out[1:-1])
    out[1:-1] *= np.float32(0.5)
    out[0], out[-1] = values[1] - values[0], values[-1] - values[-2]
    return slope


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[Float32, Float32]:
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    return columns, rows


def _places(flow: Float32) -> tuple[Float32, Float32]:
    """(column, row) that each pixel is led to."""
    columns, rows = _grid(flow.shape[0], flow.shape[1])
    return flow[..., 0] + columns, flow[..., 1] + rows
