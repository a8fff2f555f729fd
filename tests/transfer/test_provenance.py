"""What a picture says of itself is what made it, and the paper's setting paints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minitorch_style as ms
from minitorch_style.engine.network import load_network
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.image.io import load_picture
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.settings import PRESETS, Settings
from minitorch_style.weights.store import bundled

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PHOTO, PAINTING = EXAMPLES / "photo.jpg", EXAMPLES / "painting.jpg"


def said(path: Path) -> dict[str, str]:
    return {key.removeprefix("minitorch_style."): text for key, text in Image.open(path).info.items()}


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_picture_names_the_network_that_made_it(pooling: str, tmp_path: Path) -> None:
    network = load_network("enet", "random:7", "numpy", pooling)
    ms.stylize(PHOTO, PAINTING, network, size=32, iterations=1).save(tmp_path / "a.png")
    expected = {"model": "enet", "weights": "random:7", "kernels": "numpy", "pooling": pooling}
    assert expected.items() <= said(tmp_path / "a.png").items()
    ms.stylize(PHOTO, PAINTING, size=32, iterations=1, **expected).save(tmp_path / "b.png")
    assert said(tmp_path / "a.png") == said(tmp_path / "b.png")


def test_kernels_and_weights_are_named_as_they_are(tmp_path: Path) -> None:
    network = load_network("distilled")
    result = ms.stylize(PHOTO, PAINTING, network, size=32, iterations=1)
    assert result.settings.weights is None and result.settings.kernels == network.kernels.name != "auto"
    own = replace(network, weights="in memory", parameters={**network.parameters})
    assert ms.stylize(PHOTO, PAINTING, own, size=32, iterations=1).settings.weights == "in memory"
    assert transfer.prepare(PHOTO, PAINTING, Settings(size=32)).settings.kernels == network.kernels.name


@pytest.mark.parametrize(
    "contradiction", [{"model": "enet"}, {"weights": "x.h5"}, {"pooling": "average"}, {"kernels": "native"}]
)
def test_a_network_and_settings_that_name_another(contradiction: dict[str, str]) -> None:
    network = load_network("distilled", "random:0", "numpy", "max")
    with pytest.raises(SettingsError, match=f"{next(iter(contradiction))}=.*beside a network"):
        ms.stylize(PHOTO, PAINTING, network, size=32, iterations=1, **contradiction)
    ms.stylize(PHOTO, PAINTING, network, size=32, iterations=1, model="distilled", pooling="max", kernels="auto")


def test_sizes_apply_to_arrays_as_to_files() -> None:
    network = load_network("distilled", "random:0", "numpy")
    arrays = [np.asarray(Image.open(path)) for path in (PHOTO, PAINTING)]
    settings = Settings(size=48, style_size=64)
    from_arrays, from_files = (transfer.prepare(*pair, settings, network) for pair in (arrays, (PHOTO, PAINTING)))
    assert np.array_equal(from_arrays.content.pixels, from_files.content.pixels)
    assert from_arrays.styles[0].size == from_files.styles[0].size == (43, 64)
    floats = transfer.prepare(*(array / 255 for array in arrays), settings, network)
    assert np.abs(floats.content.pixels - from_files.content.pixels).max() < 1 / 255
    several = transfer.prepare(PHOTO.read_bytes(), [Image.open(PAINTING), PAINTING.open("rb")], settings, network)
    assert len(several.styles) == 2 and np.array_equal(*(style.pixels for style in several.styles))


def test_a_painting_too_small_for_the_coarsest_scale_is_refused_before_the_run() -> None:
    network = load_network("distilled", "random:0", "numpy")
    painting = np.zeros((20, 200, 3), np.uint8)
    transfer.prepare(PHOTO, painting, Settings(size=256, method="gram"), network)
    with pytest.raises(ShapeError, match="style 1, 200×20 pixels, is too small for 3 scales"):
        transfer.prepare(PHOTO, painting, Settings(size=256, scales=3, method="gram"), network)


def test_a_large_picture_counts_in_what_is_told_and_in_what_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (5000, 4000)).save(tmp_path / "large.png")
    network = load_network("distilled", "random:0", "numpy")
    least = transfer.prepare(PHOTO, PAINTING, Settings(size=32), network).estimate.nbytes
    large = transfer.prepare(tmp_path / "large.png", PAINTING, Settings(size=32), network).estimate.nbytes
    assert large >= 120e6 + 5000 * 4000 * 4 > least + 20e6
    with pytest.raises(ms.StyleError, match=r"large.png: 5000×4000 pixels take about"):
        transfer.prepare(tmp_path / "large.png", PAINTING, Settings(size=32, max_memory=int(large - 5e6)), network)


def changed(result: transfer.Result) -> float:
    """Mean change of a pixel from the photo, of 255."""
    photo = load_picture(PHOTO, max(result.image.shape)).pixels * 255
    return float(np.abs(result.image - photo).mean())


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("model", [name for name in bundled() if not name.endswith(("-decoder", "-xnor"))])
def test_the_papers_setting_paints_with_every_bundled_model(model: str) -> None:
    """Networks of one-bit activations have no slope to follow, whatever the setting."""
    iterations = 150 if model.endswith("-bwn") else 30  # one map of distilled-bwn towers over the others for long
    settings = {**PRESETS["paper"], "model": model, "size": 96, "iterations": iterations}
    result = ms.stylize(PHOTO, PAINTING, **settings)
    assert changed(result) > 12
    assert result.history[-1].terms.style < 0.5 * result.history[0].terms.style


@pytest.mark.jit
@pytest.mark.shared_data
def test_the_papers_setting_paints_with_a_real_vgg(shared: Path, tmp_path: Path) -> None:
    from minitorch_style.nn.registry import architecture
    from minitorch_style.weights.checkpoints.keras import load_keras

    weights = load_keras(shared / "vgg" / "vgg19_keras_notop.h5", architecture("vgg19"))
    raw = replace(load_network("vgg19", "random:0"), parameters=weights.parameters, normalization=weights.normalization)
    preset = {name: value for name, value in PRESETS["paper"].items() if name != "pooling"}
    result = ms.stylize(PHOTO, PAINTING, raw, size=96, iterations=12, **preset)
    assert changed(result) > 12 and result.history[-1].terms.style < 0.5 * result.history[0].terms.style
