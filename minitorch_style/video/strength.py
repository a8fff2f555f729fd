"""The strength of a film in strokes: how its plans by the method `gram` are set, and what of the photo is mixed into them."""

from __future__ import annotations

import math

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.plans.strength import DEFAULT

# Strengths, and what the weight of the content is multiplied by there, in between geometrically; and the part of the way from
# the photo to the plan that is repainted.
STRENGTHS = (0.3, DEFAULT, 1.0)
WEIGHTS = (30.0, 1.0, 1 / 30)
AMOUNTS = (0.6, 1.0, 1.0)
BOLD = (0.7, 0.9)  # above each, a scene's first plan begins at half the size: larger forms of the painting arise there
COARSEST = 32  # pixels of a plan's shorter side


def content_factor(strength: float) -> float:
    """What the weight of a plan's content is multiplied by."""
    return float(np.exp(np.interp(strength, STRENGTHS, np.log(WEIGHTS))))


def scales(strength: float, size: tuple[int, int]) -> int:
    """At how many sizes, each twice the one before, the first plan of a scene is made; the last one is `size`."""
    wanted = 1 + sum(strength > bold for bold in BOLD)
    return min(wanted, max(1, 1 + int(math.log2(max(1, min(size) / COARSEST)))))


def drawn_to(photo: Float32, plan: Float32, strength: float) -> Float32:
    """What is repainted, as large as the `plan` (H, W, 3) and the photo."""
    amount = np.float32(np.interp(strength, STRENGTHS, AMOUNTS))
    return plan if amount == 1 else photo + amount * (plan - photo)
