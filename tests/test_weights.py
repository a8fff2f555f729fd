"""Weight files: what goes in comes out, and what does not fit is told in full."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.network import load_network
from minitorch_style.networks import architecture
from minitorch_style.plan import Normalisation
from minitorch_style.weights import Weights, bundled, find_weights, load_weights, random_weights, save_weights


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
    from minitorch_style.weights import _checksum

    file["conv1_1.bias"][0] = np.nan
    file.attrs["checksum"] = _checksum({name: file[name][()] for name in file})


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
        (
            _edit(lambda f: _replace(f, "conv1_1.bias", np.zeros(8, np.float32), compression="gzip")),
            "not stored contiguously",
        ),
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
    network = load_network(name)
    assert network.provenance and set(network.parameters) == set(network.architecture.parameter_shapes())


def test_names_of_weights() -> None:
    with pytest.raises(WeightsError, match=r"no weights for vgg16 here .*weights install vgg16.*--weights"):
        find_weights(architecture("vgg16"), None)
    with pytest.raises(SettingsError, match="whole number"):
        find_weights(architecture("vgg16"), "random:x")
    assert not find_weights(architecture("distilled"), "random:3").trained
