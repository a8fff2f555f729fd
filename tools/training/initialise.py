"""Where an encoder begins: convolutions from a published VGG, the layers above them fitted to a VGG-19's features.

Behind a copied or fitted convolution the batch norm starts as the identity on real photographs (its scale and shift are
the deviation and mean that it will divide by), so that the network begins as the function the convolutions came from.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minitorch_style.errors import CheckpointError
from minitorch_style.nn.layers import Conv2d
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.weights import IMAGENET
from tools.torch_network import TorchNetwork
from tools.training.teachers import published

# VGG-16's convolutions above conv3_1 and those of VGG-19 at the same depth of their block: first, middle, last.
FITTED = {
    "conv3_2": "conv3_2",
    "conv3_3": "conv3_4",
    "conv4_1": "conv4_1",
    "conv4_2": "conv4_2",
    "conv4_3": "conv4_4",
    "conv5_1": "conv5_1",
}
POSITIONS = 16_000  # windows that a fit looks at
RIDGE = 1e-2  # of the windows' mean square


def copy_convolutions(network: TorchNetwork, path: Path) -> list[str]:
    """Takes over each convolution of the file (a weight file or a checkpoint) that has a counterpart of its name and
    shape; their names. CheckpointError if there is none."""
    weights = published(path)
    copied = []
    for node in network.architecture.nodes:
        found = weights.parameters.get(f"{node.name}.weight")
        if not isinstance(node.layer, Conv2d) or found is None:
            continue
        if found.shape != node.layer.parameter_shapes()["weight"]:
            continue
        weight = found.astype(np.float64)
        if node.layer.in_channels == 3:  # their own scale of the pixels; the shift is left to the batch norm
            weight = weight * (np.array(weights.normalization.scale) / np.array(IMAGENET.scale))[:, None]
        layer = network.layer(node.name)
        assert isinstance(layer, nn.Conv2d)
        layer.weight.data.copy_(torch.from_numpy(weight.transpose(3, 2, 0, 1).astype(np.float32)))
        if layer.bias is not None and f"{node.name}.bias" in weights.parameters:
            layer.bias.data.copy_(torch.from_numpy(weights.parameters[f"{node.name}.bias"]))
        copied.append(node.name)
    if not copied:
        raise CheckpointError(f"{path}: no convolution of {network.architecture.name} has a counterpart there")
    return copied


@torch.no_grad()
def calibrate(network: TorchNetwork, names: list[str], pixels: torch.Tensor) -> None:
    """Makes the batch norms behind the convolutions `names` the identity on `pixels`, (N, 3, H, W)."""

    def adjust(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.bias.data.copy_(mean)
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]

    hooks = [network.layer(f"{name}_norm").register_forward_pre_hook(adjust) for name in names]
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        network(pixels, [names[-1]])
    for hook in hooks:
        hook.remove()


def _windows(maps: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The 3×3 windows of (N, C, H, W) around positions (P, 3) of (picture, row, column): (P, C·9), as a weight's rows."""
    padded = functional.pad(maps, (1, 1, 1, 1))
    picture, row, column = chosen.T
    offsets = [(a, b) for a in range(3) for b in range(3)]
    return torch.stack([padded[picture, :, row + a, column + b] for a, b in offsets], dim=2).flatten(1)


@torch.no_grad()
def fit_features(network: TorchNetwork, path: Path, pixels: torch.Tensor, seed: int) -> dict[str, float]:
    """Fits, layer after layer, the first maps of each convolution in FITTED to those of the VGG-19 in the file, of whole
    or of quarter width, by least squares on 3×3 windows of what the layers below give; the maps beyond stay random.
    Returns the share of the target's variance that each fit explains."""
    weights = published(path)
    teacher = TorchNetwork.of(weights, architecture(weights.network))
    random = torch.Generator().manual_seed(seed)
    explained = {}
    for name, tap in FITTED.items():
        seen: dict[str, torch.Tensor] = {}
        layer, wanted = network.layer(name), teacher.layer(tap)
        assert isinstance(layer, nn.Conv2d)
        hooks = [
            layer.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.update(x=inputs[0])),
            wanted.register_forward_hook(lambda _, inputs, output, seen=seen: seen.update(y=output)),
        ]
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            network(pixels, [name])
            teacher(pixels, (tap,))
        for hook in hooks:
            hook.remove()
        maps, target = seen["x"].float(), seen["y"].float()
        count = maps.shape[0] * maps.shape[2] * maps.shape[3]
        flat = torch.randperm(count, generator=random)[:POSITIONS]
        area = maps.shape[2] * maps.shape[3]
        chosen = torch.stack([flat // area, flat % area // maps.shape[3], flat % maps.shape[3]], dim=1)
        x, y = _windows(maps, chosen), target[chosen[:, 0], :, chosen[:, 1], chosen[:, 2]]
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        normal = (x.T @ x).double()
        normal.diagonal().add_(RIDGE * float(normal.diagonal().mean()))
        weight = torch.linalg.solve(normal, (x.T @ y).double()).T.float()
        explained[name] = 1 - float((y - x @ weight.T).square().sum() / y.square().sum())
        fitted = weight.unflatten(1, (maps.shape[1], 3, 3))
        layer.weight.data[: fitted.shape[0]] = fitted
        if layer.bias is not None:
            layer.bias.data[: fitted.shape[0]] = y_mean - fitted.flatten(1) @ x_mean
        calibrate(network, [name], pixels)
    return explained
