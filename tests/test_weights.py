"""Weight files: what goes in comes out, and what does not fit is told in full."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.hdf5 import load_keras, load_weights, save_weights
from minitorch_style.library import bundled, find_weights
from minitorch_style.network import Network, load_network
from minitorch_style.networks import architecture, stored_architecture
from minitorch_style.plan import Normalisation
from minitorch_style.weights import Weights, random_weights
from tests import oracle


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path: Path, half: bool) -> None:
    network = architecture("enet")
    weights = random_weights(network, 7)
    normalisation = Normalisation((0.1, 0.2, 0.3), (1.5, 2.5, 255.0))
    path = tmp_path / "enet.h5"
    save_weights(path, Weights("enet", weights.parameters, normalisation, {"licence": "MIT"}, trained=False), half)
    read = load_weights(path, network)
    assert read.normalisation == normalisation and read.provenance == {"licence": "MIT"} and not read.trained
    for name, array in weights.parameters.items():
        expected = array.astype(np.float16).astype(np.float32) if half else array
        assert read.parameters[name].dtype == np.float32 and np.array_equal(read.parameters[name], expected)
    assert [item.name for item in tmp_path.iterdir()] == ["enet.h5"]


def test_random_weights_are_he_and_repeat() -> None:
    first, second = (random_weights(architecture("distilled"), 5).parameters for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    weight = first["conv4_2.weight"]
    assert np.std(weight) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    assert not np.array_equal(weight, random_weights(architecture("distilled"), 6).parameters["conv4_2.weight"])


def _edit(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def _replace(file: h5py.File, name: str, value: object, **options: object) -> None:
    del file[name]
    file.create_dataset(name, data=value, **options)


def _nan(file: h5py.File) -> None:
    from minitorch_style.hdf5 import _checksum

    file["conv1_1.bias"][0] = np.nan
    file.attrs["checksum"] = _checksum({name: file[name][()] for name in file})


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(8,), dtype=np.float32)
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "x", shape=(8,))
    del file["conv1_1.bias"]
    file.create_virtual_dataset("conv1_1.bias", layout)


def _elsewhere(file: h5py.File) -> None:
    del file["conv1_1.bias"]
    file["conv1_1.bias"] = h5py.ExternalLink("/etc/passwd", "x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_edit(lambda f: f.pop("conv1_1.bias")), r"missing conv1_1.bias \(8,\)"),
        (_edit(lambda f: f.create_dataset("more", data=np.zeros(3, np.float32))), r"extra more \(3,\)"),
        (
            _edit(lambda f: _replace(f, "conv1_1.bias", np.zeros(9, np.float32))),
            r"conv1_1.bias is \(9,\), expected \(8,\)",
        ),
        (_edit(lambda f: _replace(f, "conv1_1.bias", np.zeros(8, np.int32))), "type int32"),
        (_edit(lambda f: _replace(f, "conv1_1.bias", np.zeros(8, np.float32), compression="lzf")), "unknown filter"),
        (_edit(lambda f: _virtual(f)), "lies in other files"),
        (_edit(lambda f: f["conv1_1.bias"].write_direct(np.ones(8, np.float32))), "checksum"),
        (_edit(_nan), "conv1_1.bias hold values that are not finite"),
        (_edit(_elsewhere), "soft or external link"),
        (_edit(lambda f: f.create_group("folder")), "is a group"),
        (_edit(lambda f: f.attrs.update(version=99)), "version 99"),
        (_edit(lambda f: f.attrs.update(format="other")), "not a weight file of this program"),
        (_edit(lambda f: f.attrs.pop("mean")), "no attribute mean"),
        (_edit(lambda f: f.attrs.update(channel_order="GRB")), "channel order 'GRB'"),
        (lambda path: path.write_bytes(b"text"), "not a readable HDF5 file"),
        (lambda path: path.write_bytes(path.read_bytes()[:3000]), "damaged|not a readable"),
        (lambda path: path.unlink(), "no such weight file"),
    ],
)
def test_damaged_files_are_refused(weight_file: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(weight_file)
    with pytest.raises(WeightsError, match=message):
        load_weights(weight_file, architecture("distilled"))


def test_mutated_files_are_read_or_refused(weight_file: Path) -> None:
    """Whatever is flipped, cut or spliced, in the metadata above all: weights or a WeightsError, in bounded time."""
    from tests.checkpoints.test_hostile import MUTATIONS, mutated

    data = weight_file.read_bytes()
    rng, target, refused = random.Random(0), architecture("distilled"), 0
    for count in range(MUTATIONS):
        metadata = count % 2
        weight_file.write_bytes(mutated(data[:6000], rng) + data[6000:] if metadata else mutated(data, rng))
        begun = time.monotonic()
        try:
            load_weights(weight_file, target)
        except WeightsError:
            refused += 1
        assert time.monotonic() - begun < 5
    assert refused > MUTATIONS // 2


def test_values_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    weights = random_weights(architecture("distilled"), 0)
    weights.parameters["conv1_1.weight"][0] = 1e6
    with pytest.raises(WeightsError, match="half precision"):
        save_weights(tmp_path / "w.h5", weights, half=True)
    assert not list(tmp_path.iterdir())


def test_all_differences_are_listed(weight_file: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights(weight_file, architecture("vgg16"))
    assert "'distilled' do not fit vgg16" in str(caught.value)
    assert str(caught.value).count("expected") == 26


def test_bgr_files_are_turned(tmp_path: Path, rng: np.random.Generator) -> None:
    """A file that wants BGR gives the features of the same file with its first convolution turned by hand."""
    network = architecture("distilled")
    weights = random_weights(network, 1)
    path = tmp_path / "bgr.h5"
    save_weights(path, weights)
    with h5py.File(path, "r+") as file:
        file.attrs["channel_order"] = "BGR"
    turned = load_weights(path, network).parameters["conv1_1.weight"]
    assert np.array_equal(turned, weights.parameters["conv1_1.weight"][:, :, ::-1])
    enet = tmp_path / "enet.h5"
    save_weights(enet, random_weights(architecture("enet"), 1))
    with h5py.File(enet, "r+") as file:
        file.attrs["channel_order"] = "BGR"
    with pytest.raises(WeightsError, match="cannot be turned"):
        load_weights(enet, architecture("enet"))


@pytest.mark.parametrize("name", bundled())
def test_bundled_weights_load(name: str) -> None:
    weights = load_weights(bundled()[name], stored_architecture(name))
    assert weights.network == name and weights.provenance["source"] and weights.provenance["licence"]


def test_tap_scales_are_kept_and_checked(tmp_path: Path) -> None:
    network, path = architecture("enet"), tmp_path / "enet.h5"
    save_weights(path, replace(random_weights(network, 0), tap_scales={"initial": 0.5, "1.1": 3.0}))
    assert load_network("enet", path).tap_scales == {"initial": 0.5, "1.1": 3.0}
    with h5py.File(path, "r+") as file:
        file.attrs["tap_scale.1.1"] = -1.0
    with pytest.raises(WeightsError, match=r"the scale of 1\.1 is no positive number"):
        load_weights(path, network)


def test_names_of_weights() -> None:
    with pytest.raises(WeightsError, match=r"no weights for vgg16 here .*weights install vgg16.*--weights"):
        find_weights(architecture("vgg16"), None)
    with pytest.raises(SettingsError, match="whole number"):
        find_weights(architecture("vgg16"), "random:x")
    assert not find_weights(architecture("distilled"), "random:3").trained


def test_chunked_and_compressed_files_are_read(weight_file: Path) -> None:
    """As other HDF5 programs may rewrite them: same values, same checksum."""
    expected = load_weights(weight_file, architecture("distilled")).parameters
    with h5py.File(weight_file, "r+") as file:
        for name in list(file):
            _replace(file, name, file[name][()], compression="gzip", shuffle=True, chunks=True)
    found = load_weights(weight_file, architecture("distilled")).parameters
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


@pytest.mark.parametrize("nested", [False, True])
def test_keras_files(tmp_path: Path, nested: bool, rng: np.random.Generator) -> None:
    """Features of a Keras VGG, computed from its own convention: BGR of 0 to 255 less the mean, kernels (kh, kw, in, out)."""
    target, path = architecture("distilled"), tmp_path / "keras.h5"
    layers = {name.rsplit(".", 1)[0] for name in target.parameter_shapes()}
    numbers = random_weights(target, 2).parameters
    with h5py.File(path, "w") as file:
        for layer in layers:
            group = file.create_group(f"block{layer[4]}_conv{layer[6]}")
            if nested:
                group = group.create_group(f"block{layer[4]}_conv{layer[6]}")
            group["kernel:0"], group["bias:0"] = numbers[f"{layer}.weight"], numbers[f"{layer}.bias"] + 0.1
        file.create_group("predictions")["kernel:0"] = np.zeros((3, 3), np.float32)
    weights = load_keras(path, target)
    pixels = rng.random((20, 24, 3), np.float32)
    found = Network(target, weights.parameters, weights.normalisation).features(pixels, ["conv1_1"])["conv1_1"]
    bgr = 255.0 * pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    expected = oracle.conv2d(bgr, numbers["conv1_1.weight"], np.full(8, 0.1), (1, 1), (1, 1), (1, 1))
    assert oracle.relative_error(found, np.maximum(expected, 0)) <= 1e-5
    with pytest.raises(WeightsError, match=r"block1_conv1.* is \(.*distilled-perceptual|vgg16 has"):
        load_keras(path, architecture("vgg16"))
    with h5py.File(path, "r+") as file:
        file["block1_conv1"]["link"] = h5py.SoftLink("/block1_conv2")
    with pytest.raises(WeightsError, match="is a link"):
        load_keras(path, target)
