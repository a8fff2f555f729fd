"""The conversion tool on checkpoints made here: torchvision's names, our training's, and files that do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitorch_style.engine.network import load_network
from minitorch_style.errors import CheckpointError
from minitorch_style.nn.registry import architecture
from tests import oracle

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[2]


def torchvision_like(batch_norm: bool) -> dict[str, Any]:
    """VGG-16's `features` as torchvision names them, with a classifier, random numbers inside."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for maps in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if maps == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers.append(nn.Conv2d(channels, int(maps), 3, padding=1))
            layers += [nn.BatchNorm2d(int(maps))] if batch_norm else []
            layers.append(nn.ReLU())
            channels = int(maps)
    state = {f"features.{key}": value for key, value in nn.Sequential(*layers).state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(4, 4)
    return state


def arrays(state: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


@pytest.mark.slow
def test_torchvision_vgg16(tmp_path: Path) -> None:
    import torch

    checkpoint, out = tmp_path / "vgg16.pth", tmp_path / "vgg16.h5"
    torch.save(torchvision_like(batch_norm=False), checkpoint)
    done = subprocess.run([sys.executable, "tools/convert_torch.py", str(checkpoint), "vgg16", str(out), "--licence", "X"],
                          capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "conv5_3" in done.stdout
    network = load_network("vgg16", out)
    assert network.trained and network.provenance["licence"] == "X"


def test_torchvision_vgg16_with_batch_norm() -> None:
    """Folded into the convolutions: the same features as torch's own Sequential with its batch norms."""
    import torch
    from torch.nn import functional

    from minitorch_style.engine.network import Network
    from minitorch_style.weights.convert import convert

    state = torchvision_like(batch_norm=True)
    for key, value in state.items():
        if key.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand_like(value) + 0.1)
    target = architecture("vgg16")
    weights = convert(arrays(state), target)
    pixels = np.random.default_rng(0).random((24, 20, 3), np.float32)
    x = (
        torch.from_numpy(pixels).permute(2, 0, 1)[None] - torch.tensor(weights.normalization.mean).view(1, 3, 1, 1)
    ) * (torch.tensor(weights.normalization.scale).view(1, 3, 1, 1))
    for index in (0, 3):
        conv = functional.conv2d(
            x.float(), state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1
        )
        norm = [state[f"features.{index + 1}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        x = torch.relu(functional.batch_norm(conv, *norm))
    features = Network(target, weights.parameters, weights.normalization).features(pixels, ["conv1_2"])["conv1_2"]
    assert oracle.relative_error(features, x[0].permute(1, 2, 0).numpy()) <= 1e-4


def test_batch_norm_is_folded(rng: np.random.Generator) -> None:
    """An ENet in our training's names: the engine's block against conv, batch norm, PReLU done by torch."""
    import torch
    from torch.nn import functional

    from minitorch_style.weights.convert import convert

    target = architecture("enet")
    generator = torch.Generator().manual_seed(1)
    state = {}
    for node in target.nodes:
        for name, shape in node.layer.parameter_shapes().items():
            order = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
            state[f"{node.name}.{name}"] = torch.randn(order, generator=generator) * 0.1
        if node.batch_norm:
            maps = node.layer.parameter_shapes()["weight"][-1]
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"{node.name}_norm.{name}"] = torch.rand(maps, generator=generator) + 0.1
    weights = convert(arrays(state), target)
    x = torch.rand(1, 16, 10, 12, generator=generator)
    norm = [state[f"1.0.reduce_norm.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    expected = functional.batch_norm(functional.conv2d(x, state["1.0.reduce.weight"], None, 2), *norm, eps=1e-3)
    folded = oracle.conv2d(x[0].permute(1, 2, 0).numpy(), weights.parameters["1.0.reduce.weight"],
                           weights.parameters["1.0.reduce.bias"], (2, 2), (0, 0), (1, 1))  # fmt: skip
    assert oracle.relative_error(folded, expected[0].permute(1, 2, 0).numpy()) <= 1e-5


def test_files_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    import torch

    from minitorch_style.weights.checkpoints import read_checkpoint
    from minitorch_style.weights.convert import convert

    with pytest.raises(CheckpointError, match="no known checkpoint of enet"):
        convert(arrays(torchvision_like(batch_norm=False)), architecture("enet"))
    with pytest.raises(CheckpointError, match="no known checkpoint of vgg19-quarter"):
        convert(arrays(torchvision_like(batch_norm=False)), architecture("vgg19-quarter"))
    with pytest.raises(CheckpointError, match=r"does not have: surprise.weight \(2,\)"):
        convert({**arrays(torchvision_like(batch_norm=False)), "surprise.weight": np.zeros(2)}, architecture("vgg16"))
    torch.save({"state_dict": {"a": 1}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_checkpoint(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(b"text")
    done = subprocess.run([sys.executable, "tools/convert_torch.py", str(tmp_path / "b.pth"), "vgg16", str(tmp_path / "o.h5")],
                          capture_output=True, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("convert_torch:")
    assert not (tmp_path / "o.h5").exists()
