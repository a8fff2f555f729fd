"""ImageNet feature extractors that the perceptual student learns from, read from their published files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn


class PublishedVgg(nn.Module):
    """A VGG-like chain of 3×3 convolutions with zero padding behind a 1×1 one that takes RGB in [0, 1] to its input.

    `names` gives, in order, the checkpoint's key of each convolution and the tap it is; `first` is the key of the 1×1 one.
    """

    def __init__(self, state: Mapping[str, torch.Tensor], first: str, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names, self.first = dict(names), first
        self.convs = nn.ModuleDict()
        for key in (first, *names):
            weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2)
            conv.weight.data, conv.bias.data = weight, bias
            self.convs[key] = conv

    def forward(self, pixels: torch.Tensor, taps: tuple[str, ...]) -> dict[str, torch.Tensor]:
        """{tap: activation after the ReLU}; a max-pool stands before the first convolution of blocks 2 to 5."""
        x = self.convs[self.first](pixels)
        features = {}
        for key, tap in self.names.items():
            if tap.endswith("_1") and tap != "conv1_1":
                x = nn.functional.max_pool2d(x, 2)
            x = torch.relu(self.convs[key](x))
            if tap in taps:
                features[tap] = x
        return features


def quarter_vgg19(path: Path) -> PublishedVgg:
    """A quarter-width VGG-19 up to conv5_1 (5SE.pth: keys conv0, conv11 … conv51)."""
    state = torch.load(path, map_location="cpu", weights_only=True)["model"]
    blocks = ("11", "12", "21", "22", "31", "32", "33", "34", "41", "42", "43", "44", "51")
    return PublishedVgg(state, "conv0", {f"conv{name}": f"conv{name[0]}_{name[1]}" for name in blocks})


def vgg19_to_conv31(path: Path) -> PublishedVgg:
    """VGG-19's first five convolutions at full width (vgg_normalised_conv3_1.pth)."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return PublishedVgg(state, "0", {"2": "conv1_1", "5": "conv1_2", "9": "conv2_1", "12": "conv2_2", "16": "conv3_1"})
