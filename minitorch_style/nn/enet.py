"""The ENet encoder (Paszke et al. 2016): bottlenecks, dilated and asymmetric convolutions, a PReLU slope per channel."""

from __future__ import annotations

from minitorch_style.nn.architecture import INPUT, Architecture, Node
from minitorch_style.nn.layers import Add, Affine, Concat, Conv2d, Layer, MaxPool2d, PReLU

# The second and third stage: (kind, dilation or length) of bottlenecks x.1 to x.8.
STAGE = (
    ("regular", 1),
    ("dilated", 2),
    ("asymmetric", 5),
    ("dilated", 4),
    ("regular", 1),
    ("dilated", 8),
    ("asymmetric", 5),
    ("dilated", 16),
)

# Five depths spread like VGG's conv1_1 … conv5_1 (two at half the picture's resolution and below), one deep for content.
STYLE_LAYERS = ("initial", "1.1", "1.4", "2.2", "2.4")
CONTENT_LAYERS = ("1.4",)


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.taps: dict[str, str] = {}

    def add(self, name: str, layer: Layer, *inputs: str, batch_norm: bool = False) -> str:
        self.nodes.append(Node(name, layer, inputs, batch_norm))
        return name

    def conv(self, name: str, source: str, layer: Conv2d) -> str:
        """Convolution, batch norm, PReLU."""
        self.add(name, layer, source, batch_norm=True)
        return self.add(f"{name}_prelu", PReLU(layer.out_channels), name)

    def initial(self) -> None:
        """3×3 convolution to 13 maps beside a max-pool of the picture's 3 channels, at half the size.

        The pool rounds up so that pictures of odd size fit the convolution; for even sizes it is the published one.
        Its channels get the batch norm's scale and shift by themselves, having no convolution to fold them into.
        """
        conv = self.add("initial.conv", Conv2d(3, 13, 3, stride=2, padding=1), INPUT, batch_norm=True)
        pool = self.add("initial.pool", MaxPool2d(2, ceil_mode=True), INPUT)
        scaled = self.add("initial.pool_norm", Affine(3), pool)
        both = self.add("initial.concat", Concat(), conv, scaled)
        self.taps["initial"] = self.add("initial", PReLU(16), both)

    def bottleneck(self, name: str, source: str, channels: int, maps: int, kind: str, extent: int) -> str:
        """Shortcut beside 1×1 reduction to a quarter of the maps, a middle convolution, and 1×1 expansion."""
        inner = maps // 4
        shortcut = source
        if kind == "downsampling":
            shortcut = self.add(f"{name}.pool", MaxPool2d(2), source)
            reduce = Conv2d(channels, inner, 2, stride=2, bias=False)
        else:
            reduce = Conv2d(channels, inner, 1, bias=False)
        x = self.conv(f"{name}.reduce", source, reduce)
        if kind == "asymmetric":
            half = extent // 2
            # The factors of one 5×5 convolution: nothing stands between them.
            column = Conv2d(inner, inner, (extent, 1), padding=(half, 0), bias=False)
            x = self.add(f"{name}.middle_column", column, x)
            middle = Conv2d(inner, inner, (1, extent), padding=(0, half))
        else:
            middle = Conv2d(inner, inner, 3, padding=extent, dilation=extent)
        x = self.conv(f"{name}.middle", x, middle)
        x = self.add(f"{name}.expand", Conv2d(inner, maps, 1, bias=False), x, batch_norm=True)
        total = self.add(f"{name}.add", Add(), x, shortcut)
        self.taps[name] = self.add(name, PReLU(maps), total)
        return name


def enet(name: str = "enet") -> Architecture:
    """Initial block, bottlenecks 1.0–1.4 (64 maps), 2.0–2.8 and 3.1–3.8 (128 maps). Taps are the blocks."""
    build = _Builder()
    build.initial()
    last = build.bottleneck("1.0", "initial", 16, 64, "downsampling", 1)
    for index in range(1, 5):
        last = build.bottleneck(f"1.{index}", last, 64, 64, "regular", 1)
    last = build.bottleneck("2.0", last, 64, 128, "downsampling", 1)
    for stage in (2, 3):
        for index, (kind, extent) in enumerate(STAGE, start=1):
            last = build.bottleneck(f"{stage}.{index}", last, 128, 128, kind, extent)
    return Architecture(name, tuple(build.nodes), build.taps, STYLE_LAYERS, CONTENT_LAYERS)
