"""The perceptual student: what training computes is what the engine computes from the file that is made of it."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.network import Network
from minitorch_style.networks import architecture
from minitorch_style.weights import IMAGENET
from tests import oracle

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[2]


def test_the_engine_computes_the_students_features(tmp_path: Path, rng: np.random.Generator) -> None:
    import torch

    from tools.training.perceptual import student_weights
    from tools.training.students import VggEncoder

    torch.manual_seed(0)
    student = VggEncoder(16, 8, "conv5_1")
    torch.save({"student": student.state_dict(), "step": 5}, tmp_path / "checkpoint.pt")
    parameters, steps = student_weights(tmp_path)
    target = architecture("distilled-perceptual")
    assert steps == 5 and {name: a.shape for name, a in parameters.items()} == target.parameter_shapes()
    pixels = rng.random((40, 36, 3), np.float32)
    taps = ("conv1_1", "conv3_1", "conv5_1")
    with torch.no_grad():
        expected = student(torch.from_numpy(pixels).permute(2, 0, 1)[None], taps)
    found = Network(target, parameters, IMAGENET).features(pixels, taps)
    for tap in taps:
        assert oracle.relative_error(found[tap], expected[tap][0].permute(1, 2, 0).numpy()) <= 1e-4


def test_the_distance_is_zero_for_equal_features_and_one_for_their_mean() -> None:
    import torch

    from tools.training.perceptual import distance

    features = torch.rand(2, 6, 5, 4)
    assert distance(features, features, 0.5)[0].item() == 0
    mean = features.mean(dim=(0, 2, 3), keepdim=True).expand_as(features)
    assert distance(mean, features, 0.0)[1] == pytest.approx(1, rel=0.05)


def test_enet_starts_to_segment_where_it_learnt_features(tmp_path: Path) -> None:
    """Its convolutions are taken over and trained at the lower rate; no map is dropped while it learns features."""
    import torch
    from torch import nn

    from tests.training.test_train import discs
    from tools.training.network import TrainableNetwork
    from tools.training.perceptual import begin, begun
    from tools.training.trainer import Options, Trainer

    torch.manual_seed(1)
    student = begin("enet")
    assert isinstance(student, TrainableNetwork)
    assert not any(module.p for module in student.modules() if isinstance(module, nn.Dropout2d))
    torch.save({"step": 3, **begun(student)}, tmp_path / "checkpoint.pt")
    trainer = Trainer(Options("enet", sizes=[32], epochs=[1], start=str(tmp_path), dropout=0.5), discs(16))
    trainer.initialise()
    trainer.prepare()
    assert "initial.conv" in trainer.initialised and "3.8.expand" in trainer.initialised
    assert {group["factor"] for group in trainer.optimizer.param_groups} == {1.0, 0.3}
    assert max(module.p for module in trainer.network.modules() if isinstance(module, nn.Dropout2d)) == 0.05
    found, expected = trainer.network.named_state(), student.named_state()
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.shared_data
@pytest.mark.parametrize("student", ["distilled", "enet"])
def test_training_lowers_the_loss_and_goes_on_from_its_checkpoint(tmp_path: Path, shared: Path, student: str) -> None:
    command = [
        sys.executable, "-m", "tools.training.perceptual", "--student", student, "--vgg", str(shared / "vgg"),
        "--photos", str(shared / "people" / "people-val.tar"), "--out", str(tmp_path), "--size", "32", "--batch", "2",
        "--paintings", str(ROOT / "examples" / "painting.jpg"),
    ]  # fmt: skip
    for steps in ("100", "200"):
        subprocess.run([*command, "--steps", steps], cwd=ROOT, check=True, capture_output=True)
    with (tmp_path / "log.csv").open() as file:
        rows = [[float(value) for value in row] for row in csv.reader(file)]
    assert [row[0] for row in rows] == [100, 200]
    assert rows[1][1] < rows[0][1]
