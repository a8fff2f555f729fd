"""The decoders that make person finders of the encoders: SegNet's (Badrinarayanan et al. 2015) and ENet's (Paszke et al.
2016), each to two maps, background and person. They continue the graph of their encoder, whose pools they undo."""

from __future__ import annotations

from minitorch_style.nn.architecture import Architecture, Node
from minitorch_style.nn.layers import Add, Conv2d, ConvTranspose2d, Layer, MaxPool2d, MaxUnpool2d, ReLU
from minitorch_style.nn.vgg import CONVOLUTIONS, WIDTH_FACTORS

CLASSES = 2
LOGITS = "logits"


def segnet_decoder(name: str, width: int = 64) -> Architecture:
    """VGG-16 backwards: each pool undone with its own indices, then the convolutions of its block. `width` as the
    encoder's."""
    nodes = [Node("decoder.pool5", MaxPool2d(2), ("relu5_3",))]
    before = "decoder.pool5"
    for block in (5, 4, 3, 2, 1):
        unpooled = f"decoder.unpool{block}"
        nodes.append(Node(unpooled, MaxUnpool2d(), (before, before if block == 5 else f"pool{block}")))
        before, channels = unpooled, width * WIDTH_FACTORS[block - 1]
        for index in range(CONVOLUTIONS[16][block - 1], 0, -1):
            if (block, index) == (1, 1):
                nodes.append(Node("decoder.logits", Conv2d(channels, CLASSES, 3, padding=1), (before,)))
                break
            maps = channels if index > 1 else width * WIDTH_FACTORS[block - 2]
            conv, relu = f"decoder.conv{block}_{index}", f"decoder.relu{block}_{index}"
            nodes.append(Node(conv, Conv2d(channels, maps, 3, padding=1), (before,), batch_norm=True))
            nodes.append(Node(relu, ReLU(), (conv,)))
            before, channels = relu, maps
    return Architecture(name, tuple(nodes), {LOGITS: "decoder.logits"}, (), ())


def enet_decoder(name: str) -> Architecture:
    """Bottlenecks 4.0–4.2 (64 maps) and 5.0–5.1 (16 maps) with ReLUs, and a 2×2 transposed convolution."""
    nodes: list[Node] = []

    def add(name: str, layer: Layer, *inputs: str, batch_norm: bool = False) -> str:
        nodes.append(Node(f"decoder.{name}", layer, inputs, batch_norm))
        return f"decoder.{name}"

    def bottleneck(name: str, source: str, channels: int, maps: int, pool: str | None = None) -> str:
        inner = maps // 4
        shortcut = source
        middle: Layer = Conv2d(inner, inner, 3, padding=1)
        if pool is not None:
            narrowed = add(f"{name}.shortcut", Conv2d(channels, maps, 1, bias=False), source, batch_norm=True)
            shortcut = add(f"{name}.unpool", MaxUnpool2d(), narrowed, pool)
            middle = ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1)
        x = add(f"{name}.reduce", Conv2d(channels, inner, 1, bias=False), source, batch_norm=True)
        x = add(f"{name}.reduce_relu", ReLU(), x)
        x = add(f"{name}.middle", middle, x, batch_norm=True)
        x = add(f"{name}.middle_relu", ReLU(), x)
        x = add(f"{name}.expand", Conv2d(inner, maps, 1, bias=False), x, batch_norm=True)
        return add(name, ReLU(), add(f"{name}.add", Add(), x, shortcut))

    x = bottleneck("4.0", "3.8", 128, 64, "2.0.pool")
    x = bottleneck("4.1", x, 64, 64)
    x = bottleneck("4.2", x, 64, 64)
    x = bottleneck("5.0", x, 64, 16, "1.0.pool")
    x = bottleneck("5.1", x, 16, 16)
    logits = add("logits", ConvTranspose2d(16, CLASSES, 2, stride=2), x)
    return Architecture(name, tuple(nodes), {LOGITS: logits}, (), ())
