"""The plan by nearest neighbours: at each of four scales every place of the picture is drawn, in the features of a
network, to the place of the painting that it is most like, while all features together come to be distributed as the
painting's (after Kolkin et al. 2022, «Neural neighbor style transfer», and the Wasserstein distance)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network
from minitorch_style.image.calm import calm
from minitorch_style.image.resize import resized
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.plans.descent import descend
from minitorch_style.plans.events import Step
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.plans.likeness import Likeness
from minitorch_style.plans.pictures import Pictures, fitted
from minitorch_style.plans.reached import Reached, descended
from minitorch_style.style.hypercolumns import Hypercolumns
from minitorch_style.style.matching import cosine_loss, unit
from minitorch_style.style.moments import Moments, StyleLoss
from minitorch_style.style.teacher import teacher_losses
from minitorch_style.style.wasserstein import WassersteinLoss
from minitorch_style.values import Arrays

BLUR = 8  # how much smaller than the coarsest scale the picture is that it starts from


def neighbours(
    network: Network,
    photo: Pixels,
    paintings: Sequence[Float32],
    shares: Sequence[float] | None = None,
    *,
    size: int = 256,
    scales: int = 4,
    steps: int = 50,
    alpha: float = 0.5,
    calm_alpha: float = 0.85,
    w2: float = 0.6,
    amount: float = 1.0,
    stroke_size: float = 1.0,
    masks: Sequence[Float32 | None] | None = None,
    after: Step | None = None,
    state: Arrays | None = None,
    kept: Kept | None = None,
) -> Iterator[Step]:
    """A plan of `size` pixels along its longer side, made at `size`, a half, a quarter … of it, `scales` in all.

    photo, paintings: (H, W, 3) in [0, 1], of any size. shares: of places that take after each painting. alpha: how much
    of the picture made so far, and not of the photo, chooses what a place takes after; calm_alpha: likewise where the
    photo is calm, so that skies may swirl and faces stay. w2: the weight of the distribution of all features. amount:
    how far features go from the photo's (0) to the painting's (1). stroke_size: the painting's longer side in the
    picture's. masks: (H, W, 1) for each painting, or None: which parts of it are taken after (above 0.5). after: the last
    step of a scale, to go on from there to the same bits; state: that of any step, likewise.
    kept: what was made for an earlier photo of the same paintings, shares and network.

    Raises ShapeError, SettingsError; StyleError for a state of another plan.
    """
    pictures = Pictures(photo, paintings, shares, size, scales, stroke_size, masks=masks)
    reached, kept = Reached.by(after, state, scales), kept or Nothing()
    style_layers = network.architecture.style_layers if w2 else ()

    def run() -> Iterator[Step]:
        x = reached.picture
        for scale in range(reached.scales, scales):
            content, shown = pictures.at(scale)
            sizes = tuple(painting.shape for painting in shown)
            make = partial(Likeness, network, shown, pictures.shares, style_layers, pictures.masks, teacher=True)
            likeness = kept.get(("likeness", scale), (sizes, style_layers), make)
            columns = Hypercolumns(network, content.shape[:2], likeness.taps, style_layers, likeness.scales)
            own = columns.run(content)
            targets = likeness.moments
            if amount < 1:
                photos = {tap: Moments.of(columns.plan.feature(tap), network.kernels) for tap in style_layers}
                targets = {
                    tap: Moments.blended([photos[tap], targets[tap]], [1 - amount, amount]) for tap in style_layers
                }
            directions = unit(own, likeness.centre) if amount < 1 else None
            if x is None:
                start, guide = _blurred(content), own
            else:
                start = resized(x, content.shape[:2])
                start += content - resized(resized(content, x.shape[:2]), content.shape[:2])
                of_picture = np.float32(alpha) + np.float32(calm_alpha - alpha) * calm(content)
                guide = columns.run(np.clip(content + of_picture * (start - content), 0, 1))
            keys = likeness.keys[likeness.match(guide)]
            if directions is not None:
                keys = unit(
                    np.float32(1 - amount) * directions + np.float32(amount) * keys, np.zeros_like(likeness.centre)
                )
            losses = teacher_losses(WassersteinLoss, targets, network.teacher_products)
            objective = _Objective(columns, likeness.centre, keys, losses, w2)
            descent = descend(objective, start, network.kernels, steps, state=reached.way_at(scale))
            for step in descended(scale, scales, steps, x, descent):
                yield step
                x = step.picture

    return run()


def _blurred(picture: Float32) -> Float32:
    small = fitted(picture.shape, max(picture.shape) / BLUR)
    return resized(resized(picture, small), picture.shape[:2]).copy()


class _Objective:
    """Pixels → loss and gradient: the mean of 1 − cos between each place and its key, and the mean of the style layers'
    losses, weighted."""

    def __init__(
        self,
        columns: Hypercolumns,
        centre: Float32,
        keys: Float32,
        losses: Mapping[str, StyleLoss],
        weight: float,
    ) -> None:
        self.columns, self.centre, self.keys, self.losses = columns, centre, keys, losses
        self.weight = weight / max(1, len(losses))
        self._gradient = np.empty(columns.shape, np.float32)

    def __call__(self, pixels: Float32) -> tuple[float, Float32]:
        kernels = self.columns.plan.network.kernels
        values = self.columns.run(pixels)
        loss = cosine_loss(values, self.centre, self.keys, self._gradient)

        def style(tap: str, features: Buffer, out: Buffer) -> None:
            nonlocal loss
            if tap in self.losses:
                positions = features.shape[0] * features.shape[1]
                value, slope = self.losses[tap](Moments.of(features, kernels), positions)
                slope.times(self.weight).apply(features, out, True, kernels)
                loss += self.weight * value

        gradient = self.columns.run_back(self._gradient, style)
        return loss, gradient
