"""The networks that judge: those whose files are here."""

from __future__ import annotations

from pathlib import Path

from minitorch_style.engine.network import Network
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.checkpoints.keras import load_keras
from minitorch_style.weights.convert import convert
from minitorch_style.weights.weights import Weights

# Network: file of an ImageNet network that took no part in making the pictures.
FILES = {"vgg19": "vgg19_keras_notop.h5", "squeezenet": "squeezenet1.1_notop_tf.h5", "vgg19-quarter": "5SE.pth"}


def _read(path: Path, name: str) -> Weights:
    target = architecture(name)
    return load_keras(path, target) if path.suffix == ".h5" else convert(read_checkpoint(path), target)


def judges(folder: Path) -> dict[str, Network]:
    """{name: network with average pooling} of the files that are in `folder`."""
    found = {}
    for name, file in FILES.items():
        if (folder / file).exists():
            weights = _read(folder / file, name)
            layers = architecture(name).with_average_pooling()
            found[name] = Network(layers, weights.parameters, weights.normalization, kernel_set())
    return found
