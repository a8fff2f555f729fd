"""The average of runs is the mean of their weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tools.torch_network import TorchNetwork
from tools.training.average import main
from tools.training.runs import CHECKPOINT, load_run, save_atomically, segmenter

pytestmark = pytest.mark.torch


def run_of(folder: Path, model: str, value: float) -> Path:
    network = TorchNetwork.for_training(segmenter(model))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    folder.mkdir()
    state = {"model": model, "options": {"seed": 0}, "step": 7, "network": network.named_state(), "optimizer": {}}
    save_atomically(state, folder / CHECKPOINT)
    return folder


def test_mean_of_the_weights(tmp_path: Path) -> None:
    runs = [str(run_of(tmp_path / str(value), "distilled", value)) for value in (1.0, 2.0)]
    assert main([*runs, "--out", str(tmp_path / "out")]) == 0
    network, state = load_run(tmp_path / "out")
    assert all(torch.all(parameter == 1.5) for parameter in network.parameters())
    assert state["options"]["averaged"] == ["1.0", "2.0"]


def test_refuses_other_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(run_of(tmp_path / model, model, 1.0)) for model in ("distilled", "enet")]
    assert main([*runs, "--out", str(tmp_path / "out")]) == 2
    assert "distilled and enet have no average" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
