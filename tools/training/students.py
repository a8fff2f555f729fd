"""PyTorch twins of the engine's VGG networks, with the engine's layer names as keys."""

from __future__ import annotations

import torch
from torch import nn

VGG_CONVS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
VGG_WIDTHS = (1, 2, 4, 8, 8)


class VggEncoder(nn.Module):
    """VGG-`depth` without classifier, `width` maps in its first block, up to the convolution named `last`.

    `forward` takes (N, 3, H, W) RGB in [0, 1] and returns {name: activation after the ReLU} for `taps`.
    """

    def __init__(self, depth: int = 16, width: int = 8, last: str = "conv5_1") -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        self.pool_before: set[str] = set()
        channels = 3
        for block, count in enumerate(VGG_CONVS[depth], start=1):
            for index in range(1, count + 1):
                name = f"conv{block}_{index}"
                maps = width * VGG_WIDTHS[block - 1]
                self.convs[name] = nn.Conv2d(channels, maps, 3, padding=1)
                if index == 1 and block > 1:
                    self.pool_before.add(name)
                channels = maps
                if name == last:
                    break
            if last in self.convs:
                break
        # The ImageNet statistics; written to the weight file as the input normalisation.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        for conv in self.convs.values():
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)

    def forward(self, pixels: torch.Tensor, taps: tuple[str, ...]) -> dict[str, torch.Tensor]:
        x = (pixels - self.mean) * self.scale
        features = {}
        for name, conv in self.convs.items():
            if name in self.pool_before:
                x = nn.functional.max_pool2d(x, 2)
            x = torch.relu(conv(x))
            if name in taps:
                features[name] = x
        return features
