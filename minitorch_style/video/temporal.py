"""What ties a frame to those before it: the picture it should look like, and where that is known.

With flow (Ruder, Dosovitskiy & Brox 2016) that is the painted frame before, warped, wherever the flow can be believed; what
was hidden then may be known from older frames. Without (Xu, Xiong & Hu 2021) it is the painted frame before with the film's
own change added, ‖(x_t − x_{t−1}) − (c_t − c_{t−1})‖².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.video.flow import Flow, Motion, motion

BINS = 4  # of each color, in the histograms that cuts are found by
# A cut: what the flow leaves unexplained of the brightness (mean, of 1) with other colors, or whatever the colors. Fades and
# whip pans leave up to 0.04.
RESIDUAL, UNLIKE, LARGE_RESIDUAL = 0.05, 0.3, 0.12
# Part of the way to each remembered frame: `bench.realtime`; twice as much trembles with the flow, a third drifts.
DRAWN = 0.15
CUT_WITHOUT_FLOW = 0.45  # difference of histograms that is a cut by itself


@dataclass(frozen=True)
class Painted:
    """A frame of the film (H, W, 3) uint8 and what was made of it, (H, W, 3) float32; `grey` (H, W) where flow is used."""

    frame: Rgb8
    picture: Float32
    grey: Rgb8 | None


@dataclass(frozen=True)
class Anchor:
    """`target` (H, W, 3) is what the frame should look like, `trust` (H, W, 1) from 0 to 1 how much that is known. The loss
    is strength · mean trust (x − target)², over pixels and colors. `moved` is what has moved since the frame before; None
    where no flow is used."""

    target: Float32
    trust: Float32
    strength: float
    moved: Motion | None = None

    def __call__(self, x: Float32) -> tuple[float, Float32]:
        away = x - self.target
        pull = self.trust * away
        factor = self.strength / x.size
        loss = factor * float(np.vdot(pull, away))
        pull *= np.float32(2 * factor)
        return loss, pull

    def beside(self, f: Callable[[Float32], tuple[float, Float32]]) -> Callable[[Float32], tuple[float, Float32]]:
        """`f` and this loss together."""

        def together(x: Float32) -> tuple[float, Float32]:
            (loss, gradient), (own, pull) = f(x), self(x)
            pull += gradient
            return loss + own, pull

        return together if self.strength else f


def histogram(frame: Rgb8) -> Float32:
    """Shares of the BINS³ colors in a frame."""
    step = (frame // (256 // BINS)).astype(np.int32)
    index = (step[..., 0] * BINS + step[..., 1]) * BINS + step[..., 2]
    counts = np.bincount(index.ravel(), minlength=BINS**3)
    return (counts / index.size).astype(np.float32)


def unlikeness(first: Rgb8, second: Rgb8) -> float:
    """From 0 to 1: how many of the pixels have a color for which there is no pixel in the other frame."""
    return float(np.abs(histogram(first) - histogram(second)).sum()) / 2


def anchor(history: Sequence[Painted], frame: Rgb8, finder: Flow | None, strength: float) -> Anchor | None:
    """For a frame, of the frames before it, the last one last; None at a cut, where nothing holds on. `history` holds
    those to be remembered: each fills in only where none that is closer is known. Where one is, the target is drawn a little
    towards the others: the errors of many flows add up, those of one do not."""
    last = history[-1]
    if finder is None or last.grey is None:
        if unlikeness(last.frame, frame) > CUT_WITHOUT_FLOW:
            return None
        change = (frame.astype(np.float32) - last.frame) / np.float32(255)
        return Anchor(np.clip(last.picture + change, 0, 1), np.ones((*frame.shape[:2], 1), np.float32), strength)
    grey = finder.grey(frame)
    moved = motion(finder, last.grey, grey)
    residual = float(np.abs(finder.warp(last.grey.astype(np.float32), moved.back) - grey).mean()) / 255
    if residual > LARGE_RESIDUAL or (residual > RESIDUAL and unlikeness(last.frame, frame) > UNLIKE):
        return None
    target, trust = finder.carry(last.picture, moved.back), moved.trust
    for past in reversed(history[:-1]):
        assert past.grey is not None
        found = motion(finder, past.grey, grey)
        fresh = found.trust * (1 - trust)
        share = fresh + np.float32(DRAWN) * found.trust * trust
        target += share[..., None] * (finder.carry(past.picture, found.back) - target)
        trust = trust + fresh
    return Anchor(target, trust[..., None], strength, moved)
