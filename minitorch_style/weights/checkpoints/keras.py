"""Weights of VGGs and of SqueezeNet as Keras saves them: HDF5 groups blockB_convI, or fireN/LAYER, of a kernel (kh, kw,
in, out) and a bias, for BGR of 0 to 255 less the mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.errors import WeightsError
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.registry import NETWORKS, Architecture, architecture
from minitorch_style.weights.guarded import MAX_DEPTH, opened
from minitorch_style.weights.hdf5 import turn_to_rgb
from minitorch_style.weights.weights import Weights, require_sound

# {what a layer's groups are called: its name here}, for VGGs and for SqueezeNet as converted from Caffe, and what each
# network was trained to see: RGB means of 0 to 255.
VGG = (re.compile(r"(?:^|/)block(\d)_(conv)(\d)(?:/|$)"), r"\2\1_\3", (123.68, 116.779, 103.939))
SQUEEZENET = (re.compile(r"(?:^|/)(conv1|fire\d)(?:/(\w+))?/[\w/]+$"), r"\1.\2", (122.679, 116.669, 104.006))


def _scheme(target: Architecture) -> tuple[re.Pattern[str], str, tuple[float, float, float]]:
    return SQUEEZENET if target.name == "squeezenet" else VGG


def _parameters(datasets: Mapping[str, Any], target: Architecture) -> dict[str, str]:
    """{parameter: the dataset that holds it}. WeightsError unless all are there, in their shapes."""
    pattern, naming, _ = _scheme(target)
    expected = target.parameter_shapes()
    found: dict[str, str] = {}
    for name, item in datasets.items():
        if layer := pattern.search(name):
            parameter = f"{layer.expand(naming).rstrip('.')}.{'bias' if len(item.shape) == 1 else 'weight'}"
            if expected.get(parameter) != item.shape:
                raise WeightsError(f"{name:.120} is {item.shape}, {target.name} has {expected.get(parameter)}")
            found[parameter] = name
    if missing := [name for name in expected if name not in found]:
        some = f"{', '.join(missing[:4])}{' …' if len(missing) > 4 else ''}"
        raise WeightsError(f"no network of Keras's for {target.name}: {len(missing)} parameters are missing ({some})")
    return found


def load_keras(path: Path, target: Architecture) -> Weights:
    """The weights of a VGG or SqueezeNet that Keras saved. WeightsError as for `load_weights`; layers of a classifier are
    left out."""
    with opened(path) as file:
        datasets = file.datasets(MAX_DEPTH)
        parameters: dict[str, Float32] = {
            parameter: np.ascontiguousarray(file.values(datasets[name], name), np.float32)
            for parameter, name in _parameters(datasets, target).items()
        }
        turn_to_rgb(parameters, target)
        red, green, blue = (value / 255 for value in _scheme(target)[2])
        return require_sound(
            Weights(target.name, parameters, InputNormalization((red, green, blue), (255.0, 255.0, 255.0)))
        )


def keras_networks(path: Path) -> list[str]:
    """The names of all networks that an HDF5 file of Keras's holds, by the names and shapes in it."""
    fitting = []
    with opened(path) as file:
        datasets = file.datasets(MAX_DEPTH)
        for name in NETWORKS:
            try:
                _parameters(datasets, architecture(name))
            except WeightsError:
                continue
            fitting.append(name)
    return fitting
