"""VGG-16 and VGG-19 without their classifiers (Simonyan & Zisserman 2014), at any width and up to any convolution."""

from __future__ import annotations

from minitorch_style.errors import SettingsError
from minitorch_style.nn.architecture import INPUT, Architecture, Node
from minitorch_style.nn.layers import Binarize, Conv2d, MaxPool2d, ReLU

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTH_FACTORS = (1, 2, 4, 8, 8)

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_LAYERS = ("conv4_2",)


def vgg(
    name: str,
    depth: int,
    width: int | tuple[int, ...] = 64,
    last: str | None = None,
    batch_norm: bool = False,
    binary_activations: bool = False,
) -> Architecture:
    """VGG-`depth` with `width` maps in its first block, or those of each block, ending at the convolution `last` (default:
    all of them).

    Tap `convB_I` is the activation after that convolution's ReLU, as in Gatys et al. With `binary_activations` every
    convolution but the first reads its input as one bit a value, as in XNOR-Net.
    """
    widths = tuple(width * factor for factor in WIDTH_FACTORS) if isinstance(width, int) else width
    nodes: list[Node] = []
    taps: dict[str, str] = {}
    before, channels = INPUT, 3
    for block, count in enumerate(CONVOLUTIONS[depth], start=1):
        if block > 1:
            nodes.append(Node(f"pool{block - 1}", MaxPool2d(2), (before,)))
            before = nodes[-1].name
        for index in range(1, count + 1):
            conv, relu, maps = f"conv{block}_{index}", f"relu{block}_{index}", widths[block - 1]
            if binary_activations and before != INPUT:
                nodes.append(Node(f"sign{block}_{index}", Binarize(channels), (before,)))
                before = nodes[-1].name
            nodes.append(Node(conv, Conv2d(channels, maps, 3, padding=1), (before,), batch_norm))
            nodes.append(Node(relu, ReLU(), (conv,)))
            taps[conv] = before = relu
            channels = maps
            if conv == last:
                return _finished(name, nodes, taps)
    if last is not None:
        raise SettingsError(f"VGG-{depth} has no convolution {last}; it has {', '.join(taps)}")
    return _finished(name, nodes, taps)


def _finished(name: str, nodes: list[Node], taps: dict[str, str]) -> Architecture:
    style = tuple(tap for tap in STYLE_LAYERS if tap in taps)
    content = tuple(tap for tap in CONTENT_LAYERS if tap in taps) or (list(taps)[-1],)
    return Architecture(name, tuple(nodes), taps, style, content)
