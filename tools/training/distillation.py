"""What a student is trained for: the hard labels, its teacher's softened ones (equation 7), its teacher's attention."""

from __future__ import annotations

import torch
from torch.nn import functional

from tools.training.data import IGNORE


def hard_loss(logits: torch.Tensor, masks: torch.Tensor, class_weights: torch.Tensor | None = None) -> torch.Tensor:
    """Cross-entropy of (N, K, H, W) and (N, H, W), a mean over the pixels that count; 0 where none does."""
    sums = functional.cross_entropy(logits.float(), masks, class_weights, ignore_index=IGNORE, reduction="sum")
    known = masks[masks != IGNORE]
    total = float(known.numel()) if class_weights is None else class_weights[known].sum()
    return sums / max(float(total), 1e-8)


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Equation 7: −T² Σ_k p_k log q_k with p = softmax(teacher/T) and q = softmax(student/T), a mean over all pixels.

    Logits (N, K, H, W). T² keeps the gradient's size whatever T is (Hinton et al. 2015). Nothing flows to the teacher.
    """
    soft = functional.softmax(teacher.detach().float() / temperature, dim=1)
    log = functional.log_softmax(student.float() / temperature, dim=1)
    return -(temperature**2) * (soft * log).sum(1).mean()


def attention(features: torch.Tensor) -> torch.Tensor:
    """Where a layer looks: the mean of its squared maps, (N, C, h, w) → (N, h, w) (Zagoruyko & Komodakis 2017)."""
    return features.float().square().mean(1)


def attention_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance between two attention maps (N, h, w), each divided by its norm; the teacher's is resized."""
    if teacher.shape != student.shape:
        teacher = functional.interpolate(teacher[:, None], student.shape[1:], mode="area")[:, 0]
    mine, theirs = (functional.normalize(one.flatten(1), dim=1) for one in (student, teacher.detach()))
    return (mine - theirs).square().sum(1).mean()
