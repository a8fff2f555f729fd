"""What is minimised: pixels → (loss, gradient), equation 6 by a plan and the losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import OnStep, Plan
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.nn.layers import Shape
from minitorch_style.nn.registry import Architecture
from minitorch_style.style.losses import content_loss, layer_weights, total_variation
from minitorch_style.style.moments import FeatureSums
from minitorch_style.style.targets import ContentTargets, StyleTargets

# A layer's weight of its own by name, or names that share the weight evenly.
Layers = Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class Terms:
    """The parts of one loss: α·L_content, β·L_style, and the weighted total variation."""

    content: float
    style: float
    variation: float

    @property
    def total(self) -> float:
        return self.content + self.style + self.variation


@dataclass(frozen=True)
class LossWeights:
    """α (`content`), β (`style`), the layers' own weights v_l and w_l, and that of the total variation."""

    content: float
    style: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    variation: float = 0.0

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        content: float,
        style: float,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        variation: float = 0.0,
    ) -> LossWeights:
        """Layers as given, or names that share evenly (w_l = 1/5 for five), or the network's own. α = 0 or β = 0 leaves
        that part's layers out. SettingsError if nothing is left."""
        content_layers = architecture.content_layers if content_layers is None else content_layers
        style_layers = architecture.style_layers if style_layers is None else style_layers
        weights = cls(
            content,
            style,
            _weighted(content_layers) if content else {},
            _weighted(style_layers) if style else {},
            variation,
        )
        if not weights.layers:
            raise SettingsError("nothing to minimise: no layers, or both weights are 0")
        return weights

    @property
    def layers(self) -> list[str]:
        return [*self.content_layers, *self.style_layers]

    def balanced(self, content: Mapping[str, float], style: Mapping[str, float], pixels: int) -> LossWeights:
        """These weights made size-stable: each layer's loss in proportion to what it would be for features of zero, which
        the targets' `norms` tell, the total variation to a picture of so many pixels."""
        layers = [
            {layer: weight / (known[layer] or 1) for layer, weight in weights.items()}
            for weights, known in zip((self.content_layers, self.style_layers), (content, style), strict=True)
        ]
        return replace(self, content_layers=layers[0], style_layers=layers[1], variation=self.variation / pixels)


def shared_by(layers: Sequence[str], weights: Sequence[float] | None = None) -> dict[str, float]:
    """{layer: its share of all `weights`}, without any the same for each. SettingsError unless there is one for each."""
    if weights is None:
        return dict.fromkeys(layers, layer_weights(len(layers)))
    if len(weights) != len(layers):
        raise SettingsError(f"expected {len(layers)} style_layer_weights, for {', '.join(layers)}; got {len(weights)}")
    return {layer: weight / sum(weights) for layer, weight in zip(layers, weights, strict=True)}


def _weighted(layers: Layers) -> dict[str, float]:
    """{layer: weight}: as given, or the same share for each."""
    return dict(layers) if isinstance(layers, Mapping) else shared_by(layers)


def require_targets(
    weights: LossWeights, taps: Mapping[str, Shape], content: Mapping[str, Shape], style: StyleTargets | None
) -> None:
    """SettingsError if a layer that has a weight is tapped by no plan (`taps` {name: (H', W', C)}) or has no target,
    ShapeError if the content's, of these shapes, is that of another size."""
    grams = style.grams if style else {}
    missing = {layer for layer in weights.layers if layer not in taps}
    missing |= set(weights.content_layers) - set(content) | set(weights.style_layers) - set(grams)
    if missing:
        raise SettingsError(f"no target, or no tap of the plan, for {', '.join(sorted(missing))}")
    for layer in weights.content_layers:
        if content[layer] != taps[layer]:
            raise ShapeError(f"{layer}: expected content features {taps[layer]}, got {content[layer]}")


class Objective:
    """Equation 6, α·L_content + β·L_style, exactly as written: L_content = Σ_l v_l · equation 1 over the content
    layers, L_style = Σ_l w_l · equation 3 over the style layers (equation 4), plus `tv_weight` times the total variation.

    content: (H, W, 3) in [0, 1]; the picture to be made has its size. style: a painting of any size, or a sequence of
    them, blended by `style_blend` (mean Gram matrices averaged with these weights; evenly by default).
    content_layers, style_layers: names, which share evenly (w_l = 1/5 for five), or {name: weight}; the network's own
    by default. α = 0 or β = 0 leaves that part out altogether. `balanced` makes the weights size-stable, see
    `LossWeights.balanced`.

    This makes a plan and targets of pictures. `from_targets` combines what is made already.

    Call it with x (H, W, 3) float32: (loss, gradient (H, W, 3) float32). `terms` holds the parts of the last loss.

        >>> network = ms.load_network("distilled")
        >>> photo, painting = (ms.load_picture(name, 64).pixels for name in ("photo.jpg", "painting.jpg"))
        >>> objective = ms.Objective(network, photo, painting, balanced=True)
        >>> loss, gradient = objective(photo)
        >>> loss > 0, gradient.shape
        (True, (43, 64, 3))
    """

    def __init__(
        self,
        network: Network,
        content: Float32,
        style: Float32 | Sequence[Float32],
        content_weight: float = 1e-3,
        style_weight: float = 1.0,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        style_blend: Sequence[float] | None = None,
        tv_weight: float = 0.0,
        algorithms: Mapping[str, str] | None = None,
        balanced: bool = False,
    ) -> None:
        weights = LossWeights.of(
            network.architecture, content_weight, style_weight, content_layers, style_layers, tv_weight
        )
        plan = network.plan((content.shape[0], content.shape[1]), weights.layers, algorithms=algorithms)
        towards = photo = None
        if weights.style_layers:
            towards = StyleTargets.of(network, style, list(weights.style_layers), style_blend)
        if weights.content_layers:
            photo = ContentTargets.of(network, content, list(weights.content_layers), plan)
        self._combine(plan, weights, photo, towards, balanced)

    @classmethod
    def from_targets(
        cls,
        plan: Plan,
        weights: LossWeights,
        content: ContentTargets | None,
        style: StyleTargets | None,
        balanced: bool = False,
    ) -> Objective:
        """The same of a plan and targets that are made already, for the next frame of a film or the next run: nothing is
        computed. Targets may be None where `weights` has no layers of that kind. SettingsError if a layer that has a
        weight is tapped by no plan or has no target."""
        objective = cls.__new__(cls)
        objective._combine(plan, weights, content, style, balanced)
        return objective

    def _combine(
        self,
        plan: Plan,
        weights: LossWeights,
        content: ContentTargets | None,
        style: StyleTargets | None,
        balanced: bool,
    ) -> None:
        self.plan, self.content, self.style = plan, content, style
        shapes = {layer: features.shape for layer, features in content.features.items()} if content else {}
        require_targets(weights, {tap: plan.shape(tap) for tap in plan.taps}, shapes, style)
        norms = content.norms if content and balanced else {}, style.norms if style and balanced else {}
        self.weights = weights.balanced(*norms, self.pixel_count) if balanced else weights
        self.terms = Terms(0.0, 0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.plan.size, 3)

    @property
    def pixel_count(self) -> int:
        return self.plan.size[0] * self.plan.size[1]

    def sums(self, x: Float32) -> dict[str, FeatureSums]:
        """{style layer: Gram matrix, and sum of the features where the loss asks for it} of a picture. Those of several
        pictures added up are one of theirs together."""
        self.plan.run(x)
        if self.style is None:
            return {}
        return {tap: self.style.sums(self.plan.feature(tap), self.plan.kernels) for tap in self.weights.style_layers}

    def __call__(
        self, x: Float32, sums: Mapping[str, FeatureSums] | None = None, on_step: OnStep | None = None
    ) -> tuple[float, Float32]:
        """With `sums`, x is a part of a picture whose sums they are: the style loss is that of the whole, its gradient this
        part's. `on_step` hears how long each step of the plan took."""
        content, style, kernels, weights = 0.0, 0.0, self.plan.kernels, self.weights

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            """The losses at one tap: their values, and their gradient towards the features."""
            nonlocal content, style
            begun = tap in weights.content_layers
            if begun:
                assert self.content is not None
                factor = weights.content * weights.content_layers[tap] * self.content.scales[tap]
                value, difference = content_loss(features.interior, self.content.features[tap], gradient.interior)
                difference *= np.float32(factor)
                content += factor * value
            if tap in weights.style_layers:
                assert self.style is not None
                factor = weights.style * weights.style_layers[tap]
                seen = sums[tap] if sums is not None else self.style.sums(features, kernels)
                value, slope = self.style.loss(tap, seen, kernels.matrix_product)
                style += factor * value
                slope.times(factor).apply(features, gradient, begun, kernels)

        self.plan.run(x, on_step)
        gradient = self.plan.run_back(inject, on_step)
        variation = 0.0
        if weights.variation:
            value, direction = total_variation(x)
            variation = weights.variation * value
            gradient += np.float32(weights.variation) * direction
        self.terms = Terms(content, style, variation)
        return self.terms.total, gradient
