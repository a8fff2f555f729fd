"""Activation normalisation as Gatys et al. did it: every channel to a mean activation of 1 over a set of pictures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.buffers import Array
from minitorch_style.layers import Conv2d, MaxPool2d, ReLU
from minitorch_style.network import Network

RARE = 0.1


def normalised(network: Network, pictures: Iterable[Array]) -> dict[str, Array]:
    """The parameters with each convolution's maps divided by their mean activation over `pictures`, (H, W, 3) each, and
    the next convolution's weights multiplied by it: the same function of the picture, scaled channel by channel. Maps
    that hardly ever fire are divided by `RARE` of their layer's average instead: by their own mean, they would drown
    all others in the one picture where they do.

    Exact for chains of convolution, ReLU and max-pool; UnsupportedError for other networks.
    """
    architecture = network.architecture
    before = None
    for node in architecture.nodes:
        if not isinstance(node.layer, Conv2d | ReLU | MaxPool2d) or (before and node.inputs != (before,)):
            raise UnsupportedError(f"{network.name} is no chain of convolutions, ReLUs and max-pools: {node.name}")
        before = node.name
    totals: dict[str, np.ndarray] = {}
    positions: dict[str, int] = {}
    for pixels in pictures:
        for tap, features in network.features(pixels, architecture.taps).items():
            totals[tap] = totals.get(tap, 0) + features.sum((0, 1), dtype=np.float64)
            positions[tap] = positions.get(tap, 0) + features.shape[0] * features.shape[1]
    parameters = dict(network.parameters)
    incoming = np.ones(3)
    for tap in architecture.taps:  # a VGG's taps carry the names of its convolutions
        mean = totals[tap] / positions[tap]
        outgoing = np.maximum(mean, RARE * mean.mean()) if mean.any() else np.ones_like(mean)
        weight = parameters[f"{tap}.weight"].astype(np.float64)
        parameters[f"{tap}.weight"] = (weight * incoming[:, None] / outgoing).astype(np.float32)
        parameters[f"{tap}.bias"] = (parameters[f"{tap}.bias"] / outgoing).astype(np.float32)
        incoming = outgoing
    return parameters
