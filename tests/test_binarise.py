"""XNOR-Net's binarisation: closest binary filters, two levels a channel, and files of one bit a weight."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from minitorch_style.binarise import binarised, binary_filters, levels
from minitorch_style.errors import UnsupportedError, WeightsError
from minitorch_style.hdf5 import load_weights, save_weights
from minitorch_style.network import Network
from minitorch_style.networks import architecture
from minitorch_style.objective import Objective
from minitorch_style.weights import IMAGENET, random_weights


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


@pytest.mark.parametrize("name", ["distilled-bwn", "distilled-xnor"])
def test_outputs_keep_their_mean_and_deviation(name: str, rng: np.random.Generator) -> None:
    full = random_weights(architecture("distilled"), 0)
    pictures = [rng.random((48, 64, 3), np.float32) for _ in range(3)]
    target = architecture(name)
    few = binarised(full, target, pictures)
    first = few.parameters["conv1_1.weight"]
    assert np.array_equal(first, full.parameters["conv1_1.weight"]), "the first convolution stays as it is"
    for tap in ("conv1_1", "conv1_2", "conv3_2", "conv5_3"):
        maps = []
        for weights, layers in ((full, architecture("distilled")), (few, target)):
            network = Network(layers, weights.parameters, IMAGENET)
            maps.append(
                np.concatenate([network.features(p, [tap])[tap].reshape(-1, layers_out(layers, tap)) for p in pictures])
            )
        before, after = maps
        # Exact in front of the ReLU; behind it, to what the shape of a distribution makes.
        assert np.abs(after.mean() / before.mean() - 1) < 0.25, tap


def layers_out(layers: object, tap: str) -> int:
    return layers.node(tap).layer.out_channels  # type: ignore[attr-defined, no-any-return]


def test_style_transfer_goes_downhill_with_one_bit(rng: np.random.Generator) -> None:
    full = random_weights(architecture("distilled"), 0)
    pictures = [rng.random((32, 32, 3), np.float32) for _ in range(2)]
    target = architecture("distilled-xnor")
    network = Network(target, binarised(full, target, pictures).parameters, IMAGENET)
    objective = Objective(network, pictures[0], pictures[1])
    loss, gradient = objective(pictures[0])
    assert loss > 0 and np.all(np.isfinite(gradient)) and gradient.any()


def test_other_networks_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(UnsupportedError, match="only chains"):
        binarised(random_weights(architecture("enet"), 0), architecture("enet"), [rng.random((32, 32, 3), np.float32)])


def test_a_file_takes_one_bit_a_weight(tmp_path: Path, rng: np.random.Generator) -> None:
    target = architecture("distilled-bwn")
    few = binarised(random_weights(architecture("distilled"), 0), target, [rng.random((32, 32, 3), np.float32)])
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
