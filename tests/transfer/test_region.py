"""Person finders in the engine: decoders against PyTorch elsewhere; here masks, their sizes, and their use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch_style.cli import main
from minitorch_style.engine.network import Network
from minitorch_style.errors import SettingsError, UnsupportedError, WeightsError
from minitorch_style.nn.registry import DECODERS, LOGITS, architecture, decoder
from minitorch_style.transfer.region import load_segmenter, person_probability, view_size
from minitorch_style.transfer.run import stylize
from minitorch_style.weights.weights import IMAGENET, random_weights

ASTRONAUT = "content_astronaut.png"


def test_a_photo_is_seen_at_its_aspect_in_multiples_of_32() -> None:
    assert view_size((600, 600)) == (128, 128) and view_size((300, 150)) == (160, 64)
    assert view_size((100, 400)) == (64, 224)
    for size in ((3000, 1), (17, 23), (4000, 3000)):
        rows, columns = view_size(size)
        assert rows % 32 == columns % 32 == 0 and min(rows, columns) >= 32


def test_the_mask_follows_the_logits(rng: np.random.Generator) -> None:
    """A network whose last bias alone decides: everything person, everything background."""
    whole = architecture("distilled").continued(decoder("distilled"))
    parameters = dict(random_weights(whole, 0).parameters)
    parameters["decoder.logits.weight"] = np.zeros_like(parameters["decoder.logits.weight"])
    for bias, expected in (((0, 3), 1 / (1 + np.exp(-3))), ((3, 0), 1 / (1 + np.exp(3))), ((0, 500), 1.0)):
        parameters["decoder.logits.bias"] = np.array(bias, np.float32)
        likely = person_probability(rng.random((45, 70, 3), np.float32), Network(whole, parameters, IMAGENET))
        assert likely.shape == (45, 70) and likely.dtype == np.float32 and np.allclose(likely, expected, atol=1e-6)


def test_decoders_have_no_gradient_and_few_networks_a_decoder() -> None:
    whole = architecture("enet").continued(decoder("enet"))
    network = Network(whole, random_weights(whole, 0).parameters, IMAGENET)
    with pytest.raises(UnsupportedError, match="no gradient"):
        network.plan((64, 64), [LOGITS])
    with pytest.raises(SettingsError, match="vgg16 finds no people; segnet"):
        load_segmenter("vgg16")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", DECODERS)
def test_the_astronaut_is_found(name: str, shared: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    assert main(["segment", str(shared / "pictures" / ASTRONAUT), "-o", str(mask), "--model", name, "--quiet"]) == 0
    with Image.open(shared / "pictures" / ASTRONAUT) as photo, Image.open(mask) as picture:
        assert picture.mode == "L" and picture.size == photo.size
        people = np.asarray(picture)
    assert set(np.unique(people)) == {0, 255}
    height, width = people.shape
    face = people[height // 8 : height // 3, int(width * 0.38) : int(width * 0.5)]
    corner = people[: height // 4, -width // 6 :]
    assert face.mean() > 200 and corner.mean() < 55


@pytest.mark.shared_data
def test_a_region_leaves_the_rest_alone(shared: Path) -> None:
    photo, painting = (str(shared / "pictures" / name) for name in (ASTRONAUT, "style_hokusai_great_wave_1831.jpg"))
    plain = stylize(photo, painting, size=96, iterations=3, method="gram").image.astype(int)
    people = stylize(photo, painting, size=96, iterations=3, method="gram", region="person").image.astype(int)
    others = stylize(photo, painting, size=96, iterations=3, method="gram", region="background").image.astype(int)
    original = np.asarray(Image.open(photo).convert("RGB").resize((96, 96), Image.Resampling.LANCZOS)).astype(int)
    person, sky = (slice(14, 30), slice(38, 46)), (slice(0, 20), slice(84, 96))
    for chosen, inside, outside in ((people, person, sky), (others, sky, person)):
        assert np.abs(chosen[inside] - plain[inside]).mean() < 3
        assert np.abs(chosen[outside] - original[outside]).mean() < 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jpg", "-o", "mask.png"], "missing.jpg: no such file"),
        (["photo.png", "-o", "mask.jpg"], "a mask is written as .png"),
        (["photo.png", "-o", "photo.png"], "would replace an input"),
        (["photo.png", "-o", "nowhere/mask.png"], "does not exist"),
    ],
)
def test_bad_input(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("photo.png")
    before = Path("photo.png").read_bytes()
    assert main(["segment", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and Path("photo.png").read_bytes() == before


def test_decoder_weights_of_another_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from minitorch_style.transfer import region as segment

    found = segment.find_decoder

    def other(behind: object) -> object:
        return replace(found(behind), provenance={"run": "another"})  # type: ignore[arg-type]

    monkeypatch.setattr(segment, "find_decoder", other)
    with pytest.raises(WeightsError, match="different training runs"):
        load_segmenter("distilled")


def test_a_photo_without_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (64, 64), (90, 140, 220)).save(blank)
    out = tmp_path / "out.png"
    assert main(["stylize", str(blank), str(blank), "-o", str(out), "--region", "person", "--quiet"]) == 2
    assert "finds no person in this photo" in capsys.readouterr().err and not out.exists()


@pytest.mark.torch
@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "photographs"), [("distilled", 100), ("enet", 100), ("segnet", 10)])
def test_the_engine_is_as_accurate_as_pytorch(name: str, photographs: int, shared: Path) -> None:
    """Pixel accuracy on validation photographs, of the same weights and views: within 0.1 points."""
    import torch

    from minitorch_style.image.resize import resized
    from tools.torch_network import TorchNetwork
    from tools.training.data import IGNORE, read_split

    segmenter = load_segmenter(name)
    network = TorchNetwork.of(segmenter, segmenter.architecture)
    right = np.zeros(2)
    total = 0
    for photo in read_split(shared / "people", "val")[:photographs]:
        pixels = photo.pixels.astype(np.float32) / np.float32(255)
        view = torch.from_numpy(resized(pixels, view_size(photo.mask.shape), "bilinear")).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = network(view, [LOGITS])[LOGITS]
            logits = torch.nn.functional.interpolate(logits, photo.mask.shape, mode="bilinear", align_corners=False)
        known = photo.mask != IGNORE
        said = (person_probability(pixels, segmenter) > 0.5, logits[0].argmax(0).numpy() == 1)
        right += [((photo.mask == 1) == one)[known].sum() for one in said]
        total += known.sum()
    assert abs(right[0] - right[1]) / total < 0.001
    assert right[0] / total > 0.86, "better than calling everything background"
