"""The engine's own architectures as trainable PyTorch networks: one definition of each network serves both."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from minitorch_style.layers import Add, Affine, Concat, Conv2d, ConvTranspose2d, MaxPool2d, MaxUnpool2d, PReLU, ReLU
from minitorch_style.networks import INPUT, Architecture, Node
from minitorch_style.weights import IMAGENET

# ENet's publication: batch norm's ε, and whole maps dropped at the end of a bottleneck, fewer in the first stage.
ENET_EPS = 1e-3
EARLY_DROP, LATE_DROP = 0.01, 0.1


class TrainableNetwork(nn.Module):
    """`architecture`, its batch norms unfolded: layer NODE, the norm behind it NODE_norm; an Affine is trained as a norm.

    `forward` takes (N, 3, H, W) RGB in [0, 1] and returns {tap: (N, C, h, w)}.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        bottlenecks = architecture.name == "enet"
        eps = ENET_EPS if bottlenecks else 1e-5
        self.layers = nn.ModuleDict()
        for node in architecture.nodes:
            for key, layer in _modules(node, eps, bottlenecks):
                self.layers[_escaped(key)] = layer
        self.undone = {node.inputs[1] for node in architecture.nodes if isinstance(node.layer, MaxUnpool2d)}
        self.register_buffer("mean", torch.tensor(IMAGENET.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(IMAGENET.scale).view(1, 3, 1, 1), persistent=False)

    def layer(self, name: str) -> nn.Module:
        return self.layers[_escaped(name)]

    def named_state(self) -> dict[str, torch.Tensor]:
        """The state by the engine's names, as `minitorch_style.convert` reads it."""
        state = self.state_dict()
        return {key.removeprefix("layers.").replace("/", "."): value for key, value in state.items()}

    def load_named_state(self, state: dict[str, torch.Tensor]) -> None:
        escaped = {}
        for key, value in state.items():
            name, _, parameter = key.rpartition(".")
            escaped[f"layers.{_escaped(name)}.{parameter}"] = value
        self.load_state_dict(escaped)

    def forward(self, pixels: torch.Tensor, taps: Iterable[str]) -> dict[str, torch.Tensor]:
        taps = tuple(taps)
        values = {INPUT: (pixels - self.mean) * self.scale}
        places: dict[str, torch.Tensor] = {}
        for node in self.architecture.until(taps):
            values[node.name] = self._value(node, [values[name] for name in node.inputs], places)
        return {tap: values[self.architecture.taps[tap]] for tap in taps}

    def _value(self, node: Node, inputs: list[torch.Tensor], places: dict[str, torch.Tensor]) -> torch.Tensor:
        layer, x = node.layer, inputs[0]
        if isinstance(layer, ReLU):
            return functional.relu(x)
        if isinstance(layer, MaxPool2d):
            size, stride, padding = layer.kernel_size, layer.stride, layer.padding
            if node.name not in self.undone:
                return functional.max_pool2d(x, size, stride, padding, ceil_mode=layer.ceil_mode)
            pooled, places[node.name] = functional.max_pool2d(x, size, stride, padding, return_indices=True)
            return pooled
        if isinstance(layer, MaxUnpool2d):
            return functional.max_unpool2d(x, places[node.inputs[1]], 2)
        if isinstance(layer, Concat):
            return torch.cat([one.to(x.dtype) for one in inputs], 1)
        if isinstance(layer, Add):
            widest = max(one.shape[1] for one in inputs)
            padded = [functional.pad(one, (0, 0, 0, 0, 0, widest - one.shape[1])) for one in inputs]
            return padded[0] + padded[1]
        x = self.layer(node.name)(x)
        for kind in ("norm", "drop"):
            if (key := _escaped(f"{node.name}_{kind}")) in self.layers:
                x = self.layers[key](x)
        return x


def _escaped(name: str) -> str:
    return name.replace(".", "/")  # torch takes no dots in the name of a module


def _modules(node: Node, eps: float, bottlenecks: bool) -> list[tuple[str, nn.Module]]:
    layer = node.layer
    if isinstance(layer, PReLU):
        return [(node.name, nn.PReLU(layer.num_parameters))]
    if isinstance(layer, Affine):
        return [(node.name, nn.BatchNorm2d(layer.num_features, eps))]
    made: nn.Module
    if isinstance(layer, Conv2d):
        made = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            bias=layer.bias,
        )
    elif isinstance(layer, ConvTranspose2d):
        made = nn.ConvTranspose2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.output_padding,
            bias=layer.bias,
        )
    else:
        return []
    nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    modules: list[tuple[str, nn.Module]] = [(node.name, made)]
    if node.batch_norm:
        modules.append((f"{node.name}_norm", nn.BatchNorm2d(layer.out_channels, eps)))
    if bottlenecks and node.name.endswith(".expand"):
        modules.append((f"{node.name}_drop", nn.Dropout2d(EARLY_DROP if node.name.startswith("1.") else LATE_DROP)))
    return modules
