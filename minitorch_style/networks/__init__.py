"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable

from minitorch_style.errors import SettingsError
from minitorch_style.networks.architecture import INPUT, Architecture, Node
from minitorch_style.networks.enet import enet
from minitorch_style.networks.vgg import vgg

__all__ = ["INPUT", "NETWORKS", "Architecture", "Node", "architecture"]

NETWORKS: dict[str, Callable[[], Architecture]] = {
    "vgg16": lambda: vgg("vgg16", 16),
    "vgg19": lambda: vgg("vgg19", 19),
    "vgg19-conv3_1": lambda: vgg("vgg19-conv3_1", 19, last="conv3_1"),
    "vgg19-quarter": lambda: vgg("vgg19-quarter", 19, width=16, last="conv5_1"),
    "segnet": lambda: vgg("segnet", 16, batch_norm=True),
    "distilled": lambda: vgg("distilled", 16, width=8, batch_norm=True),
    "distilled-perceptual": lambda: vgg("distilled-perceptual", 16, width=8, last="conv5_1"),
    "enet": enet,
}


def architecture(name: str) -> Architecture:
    """The network called `name`. SettingsError lists the names there are."""
    if name not in NETWORKS:
        raise SettingsError(f"no network {name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]()
