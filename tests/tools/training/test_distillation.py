"""Equation 7 and attention matching against NumPy written by hand, and where their gradients go."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from tools.training.data import IGNORE
from tools.training.distillation import attention, attention_loss, distillation_loss, hard_loss


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_equation_7(temperature: float, classes: int) -> None:
    rng = np.random.default_rng(0)
    student, teacher = (rng.normal(0, 3, (2, classes, 4, 5)) for _ in range(2))
    total = 0.0
    for n, i, j in np.ndindex(2, 4, 5):
        p = softmax(teacher[n, :, i, j][None] / temperature)[0]
        q = softmax(student[n, :, i, j][None] / temperature)[0]
        total -= temperature**2 * float((p * np.log(q)).sum())
    ours = torch.from_numpy(student).float().requires_grad_()
    theirs = torch.from_numpy(teacher).float().requires_grad_()
    loss = distillation_loss(ours, theirs, temperature)
    assert np.isclose(loss.item(), total / 40, rtol=1e-5)
    loss.backward()
    assert theirs.grad is None, "the teacher learns nothing"
    expected = temperature * (softmax(student / temperature) - softmax(teacher / temperature)) / 40
    assert np.allclose(ours.grad.numpy(), expected, rtol=1e-3, atol=1e-6)


def test_hard_loss_leaves_out_ignored_pixels_and_weighs_classes() -> None:
    rng = np.random.default_rng(1)
    logits, masks = rng.normal(size=(2, 2, 3, 4)), rng.integers(0, 3, (2, 3, 4))
    likely = softmax(logits)
    for weights in (None, np.array([0.5, 3.0])):
        total = norm = 0.0
        for n, i, j in np.ndindex(2, 3, 4):
            if (true := masks[n, i, j]) != IGNORE:
                weight = 1.0 if weights is None else weights[true]
                total -= weight * np.log(likely[n, true, i, j])
                norm += weight
        given = None if weights is None else torch.from_numpy(weights).float()
        found = hard_loss(torch.from_numpy(logits), torch.from_numpy(masks), given)
        assert np.isclose(found.item(), total / norm, rtol=1e-5)
    nothing = torch.full((2, 3, 4), IGNORE)
    assert hard_loss(torch.from_numpy(logits), nothing).item() == 0


def test_attention() -> None:
    rng = np.random.default_rng(2)
    features, teacher = rng.normal(size=(2, 3, 4, 4)), rng.random((2, 8, 8))
    mine = (features**2).mean(1)
    theirs = teacher.reshape(2, 4, 2, 4, 2).mean((2, 4))
    unit = [maps.reshape(2, -1) / np.linalg.norm(maps.reshape(2, -1), axis=1, keepdims=True) for maps in (mine, theirs)]
    expected = ((unit[0] - unit[1]) ** 2).sum(1).mean()
    found = attention_loss(attention(torch.from_numpy(features)), torch.from_numpy(teacher).float())
    assert np.isclose(found.item(), expected, rtol=1e-5)
