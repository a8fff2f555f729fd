"""Normalised weights compute the same function, scaled channel by channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.normalize import RARE, mean_activations, normalized
from minitorch_style.nn.registry import LOGITS, decoder
from minitorch_style.style.objective import Objective
from minitorch_style.weights.weights import IMAGENET, random_weights
from tests import oracle


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_mean_activations_become_one_and_the_function_stays(rng: np.random.Generator, pooling: str) -> None:
    network = load_network("distilled", "random:0", "numpy", pooling)
    pictures = [rng.random((40, 48, 3), np.float32), rng.random((32, 32, 3), np.float32)]
    parameters, scales = normalized(network.architecture, network.parameters, mean_activations(network, pictures))
    assert not scales
    scaled = Network(network.architecture, parameters, network.normalization, network.kernels)
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


def test_the_decoder_sees_what_it_saw(rng: np.random.Generator) -> None:
    encoder = load_network("distilled", "random:0", "numpy")
    whole = encoder.architecture.continued(decoder("distilled"))
    parameters = random_weights(whole, 1).parameters
    means = mean_activations(Network(encoder.architecture, parameters, IMAGENET), [rng.random((32, 64, 3), np.float32)])
    scaled, scales = normalized(whole, parameters, means)
    pixels = rng.random((64, 32, 3), np.float32)
    before, after = (
        Network(whole, numbers, IMAGENET).features(pixels, [LOGITS])[LOGITS] for numbers in (parameters, scaled)
    )
    assert not scales and oracle.relative_error(after, before) <= 1e-4


def test_networks_with_branches_get_a_scale_a_tap(rng: np.random.Generator) -> None:
    network = load_network("enet", "random:0", "numpy")
    pixels = rng.random((32, 48, 3), np.float32)
    parameters, scales = normalized(network.architecture, network.parameters, mean_activations(network, [pixels]))
    assert parameters == network.parameters
    for tap, features in network.features(pixels, network.architecture.taps).items():
        assert np.isclose(scales[tap] * np.abs(features).mean(), 1, rtol=1e-4)


def test_a_scaled_tap_counts_as_if_its_features_were_scaled(rng: np.random.Generator) -> None:
    """Weights (1, s) on features f are those of features s·f; in the end a balanced transfer sees no difference."""
    network = load_network("distilled", "random:0", "numpy")
    photo, painting, x = (rng.random((32, 32, 3), np.float32) for _ in range(3))
    layers = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_2"]}
    plain = Objective(network, photo, painting, **layers)
    plain(x)
    content, style = plain.terms.content, dict(plain.weights.style_layers)
    scaled = Objective(replace(network, tap_scales={"conv2_2": 3.0}), photo, painting, **layers)
    value, gradient = scaled(x)
    by_hand = Objective(
        network,
        photo,
        painting,
        content_layers={"conv2_2": 9.0},
        style_layers={"conv1_1": style["conv1_1"], "conv2_2": 81 * style["conv2_2"]},
    )
    expected, towards = by_hand(x)
    assert np.isclose(value, expected, rtol=1e-9) and np.isclose(scaled.terms.content, 9 * content, rtol=1e-9)
    assert oracle.relative_error(gradient, towards) <= 1e-6
    assert scaled.content and scaled.style and plain.content and plain.style
    norms, hand_norms = ((one.content.norms, one.style.norms) for one in (scaled, plain))
    assert np.isclose(norms[0]["conv2_2"], 9 * hand_norms[0]["conv2_2"])
    assert np.isclose(norms[1]["conv2_2"], 81 * hand_norms[1]["conv2_2"])
