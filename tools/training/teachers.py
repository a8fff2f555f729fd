"""ImageNet feature extractors that the perceptual student learns from, read from their published files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import nn


class QuarterVgg19(nn.Module):
    """A quarter-width VGG-19 up to conv5_1 (file 5SE.pth: keys conv0, conv11 … conv51), zero padding."""

    NAMES = ("11", "12", "21", "22", "31", "32", "33", "34", "41", "42", "43", "44", "51")

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        self.convs = nn.ModuleDict()
        for name in ("0", *self.NAMES):
            weight, bias = state[f"conv{name}.weight"], state[f"conv{name}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2)
            conv.weight.data, conv.bias.data = weight, bias
            self.convs[name] = conv

    def forward(self, pixels: torch.Tensor, taps: tuple[str, ...]) -> dict[str, torch.Tensor]:
        x = self.convs["0"](pixels)
        features = {}
        for name in self.NAMES:
            if name in ("21", "31", "41", "51"):
                x = nn.functional.max_pool2d(x, 2)
            x = torch.relu(self.convs[name](x))
            tap = f"conv{name[0]}_{name[1]}"
            if tap in taps:
                features[tap] = x
        return features


class Vgg19ToConv31(nn.Module):
    """VGG-19's first five convolutions at full width (file vgg_normalised_conv3_1.pth), zero padding."""

    KEYS: ClassVar = {"2": "conv1_1", "5": "conv1_2", "9": "conv2_1", "12": "conv2_2", "16": "conv3_1"}

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.convs = nn.ModuleDict()
        for key in ("0", *self.KEYS):
            weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2)
            conv.weight.data, conv.bias.data = weight, bias
            self.convs[key] = conv

    def forward(self, pixels: torch.Tensor, taps: tuple[str, ...]) -> dict[str, torch.Tensor]:
        x = self.convs["0"](pixels)
        features = {}
        for key, name in self.KEYS.items():
            if name in ("conv2_1", "conv3_1"):
                x = nn.functional.max_pool2d(x, 2)
            x = torch.relu(self.convs[key](x))
            if name in taps:
                features[name] = x
        return features
