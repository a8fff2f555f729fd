"""How well a student's features give a teacher's: the best linear map from one to the other, and what it leaves.

All of it is computed from moments, so that a student's few maps are never multiplied up to the teacher's many: with
F the student's features, (P, N), and T the teacher's, (P, C),

    S = FᵀF / P      X = FᵀT / P      G = TᵀT / P

the map W, (N, C), leaves the error  tr(WWᵀS) − 2 tr(WᵀX) + tr G  and the Gram error  ‖WᵀSW − G‖²  =
tr(SQSQ) − 2 tr(S·WGWᵀ) + ‖G‖²  with Q = WWᵀ, and WGWᵀ = (TWᵀ)ᵀ(TWᵀ) / P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

LEAST_APART = 0.2  # of the mean distance of two pictures: those that are more alike count as if they were so far apart
RIDGE = 1e-3  # of each channel's own mean square
POSITIONS = 2500  # that are looked at in a map of a crop: those of every second row and column where there are more


@dataclass
class Target:
    """A tap of the teacher for a batch: features (B, P, C), each picture's ‖G‖² (B,), the map's height and width, and the
    step between the positions that are looked at."""

    features: torch.Tensor
    norm: torch.Tensor
    size: tuple[int, int]
    step: int

    @property
    def energy(self) -> torch.Tensor:
        """The mean square of a position, summed over the maps."""
        return self.features.square().sum(2).mean()


def target(maps: torch.Tensor) -> Target:
    """Of a teacher's (B, C, H, W)."""
    height, width = maps.shape[2:]
    step = math.ceil(math.sqrt(height * width / POSITIONS))
    flat = positions(maps, step)
    turned = flat.transpose(1, 2)
    square = flat @ turned if flat.shape[1] < flat.shape[2] else turned @ flat  # both have one norm
    return Target(flat, (square / flat.shape[1]).square().sum((1, 2)), (height, width), step)


def positions(maps: torch.Tensor, step: int) -> torch.Tensor:
    """(B, N, H, W) → (B, P, N), those of every `step`-th row and column."""
    return maps[:, :, step // 2 :: step, step // 2 :: step].permute(0, 2, 3, 1).flatten(1, 2).float()


def moments(maps: torch.Tensor, wanted: Target) -> tuple[torch.Tensor, torch.Tensor]:
    """S (B, N, N) and X (B, N, C) of a student's (B, N, H, W); one that sees finer than its teacher is
    averaged down to the teacher's size."""
    if maps.shape[2:] != wanted.size:
        maps = functional.adaptive_avg_pool2d(maps, wanted.size)
    flat = positions(maps, wanted.step)
    turned = flat.transpose(1, 2) / flat.shape[1]
    return turned @ flat, turned @ wanted.features


def best_map(square: torch.Tensor, cross: torch.Tensor, ridge: float = RIDGE) -> torch.Tensor:
    """W (N, C) of the least ridge error for mean moments S (N, N) and X (N, C)."""
    square, cross = square.double(), cross.double()
    own = square.diagonal()
    return torch.linalg.solve(square + torch.diag(ridge * own + 1e-9 * own.mean()), cross).float()


def feature_error(square: torch.Tensor, cross: torch.Tensor, wanted: Target, found: torch.Tensor) -> torch.Tensor:
    """Mean squared error of a position under the map `found`, summed over the teacher's maps."""
    return ((found @ found.T) * square.mean(0)).sum() - 2 * (found * cross.mean(0)).sum() + wanted.energy


def gram_difference_error(square: torch.Tensor, wanted: Target, found: torch.Tensor) -> torch.Tensor:
    """Squared error of the difference of two pictures' mapped Gram matrices over the squared norm of the teacher's
    difference, mean over pairs. A style loss is such a difference: what all pictures have in common does not count."""
    with torch.no_grad():
        grams = wanted.features.transpose(1, 2) @ wanted.features / wanted.features.shape[1]
        apart = _squared_distances(grams)
        apart.clamp_(min=LEAST_APART * apart.mean().item())
    return (_squared_distances(found.T @ square @ found - grams) / apart).mean()


def _squared_distances(matrices: torch.Tensor) -> torch.Tensor:
    """‖Mᵢ − Mⱼ‖² for i < j of matrices (B, C, C)."""
    flat = matrices.flatten(1)
    products = flat @ flat.T
    norms = products.diagonal()
    first, second = torch.triu_indices(len(flat), len(flat), 1)
    return norms[first] + norms[second] - 2 * products[first, second]


def gram_error(square: torch.Tensor, wanted: Target, found: torch.Tensor) -> torch.Tensor:
    """Squared error of a picture's mapped Gram matrix over the squared norm of the teacher's, mean over pictures."""
    both = square @ (found @ found.T)
    own = (both * both.transpose(1, 2)).sum((1, 2))
    with torch.no_grad():
        seen = wanted.features @ found.T
        shared = seen.transpose(1, 2) @ seen / seen.shape[1]
    crossed = (square * shared).sum((1, 2))
    return ((own - 2 * crossed) / wanted.norm + 1).mean()
