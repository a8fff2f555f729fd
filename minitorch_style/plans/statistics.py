"""The plan by statistics, coarse to fine: the whole picture's features come to be distributed as the painting's while it
keeps a little of the photo. The boldest pictures: stars and swirls arise where the photo has nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network
from minitorch_style.image.resize import resized
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.plans.descent import descend
from minitorch_style.plans.events import Step
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.plans.pictures import Pictures, moments_within
from minitorch_style.plans.reached import Reached, descended
from minitorch_style.style.moments import Moments, StyleLoss
from minitorch_style.style.objective import shared_by
from minitorch_style.style.padded import PaddedPlan
from minitorch_style.style.teacher import teacher_losses
from minitorch_style.style.wasserstein import STYLE_LOSSES, require_style_loss
from minitorch_style.values import Arrays

RATE = 0.02
HALVING = 2.0  # of a style layer's weight from one to the next deeper


def statistics(
    network: Network,
    photo: Pixels,
    paintings: Sequence[Float32],
    shares: Sequence[float] | None = None,
    *,
    size: int = 256,
    scales: int = 3,
    steps: int = 60,
    style_loss: str = "w2",
    style_layer_weights: Sequence[float] | None = None,
    content_weight: float = 0.05,
    stroke_size: float = 1.0,
    rate: float = RATE,
    masks: Sequence[Float32 | None] | None = None,
    after: Step | None = None,
    state: Arrays | None = None,
    kept: Kept | None = None,
) -> Iterator[Step]:
    """A plan of `size` pixels along its longer side. style_loss: gram, moments or w2. style_layer_weights: how much each
    style layer counts, by default half as much from one to the next deeper. content_weight: that of the photo's features,
    relative to how much these vary. Other arguments and errors as for `neighbours`; shares are those of the
    paintings' statistics."""
    require_style_loss(style_loss)
    pictures = Pictures(photo, paintings, shares, size, scales, stroke_size, masks=masks)
    reached, kept = Reached.by(after, state, scales), kept or Nothing()
    architecture = network.architecture
    if style_layer_weights is None:
        style_layer_weights = [HALVING**-depth for depth in range(len(architecture.style_layers))]
    layer_weights = shared_by(architecture.style_layers, style_layer_weights)

    def run() -> Iterator[Step]:
        x = reached.picture
        for scale in range(reached.scales, scales):
            content, shown = pictures.at(scale)
            sizes = tuple(painting.shape for painting in shown)
            moments = kept.get(("moments", scale), sizes, partial(_blended, network, shown, pictures))
            losses = teacher_losses(STYLE_LOSSES[style_loss], moments, network.teacher_products)
            plan = PaddedPlan(network, content.shape[:2], [*architecture.style_layers, *architecture.content_layers])
            start = content if x is None else np.clip(resized(x, content.shape[:2]), 0, 1)
            objective = _Objective(plan, content, losses, layer_weights, content_weight)
            descent = descend(objective, start, network.kernels, steps, rate, reached.way_at(scale))
            for step in descended(scale, scales, steps, x, descent):
                yield step
                x = step.picture

    return run()


def _blended(network: Network, paintings: Sequence[Float32], pictures: Pictures) -> dict[str, Moments]:
    seen: list[dict[str, Moments]] = []
    layers = network.architecture.style_layers
    for painting, mask in zip(paintings, pictures.masks, strict=True):
        plan = PaddedPlan(network, painting.shape[:2], layers, gradient=False)
        plan.run(painting)
        seen.append({tap: moments_within(mask, plan.feature(tap), network.kernels) for tap in layers})
    return {tap: Moments.blended([one[tap] for one in seen], pictures.shares) for tap in layers}


class _Objective:
    """Pixels → loss and gradient: the style layers' losses, weighted, each as a share of what it is for features of zero;
    and the squared change of the content layers, as a share of how much the photo's vary."""

    def __init__(
        self,
        plan: PaddedPlan,
        photo: Float32,
        losses: Mapping[str, StyleLoss],
        weights: Mapping[str, float],
        content: float,
    ) -> None:
        self.plan, self.losses = plan, losses
        plan.run(photo)
        layers = plan.network.architecture.content_layers if content else ()
        self._content = {tap: plan.feature(tap).interior.copy() for tap in layers}
        self._factors = {
            tap: content / len(layers) / (float(np.sum(np.square(target - target.mean(axis=(0, 1))))) or 1.0)
            for tap, target in self._content.items()
        }
        self._weights = {
            tap: weights[tap] / (loss(_nothing(plan.feature(tap)), 1)[0] or 1.0) for tap, loss in losses.items()
        }

    def __call__(self, pixels: Float32) -> tuple[float, Float32]:
        kernels, loss = self.plan.network.kernels, 0.0

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            nonlocal loss
            if tap in self._content:
                target = gradient.interior
                np.subtract(features.interior, self._content[tap], out=target)
                loss += self._factors[tap] * float(np.sum(np.square(target), dtype=np.float64))
                target *= np.float32(2 * self._factors[tap])
            if tap in self.losses:
                positions = features.shape[0] * features.shape[1]
                value, slope = self.losses[tap](Moments.of(features, kernels), positions)
                slope.times(self._weights[tap]).apply(features, gradient, True, kernels)
                loss += self._weights[tap] * value

        self.plan.run(pixels)
        gradient = self.plan.run_back(inject)
        return loss, gradient


def _nothing(features: Buffer) -> Moments:
    """The moments of features of zero."""
    maps = features.shape[2]
    return Moments(np.zeros((maps, maps)), np.zeros(maps))
