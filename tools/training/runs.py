"""A training run on disk: RUN/checkpoint.pt, written whole or not at all, and the networks in it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from minitorch_style.errors import CheckpointError
from minitorch_style.files import atomic_write
from minitorch_style.nn.registry import Architecture, architecture, decoder
from tools.torch_network import TorchNetwork

CHECKPOINT = "checkpoint.pt"


def segmenter(model: str) -> Architecture:
    """Encoder and decoder of `model` as one network."""
    return architecture(model).continued(decoder(model))


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Written under another name and renamed: a run killed at any moment leaves the last checkpoint."""
    with atomic_write(path) as file:
        torch.save(state, file)


def read_run(run: Path) -> dict[str, Any]:
    """The last checkpoint of a run. CheckpointError where there is none."""
    path = run / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a checkpoint ({error})") from error
    return state


def load_run(run: Path) -> tuple[TorchNetwork, dict[str, Any]]:
    """The network of a run, ready to be asked, and its checkpoint."""
    state = read_run(run)
    network = TorchNetwork.for_training(segmenter(state["model"])).to(memory_format=torch.channels_last)
    network.load_named_state(state["network"])
    return network.eval(), state
