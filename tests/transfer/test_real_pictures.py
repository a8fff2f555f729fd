"""The main job on real photographs and paintings with a real network, where the shared data is at hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import minitorch_style as ms

pytestmark = [pytest.mark.shared_data, pytest.mark.torch]


@pytest.fixture(scope="module")
def quarter(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> ms.Network:
    from minitorch_style.nn.registry import architecture
    from minitorch_style.weights.checkpoints import read_checkpoint
    from minitorch_style.weights.convert import convert
    from minitorch_style.weights.hdf5 import save_weights
    from tools.convert_torch import compare

    target = architecture("vgg19-quarter")
    weights = convert(read_checkpoint(shared / "vgg" / "5SE.pth"), target)
    assert max(compare(weights, target).values()) < 1e-4
    path = tmp_path_factory.mktemp("weights") / "quarter.h5"
    save_weights(path, weights)
    return ms.load_network("vgg19-quarter", path, pooling="average")


def test_the_input_convolution_is_folded_in_exactly(shared: Path) -> None:
    """conv1_1 of the converted file against the checkpoint's own conv0 → conv11, borders included."""
    import torch

    from minitorch_style.nn.registry import architecture
    from minitorch_style.weights.checkpoints import read_checkpoint
    from minitorch_style.weights.convert import convert
    from tools.torch_network import TorchNetwork

    state = read_checkpoint(shared / "vgg" / "5SE.pth")
    target = architecture("vgg19-quarter")
    pixels = torch.rand(20, 24, 3, dtype=torch.float64)
    x = pixels.permute(2, 0, 1)[None]
    tensors = {name: torch.from_numpy(array.copy()).double() for name, array in state.items()}
    for name, padding in (("conv0", 0), ("conv11", 1)):
        x = torch.nn.functional.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=padding)
    network = TorchNetwork.of(convert(state, target), target).double()
    found = network(pixels.permute(2, 0, 1)[None], ["conv1_1"])["conv1_1"]
    assert torch.allclose(found, torch.relu(x), rtol=1e-4, atol=1e-4 * float(x.abs().max()))


@pytest.mark.parametrize(
    ("photo", "painting"),
    [
        ("content_tubingen.jpg", "style_van_gogh_starry_night_1889.jpg"),
        ("content_coffee.png", "style_hokusai_great_wave_1831.jpg"),
    ],
)
def test_the_loss_falls_under_a_tenth(quarter: ms.Network, shared: Path, photo: str, painting: str) -> None:
    pictures = shared / "pictures"
    result = ms.stylize(pictures / photo, pictures / painting, network=quarter, size=128, iterations=30, method="gram")
    best = [iteration.best_loss for iteration in result.history]
    assert all(after <= before for before, after in pairwise(best))
    assert best[-1] < 0.1 * best[0]
    assert result.image.std() > 20 and not np.any(np.isnan(result.image))
