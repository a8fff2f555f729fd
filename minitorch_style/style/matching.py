"""Which place of a painting is most like each place of a picture: the nearest neighbour by centred cosine, and the loss
that draws the picture's features there (Kolkin et al. 2022, «Neural neighbor style transfer»)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.api import Places
from minitorch_style.kernels.patches import PatchKernels

ROUNDS = 20  # of setting each painting's bonus in turn; two paintings are done after one


def unit(vectors: Float32, centre: Float32) -> Float32:
    """Vectors (…, N) as directions from `centre`; one that lies there stays zero."""
    away = vectors - centre
    length = np.sqrt(np.einsum("...i,...i->...", away, away))
    away /= np.maximum(length, np.float32(1e-12))[..., None]
    return away


def nearest(queries: Float32, keys: Float32, kernels: PatchKernels) -> tuple[Places, Float32]:
    """For each of the unit vectors `queries` (H, W, N) the index of the most similar of the unit vectors `keys` (K, N),
    the first of equals, and the cosine; both (H, W)."""
    flat = queries.reshape(-1, queries.shape[2])
    where = kernels.nearest(flat, kernels.pack(keys), np.zeros(len(keys), np.float32)).astype(np.int64)
    cosine = np.einsum("ij,ij->i", flat, keys[where])
    return where.reshape(queries.shape[:2]), cosine.reshape(queries.shape[:2])


def shared_out(scores: Float32, shares: Sequence[float]) -> Places:
    """Which of P choices each of M places makes, given what each is worth to it, (P, M), so that each choice is made by
    its share of the places: each gets a bonus, set in turn so that it is preferred by just so many."""
    _choices, places = scores.shape
    wanted = np.asarray(shares, float) / np.sum(shares)
    bonus = np.where(wanted > 0, 0.0, -np.inf)
    if np.count_nonzero(wanted) > 1:
        for _ in range(ROUNDS):
            before = bonus.copy()
            for choice in np.flatnonzero(wanted):
                others = [other for other in np.flatnonzero(wanted) if other != choice]
                lead = np.max(scores[others] + bonus[others, None], axis=0) - scores[choice]
                count = max(1, round(wanted[choice] * places))
                bonus[choice] = np.partition(lead, count - 1)[count - 1]
            if np.allclose(bonus - bonus.max(), before - before.max(), rtol=0, atol=1e-6):
                break
    chosen: Places = np.argmax(scores + bonus[:, None], axis=0).astype(np.int64)
    return chosen


def cosine_loss(features: Float32, centre: Float32, keys: Float32, gradient: Float32) -> float:
    """Mean over places of 1 − cos(f − centre, key), and its gradient towards f: with u = f − centre, û its direction and v
    the key, −(v − (û·v) û) / ‖u‖ over the number of places.

    features, keys (unit vectors), gradient (written): (H, W, N).
    """
    away = np.subtract(features, centre, out=gradient)
    length = np.maximum(np.sqrt(np.einsum("ijk,ijk->ij", away, away)), np.float32(1e-12))
    away /= length[..., None]
    cosine = np.einsum("ijk,ijk->ij", away, keys)
    gradient *= cosine[..., None]
    gradient -= keys
    gradient /= (cosine.size * length)[..., None]
    return float(1 - cosine.mean(dtype=np.float64))
