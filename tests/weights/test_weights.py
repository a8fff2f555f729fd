"""Weight files: what goes in comes out, and what does not fit is told in full."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.registry import architecture, stored_architecture
from minitorch_style.weights.checkpoints.keras import load_keras
from minitorch_style.weights.hdf5 import load_weights, save_weights
from minitorch_style.weights.npz import save_npz
from minitorch_style.weights.store import bundled, find_weights, load_stored
from minitorch_style.weights.weights import Weights, random_weights
from tests import oracle


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path: Path, half: bool) -> None:
    network = architecture("enet")
    weights = random_weights(network, 7)
    normalization = InputNormalization((0.1, 0.2, 0.3), (1.5, 2.5, 255.0))
    path = tmp_path / "enet.h5"
    save_weights(path, Weights("enet", weights.parameters, normalization, {"licence": "MIT"}, trained=False), half)
    read = load_weights(path, network)
    assert read.normalization == normalization and read.provenance == {"licence": "MIT"} and not read.trained
    for name, array in weights.parameters.items():
        expected = array.astype(np.float16).astype(np.float32) if half else array
        assert read.parameters[name].dtype == np.float32 and np.array_equal(read.parameters[name], expected)
    assert [item.name for item in tmp_path.iterdir()] == ["enet.h5"]


def products() -> dict[str, np.ndarray]:
    """A product for two taps of a VGG at 1/8 of its width."""
    rng = np.random.default_rng(3)
    maps = {"conv1_1": 8, "conv4_2": 64}
    factors = {tap: rng.standard_normal((count, 5), np.float32) for tap, count in maps.items()}
    return {tap: factor @ factor.T for tap, factor in factors.items()}


def test_the_teachers_products_come_back_as_they_are(tmp_path: Path) -> None:
    target = architecture("distilled-perceptual")
    weights = replace(random_weights(target, 0), teacher_products=products())
    for name in ("w.h5", "w.npz"):
        path = tmp_path / name
        save_npz(path, weights) if path.suffix == ".npz" else save_weights(path, weights, half=True)
        found = load_network(target.name, path).teacher_products
        assert found.keys() == weights.teacher_products.keys()
        for tap, product in weights.teacher_products.items():
            assert found[tap].dtype == np.float32 and np.array_equal(found[tap], product)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize(
    ("tap", "change", "message"),
    [
        ("conv9_9", lambda q: q, r"extra teacher_product\.conv9_9"),
        ("conv4_2", lambda q: q[:-1, :-1], r"conv4_2 is \(63, 63\), expected \(64, 64\)"),
        ("conv4_2", lambda q: q[0], r"conv4_2 is \(64,\), expected \(64, 64\)"),
        (
            "conv4_2",
            lambda q: np.where(q == q.max(), np.nan, q),
            r"conv4_2 (do not fit|holds values that are not finite)",
        ),
        ("conv4_2", lambda q: q + np.triu(np.ones_like(q), 1), "conv4_2 is not symmetric"),
        ("conv4_2", lambda q: q * 1e12, "conv4_2 holds values that are not finite numbers up to"),
        ("conv4_2", lambda q: q - np.eye(64, dtype=np.float32), "conv4_2 is not positive semidefinite"),
    ],
)
def test_products_that_cannot_be_are_refused(
    tmp_path: Path, suffix: str, tap: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    target, path = architecture("distilled-perceptual"), tmp_path / f"w{suffix}"
    changed = {tap: change(products()["conv4_2"]).astype(np.float32)}
    weights = replace(random_weights(target, 0), teacher_products=changed)
    with pytest.raises(WeightsError, match=message):
        save_npz(path, weights) if suffix == ".npz" else save_weights(path, weights)
        load_stored(path, target)


def test_a_product_that_was_changed_or_is_too_large_is_refused(tmp_path: Path) -> None:
    target, path = architecture("distilled-perceptual"), tmp_path / "w.h5"
    save_weights(path, replace(random_weights(target, 0), teacher_products=products()))
    _edit(lambda f: f["teacher_product.conv1_1"].write_direct(np.eye(8, dtype=np.float32)))(path)
    with pytest.raises(WeightsError, match="checksum"):
        load_weights(path, target)
    _edit(lambda f: _replace(f, "teacher_product.conv1_1", np.zeros((99, 99), np.float32)))(path)
    with pytest.raises(WeightsError, match=r"conv1_1 is \(99, 99\), expected \(8, 8\)"):
        load_weights(path, target)


def test_a_decoder_has_no_teachers_products(tmp_path: Path) -> None:
    target, path = stored_architecture("segnet-decoder"), tmp_path / "w.h5"
    weights = Weights(
        target.name, {name: np.ones(shape, np.float32) for name, shape in target.parameter_shapes().items()}
    )
    save_weights(path, replace(weights, teacher_products=products()))
    with pytest.raises(WeightsError, match=r"extra teacher_product\.conv1_1"):
        load_weights(path, target)


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
    from minitorch_style.weights.hdf5 import _checksum

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


def _keras_file(parameters: Mapping[str, np.ndarray]) -> bytes:
    content = BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in parameters.items():
            layer, kind = name.rsplit(".", 1)
            group = file.require_group(f"block{layer[4]}_conv{layer[6]}")
            group["kernel:0" if kind == "weight" else "bias:0"] = array
    return content.getvalue()


@pytest.mark.parametrize("kind", ["single.h5", "half.h5", "board.npz", "keras.h5"])
def test_mutated_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    """Whatever is flipped, cut or spliced, in the metadata above all: weights or a WeightsError."""
    from tests.weights.checkpoints.test_hostile import MUTATIONS, mutated

    target, path = architecture("distilled"), tmp_path / kind
    weights, load = random_weights(target, 0), load_keras if kind == "keras.h5" else load_stored
    if kind == "board.npz":
        save_npz(path, weights)
    elif kind == "keras.h5":
        path.write_bytes(_keras_file(weights.parameters))
    else:
        save_weights(path, weights, half=kind == "half.h5")
    load(path, target)
    data = path.read_bytes()
    rng, refused = random.Random(kind), 0
    for count in range(MUTATIONS):
        metadata = count % 2
        path.write_bytes(mutated(data[:6000], rng) + data[6000:] if metadata else mutated(data, rng))
        try:
            load(path, target)
        except WeightsError as error:
            assert str(error).startswith(str(path)) and len(str(error)) < 4000
            refused += 1
    assert refused > MUTATIONS // (4 if kind == "keras.h5" else 2)  # Keras's files have no checksum


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
    found = Network(target, weights.parameters, weights.normalization).features(pixels, ["conv1_1"])["conv1_1"]
    bgr = 255.0 * pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    expected = oracle.conv2d(bgr, numbers["conv1_1.weight"], np.full(8, 0.1), (1, 1), (1, 1), (1, 1))
    assert oracle.relative_error(found, np.maximum(expected, 0)) <= 1e-5
    with pytest.raises(WeightsError, match=r"block1_conv1/bias:0 is \(8,\), vgg16 has \(64,\)"):
        load_keras(path, architecture("vgg16"))
    with h5py.File(path, "r+") as file:
        file["block1_conv1"]["link"] = h5py.SoftLink("/block1_conv2")
    with pytest.raises(WeightsError, match="is a link"):
        load_keras(path, target)
