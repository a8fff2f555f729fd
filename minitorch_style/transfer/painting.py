"""The default method: a plan of about 256 pixels by a network, then the painting's own strokes on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network
from minitorch_style.image.io import Picture
from minitorch_style.image.resize import floats
from minitorch_style.kernels.patches import patch_kernels
from minitorch_style.optimizers import Stop
from minitorch_style.plans.events import Step as PlanStep
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.plans.neighbours import neighbours
from minitorch_style.plans.pictures import Pictures, fitted
from minitorch_style.plans.statistics import statistics
from minitorch_style.plans.strength import chosen
from minitorch_style.plans.voting import ROUNDS, voting
from minitorch_style.restroke import INSTANT, Paintings, Strokes, repaint
from minitorch_style.restroke.guide import Columns
from minitorch_style.restroke.strokes import mixed, rounds_of
from minitorch_style.style.hypercolumns import Hypercolumns, hypercolumn_taps
from minitorch_style.transfer.estimate import ENLARGING_BYTES, Estimate, of_plan, of_strokes
from minitorch_style.transfer.rehearsal import rehearse_patches
from minitorch_style.transfer.settings import Settings
from minitorch_style.transfer.stages import Step
from minitorch_style.values import Arrays

FADING = 0.3  # below this strength the picture is mixed with the photo
REHEARSED = 64  # pixels of the long side of a plan that is only rehearsed: two scales
COARSEST = 32  # pixels of the long side of a plan's first scale
# Scales, and steps at each of them for `iterations` of 100.
EFFORT = {"neighbours": (4, 50), "statistics": (3, 60), "voting": (3, ROUNDS)}


def untouched(settings: Settings) -> bool:
    """Whether the result is the photo itself."""
    return settings.method == "auto" and settings.strength == 0


def faded(photo: Pixels, picture: Pixels, settings: Settings) -> Pixels:
    """Of a small strength only a part of what is painted is added to the photo."""
    part = min(1.0, settings.strength / FADING) if settings.method == "auto" else 1.0
    if part == 1:
        return picture
    return mixed(photo, picture, np.full((1, 1, 1), part, np.float32))


@dataclass(frozen=True)
class Planning:
    """The neural picture that is repainted later, of the photo (H, W, 3) towards the paintings, which are as large as their
    strokes are to be in it."""

    network: Network
    photo: Pixels
    paintings: Sequence[Picture]
    settings: Settings
    kept: Kept = field(default_factory=Nothing)
    masks: Sequence[Float32 | None] | None = None  # which parts of the paintings to take after

    @property
    def size(self) -> int:
        """Pixels of the longer side."""
        return int(min(self.settings.plan_size, max(self.photo.shape)))

    @property
    def taps(self) -> list[str]:
        architecture = self.network.architecture
        return [*hypercolumn_taps(architecture), *architecture.style_layers]

    @property
    def title(self) -> str:
        return f"a plan of {self.size} pixels by {self.network.name}"

    @property
    def way(self) -> str:
        return self._chosen[0]

    @property
    def _chosen(self) -> tuple[str, dict[str, Any]]:
        if self.settings.method == "voting":
            return "voting", {}
        known = self.settings
        way, given = ("statistics", {}) if known.method == "statistics" else chosen(known.strength)
        if way != "statistics":
            return way, dict(given)
        wanted = {"style_loss": known.style_loss, "style_layer_weights": known.style_layer_weights}
        return way, {**given, **{name: value for name, value in wanted.items() if value is not None}}

    @property
    def effort(self) -> tuple[int, int]:
        """(scales, steps at each)."""
        scales, steps = EFFORT[self.way]
        if self.way != "voting":
            steps = max(1, round(steps * self.settings.iterations / 100))
        return max(1, min(scales, 1 + int(math.log2(max(1, self.size / COARSEST))))), steps

    @property
    def steps(self) -> int:
        scales, steps = self.effort
        return 1 if untouched(self.settings) else scales * steps

    def _begun(self, way: str, given: dict[str, Any], state: Arrays | None = None) -> Iterator[PlanStep]:
        scales, steps = self.effort
        if way != "voting":
            given = {**given, "steps": steps}
        ways: dict[str, Callable[..., Iterator[PlanStep]]] = {
            "voting": voting,
            "statistics": statistics,
            "neighbours": neighbours,
        }
        stroke_size = max(self.paintings[0].size) / max(self.photo.shape)
        shown = self.network, self.photo, [one.pixels for one in self.paintings], self.settings.style_blend
        return ways[way](
            *shown,
            size=self.size,
            scales=scales,
            stroke_size=stroke_size,
            masks=self.masks,
            state=state,
            kept=self.kept,
            **given,
        )

    def estimate(self, factor: float = 1) -> Estimate:
        size = min(self.settings.plan_size, round(factor * max(self.photo.shape)))
        plan = of_plan(self.network, fitted(self.photo.shape, size), self.taps, *self.effort, self.way != "voting")
        lent = sum(ENLARGING_BYTES * math.prod(one.size) + one.values.nbytes for one in self.paintings)
        return replace(plan, nbytes=plan.nbytes + round(factor**2 * (self.photo.nbytes + lent)))

    def run(self, before: Float32 | None, state: Arrays | None = None) -> Generator[Step, None, str]:
        if untouched(self.settings):
            photo = floats(self.photo)
            yield Step(1, photo, photo)
            return Stop.ITERATIONS.value
        for step in self._begun(*self._chosen, state):
            number = (step.scale - 1) * step.steps + step.number
            yield Step(
                number, step.picture, step.picture, step.loss, step.loss, None, step.state, step.number == step.steps
            )
        return Stop.ITERATIONS.value

    def rehearse(self) -> None:
        """A plan of a few pixels, a step at each scale."""
        if untouched(self.settings):
            return
        few = replace(self.settings, plan_size=min(self.settings.plan_size, REHEARSED), iterations=1)
        little = replace(self, settings=few, kept=Nothing())
        ways = [self._chosen]
        if self.way != "voting":  # eigenvalues of what was not computed may not exist: the same kernels without them
            ways = [("neighbours", {"w2": 0.0}), ("statistics", {"style_loss": "moments"})]
        with np.errstate(all="ignore"):  # what is not computed need not have numbers
            for way, given in ways:
                for _ in little._begun(way, given):
                    pass
            if self.way == "neighbours":
                little._rehearse_taps()

    def _rehearse_taps(self) -> None:
        """All taps of the plan by nearest neighbours at once, forward and backward, at each scale."""
        taps, layers = hypercolumn_taps(self.network.architecture), self.network.architecture.style_layers
        pictures = Pictures(self.photo, [one.pixels for one in self.paintings], None, self.size, self.effort[0], 1.0)
        for scale in range(self.effort[0]):
            content, _ = pictures.at(scale)
            columns = Hypercolumns(self.network, content.shape[:2], taps, layers, dict.fromkeys(taps, 1.0))
            columns.run(content)
            columns.run_back(np.zeros(columns.shape, np.float32), lambda tap, features, out: None)


@dataclass(frozen=True)
class Repainting:
    """The picture of the stage before, or where there is none the `plan`, painted again in patches of the paintings, at
    the photo's size. `mask` (H, W, 1) says where, `fine` (H, W, 1) where people are, whose eyes must not smear."""

    photo: Pixels
    paintings: Paintings
    settings: Settings
    kernels: str
    plan: Pixels
    mask: Float32 | None = None
    fine: Float32 | Columns | None = None

    @property
    def title(self) -> str:
        return f"repainted at {self.photo.shape[1]}×{self.photo.shape[0]} in {len(self._rounds)} passes"

    @property
    def strokes(self) -> Strokes:
        made = INSTANT if self.settings.method == "voting" else Strokes()
        return replace(made, detail=self.settings.detail)

    @cached_property
    def _rounds(self) -> tuple[int, ...]:
        size = self.photo.shape[0], self.photo.shape[1]
        return rounds_of(size, self.paintings, self.strokes, self.fine is not None)

    @property
    def steps(self) -> int:
        return sum(self._rounds)

    def estimate(self, factor: float = 1) -> Estimate:
        size = round(factor * self.photo.shape[0]), round(factor * self.photo.shape[1])
        lent = factor**2 * sum(height * width for height, width in self.paintings.sizes)
        masks = 0 if self.mask is None else 3 * self.mask.nbytes  # as it is, as 0 and 1, and the picture mixed by it
        held = factor**2 * (self.photo.nbytes + self.paintings.nbytes + masks)
        return of_strokes(size, lent, held, self._rounds, self.strokes.radius, self.kernels, self.fine is not None)

    def run(self, before: Float32 | None, state: Arrays | None = None) -> Generator[Step, None, str]:
        plan = self.plan if before is None else before
        mask = None if self.mask is None else np.where(self.mask > 1e-3, np.float32(1), np.float32(0))
        kernels = patch_kernels(self.kernels)
        rounds = repaint(plan, self.photo, self.paintings, self.strokes, mask, self.fine, kernels, state)
        state = None
        for done in rounds:
            picture, number = (
                faded(self.photo, done.picture, self.settings),
                sum(self._rounds[: done.level - 1]) + done.number,
            )
            ended = done.number == done.rounds
            yield Step(number, picture, picture, state=done.state, ended=ended, fleeting=number < self.steps)
            del done, picture
        return Stop.ITERATIONS.value

    def rehearse(self) -> None:
        rehearse_patches(self.kernels)
