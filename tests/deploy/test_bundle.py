"""A bundle runs with Python and NumPy alone; what it reads and writes then: PPM pictures and .npz weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch_style.cli import main
from minitorch_style.deploy.bundle import make_bundle
from minitorch_style.errors import ImageError, SettingsError, WeightsError
from minitorch_style.image import ppm as netpbm
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.npz import load_npz, save_npz
from minitorch_style.weights.store import bundled, load_stored
from minitorch_style.weights.weights import random_weights
from tests.kernels.test_native import HERE, needs_a_linker

# Python with NumPy and nothing else of ours: importing any of these fails.
ALONE = """
import sys
for name in ("PIL", "h5py", "scipy", "numba", "llvmlite", "threadpoolctl", "tqdm"):
    sys.modules[name] = None
from minitorch_style.cli import main
sys.exit(main(sys.argv[1:]))
"""


def write_ppm(path: Path, pixels: np.ndarray) -> None:
    path.write_bytes(netpbm.encode(pixels))


@needs_a_linker
def test_a_bundle_needs_numpy_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    assert HERE is not None
    package = make_bundle(HERE, tmp_path / "board", ["distilled-perceptual"])
    for name in ("photo", "painting"):
        write_ppm(tmp_path / f"{name}.ppm", rng.integers(0, 256, (60, 80, 3), np.uint8))
    arguments = [
        "stylize",
        str(tmp_path / "photo.ppm"),
        str(tmp_path / "painting.ppm"),
        "-o",
        str(tmp_path / "out.ppm"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *arguments, "--size", "48", "--iterations", "3"],
        cwd=package.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "(native kernels)" in done.stderr
    assert netpbm.decode((tmp_path / "out.ppm").read_bytes(), "out.ppm").shape == (36, 48, 3)


def test_bundles_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(SettingsError, match="is not empty"):
        make_bundle("armv7-neon", tmp_path / "full")
    with pytest.raises(SettingsError, match="no weights for vgg16 here"):
        make_bundle("armv7-neon", tmp_path / "new", ["vgg16"])
    assert main(["cross-compile", "--target", "z80", "-o", str(tmp_path / "new")]) == 2
    assert "no target 'z80'" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_npz_weights_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    weights = load_stored(bundled()["distilled-perceptual"], architecture("distilled-perceptual"))
    save_npz(path, weights)
    found = load_npz(path, architecture("distilled-perceptual"))
    assert found.normalization == weights.normalization and found.provenance == weights.provenance
    for name, array in weights.parameters.items():
        assert np.allclose(found.parameters[name], array, rtol=1e-3, atol=1e-4)
    with pytest.raises(WeightsError, match="does not fit enet"):
        load_npz(path, architecture("enet"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(WeightsError, match="damaged"):
        load_npz(path, architecture("distilled-perceptual"))
    np.savez(path, about=np.array([{}], dtype=object))
    with pytest.raises(WeightsError):
        load_npz(path, architecture("distilled-perceptual"))


def test_ppm_pictures_are_those_of_pillow(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (13, 7, 3), np.uint8)
    path = tmp_path / "picture.ppm"
    write_ppm(path, pixels)
    assert np.array_equal(np.asarray(Image.open(path)), pixels)
    Image.fromarray(pixels).save(path)
    assert np.array_equal(netpbm.decode(path.read_bytes(), str(path)), pixels)
    path.write_bytes(b"P6 # a comment\n7 13\n255\n" + pixels.tobytes())
    assert np.array_equal(netpbm.decode(path.read_bytes(), str(path)), pixels)
    for damaged in (
        b"P6 7 13 255\n" + pixels.tobytes()[:-1],
        b"P6 7 13 65535\n" + pixels.tobytes() * 2,
        b"P3 1 1 255 0 0 0",
        b"",
    ):
        path.write_bytes(damaged)
        with pytest.raises(ImageError):
            netpbm.decode(path.read_bytes(), str(path))


@pytest.mark.parametrize("size", [(5, 9), (40, 3), (64, 64), (20, 31)])
def test_resampling_is_pillows_bilinear(size: tuple[int, int], rng: np.random.Generator) -> None:
    values = rng.random((20, 31, 2), np.float32)
    found = netpbm.resample(values, size)
    for channel in range(2):
        plain = Image.fromarray(values[..., channel]).resize(size[::-1], Image.Resampling.BILINEAR)
        assert np.abs(found[..., channel] - np.asarray(plain)).max() < 1e-4


def test_random_weights_fit_in_npz(tmp_path: Path) -> None:
    weights = random_weights(architecture("enet"), 0)
    save_npz(tmp_path / "enet.npz", weights)
    assert not load_npz(tmp_path / "enet.npz", architecture("enet")).trained
