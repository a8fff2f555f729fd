"""What a picture is painted towards: the style of paintings and the content of a photo, as values that are made once.

Both are plain data. They can be pickled, or written with `values.to_arrays` and `np.savez`; a film has one `StyleTargets`,
and a `ContentTargets` for each frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.engine.tiles import TiledPlan, fitting, within
from minitorch_style.errors import SettingsError
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.kernels.reference.ops import matrix_product
from minitorch_style.style.losses import Gram, Multiply, content_loss, mean_gram, style_loss, teacher_loss
from minitorch_style.style.moments import FeatureSums, Moments, Slope, StyleLoss
from minitorch_style.style.teacher import teacher_losses
from minitorch_style.style.wasserstein import GRAM, STYLE_LOSSES, require_style_loss


def sums_of(plan: TiledPlan, picture: Float32, layers: Iterable[str], mean: bool = False) -> dict[str, FeatureSums]:
    """{layer: sums over its features} of a picture (H, W, 3), in the order of its tiles; with those for the `mean`."""
    found: dict[str, FeatureSums] = {}
    for tile in plan.run(picture):
        for layer in layers:
            features = plan.feature(layer, tile)
            if features is not None:
                sums = FeatureSums.of(features, plan.plan.kernels, mean)
                found[layer] = found[layer] + sums if layer in found else sums
    return found


@dataclass(frozen=True)
class StyleTargets:
    """{layer: mean Gram matrix A / M_A, (N, N) float64} of a painting, or of several, blended. `scales` are factors of
    equation 3: features scaled by s scale it, of their products, by s⁴. `products` {layer: Q, (N, N)} are those of a teacher,
    in whose space the differences then count (`teacher_loss`). `style_loss` is one of `STYLE_LOSSES`: gram, equation 3, or
    one that compares the `means` {layer: (N,)} too and is relative to the painting's own spread, whatever the scales.

        >>> network = ms.load_network("distilled")
        >>> painting = ms.load_picture("painting.jpg", 64).pixels
        >>> style = ms.StyleTargets.of(network, painting, ["conv1_1", "conv2_1"])
        >>> style.grams["conv1_1"].shape
        (8, 8)
    """

    grams: Mapping[str, Gram]
    scales: Mapping[str, float]
    products: Mapping[str, Gram] = field(default_factory=dict)
    means: Mapping[str, Gram] = field(default_factory=dict)
    style_loss: str = GRAM

    @classmethod
    def of(
        cls,
        network: Network,
        paintings: Float32 | Sequence[Float32],
        layers: Sequence[str],
        blend: Sequence[float] | None = None,
        room: int | None = None,
        teacher: bool = False,
        style_loss: str = GRAM,
    ) -> StyleTargets:
        """Of a painting (H, W, 3) in [0, 1], or of several of any sizes, whose mean Gram matrices are averaged with the
        weights `blend` (evenly by default). With `teacher` as the network's
        teacher sees them, where its file says how. In tiles where the buffers for a painting would take more than `room` bytes.
        SettingsError for a blend, layers or a loss that cannot be."""
        require_style_loss(style_loss)
        pictures = [paintings] if isinstance(paintings, np.ndarray) else list(paintings)
        shares = [1.0] * len(pictures) if blend is None else list(blend)
        if len(shares) != len(pictures) or min(shares) < 0 or sum(shares) == 0:
            raise SettingsError(f"expected {len(pictures)} blend weights of at least 0, not all 0; got {shares}")
        total: dict[str, Gram] = {}
        means: dict[str, Gram] = {}
        reads_means = style_loss != GRAM
        for picture, share in zip(pictures, shares, strict=True):
            plan = fitting(network, (picture.shape[0], picture.shape[1]), layers, within(room), gradient=False)
            for layer, found in sums_of(plan, picture, plan.tiles.taps, reads_means).items():
                part = share / sum(shares)
                total[layer] = total.get(layer, 0.0) + mean_gram(found.gram, found.positions) * part
                if reads_means:
                    means[layer] = means.get(layer, 0.0) + found.moments.mean * part
        known = network.teacher_products if teacher else {}
        products = {layer: known[layer].astype(np.float64) for layer in total if layer in known}
        scales = {layer: network.tap_scales.get(layer, 1.0) ** 4 for layer in total}
        return cls(total, scales, products, means, style_loss)

    def after(self, before: StyleTargets, share: float) -> StyleTargets:
        """Between targets of the same layers and loss, 0, and these, 1."""

        def blended(old: Mapping[str, Gram], new: Mapping[str, Gram]) -> dict[str, Gram]:
            return {layer: value + (1 - share) * (old[layer] - value) for layer, value in new.items()}

        return replace(self, grams=blended(before.grams, self.grams), means=blended(before.means, self.means))

    def sums(self, features: Buffer, kernels: KernelSet) -> FeatureSums:
        """What the loss asks for of a picture's features."""
        return FeatureSums.of(features, kernels, self.reads_means)

    @property
    def reads_means(self) -> bool:
        return self.style_loss != GRAM

    def loss(self, layer: str, picture: FeatureSums, multiply: Multiply = matrix_product) -> tuple[float, Slope]:
        """The loss of a picture, and its gradient; `multiply` is the product of two matrices, a kernel set's where it has to
        be quick."""
        if self.reads_means:
            return self._losses[layer](picture.moments, picture.positions)
        if layer in self.products:
            given = picture.gram, picture.positions, self.grams[layer], self.products[layer]
            value, matrix = teacher_loss(*given, multiply)
        else:
            value, matrix = style_loss(picture.gram, picture.positions, self.grams[layer])
        matrix *= self.scales[layer]
        return self.scales[layer] * value, Slope(matrix)

    @cached_property
    def _losses(self) -> dict[str, StyleLoss]:
        moments = {layer: Moments(gram, self.means[layer]) for layer, gram in self.grams.items()}
        return teacher_losses(STYLE_LOSSES[self.style_loss], moments, self.products)

    @cached_property
    def norms(self) -> dict[str, float]:
        """{layer: what the loss is for features of zero}; of equation 3, 1/(4N²) Σ (A/M_A)²."""
        return {
            layer: self.loss(layer, FeatureSums(np.zeros_like(gram), np.zeros(len(gram)), 1))[0]
            for layer, gram in self.grams.items()
        }


@dataclass(frozen=True)
class ContentTargets:
    """{layer: features P, (H', W', N) float32} of a photo. `scales` are factors of equation 1: features scaled by s scale
    it by s².

        >>> network = ms.load_network("distilled")
        >>> photo = ms.load_picture("photo.jpg", 64).pixels  # (43, 64, 3)
        >>> content = ms.ContentTargets.of(network, photo, ["conv4_2"])
        >>> content.features["conv4_2"].shape
        (5, 8, 64)
    """

    features: Mapping[str, Float32]
    scales: Mapping[str, float]

    @classmethod
    def of(cls, network: Network, photo: Float32, layers: Sequence[str], plan: Plan | None = None) -> ContentTargets:
        """Of a photo (H, W, 3) in [0, 1], by a `plan` for its size that taps these layers, where there is one already."""
        plan = plan or network.plan((photo.shape[0], photo.shape[1]), layers, gradient=False)
        plan.run(photo)
        features = {layer: plan.feature(layer).interior.copy() for layer in layers}
        return cls(features, {layer: network.tap_scales.get(layer, 1.0) ** 2 for layer in layers})

    @cached_property
    def norms(self) -> dict[str, float]:
        """{layer: ½ Σ P²}: what equation 1 is for features of zero."""
        return {
            layer: self.scales[layer] * content_loss(target, np.zeros_like(target))[0]
            for layer, target in self.features.items()
        }
