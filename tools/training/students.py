"""The small networks that learn from VGG-19: what each looks like, where it starts, and its state while it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from minitorch_style.nn.layers import Conv2d
from minitorch_style.nn.registry import Architecture, architecture
from minitorch_style.weights.convert import convert
from minitorch_style.weights.weights import IMAGENET, Weights
from tools.torch_network import TorchNetwork
from tools.training.matching import Target, best_map, feature_error, gram_difference_error, gram_error, moments
from tools.training.runs import segmenter
from tools.training.teachers import published

# {the teacher's tap: how much it counts}. What style and content look at, and the end of each block on the way there.
TAPS = {
    "conv1_1": 1.0,
    "conv1_2": 0.1,
    "conv2_1": 1.0,
    "conv2_2": 0.1,
    "conv3_1": 1.0,
    "conv3_4": 0.1,
    "conv4_1": 1.0,
    "conv4_2": 0.3,
    "conv4_4": 0.1,
    "conv5_1": 1.0,
}
VGG19 = {tap: tap for tap in TAPS}
# {the teacher's tap: the student's}. ENet has nothing at the picture's own size, and ends at 1/8 of it.
COUNTERPARTS = {
    "distilled-perceptual": VGG19 | {"conv3_4": "conv3_3", "conv4_4": "conv4_3"},
    "distilled-wide": VGG19 | {"conv3_4": "conv3_3", "conv4_4": "conv4_3"},
    "quarter": VGG19,
    "enet": {"conv2_1": "initial", "conv3_1": "1.4", "conv4_1": "2.2", "conv4_2": "2.8", "conv5_1": "3.8"},
}
GRAM_WEIGHT, DIFFERENCE_WEIGHT = 0.6, 0.9
REMEMBERED = 0.99  # of the moments and activities of earlier batches, at each step
WEAK = 0.05  # of its layer's mean: a map with less is dead


def build(name: str) -> TorchNetwork:
    """An untrained student; average-pooled as pictures are made, but for ENet, which comes with its decoder."""
    if name != "enet":
        return TorchNetwork.for_training(architecture(name).with_average_pooling())
    network = TorchNetwork.for_training(segmenter(name))
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0  # a map that is dropped cannot be like its teacher's
    return network


def convolutions(network: TorchNetwork) -> dict[str, nn.Conv2d]:
    """By name, in order."""
    names = [node.name for node in network.architecture.nodes if isinstance(node.layer, Conv2d)]
    return {name: network.layer(name) for name in names}  # type: ignore[misc]


def parameters_of(state: Mapping[str, torch.Tensor], target: Architecture) -> dict[str, Any]:
    """{the engine's parameter name: array} of a network's `named_state`."""
    return dict(convert({key: value.float().numpy() for key, value in state.items()}, target).parameters)


@torch.no_grad()
def start(network: TorchNetwork, weights: Weights) -> None:
    """Takes over, of each convolution, the maps that both have; the others stay random, but what they add to maps taken
    over is small."""
    for name, layer in convolutions(network).items():
        if (found := weights.parameters.get(f"{name}.weight")) is None:
            continue
        known = found.astype(np.float64)
        if layer.in_channels == 3:  # their own scale of the pixels
            known = known * (np.array(weights.normalization.scale) / np.array(IMAGENET.scale))[:, None]
        known = known.transpose(3, 2, 0, 1)
        rows, columns = min(layer.out_channels, known.shape[0]), min(layer.in_channels, known.shape[1])
        layer.weight[:rows] *= 0.1
        layer.weight[:rows, :columns] = torch.from_numpy(known[:rows, :columns].astype(np.float32))
        assert layer.bias is not None
        layer.bias[:rows] = torch.from_numpy(weights.parameters[f"{name}.bias"][:rows])


@torch.no_grad()
def balance(network: TorchNetwork) -> dict[str, torch.Tensor]:
    """Gives every filter the norm that He initialisation does and scales the next layer's to it, so that one learning rate
    suits them all: the same function, its maps times the returned {convolution: factors}."""
    factors: dict[str, torch.Tensor] = {}
    before = torch.ones(3)
    for name, layer in convolutions(network).items():
        assert layer.bias is not None
        layer.weight /= before[:, None, None]
        before = math.sqrt(2) / layer.weight.flatten(1).norm(dim=1).clamp(min=1e-6)
        layer.weight *= before[:, None, None, None]
        layer.bias *= before
        factors[name] = before
    return factors


@dataclass
class Moments:
    """Running means at one tap: S, X and the energy of `matching`."""

    square: torch.Tensor
    cross: torch.Tensor
    energy: torch.Tensor

    def follow(self, square: torch.Tensor, cross: torch.Tensor, energy: torch.Tensor, remembered: float) -> None:
        for mine, new in ((self.square, square), (self.cross, cross), (self.energy, energy)):
            mine.lerp_(new, 1 - remembered)


class Student:
    """A network that learns, its optimizer, the running average of its weights, and what it remembers of the batches."""

    def __init__(self, name: str, lr: float) -> None:
        self.name, self.lr = name, lr
        self.began, self.renewed = "random weights", 0
        self.counterparts = COUNTERPARTS[name]
        self.network = build(name).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr, betas=(0.9, 0.99))
        self.average: dict[str, torch.Tensor] = {}
        self.moments: dict[str, Moments] = {}
        self.activity: dict[str, torch.Tensor] = {}  # {convolution: mean of each map}
        # Without batch norm a map can die for good, and is drawn anew.
        self.renewable = not any(node.batch_norm for node in self.network.architecture.nodes)

    def begin(self, source: str) -> None:
        """Takes over the weights in the file `source`, if any."""
        if source:
            self.began = Path(source).name
            start(self.network, published(Path(source)))
        if self.renewable:
            balance(self.network)

    def loss(self, pixels: torch.Tensor, targets: Mapping[str, Target]) -> tuple[torch.Tensor, dict[str, float]]:
        """(loss, {teacher's tap: share of its energy that the best map leaves}) on a batch."""
        watched = tuple(convolutions(self.network)) if self.renewable else ()
        features = self.network(pixels, {*self.counterparts.values(), *watched})
        loss, left = torch.zeros(()), {}
        for tap, own in self.counterparts.items():
            wanted = targets[tap]
            square, cross = moments(features[own], wanted)
            seen = self._remember(tap, square.detach().mean(0), cross.mean(0).detach(), wanted.energy)
            found = best_map(seen.square, seen.cross)
            error = feature_error(square, cross, wanted, found) / seen.energy
            grams = GRAM_WEIGHT * gram_error(square, wanted, found)
            grams = grams + DIFFERENCE_WEIGHT * gram_difference_error(square, wanted, found)
            loss = loss + TAPS[tap] * (error + grams)
            left[tap] = error.item()
        with torch.no_grad():
            for name in watched:
                mean = features[name].mean((0, 2, 3))
                self.activity[name] = mean.lerp(self.activity.get(name, mean), REMEMBERED)
        return loss / sum(TAPS[tap] for tap in self.counterparts), left

    def _remember(self, tap: str, square: torch.Tensor, cross: torch.Tensor, energy: torch.Tensor) -> Moments:
        if tap not in self.moments:
            self.moments[tap] = Moments(square, cross, energy)
        self.moments[tap].follow(square, cross, energy, REMEMBERED)
        return self.moments[tap]

    def learn(self, loss: torch.Tensor, rate: float, averaged: float) -> None:
        """One step at `rate` times the learning rate; `averaged` of the running average is kept."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        for key, value in self.network.named_state().items():
            if key not in self.average or not value.is_floating_point():
                self.average[key] = value.clone()
            else:
                self.average[key].lerp_(value, 1 - averaged)

    @torch.no_grad()
    def renew(self) -> None:
        """Draws dead maps anew: the weights of a living map of the layer with noise of half their size, and no say yet in
        the layer above."""
        if not self.renewable:
            return
        layers = convolutions(self.network)
        for (name, layer), above in zip(layers.items(), [*list(layers.values())[1:], None], strict=True):
            weak = self.activity[name] < WEAK * self.activity[name].mean()
            dead, alive = torch.nonzero(weak).flatten(), torch.nonzero(~weak).flatten()
            if not len(dead):
                continue
            chosen = alive[torch.randint(len(alive), (len(dead),))]
            noise = torch.randn_like(layer.weight[dead])
            noise -= noise.mean(
                (1, 2, 3), keepdim=True
            )  # inputs are positive: a sum would make it fire always or never
            noise *= (layer.weight[chosen].square().sum((1, 2, 3)) / noise.square().sum((1, 2, 3))).sqrt()[
                :, None, None, None
            ]
            assert layer.bias is not None
            layer.weight[dead], layer.bias[dead] = layer.weight[chosen] + 0.5 * noise, layer.bias[chosen]
            touched = [(layer.weight, dead), (layer.bias, dead)]
            if above is not None:
                above.weight[:, dead] = 0.0
            for parameter, rows in touched:
                for key in ("exp_avg", "exp_avg_sq"):
                    self.optimizer.state[parameter][key][rows] = 0.0
            self.activity[name][dead] = self.activity[name].mean()
            self.renewed += len(dead)

    def state(self) -> dict[str, Any]:
        """Everything to go on from."""
        seen = {tap: (one.square, one.cross, one.energy) for tap, one in self.moments.items()}
        return {
            "began": self.began,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "moments": seen,
            "activity": self.activity,
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.began = state["began"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.activity = state["average"], state["activity"]
        self.moments = {tap: Moments(*values) for tap, values in state["moments"].items()}
