"""XNOR-Net's binarisation: closest binary filters, two levels a channel, and files of one bit a weight."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from minitorch_style.engine.network import Network
from minitorch_style.errors import UnsupportedError, WeightsError
from minitorch_style.nn.layers import Binarize, MaxPool2d, ReLU
from minitorch_style.nn.registry import architecture
from minitorch_style.transfer.run import stylize
from minitorch_style.weights.hdf5 import load_weights, save_weights
from minitorch_style.weights.weights import IMAGENET, random_weights
from tests import oracle
from tools.binarization import binarized, binary_filters, levels

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_no_other_scale_is_closer(rng: np.random.Generator) -> None:
    weight = rng.normal(size=(3, 3, 5, 4)).astype(np.float32)
    binary = binary_filters(weight)
    assert np.array_equal(np.sign(binary), np.sign(weight))
    distance = ((weight - binary) ** 2).sum((0, 1, 2))
    for factor in (0.97, 1.03):
        assert np.all(((weight - factor * binary) ** 2).sum((0, 1, 2)) > distance)


def test_levels_are_the_means_of_both_sides() -> None:
    values = np.array([[0, 5], [0, 5], [4, 5], [8, 5]], np.float32)
    threshold, low, high = levels(values)
    assert threshold.tolist() == [3, 5] and low.tolist() == [0, 5] and high.tolist() == [6, 5]


def output(network: Network, name: str, picture: np.ndarray) -> np.ndarray:
    """What a node gives, (H, W, C): the network's own features behind a ReLU, the definition of all that is not a tap."""
    node = network.architecture.node(name)
    if isinstance(node.layer, ReLU):
        return network.features(picture, node.inputs)[node.inputs[0]]
    x = output(network, node.inputs[0], picture)
    if isinstance(node.layer, MaxPool2d):
        return oracle.pool2d(x, (2, 2), (2, 2), (0, 0), ceil_mode=False, average=False)
    if isinstance(node.layer, Binarize):
        threshold, low, high = (network.parameters[f"{name}.{side}"] for side in ("threshold", "low", "high"))
        return np.where(x > threshold, high, low)
    weight, bias = (network.parameters[f"{name}.{what}"] for what in ("weight", "bias"))
    return oracle.conv2d(x, weight, bias, (1, 1), (1, 1), (1, 1))


def before_the_relu(network: Network, convolution: str, pictures: list[np.ndarray]) -> np.ndarray:
    """(positions, C) of all pictures."""
    maps = [output(network, convolution, picture) for picture in pictures]
    return np.concatenate([one.reshape(-1, one.shape[2]) for one in maps])


@pytest.mark.parametrize("name", ["distilled-bwn", "distilled-xnor"])
def test_outputs_keep_their_mean_and_deviation(name: str, rng: np.random.Generator) -> None:
    full, target = random_weights(architecture("distilled"), 0), architecture(name)
    pictures = [rng.random((24, 32, 3), np.float32) for _ in range(2)]
    few = binarized(full, target, pictures)
    first = "conv1_1.weight"
    assert np.array_equal(few.parameters[first], full.parameters[first]), "the first convolution stays as it is"
    exact = Network(architecture("distilled"), full.parameters, IMAGENET)
    rough = Network(target, few.parameters, IMAGENET)
    for convolution in ("conv1_2", "conv2_1", "conv3_2", "conv4_1"):
        before, after = (before_the_relu(network, convolution, pictures) for network in (exact, rough))
        deviation = before.std(0)
        assert np.all(np.abs(after.mean(0) - before.mean(0)) <= 1e-4 * deviation), convolution
        assert np.allclose(after.std(0), deviation, rtol=1e-4), convolution


def test_style_transfer_goes_downhill_with_one_bit() -> None:
    """The loss is a staircase; steps along the gradient that passes straight through its edges lead down it."""
    photo, painting = EXAMPLES / "photo.jpg", EXAMPLES / "painting.jpg"
    settings = {
        "method": "gram",
        "model": "perceptual-xnor",
        "optimizer": "sgd",
        "size": 64,
        "iterations": 40,
        "kernels": "numpy",
    }
    history = stylize(photo, painting, **settings).history
    assert history[-1].best_loss < 0.5 * history[0].loss


def test_other_networks_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(UnsupportedError, match="only chains"):
        binarized(random_weights(architecture("enet"), 0), architecture("enet"), [rng.random((32, 32, 3), np.float32)])


def test_a_file_takes_one_bit_a_weight(tmp_path: Path, rng: np.random.Generator) -> None:
    target = architecture("distilled-bwn")
    few = binarized(random_weights(architecture("distilled"), 0), target, [rng.random((32, 32, 3), np.float32)])
    path, plain = tmp_path / "few.h5", tmp_path / "full.h5"
    save_weights(path, few)
    save_weights(plain, random_weights(architecture("distilled"), 0))
    found = load_weights(path, target)
    assert all(np.array_equal(found.parameters[name], array) for name, array in few.parameters.items())
    assert path.stat().st_size < plain.stat().st_size / 8
    with h5py.File(path, "r+") as file:
        dataset = file["conv2_1.weight"]
        assert dataset.dtype == np.uint8 and dataset.size == np.prod(target.parameter_shapes()["conv2_1.weight"]) // 8
        flipped = dataset[()]
        flipped[0] ^= 1
        dataset[...] = flipped
    with pytest.raises(WeightsError, match="checksum"):
        load_weights(path, target)
    with h5py.File(path, "r+") as file:
        file["conv2_1.weight"].attrs["scale"] = np.ones(3, np.float32)
    with pytest.raises(WeightsError, match=r"conv2_1\.weight holds"):
        load_weights(path, target)
