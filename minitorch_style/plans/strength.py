"""One knob, from the photo to the boldest picture: which plan, and how it is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.errors import SettingsError
from minitorch_style.plans.events import Step
from minitorch_style.plans.neighbours import neighbours
from minitorch_style.plans.pictures import Pictures, at_scale
from minitorch_style.plans.statistics import statistics

DEFAULT = 0.6
# Strengths, and what the plan by nearest neighbours is set to there; in between, in proportion.
NEIGHBOURS = {
    "strength": (0.0, 0.3, 0.6, 0.8),
    "amount": (0.0, 0.6, 1.0, 1.0),
    "alpha": (0.2, 0.4, 0.5, 0.7),
    "calm_alpha": (0.2, 0.6, 0.85, 1.0),
    "w2": (0.2, 0.4, 0.6, 1.0),
}
# Above these, the plan by statistics, whose hold on the photo falls geometrically.
STATISTICS = {"strength": (0.8, 1.0), "content_weight": (0.006, 0.0003)}


def chosen(strength: float) -> tuple[str, dict[str, float]]:
    """The way to plan at this strength, `neighbours` or `statistics`, and what to set there. SettingsError for a strength
    outside [0, 1]."""
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength must be from 0 to 1, is {strength}")
    if strength > NEIGHBOURS["strength"][-1]:
        weight = np.exp(np.interp(strength, STATISTICS["strength"], np.log(STATISTICS["content_weight"])))
        return "statistics", {"content_weight": float(weight)}
    known = {name: float(np.interp(strength, NEIGHBOURS["strength"], at)) for name, at in NEIGHBOURS.items()}
    del known["strength"]
    return "neighbours", known


def by_strength(
    network: Network,
    photo: Float32,
    paintings: Sequence[Float32],
    shares: Sequence[float] | None = None,
    *,
    strength: float = DEFAULT,
    size: int = 256,
    steps: int = 50,
    stroke_size: float = 1.0,
    after: Step | None = None,
) -> Iterator[Step]:
    """The plan of a strength from 0, the photo, to 1. Arguments and errors as for `neighbours`."""
    way, given = chosen(strength)
    if strength == 0:
        Pictures(photo, paintings, shares, size, 1, stroke_size)  # refuses what cannot be
        return iter([Step(1, 1, 1, 1, None, at_scale(photo, size))])
    make = statistics if way == "statistics" else neighbours
    common = {"size": size, "steps": steps, "stroke_size": stroke_size, "after": after}
    return make(network, photo, paintings, shares, **given, **common)  # type: ignore[arg-type]
