"""Equation 6 of a picture whose features do not fit into memory at once: tile by tile, and exactly that of the whole.

Two passes an evaluation. The first adds up the Gram matrices of all tiles, in double and in their order. The second gives
each tile the gradient of the whole picture's losses at its own features, and adds up what that is at the pixels.
"""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.tiles import Tile, TiledPlan
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.style.losses import content_loss
from minitorch_style.style.objective import LossWeights, Terms, require_targets
from minitorch_style.style.targets import ContentTargets, GramSum, StyleTargets, grams_of


class TiledObjective:
    """The same function as `Objective`'s, but for the order in which it adds. Called with x (H, W, 3) float32: (loss,
    gradient (H, W, 3) float32). SettingsError, ShapeError as there."""

    def __init__(
        self,
        plan: TiledPlan,
        weights: LossWeights,
        content: ContentTargets | None,
        style: StyleTargets | None,
        balanced: bool = False,
    ) -> None:
        self.plan, self.content, self.style = plan, content, style
        require_targets(weights, {tap: plan.tiles.shape(tap) for tap in plan.tiles.taps}, content, style)
        self.weights = weights.balanced(content, style, self.pixel_count) if balanced else weights
        self.terms = Terms(0.0, 0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.plan.tiles.size, 3)

    @property
    def pixel_count(self) -> int:
        return self.plan.tiles.size[0] * self.plan.tiles.size[1]

    def __call__(self, x: Float32) -> tuple[float, Float32]:
        weights, plan = self.weights, self.plan
        style, matrices = self._style(grams_of(plan, x, weights.style_layers) if weights.style_layers else {})
        content = variation = 0.0
        gradient = np.zeros_like(x)
        for tile in plan.run(x):
            found, part = self._back(tile, matrices)
            content += found
            gradient[tile.crop] += part
            if weights.variation:
                variation += weights.variation * _variation(x, tile, gradient, weights.variation)
        self.terms = Terms(content, style, variation)
        return self.terms.total, gradient

    def _style(self, grams: dict[str, GramSum]) -> tuple[float, dict[str, Float32]]:
        """β·L_style, and {layer: S} for which F·S is its gradient towards the features F."""
        value, matrices = 0.0, {}
        for tap, gram in grams.items():
            assert self.style is not None
            factor = self.weights.style * self.weights.style_layers[tap]
            loss, matrix = self.style.loss(tap, gram.total, gram.positions)
            matrices[tap] = (matrix * factor).astype(np.float32)
            value += factor * loss
        return value, matrices

    def _back(self, tile: Tile, matrices: dict[str, Float32]) -> tuple[float, Float32]:
        """α·L_content of a tile's own features, and the gradient of all losses there towards the pixels of its crop."""
        content, weights, plan = 0.0, self.weights, self.plan

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            nonlocal content
            gradient.interior[...] = 0
            own, out = plan.own(features, tap, tile), plan.own(gradient, tap, tile)
            if own is None or out is None:
                return
            if tap in weights.content_layers:
                assert self.content is not None
                factor = weights.content * weights.content_layers[tap] * self.content.scales[tap]
                target = self.content.features[tap][plan.tiles.own(tap, tile)]
                value, difference = content_loss(own.interior, target, out.interior)
                difference *= np.float32(factor)
                content += factor * value
            if tap in matrices:
                plan.plan.kernels.product(own, matrices[tap], out, True)

        gradient = plan.plan.run_back(inject)
        return content, gradient


def _variation(x: Float32, tile: Tile, gradient: Float32, weight: float) -> float:
    """The total variation of the differences that begin in a tile; `weight` times its gradient is added to the whole's."""
    height, width = (own.stop - own.start for own in tile.own)
    here = tuple(slice(own.start, own.stop + 1) for own in tile.own)
    part, out = x[here], gradient[here]
    value = 0.0
    for pixels, slope in (
        (part[:, :width], out[:, :width]),
        (part[:height].swapaxes(0, 1), out[:height].swapaxes(0, 1)),
    ):
        change = np.diff(pixels, axis=0)
        value += 0.5 * float(np.sum(np.square(change), dtype=np.float64))
        change *= np.float32(weight)
        slope[1:] += change
        slope[:-1] -= change
    return value
