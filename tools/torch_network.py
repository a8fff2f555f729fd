"""Every architecture of the engine as a PyTorch module: the only such form here, for training, checks and comparisons.

`TorchNetwork.of` computes what the engine computes from the same weights; `TorchNetwork.for_training` has its batch norms
as layers of their own and random weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minitorch_style.arrays import Float32
from minitorch_style.errors import UnsupportedError
from minitorch_style.nn.architecture import INPUT, Architecture, InputNormalization, Node
from minitorch_style.nn.layers import (
    Add,
    Affine,
    AvgPool2d,
    Binarize,
    Concat,
    Conv2d,
    ConvTranspose2d,
    MaxPool2d,
    MaxUnpool2d,
    PReLU,
    ReLU,
)
from minitorch_style.weights.weights import IMAGENET

# ENet's publication: batch norm's ε, and whole maps dropped at the end of a bottleneck, fewer in the first stage.
ENET_EPS = 1e-3
EARLY_DROP, LATE_DROP = 0.01, 0.1


class Parameters(Protocol):
    """What `TorchNetwork.of` reads: a `Weights` or a `Network`."""

    @property
    def parameters(self) -> Mapping[str, Float32]: ...
    @property
    def normalization(self) -> InputNormalization: ...


class TorchNetwork(nn.Module):
    """`architecture` as a graph of PyTorch layers, named as its nodes.

    `batch_norms`: each stands behind its layer NODE as NODE_norm, and an `Affine` is one; else they are folded into their
    layers, as in a weight file. UnsupportedError for a layer without a PyTorch form.
    """

    def __init__(
        self, architecture: Architecture, normalization: InputNormalization = IMAGENET, batch_norms: bool = False
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.layers = nn.ModuleDict()
        for node in architecture.nodes:
            made = (
                _trained(node, architecture.name == "enet") if batch_norms else {node.name: _layer(node, folded=True)}
            )
            for name, module in made.items():
                if module is not None:
                    self.layers[_escaped(name)] = module
        self.register_buffer("mean", torch.tensor(normalization.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(normalization.scale).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def for_training(cls, architecture: Architecture) -> TorchNetwork:
        """With batch norms and He initialisation; ENet with its dropout."""
        return cls(architecture, batch_norms=True)

    @classmethod
    def of(cls, weights: Parameters, architecture: Architecture) -> TorchNetwork:
        """`architecture` with the engine's `weights`, ready to be asked; needs no gradient of them."""
        network = cls(architecture, weights.normalization)
        network.load_parameters(weights.parameters)
        return network.eval().requires_grad_(False)

    def layer(self, name: str) -> nn.Module:
        return self.layers[_escaped(name)]

    @torch.no_grad()
    def load_parameters(self, parameters: Mapping[str, Float32]) -> None:
        """Takes over the engine's {"node.parameter": array}, batch norms folded, into a network that has none."""
        for node in self.architecture.nodes:
            for name in node.parameter_shapes():
                array = np.ascontiguousarray(_torch_layout(node, parameters[f"{node.name}.{name}"]))
                self.layer(node.name).get_parameter(name).copy_(torch.from_numpy(array))

    def named_state(self) -> dict[str, torch.Tensor]:
        """The state by the engine's names, as `minitorch_style.weights.convert` reads it."""
        state = self.state_dict()
        return {key.removeprefix("layers.").replace("/", "."): value for key, value in state.items()}

    def load_named_state(self, state: Mapping[str, torch.Tensor]) -> None:
        escaped = {}
        for key, value in state.items():
            name, _, parameter = key.rpartition(".")
            escaped[f"layers.{_escaped(name)}.{parameter}"] = value
        self.load_state_dict(escaped)

    def forward(self, pixels: torch.Tensor, taps: Iterable[str]) -> dict[str, torch.Tensor]:
        """(N, 3, H, W) RGB in [0, 1] → {tap: (N, C, h, w)}. SettingsError for taps that do not exist."""
        taps = tuple(taps)
        nodes, wanted = self.architecture.until(taps), {self.architecture.taps[tap] for tap in taps}
        last_use = {name: node.name for node in nodes for name in node.inputs}
        undone = {node.inputs[1] for node in nodes if isinstance(node.layer, MaxUnpool2d)}
        values, places = {INPUT: (pixels - self.mean) * self.scale}, {}
        for node in nodes:
            inputs = [values[name] for name in node.inputs]
            if isinstance(node.layer, MaxUnpool2d):
                values[node.name] = functional.max_unpool2d(inputs[0], places[node.inputs[1]], 2)
            elif node.name in undone:
                values[node.name], places[node.name] = _pooled_with_places(node.layer, inputs[0])
            else:
                values[node.name] = self._value(node, inputs)
            for name in set(node.inputs) - wanted:
                if last_use[name] == node.name:
                    del values[name]
        return {tap: values[self.architecture.taps[tap]] for tap in taps}

    def _value(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        layer, x = node.layer, inputs[0]
        if isinstance(layer, ReLU):
            return functional.relu(x)
        if isinstance(layer, MaxPool2d):
            return functional.max_pool2d(x, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)
        if isinstance(layer, AvgPool2d):
            return functional.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
        if isinstance(layer, Concat):
            return torch.cat([one.to(x.dtype) for one in inputs], 1)
        if isinstance(layer, Add):
            widest = max(one.shape[1] for one in inputs)
            padded = [functional.pad(one, (0, 0, 0, 0, 0, widest - one.shape[1])) for one in inputs]
            return sum(padded[1:], padded[0])
        for kind in ("", "_norm", "_drop"):
            if (key := _escaped(f"{node.name}{kind}")) in self.layers:
                x = self.layers[key](x)
        return x


class _Affine(nn.Module):
    """weight[c] · x + bias[c]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class _Binarize(nn.Module):
    """high[c] where x > threshold[c], else low[c]; no gradient flows to x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.threshold, self.low, self.high = (nn.Parameter(torch.full((channels,), v)) for v in (0.5, 0.0, 1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        threshold, low, high = (values[:, None, None] for values in (self.threshold, self.low, self.high))
        return torch.where(x > threshold, high, low)


def _escaped(name: str) -> str:
    return name.replace(".", "/")  # torch takes no dots in the name of a module


def _torch_layout(node: Node, array: Float32) -> Float32:
    """(kh, kw, in, out) as torch has it: (out, in, kh, kw), or (in, out, kh, kw) of a transposed convolution."""
    if array.ndim != 4:
        return array
    return array.transpose(2, 3, 0, 1) if isinstance(node.layer, ConvTranspose2d) else array.transpose(3, 2, 0, 1)


def _pooled_with_places(layer: object, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima and where they were found, for the unpooling that follows."""
    assert isinstance(layer, MaxPool2d)
    pooled, places = functional.max_pool2d_with_indices(
        x, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode
    )
    return pooled, places


def _layer(node: Node, folded: bool) -> nn.Module | None:
    """The node's own module, or None of a layer without parameters. `folded`: with the bias that a batch norm leaves."""
    layer = node.layer
    bias = "bias" in (node if folded else layer).parameter_shapes()
    match layer:
        case Conv2d():
            return nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                bias=bias,
            )  # fmt: skip
        case ConvTranspose2d():
            return nn.ConvTranspose2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
                layer.output_padding, bias=bias,
            )  # fmt: skip
        case PReLU():
            return nn.PReLU(layer.num_parameters)
        case Affine():
            return _Affine(layer.num_features)
        case Binarize():
            return _Binarize(layer.num_features)
        case ReLU() | MaxPool2d() | AvgPool2d() | MaxUnpool2d() | Concat() | Add():
            return None
    raise UnsupportedError(f"{node.name}: no PyTorch form of {layer}")


def _trained(node: Node, enet: bool) -> dict[str, nn.Module | None]:
    """{name: module} of a node in training: its layer, the batch norm behind it, and ENet's dropout."""
    eps = ENET_EPS if enet else 1e-5
    if isinstance(node.layer, Affine):
        return {node.name: nn.BatchNorm2d(node.layer.num_features, eps)}
    made = _layer(node, folded=False)
    modules: dict[str, nn.Module | None] = {node.name: made}
    if not isinstance(made, nn.Conv2d | nn.ConvTranspose2d):
        return modules
    nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    if node.batch_norm:
        modules[f"{node.name}_norm"] = nn.BatchNorm2d(made.out_channels, eps)
    if enet and node.name.endswith(".expand"):
        modules[f"{node.name}_drop"] = nn.Dropout2d(EARLY_DROP if node.name.startswith("1.") else LATE_DROP)
    return modules
