"""Normalised weights compute the same function, scaled channel by channel."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.errors import UnsupportedError
from minitorch_style.network import Network, load_network
from minitorch_style.normalise import RARE, normalised
from tests import oracle


def test_mean_activations_become_one_and_the_function_stays(rng: np.random.Generator) -> None:
    network = load_network("distilled", "random:0", "numpy")
    pictures = [rng.random((40, 48, 3), np.float32), rng.random((32, 32, 3), np.float32)]
    scaled = Network(network.architecture, normalised(network, pictures), network.normalisation, network.kernels)
    taps = list(network.architecture.taps)
    before = [network.features(picture, taps) for picture in pictures]
    after = [scaled.features(picture, taps) for picture in pictures]
    for tap in taps:
        mean = np.concatenate([features[tap].reshape(-1, features[tap].shape[2]) for features in after]).mean(0)
        old_mean = np.concatenate([features[tap].reshape(-1, features[tap].shape[2]) for features in before]).mean(0)
        usual = old_mean > RARE * old_mean.mean()
        assert np.allclose(mean[usual], 1, atol=1e-3) and np.all(mean[~usual] <= 1)
        divisor = np.maximum(old_mean, RARE * old_mean.mean())
        assert oracle.relative_error(after[0][tap] * divisor, before[0][tap]) <= 1e-4


def test_networks_with_branches_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(UnsupportedError, match="no chain"):
        normalised(load_network("enet", "random:0", "numpy"), [rng.random((32, 32, 3), np.float32)])
