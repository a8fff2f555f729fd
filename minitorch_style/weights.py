"""Weights as numbers: parameters of one network with what it expects of its input. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from minitorch_style.kernels.buffers import Array
from minitorch_style.layers import Affine, Binarize, Conv2d, ConvTranspose2d, PReLU
from minitorch_style.networks import Architecture
from minitorch_style.plan import Normalisation

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), scale=(1 / 0.229, 1 / 0.224, 1 / 0.225))


@dataclass(frozen=True)
class Weights:
    """Parameters of one network as a file holds them. `tap_scales` bring the features of a tap to a mean activation of
    1 where the parameters could not (1 for those not named); losses apply them."""

    network: str
    parameters: Mapping[str, Array]
    normalisation: Normalisation = IMAGENET
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    tap_scales: Mapping[str, float] = field(default_factory=dict)


def random_weights(architecture: Architecture, seed: int) -> Weights:
    """He initialisation (He et al. 2015) from `seed`: the same numbers on every machine. PReLU slopes are 1/4."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, Array] = {}
    for node in architecture.nodes:
        for name, shape in node.parameter_shapes().items():
            if isinstance(node.layer, Conv2d | ConvTranspose2d) and name == "weight":
                value, deviation = np.empty(shape, np.float32), np.sqrt(2 / np.prod(shape[:3]))
                for line in value:  # not all at once in double
                    line[...] = rng.standard_normal(line.shape) * deviation
            elif isinstance(node.layer, PReLU):
                value = np.full(shape, 0.25)
            elif isinstance(node.layer, Binarize):  # 0 or 1, about the middle of a rectified normal value
                value = np.full(shape, {"threshold": 0.5, "low": 0.0, "high": 1.0}[name])
            else:
                value = np.full(shape, float(isinstance(node.layer, Affine) and name == "weight"))
            parameters[f"{node.name}.{name}"] = np.asarray(value, np.float32)
    source = {"source": f"He initialisation, seed {seed}"}
    return Weights(architecture.name, parameters, IMAGENET, source, trained=False)


def differences(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """All that distinguishes two sets of named shapes, a line each."""
    lines = [f"missing {name} {expected[name]}" for name in expected if name not in found]
    lines += [f"extra {name} {found[name]}" for name in found if name not in expected]
    lines += [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    return lines
