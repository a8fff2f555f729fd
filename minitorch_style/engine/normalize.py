"""Activation normalization as Gatys et al. did it: features to a mean activation of 1 over a set of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.tiles import WHOLE, TiledPlan, Tiles
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d, MaxUnpool2d, ReLU
from minitorch_style.nn.registry import Architecture

RARE = 0.1
Means = Mapping[str, npt.NDArray[np.float64]]


def mean_activations(network: Network, pictures: Iterable[Float32]) -> Means:
    """{tap: mean size of each channel} over all positions of `pictures`, (H, W, 3) each."""
    totals: dict[str, npt.NDArray[np.float64]] = {}
    positions: dict[str, int] = {}
    for pixels in pictures:
        for tap, features in network.features(pixels, network.architecture.taps).items():
            totals[tap] = totals.get(tap, 0) + np.abs(features).sum((0, 1), dtype=np.float64)
            positions[tap] = positions.get(tap, 0) + features.shape[0] * features.shape[1]
    return {tap: total / positions[tap] for tap, total in totals.items()}


def at_mean_activation(
    network: Network, pixels: Float32, taps: Iterable[str], mean: float, counts: tuple[int, int] = WHOLE
) -> Network:
    """The same network, whose losses see features of this mean size, over all of `taps` for these pixels: one factor for
    all of them, which leaves what one layer is to another. The features are made in `counts` (rows, columns) of tiles."""
    scales = {tap: network.tap_scales.get(tap, 1.0) for tap in taps}
    tiles = Tiles(network.architecture, (pixels.shape[0], pixels.shape[1]), scales, counts)
    plan, sums = TiledPlan(network, tiles, gradient=False), dict.fromkeys(tiles.taps, 0.0)
    for tile in plan.run(pixels):
        for tap in sums:
            maps = plan.feature(tap, tile)
            if maps is not None:
                sums[tap] += float(np.abs(maps.interior).sum(dtype=np.float64))
    found = np.mean([scales[tap] * total / math.prod(tiles.shape(tap)) for tap, total in sums.items()])
    factor = mean / (float(found) or 1.0)
    return replace(network, tap_scales={tap: factor * scale for tap, scale in scales.items()})


def is_chain(architecture: Architecture) -> bool:
    """Whether a channel can be scaled without a trace: convolutions, ReLUs and pools, one behind the other."""
    kinds = (Conv2d, ReLU, AvgPool2d, MaxPool2d, MaxUnpool2d)
    follows = all(after.inputs[0] == node.name for node, after in pairwise(architecture.nodes))
    return follows and all(isinstance(node.layer, kinds) for node in architecture.nodes)


def normalized(
    architecture: Architecture, parameters: Mapping[str, Float32], means: Means
) -> tuple[dict[str, Float32], dict[str, float]]:
    """(parameters, tap scales) that give mean activations of 1; `architecture` may be continued by a decoder.

    In a chain each convolution's maps are divided by their mean, and the next one's weights multiplied by it: the same
    function of the picture, scaled channel by channel. Maps that hardly ever fire are divided by `RARE` of their layer's
    average instead: by their own mean, they would drown all others in the one picture where they do. Elsewhere (ENet's
    residual sums tie channels together) the parameters stay, and each tap gets one scale.
    """
    if not is_chain(architecture):
        return dict(parameters), {tap: float(1 / (mean.mean() or 1)) for tap, mean in means.items()}
    scaled = dict(parameters)
    incoming = np.ones(3)
    for node in architecture.nodes:
        if not isinstance(node.layer, Conv2d):
            continue
        outgoing = np.ones(node.layer.out_channels)
        mean = means.get(node.name)  # a VGG's taps carry the names of its convolutions; a decoder has none
        if mean is not None and mean.any():
            outgoing = np.maximum(mean, RARE * mean.mean())
        weight = scaled[f"{node.name}.weight"].astype(np.float64)
        scaled[f"{node.name}.weight"] = (weight * incoming[:, None] / outgoing).astype(np.float32)
        scaled[f"{node.name}.bias"] = (scaled[f"{node.name}.bias"] / outgoing).astype(np.float32)
        incoming = outgoing
    return scaled, {}
