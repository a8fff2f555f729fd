"""The perceptual students: what training computes is what the engine computes from the file that is made of it."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.nn.registry import architecture
from minitorch_style.weights.weights import IMAGENET
from tests import oracle

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["distilled-perceptual", "distilled-wide", "quarter"])
def test_the_engine_computes_the_students_features(name: str, rng: np.random.Generator) -> None:
    import torch

    from minitorch_style.engine.network import Network
    from tools.training.students import COUNTERPARTS, build, parameters_of

    torch.manual_seed(0)
    student = build(name)
    pixels = rng.random((1, 40, 36, 3), np.float32)
    seen = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    taps = tuple(COUNTERPARTS[name].values())
    with torch.no_grad():
        expected = student(seen, taps)
    target = architecture(name).with_average_pooling()
    found = Network(target, parameters_of(student.named_state(), target), IMAGENET).features(pixels[0], taps)
    for tap in taps:
        assert oracle.relative_error(found[tap], expected[tap][0].permute(1, 2, 0).numpy()) <= 1e-4


def test_a_wider_student_starts_as_the_narrow_one() -> None:
    """Its first maps are those of the file but for what the others add; a student of the file's width is the file's."""
    import torch

    from minitorch_style.weights.weights import random_weights
    from tools.training.students import build, start

    weights = random_weights(architecture("distilled-perceptual"), 0)
    same, wide = build("distilled-perceptual"), build("distilled-wide")
    for student in (same, wide):
        start(student, weights)
    for name in ("conv1_1", "conv2_1", "conv5_1"):
        known = torch.from_numpy(weights.parameters[f"{name}.weight"].transpose(3, 2, 0, 1).copy())
        assert torch.equal(same.layer(name).weight, known)  # type: ignore[arg-type]
        assert torch.equal(wide.layer(name).weight[: known.shape[0], : known.shape[1]], known)  # type: ignore[index]


def test_balanced_filters_compute_the_same() -> None:
    import torch

    from tools.training.students import balance, build, convolutions

    torch.manual_seed(0)
    student = build("distilled-perceptual")
    pixels, taps = torch.rand(1, 3, 32, 32), ("conv1_1", "conv3_2", "conv5_1")
    with torch.no_grad():
        for layer in convolutions(student).values():
            layer.weight *= torch.exp(2 * torch.randn(layer.out_channels))[:, None, None, None]
        before = student(pixels, taps)
        factors = balance(student)
        after = student(pixels, taps)
    for tap in taps:
        assert torch.allclose(after[tap], before[tap] * factors[tap][:, None, None], rtol=1e-3, atol=1e-4)
    for layer in convolutions(student).values():
        assert torch.allclose(layer.weight.flatten(1).norm(dim=1), torch.tensor(2.0).sqrt(), rtol=1e-4)


def test_dead_maps_are_drawn_anew() -> None:
    """A map that never fires fires afterwards, and what the layers above compute is as before."""
    import torch
    from torch import nn

    from tools.training.matching import target
    from tools.training.students import TAPS, Student

    torch.manual_seed(0)
    student = Student("distilled-perceptual", 1e-3)
    pixels = torch.rand(2, 3, 32, 32)
    teacher = {tap: target(torch.rand(2, 3, 32 >> int(tap[4]) - 1, 32 >> int(tap[4]) - 1)) for tap in TAPS}
    student.learn(student.loss(pixels, teacher)[0], 1.0, 0.5)
    layer = student.network.layer("conv2_2")
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    with torch.no_grad():
        layer.bias[:] = torch.tensor([1.0, -1e3]).repeat(8)
    before = student.network(pixels, ["conv2_2", "conv3_1"])
    student.activity = {name: torch.ones_like(mean) for name, mean in student.activity.items()}
    student.activity["conv2_2"] = before["conv2_2"].mean((0, 2, 3))
    student.renew()
    assert before["conv2_2"][:, 1::2].max() == 0 and student.renewed == 8
    after = student.network(pixels, ["conv2_2", "conv3_1"])
    assert torch.equal(after["conv2_2"][:, ::2], before["conv2_2"][:, ::2])
    assert after["conv2_2"].mean((0, 2, 3)).min() > 0.05 * after["conv2_2"].mean()
    assert torch.allclose(after["conv3_1"], before["conv3_1"], atol=1e-5)


def test_enet_starts_to_segment_where_it_learnt_features(tmp_path: Path) -> None:
    """Its convolutions are taken over and trained at the lower rate; no map is dropped while it learns features."""
    import torch
    from torch import nn

    from tests.tools.training.test_train import discs
    from tools.training.perceptual import save
    from tools.training.students import Student
    from tools.training.trainer import Options, Trainer

    torch.manual_seed(1)
    student = Student("enet", 1e-3)
    assert not any(module.p for module in student.network.modules() if isinstance(module, nn.Dropout2d))
    student.average = student.network.named_state()
    save(tmp_path, [student], 3, 1.0)
    trainer = Trainer(Options("enet", sizes=[32], epochs=[1], start=str(tmp_path / "enet"), dropout=0.5), discs(16))
    trainer.initialise()
    trainer.prepare()
    assert "initial.conv" in trainer.initialised and "3.8.expand" in trainer.initialised
    assert {group["factor"] for group in trainer.optimizer.param_groups} == {1.0, 0.3}
    assert max(module.p for module in trainer.network.modules() if isinstance(module, nn.Dropout2d)) == 0.05
    found = trainer.network.named_state()
    assert found.keys() == student.average.keys()
    assert all(torch.equal(found[key], student.average[key]) for key in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["distilled-perceptual", "enet"])
def test_a_student_learns_what_it_is_shown(name: str) -> None:
    """The same lesson again and again: in a run each is another, and the best map has seen only those so far."""
    import torch

    from tools.training.matching import target
    from tools.training.students import Student, build

    torch.manual_seed(0)
    student, pixels = Student(name, 1e-3), torch.rand(2, 3, 32, 32)
    student.begin("")
    with torch.no_grad():
        lesson = {tap: target(maps) for tap, maps in build("quarter")(pixels, tuple(student.counterparts)).items()}
    losses = []
    for step in range(40):
        loss, _ = student.loss(pixels, lesson)
        student.learn(loss, min(1.0, step / 20), 0.9)
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.slow
@pytest.mark.shared_data
def test_training_goes_on_from_its_checkpoint(tmp_path: Path, shared: Path) -> None:
    command = [
        sys.executable, "-m", "tools.training.perceptual", "distilled-perceptual", "enet",
        "--vgg", str(shared / "vgg" / "vgg19_keras_notop.h5"), "--tar", str(shared / "people" / "people-val.tar"),
        "--paintings", str(ROOT / "examples" / "painting.jpg"), "--painted", str(ROOT / "docs" / "result.jpg"),
        "--out", str(tmp_path), "--size", "32", "--batch", "2",
    ]  # fmt: skip
    for steps in ("100", "200"):
        subprocess.run([*command, "--steps", steps], cwd=ROOT, check=True, capture_output=True)
    with (tmp_path / "log.csv").open() as file:
        rows = [(int(step), name) for step, name, *_ in csv.reader(file)]
    for student in ("distilled-perceptual", "enet"):
        assert [step for step, name in rows if name == student] == [50, 100, 150, 200]
