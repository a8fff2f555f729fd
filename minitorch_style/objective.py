"""What is minimised: pixels → (loss, gradient), equation 6 by a plan and the losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import SettingsError
from minitorch_style.kernels.buffers import Array, Buffer
from minitorch_style.losses import content_loss, layer_weights, mean_gram, style_loss, total_variation
from minitorch_style.network import Network

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


def weighted(layers: Layers) -> dict[str, float]:
    """{layer: weight}: as given, or the same share for each."""
    return dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(layers, layer_weights(len(layers)))


def style_targets(network: Network, style: Array, layers: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """{layer: mean Gram matrix A / M_A} of a painting, (H, W, 3)."""
    plan = network.plan((style.shape[0], style.shape[1]), layers, gradient=False)
    plan.run(style)
    targets = {}
    for layer in plan.taps:
        feature = plan.feature(layer)
        targets[layer] = mean_gram(network.kernels.gram(feature), feature.shape[0] * feature.shape[1])
    return targets


class Objective:
    """Equation 6, α·L_content + β·L_style, exactly as written: L_content = Σ_l v_l · equation 1 over the content
    layers, L_style = Σ_l w_l · equation 3 over the style layers (equation 4), plus `tv_weight` times the total variation.

    content: (H, W, 3) in [0, 1]; the picture to be made has its size. style: a painting of any size, or a sequence of
    them, blended by `style_blend` (mean Gram matrices averaged with these weights; evenly by default).
    content_layers, style_layers: names, which share evenly (w_l = 1/5 for five), or {name: weight}; the network's own
    by default. α = 0 or β = 0 leaves that part out altogether.

    Call it with x (H, W, 3) float32: (loss, gradient (H, W, 3) float32). `terms` holds the parts of the last loss.
    """

    def __init__(
        self,
        network: Network,
        content: Array,
        style: Array | Sequence[Array],
        content_weight: float = 1e-3,
        style_weight: float = 1.0,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        style_blend: Sequence[float] | None = None,
        tv_weight: float = 0.0,
        algorithms: Mapping[str, str] | None = None,
    ) -> None:
        architecture = network.architecture
        content_layers = architecture.content_layers if content_layers is None else content_layers
        style_layers = architecture.style_layers if style_layers is None else style_layers
        self.network = network
        self.tv_weight = tv_weight
        self.content_weight, self.style_weight = content_weight, style_weight
        self.content_layers = weighted(content_layers) if content_weight else {}
        self.style_layers = weighted(style_layers) if style_weight else {}
        # Features scaled by s scale equation 1 by s² and equation 3, of their products, by s⁴.
        scales = network.tap_scales
        self._content_scales = {tap: scales.get(tap, 1.0) ** 2 for tap in self.content_layers}
        self._style_scales = {tap: scales.get(tap, 1.0) ** 4 for tap in self.style_layers}
        taps = [*self.content_layers, *self.style_layers]
        if not taps:
            raise SettingsError("nothing to minimise: no layers, or both weights are 0")
        self.plan = network.plan((content.shape[0], content.shape[1]), taps, algorithms=algorithms)
        self.terms = Terms(0.0, 0.0, 0.0)
        self._style_targets = self._blend(style, style_blend) if self.style_layers else {}
        self._content_targets: dict[str, Array] = {}
        if self.content_layers:
            self.plan.run(content)
            self._content_targets = {tap: self.plan.feature(tap).interior.copy() for tap in self.content_layers}

    def _blend(
        self, style: Array | Sequence[Array], blend: Sequence[float] | None
    ) -> dict[str, npt.NDArray[np.float64]]:
        paintings = [style] if isinstance(style, np.ndarray) else list(style)
        shares = [1.0] * len(paintings) if blend is None else list(blend)
        if len(shares) != len(paintings) or min(shares) < 0 or sum(shares) == 0:
            raise SettingsError(f"expected {len(paintings)} blend weights of at least 0, not all 0; got {shares}")
        total: dict[str, npt.NDArray[np.float64]] = {}
        for painting, share in zip(paintings, shares, strict=True):
            for layer, gram in style_targets(self.network, painting, list(self.style_layers)).items():
                total[layer] = total.get(layer, 0.0) + gram * (share / sum(shares))
        return total

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.plan.size, 3)

    @property
    def pixel_count(self) -> int:
        return self.plan.size[0] * self.plan.size[1]

    def target_norms(self) -> tuple[dict[str, float], dict[str, float]]:
        """({content layer: ½ Σ P²}, {style layer: 1/(4N²) Σ (A/M_A)²}): what each loss is for features of zero."""
        content = {
            tap: self._content_scales[tap] * content_loss(target, np.zeros_like(target))[0]
            for tap, target in self._content_targets.items()
        }
        style = {
            tap: self._style_scales[tap] * style_loss(np.zeros_like(gram), 1, gram)[0]
            for tap, gram in self._style_targets.items()
        }
        return content, style

    def __call__(self, x: Array) -> tuple[float, Array]:
        content, style = 0.0, 0.0

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            """The losses at one tap: their values, and their gradient towards the features."""
            nonlocal content, style
            begun = tap in self._content_targets
            if begun:
                factor = self.content_weight * self.content_layers[tap] * self._content_scales[tap]
                value, difference = content_loss(features.interior, self._content_targets[tap], gradient.interior)
                difference *= np.float32(factor)
                content += factor * value
            if tap in self._style_targets:
                factor = self.style_weight * self.style_layers[tap] * self._style_scales[tap]
                gram = self.network.kernels.gram(features)
                value, matrix = style_loss(gram, features.shape[0] * features.shape[1], self._style_targets[tap], gram)
                matrix *= factor
                style += factor * value
                self.network.kernels.product(features, matrix.astype(np.float32), gradient, begun)

        self.plan.run(x)
        gradient = self.plan.run_back(inject)
        variation = 0.0
        if self.tv_weight:
            value, direction = total_variation(x)
            variation = self.tv_weight * value
            gradient += np.float32(self.tv_weight) * direction
        self.terms = Terms(content, style, variation)
        return self.terms.total, gradient
