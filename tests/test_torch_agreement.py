"""Loss and gradient against PyTorch's autograd, which shares no code with us."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.network import Network
from minitorch_style.objective import Objective
from tests import oracle
from tests.test_plan import with_lively_weights

pytestmark = pytest.mark.torch


def autograd(network: Network, content: np.ndarray, style: np.ndarray, x: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
    """Equation 6 as printed, by torch in double precision."""
    import torch

    from tools.convert_torch import torch_graph

    architecture = network.architecture

    def features(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return torch_graph(network, architecture, pixels)

    def mean_gram(f: torch.Tensor) -> torch.Tensor:
        flat = f[0].flatten(1)
        return flat @ flat.T / flat.shape[1]

    picture = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    f = features(picture)
    with torch.no_grad():
        p, s = features(torch.tensor(content).double()), features(torch.tensor(style).double())
    loss = sum(alpha * 0.5 * (f[tap] - p[tap]).square().sum() for tap in architecture.content_layers)
    for tap in architecture.style_layers:
        maps = f[tap].shape[1]
        loss = loss + (mean_gram(f[tap]) - mean_gram(s[tap])).square().sum() / (4 * maps**2) / len(architecture.style_layers)
    loss.backward()
    return float(loss), picture.grad.numpy()


@pytest.mark.parametrize("kernels", ["numpy", pytest.param("numba", marks=pytest.mark.jit)])
@pytest.mark.parametrize("model", ["vgg16", "distilled", "enet"])
def test_loss_and_gradient(model: str, kernels: str) -> None:
    """96×120 pixels: loss to 1e-4, gradient to 1e-3 in the max norm."""
    rng = np.random.default_rng(5)
    content, style, x = (rng.random((96, 120, 3), np.float32) for _ in range(3))
    network = with_lively_weights(model, kernels)
    loss, gradient = Objective(network, content, style, content_weight=1e-3)(x)
    expected, expected_gradient = autograd(network, content, style, x, 1e-3)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert oracle.relative_error(gradient, expected_gradient) <= 1e-3
