"""Training: it learns, it resumes bit for bit, it distils, it evaluates, and its networks are those of the engine."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.torch

from minitorch_style.engine.network import Network
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import DECODERS, LOGITS, architecture
from minitorch_style.weights.convert import convert
from tests import oracle
from tests.tools.training.test_data import people
from tools.torch_network import TorchNetwork
from tools.training import evaluate, train
from tools.training.data import Photo, read_split
from tools.training.runs import load_run, read_run, segmenter
from tools.training.trainer import Options, Trainer, class_weights


def discs(count: int, seed: int = 0) -> list[Photo]:
    """Pictures that can be learnt quickly: a bright disc, the person, on dark noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    photos = []
    for index in range(count):
        centre = rng.integers(16, 48, 2)
        mask = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 200).astype(np.uint8)
        pixels = rng.integers(0, 100, (64, 64, 3)) + 120 * mask[..., None]
        photos.append(Photo(f"d-{index}", "d", pixels.astype(np.uint8), mask))
    return photos


@pytest.mark.slow
@pytest.mark.parametrize("model", ["distilled", "enet"])
def test_thirty_steps_on_sixteen_pictures_lower_the_loss(model: str) -> None:
    trainer = Trainer(Options(model, sizes=[64], epochs=[30], batch=16, lr=3e-3), discs(16))
    trainer.prepare()
    losses = []
    while not trainer.done:
        losses.extend(trainer.train_on(batch)[0] for batch in trainer.epoch_batches())
    assert len(losses) == 30 and np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, through a file, with dropout: every parameter and statistic has the same bits."""
    options = Options("enet", sizes=[32, 64], epochs=[1, 1], batch=4, seed=3)
    photos = discs(12)

    def steps(trainer: Trainer, count: int) -> None:
        while count and not trainer.done:
            for batch in trainer.epoch_batches():
                trainer.train_on(batch)
                count -= 1
                if not count:
                    return

    straight = Trainer(options, photos)
    straight.prepare()
    steps(straight, 6)
    first = Trainer(options, photos)
    first.prepare()
    steps(first, 4)
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second = Trainer(options, photos)
    second.restore(read_run(tmp_path))
    steps(second, 2)
    mine, theirs = straight.network.named_state(), second.network.named_state()
    assert straight.step == second.step == 6 and all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.slow
def test_the_whole_way_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = people(tmp_path, 8)
    common = ["--data", str(folder), "--sizes", "32", "--epochs", "2", "--batch", "4", "--validate", "2"]
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    assert train.main(["distilled", "--out", str(teacher), "--class-weights", "median", *common]) == 0
    taught = ["--teacher", str(teacher), "--teacher-size", "32", "--attention", "1"]
    assert train.main(["distilled", "--out", str(student), "--seed", "1", *taught, *common]) == 0
    with (student / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"] and (student / "curves.png").stat().st_size > 1000
    capsys.readouterr()
    assert train.main(["distilled", "--out", str(student), "--seed", "2", *taught, *common]) == 2
    assert "seed 1 there and 2 here" in capsys.readouterr().err
    assert evaluate.main([str(student), "--data", str(folder), "--size", "32"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "distilled" and set(told["sources"]) == {"coco"}
    assert told["encoder_parameters"] == architecture("distilled").parameter_count() < told["parameters"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no model 'nothing'"),
        (["segnet", "--sizes", "40"], "multiples of 32"),
        (["segnet", "--sizes", "32", "64"], "one positive number for each"),
        (["segnet", "--alpha", "0.5"], "need a --teacher"),
        (["segnet", "--init", "missing.pth"], "missing.pth"),
        (["segnet", "--teacher", "nowhere"], "no such checkpoint"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = people(tmp_path)
    assert train.main([*arguments, "--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_damaged_checkpoint_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = people(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"half of a file")
    assert evaluate.main([str(tmp_path), "--data", str(folder)]) == 2
    assert "not a checkpoint" in capsys.readouterr().err


def test_class_weights() -> None:
    photos = discs(4)
    counts = sum(np.bincount(photo.mask.ravel(), minlength=2) for photo in photos)
    share = counts / counts.sum()
    assert np.allclose(class_weights(photos, "median").numpy(), np.median(share) / share)
    assert np.allclose(class_weights(photos, "enet").numpy(), 1 / np.log(1.02 + share))
    assert class_weights(photos, "none") is None


@pytest.mark.parametrize("name", DECODERS)
def test_the_engine_computes_what_was_trained(name: str) -> None:
    """Encoder taps and logits, batch norms of any statistics folded."""
    torch.manual_seed(0)
    network = TorchNetwork.for_training(segmenter(name))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
    network.eval().double()
    target = network.architecture
    weights = convert({key: value.float().numpy() for key, value in network.named_state().items()}, target)
    pixels = np.random.default_rng(0).random((64, 96, 3), np.float32)
    taps = [*architecture(name).taps, LOGITS]
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels).permute(2, 0, 1)[None].double(), taps)
    for kernels in ("numpy", "auto"):
        found = Network(target, weights.parameters, weights.normalization, kernel_set(kernels)).features(pixels, taps)
        for tap in taps:
            assert oracle.relative_error(found[tap], expected[tap][0].permute(1, 2, 0).numpy()) <= 1e-4, tap


def test_figures() -> None:
    shown = evaluate.figures(np.array([[70, 10], [5, 15]]))
    assert shown == {
        "accuracy": 85.0,
        "mean_iou": round(50 * (70 / 85 + 15 / 30), 3),
        "person_iou": 50.0,
        "all_background": 80.0,
    }


@pytest.mark.shared_data
def test_an_encoder_begins_as_the_published_one(shared: Path) -> None:
    """--init and --fit: the first five convolutions compute VGG-19's features though batch norms stand between them."""
    photos = read_split(shared / "people", "val")[:24]
    vgg = shared / "vgg"
    trainer = Trainer(Options("segnet", init=str(vgg / "vgg_normalised_conv3_1.pth")), photos)
    trainer.initialise()
    assert trainer.initialised == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    from tools.training.teachers import published

    weights = published(vgg / "vgg_normalised_conv3_1.pth")
    teacher = TorchNetwork.of(weights, architecture("vgg19-conv3_1"))
    pixels = torch.from_numpy(np.stack([photos[0].pixels[:96, :96]])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        trainer.network.eval()
        mine, theirs = trainer.network(pixels, ["conv3_1"])["conv3_1"], teacher(pixels, ["conv3_1"])["conv3_1"]
    inner = (..., slice(4, -4), slice(4, -4))  # zero padding stands for another colour there
    assert torch.nn.functional.cosine_similarity(mine[inner].flatten(), theirs[inner].flatten(), dim=0) > 0.98


def test_layers_that_begin_well_can_be_left_alone() -> None:
    photos = discs(4)
    for rate, same in ((0.0, True), (0.3, False)):
        trainer = Trainer(Options("distilled", sizes=[32], epochs=[1], batch=2, initialised_rate=rate), photos)
        trainer.initialised = ["conv1_1", "conv1_2"]
        trainer.prepare()
        before = {key: value.clone() for key, value in trainer.network.named_state().items()}
        for batch in trainer.epoch_batches():
            trainer.train_on(batch)
        after = trainer.network.named_state()
        begun = [f"{name}{kind}" for name in ("conv1_1", "conv1_2") for kind in (".weight", "_norm.running_var")]
        assert all(torch.equal(before[key], after[key]) is same for key in begun)
        assert not torch.equal(before["conv2_1.weight"], after["conv2_1.weight"])


def test_loading_a_run_gives_its_network(tmp_path: Path) -> None:
    trainer = Trainer(Options("distilled"), discs(2))
    trainer.prepare()
    torch.save(trainer.state(), tmp_path / "checkpoint.pt")
    network, state = load_run(tmp_path)
    assert state["model"] == "distilled" and not network.training
    pixels = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(pixels, [LOGITS])[LOGITS], trainer.network.eval()(pixels, [LOGITS])[LOGITS])


def test_a_run_can_begin_with_anothers_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Trainer(Options("distilled"), discs(2))
    first.prepare()
    torch.save(first.state(), tmp_path / "checkpoint.pt")
    second = Trainer(Options("distilled", seed=5, start=str(tmp_path)), discs(2))
    second.initialise()
    mine, theirs = second.network.named_state(), first.network.named_state()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    folder = people(tmp_path)
    assert train.main(["enet", "--data", str(folder), "--out", str(tmp_path / "e"), "--start", str(tmp_path)]) == 2
    assert "is a run of distilled, not of enet" in capsys.readouterr().err
