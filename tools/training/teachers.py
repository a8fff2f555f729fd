"""ImageNet feature extractors that students learn from or begin with, read from their published files."""

from __future__ import annotations

from pathlib import Path

import torch

from minitorch_style.errors import CheckpointError
from minitorch_style.nn.registry import architecture
from minitorch_style.nn.vgg import vgg
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.checkpoints.keras import load_keras
from minitorch_style.weights.convert import convert, fitting_networks
from minitorch_style.weights.hdf5 import is_hdf5, load_weights, network_of
from minitorch_style.weights.weights import Weights
from tools.torch_network import TorchNetwork


def vgg19(path: Path) -> TorchNetwork:
    """The real VGG-19 up to conv5_1, average-pooled, from Keras's file."""
    weights = load_keras(path, architecture("vgg19"))
    network = TorchNetwork.of(weights, vgg("vgg19", 19, last="conv5_1").with_average_pooling())
    return network.to(memory_format=torch.channels_last)


def published(path: Path) -> Weights:
    """A weight file, or the first network that a published checkpoint fits. CheckpointError if there is none."""
    if is_hdf5(path):
        return load_weights(path, architecture(network_of(path)))
    state = read_checkpoint(path)
    names = fitting_networks(state)
    if not names:
        raise CheckpointError(f"{path}: no network's weights")
    return convert(state, architecture(names[0]))
