"""ImageNet feature extractors that the perceptual student learns from, read from their published files."""

from __future__ import annotations

from pathlib import Path

import torch

from minitorch_style.nn.registry import architecture
from minitorch_style.nn.vgg import vgg
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.checkpoints.keras import load_keras
from minitorch_style.weights.convert import convert
from tools.torch_network import TorchNetwork


def vgg19(path: Path) -> TorchNetwork:
    """The real VGG-19 up to conv5_1, average-pooled, from Keras's file."""
    weights = load_keras(path, architecture("vgg19"))
    network = TorchNetwork.of(weights, vgg("vgg19", 19, last="conv5_1").with_average_pooling())
    return network.to(memory_format=torch.channels_last)


def published(path: Path, name: str) -> TorchNetwork:
    """The network called `name` from a published checkpoint: the quarter-width VGG-19 (5SE.pth), or VGG-19's first five
    convolutions (vgg_normalised_conv3_1.pth)."""
    target = architecture(name)
    return TorchNetwork.of(convert(read_checkpoint(path), target), target)
