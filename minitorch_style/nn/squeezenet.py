"""SqueezeNet 1.1 without its classifier (Iandola et al. 2016): an encoder from another family than VGG, used as a judge."""

from __future__ import annotations

from minitorch_style.nn.architecture import INPUT, Architecture, Node
from minitorch_style.nn.layers import Concat, Conv2d, Layer, MaxPool2d, ReLU

# (maps of the 1×1 squeeze, maps of each of the two expansions) of fire2 to fire9; a pool stands before fire2, 4 and 6.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOLED = (2, 4, 6)

STYLE_LAYERS = ("conv1", "fire2", "fire4", "fire6", "fire8")
CONTENT_LAYERS = ("fire5",)


def squeezenet(name: str = "squeezenet") -> Architecture:
    """Taps: conv1 and the outputs of the fire modules."""
    nodes: list[Node] = []

    def add(name: str, layer: Layer, *inputs: str) -> str:
        nodes.append(Node(name, layer, inputs))
        return name

    def conv(name: str, source: str, layer: Conv2d) -> str:
        return add(f"{name}_relu", ReLU(), add(name, layer, source))

    last, channels = conv("conv1", INPUT, Conv2d(3, 64, 3, stride=2)), 64
    taps = {"conv1": last}
    for number, (squeezed, expanded) in enumerate(FIRES, start=2):
        fire = f"fire{number}"
        if number in POOLED:
            last = add(f"pool{number - 1}", MaxPool2d(3, stride=2, ceil_mode=True), last)
        narrow = conv(f"{fire}.squeeze1x1", last, Conv2d(channels, squeezed, 1))
        one = conv(f"{fire}.expand1x1", narrow, Conv2d(squeezed, expanded, 1))
        three = conv(f"{fire}.expand3x3", narrow, Conv2d(squeezed, expanded, 3, padding=1))
        last = taps[fire] = add(fire, Concat(), one, three)
        channels = 2 * expanded
    return Architecture(name, tuple(nodes), taps, STYLE_LAYERS, CONTENT_LAYERS)
