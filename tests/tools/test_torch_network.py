"""The PyTorch form of every network computes what the engine computes, from the same weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from minitorch_style.engine.network import Network
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.architecture import INPUT, Architecture, Node
from minitorch_style.nn.registry import DECODERS, NETWORKS, architecture, decoder
from minitorch_style.weights.weights import Weights, random_weights
from tests import oracle

pytestmark = pytest.mark.torch


def lively(target: Architecture, rng: np.random.Generator) -> Weights:
    """Random weights in which a parameter that is mistaken for another, or left out, changes the features."""
    weights = random_weights(target, 0)
    noise = {name: rng.normal(0, 0.1, array.shape) for name, array in weights.parameters.items() if array.ndim == 1}
    parameters = {name: (array + noise.get(name, 0)).astype(np.float32) for name, array in weights.parameters.items()}
    return Weights(target.name, parameters, weights.normalization)


@pytest.mark.parametrize(
    "target",
    [
        *(pytest.param(architecture(name), id=name) for name in NETWORKS),
        *(pytest.param(architecture(name).with_average_pooling(), id=f"{name}, average pools") for name in NETWORKS),
        *(pytest.param(architecture(name).continued(decoder(name)), id=f"{name} and its decoder") for name in DECODERS),
    ],
)
def test_same_features_as_the_engine(target: Architecture, rng: np.random.Generator) -> None:
    import torch

    from tools.torch_network import TorchNetwork

    weights = lively(target, rng)
    pixels = rng.random((64, 32, 3), np.float32)
    found = Network(target, weights.parameters, weights.normalization, kernel_set("numpy")).features(
        pixels, list(target.taps)
    )
    network = TorchNetwork.of(weights, target).double()
    expected = network(torch.from_numpy(pixels).double().permute(2, 0, 1)[None], target.taps)
    assert expected.keys() == found.keys() == target.taps.keys()
    for tap, value in expected.items():
        assert value.any(), f"{tap} is all zeros and shows nothing"
        assert oracle.relative_error(found[tap], value[0].permute(1, 2, 0).numpy()) <= 1e-4, tap


def test_a_layer_without_a_form_is_refused() -> None:
    from tools.torch_network import TorchNetwork

    @dataclass(frozen=True)
    class Swish:
        def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
            return {}

    unknown = Architecture("x", (Node("swish", Swish(), (INPUT,)),), {}, (), ())  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="swish: no PyTorch form"):
        TorchNetwork(unknown)
