"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable

from minitorch_style.errors import SettingsError
from minitorch_style.nn.architecture import INPUT, Architecture, Node
from minitorch_style.nn.decoders import LOGITS, enet_decoder, segnet_decoder
from minitorch_style.nn.enet import enet
from minitorch_style.nn.squeezenet import squeezenet
from minitorch_style.nn.vgg import vgg

__all__ = [
    "DECODERS",
    "INPUT",
    "LOGITS",
    "NETWORKS",
    "Architecture",
    "Node",
    "architecture",
    "decoder",
    "stored_architecture",
]

NETWORKS: dict[str, Callable[[], Architecture]] = {
    "vgg16": lambda: vgg("vgg16", 16),
    "vgg19": lambda: vgg("vgg19", 19),
    "vgg19-conv3_1": lambda: vgg("vgg19-conv3_1", 19, last="conv3_1"),
    "vgg19-quarter": lambda: vgg("vgg19-quarter", 19, width=16, last="conv5_1"),
    "segnet": lambda: vgg("segnet", 16, batch_norm=True),
    "distilled": lambda: vgg("distilled", 16, width=8, batch_norm=True),
    "distilled-perceptual": lambda: vgg("distilled-perceptual", 16, width=8, last="conv5_1"),
    "distilled-wide": lambda: vgg("distilled-wide", 16, width=(16, 32, 32, 64, 64), last="conv5_1"),
    "quarter": lambda: vgg("quarter", 19, width=16, last="conv5_1"),
    "enet": enet,
    # Weights of one bit (BWN), and activations of one bit as well (XNOR-Net): made by tools/binarise.
    "segnet-bwn": lambda: vgg("segnet-bwn", 16, batch_norm=True),
    "distilled-bwn": lambda: vgg("distilled-bwn", 16, width=8, batch_norm=True),
    "distilled-xnor": lambda: vgg("distilled-xnor", 16, width=8, batch_norm=True, binary_activations=True),
    "perceptual-bwn": lambda: vgg("perceptual-bwn", 16, width=8, last="conv5_1"),
    "perceptual-xnor": lambda: vgg("perceptual-xnor", 16, width=8, last="conv5_1", binary_activations=True),
    "squeezenet": squeezenet,
}

# What continues an encoder to a person finder.
DECODERS: dict[str, Callable[[], Architecture]] = {
    "segnet": lambda: segnet_decoder("segnet-decoder"),
    "distilled": lambda: segnet_decoder("distilled-decoder", width=8),
    "enet": lambda: enet_decoder("enet-decoder"),
}


def architecture(name: str) -> Architecture:
    """The network called `name`. SettingsError lists the names there are."""
    if name not in NETWORKS:
        raise SettingsError(f"no network {name!r:.80}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]()


def decoder(name: str) -> Architecture:
    """The decoder of the encoder called `name`: nodes that continue its graph up to the tap `LOGITS`."""
    if name not in DECODERS:
        raise SettingsError(f"{name} finds no people; {', '.join(DECODERS)} do")
    return DECODERS[name]()


def stored_architecture(name: str) -> Architecture:
    """What a weight file may be for: a network or a decoder. SettingsError for other names."""
    decoders = {build().name: build for build in DECODERS.values()}
    return decoders[name]() if name in decoders else architecture(name)
