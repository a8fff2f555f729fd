"""Gatys' method: the pixels themselves go down equation 6, at one size, by one network."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.normalize import at_mean_activation
from minitorch_style.engine.parts import spread_like
from minitorch_style.engine.scratch import Scratch, scratch_in
from minitorch_style.engine.tiles import WHOLE, TiledPlan, Tiles, cheapest, fitting, in_tiles, within
from minitorch_style.errors import ShapeError, StyleError, in_bytes
from minitorch_style.image.resize import resized
from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.api import VectorOps
from minitorch_style.optimizers import HISTORY, IN_PARTS, State, Stop, Tracked, optimizer
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.style.chroma import coarse_chroma, coarse_in_chroma
from minitorch_style.style.objective import LossWeights, Objective, shared_by
from minitorch_style.style.targets import ContentTargets, StyleTargets
from minitorch_style.style.tiled import Hire, TiledObjective, alone
from minitorch_style.style.wasserstein import GRAM
from minitorch_style.transfer.estimate import (
    BASE_BYTES,
    PAIR_BYTES,
    Estimate,
    elsewhere,
    estimate,
    held,
    held_by_worker,
)
from minitorch_style.transfer.rehearsal import rehearse_vectors
from minitorch_style.transfer.settings import Settings
from minitorch_style.transfer.stages import Step
from minitorch_style.transfer.surviving import surviving
from minitorch_style.values import Arrays, like, to_arrays

Names = tuple[str, ...] | None
CUT = "cut"  # in a checkpoint
FEWEST = 4  # pairs of a history that is shortened


class Cut(NamedTuple):
    """In how many tiles a picture is made, whether the paintings are read in as much memory as that takes, at which of the
    network's necks it is cut, counted from 1: 0 if at none; and to how many pairs the optimizer's history."""

    rows: int
    columns: int
    bounded: bool = False
    neck: int = 0
    pairs: int = HISTORY

    @classmethod
    def of(cls, written: npt.NDArray[Any]) -> Cut:
        """StyleError for what is none."""
        if written.shape != (5,) or written.dtype.kind != "i" or written[[0, 1, 4]].min() < 1 or written[3] < 0:
            raise StyleError(f"a picture is not cut into {written}")
        rows, columns, bounded, neck, pairs = written.tolist()
        return cls(rows, columns, bool(bounded), neck, min(pairs, HISTORY))


def scaled(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    """(height, width) of a shape, times `factor`, at least a pixel each."""
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


@dataclass(frozen=True)
class Descent:
    """`settings.iterations` of the optimizer on a picture of `size`; photo and paintings (H, W, 3) shrink along. `start` is
    what the whole job begins with, at the photo's size. The layers are the network's own where they are None, and those of
    the style share evenly without `layer_weights`. Where more than `limit` bytes would be taken the picture is cut into
    tiles, which changes the order of sums alone; `cut` says how it has been cut before. `hire` finds who holds the tiles."""

    network: Network
    size: tuple[int, int]
    photo: Float32
    paintings: Sequence[Float32]
    start: Float32
    settings: Settings
    content_layers: Names = None
    style_layers: Names = None
    layer_weights: Sequence[float] | None = None
    kept: Kept = field(default_factory=Nothing)
    limit: int | None = None
    cut: Cut | None = None
    hire: Hire = alone

    @property
    def title(self) -> str:
        (height, width), count = self.size, len(self.plan.tiles.tiles)
        tiles = f" in {count} tiles" if count > 1 else ""
        return f"{self.steps} iterations of {self.settings.optimizer} by {self.network.name} at {width}×{height}{tiles}"

    @property
    def steps(self) -> int:
        return self.settings.iterations

    @property
    def taps(self) -> list[str]:
        architecture = self.network.architecture
        return [
            *((self.content_layers or architecture.content_layers) if self.settings.content_weight else ()),
            *((self.style_layers or architecture.style_layers) if self.settings.style_weight else ()),
        ]

    @property
    def _uncut(self) -> Cut:
        """Whole, or in the tiles that the settings ask for, with the longest history that is of any use."""
        asked = self.settings.tiles
        counts = WHOLE if asked is None else in_tiles(self.network.architecture, self.size, self.taps, asked).counts
        return Cut(*counts, pairs=min(HISTORY, self.steps))

    @cached_property
    def _cut(self) -> Cut:
        """As many tiles as the settings say, else as few as the limit allows: one, if even the paintings fit whole. The
        history is shortened where nothing else helps. No more is allocated than numbers."""
        if self.cut is not None:
            return self.cut
        cut = self._uncut
        longest, kept_here = cut.pairs, self._history(1)
        if self._spare(cut) >= 0:
            return cut
        for pairs in (longest, min(longest, FEWEST)) if kept_here else (longest,):
            cut = self._in_tiles(pairs) if self.settings.tiles is None else cut._replace(pairs=pairs)
            if (spare := self._spare(cut)) >= 0:
                return cut._replace(pairs=min(longest, pairs + spare // kept_here)) if kept_here else cut
        return cut

    def _in_tiles(self, pairs: int) -> Cut:
        """The cheapest way within the limit with so long a history, or the smallest where none is."""
        assert self.limit is not None
        room = self.limit - BASE_BYTES[self.network.kernels.name] - self.network.nbytes

        def fits(plan: TiledPlan) -> bool:
            return held(self.network, plan, self.settings, True, self._history(pairs)) <= room

        found = cheapest(self.network, self.size, self.taps, fits).tiles
        return Cut(*found.counts, True, 1 + self._necks.index(found.seam) if found.seam else 0, pairs)

    def _spare(self, cut: Cut) -> int:
        """Bytes that the limit leaves."""
        return 0 if self.limit is None else self.limit - replace(self, cut=cut).estimate().nbytes

    def _history(self, pairs: int) -> int:
        """Bytes of memory that so long a history takes."""
        if self.settings.optimizer != IN_PARTS or self.on_disk:
            return 0
        return PAIR_BYTES * pairs * 3 * math.prod(self.size)

    @cached_property
    def on_disk(self) -> bool:
        """Whether the optimizer's history is in a file: where there is a folder for it, and it does not fit beside the
        whole picture."""
        here = replace(self, settings=replace(self.settings, scratch=None))
        return self.settings.scratch is not None and here._spare(here._uncut) < 0

    @property
    def scratch_bytes(self) -> int:
        """What it takes on the disk."""
        return PAIR_BYTES * self._cut.pairs * 3 * math.prod(self.size) if self.on_disk else 0

    @property
    def notes(self) -> list[str]:
        """Where the optimizer's history is, if there is a choice."""
        pairs, longest, folder = self._cut.pairs, self._uncut.pairs, self.settings.scratch
        if self.on_disk:
            return [f"what {self.settings.optimizer} remembers, {in_bytes(self.scratch_bytes)}, is kept in {folder}"]
        if folder is not None:
            return [f"what {self.settings.optimizer} remembers fits into memory: {folder} is not used"]
        if pairs < longest:
            return [
                f"{self.settings.optimizer} remembers {pairs} of the last {longest} steps, for which there is memory; "
                "with a scratch folder all of them"
            ]
        return []

    @property
    def _necks(self) -> tuple[str, ...]:
        return self.network.architecture.necks(self.taps)

    @property
    def _tiled(self) -> bool:
        """One tile that was asked for, or that ends at a seam, is computed as tiles are."""
        return self._counts != WHOLE or self._cut.neck > 0 or self.settings.tiles is not None

    @property
    def _counts(self) -> tuple[int, int]:
        return self._cut.rows, self._cut.columns

    @property
    def _tiles(self) -> Tiles:
        necks, neck = self._necks, self._cut.neck
        if neck > len(necks):
            raise StyleError(f"{self.network.name} cannot be cut at the neck {neck}; it has {len(necks)}")
        return Tiles(self.network.architecture, self.size, self.taps, self._counts, necks[neck - 1] if neck else None)

    @cached_property
    def plan(self) -> TiledPlan:
        """Nothing of it is allocated: `objective` makes its own."""
        return TiledPlan(self.network, self._tiles)

    @property
    def _held(self) -> int:
        return held(self.network, self.plan, self.settings, self._tiled, self._history(self._cut.pairs))

    @property
    def _room(self) -> int | None:
        """What the plan for a painting may take: as much as the work that follows."""
        return self._held if self._cut.bounded else None

    def at(self, size: tuple[int, int]) -> Descent:
        """The same at another size."""
        return replace(self, size=size)

    def check(self) -> None:
        """ShapeError if the picture or a painting is too small for the network, SettingsError for layer weights that are not
        one for each layer."""
        architecture = self.network.architecture
        self._style_layers()
        nodes = architecture.until(self.taps)
        architecture.shapes(self.size, nodes)
        for number, painting in enumerate(self.paintings, 1):
            try:
                architecture.shapes(self._shrunk(painting.shape), nodes)
            except ShapeError as error:
                rows, columns = painting.shape[:2]
                raise ShapeError(
                    f"style {number}, {columns}×{rows} pixels, is too small for {self.settings.scales} scales: {error}"
                ) from error

    def _style_layers(self) -> dict[str, float]:
        return shared_by(self.style_layers or self.network.architecture.style_layers, self.layer_weights)

    def _shrunk(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return scaled(shape, self.size[0] / self.photo.shape[0])

    def estimate(self, factor: float = 1) -> Estimate:
        if factor != 1:
            return self.at(scaled(self.size, factor)).estimate()
        sizes = [self._shrunk(painting.shape) for painting in self.paintings]
        plans = [fitting(self.network, size, self.taps, within(self._room), gradient=False) for size in sizes]
        whole = estimate(self.network, self.plan, self._held, plans, self.settings)
        if self.hire is alone:
            return whole
        return elsewhere(whole, self.network, plans, self.size, len(self.plan.tiles.tiles))

    def worker_bytes(self, workers: int) -> int:
        """What each of so many workers takes who share the picture."""
        return held_by_worker(self.network, self.plan, self._held, workers)

    def objective(self) -> Objective | TiledObjective:
        """Equation 6 for a picture of this size, its weights balanced as `Settings` describes."""
        settings, photo, paintings, network = self.settings, self.photo, list(self.paintings), self.network
        kept = self.kept
        if settings.activation is not None:
            network, kept = (
                at_mean_activation(network, photo, self.taps, settings.activation, self._counts),
                Nothing(),
            )  # the photo's own
        if self.size != photo.shape[:2]:
            paintings = [resized(painting, self._shrunk(painting.shape)) for painting in paintings]
            photo = resized(photo, self.size)
        weights = LossWeights.of(
            network.architecture,
            settings.content_weight,
            settings.style_weight,
            self.content_layers,
            self._style_layers(),
            settings.tv_weight,
        )
        plan = None
        if not self._tiled:
            make_plan = partial(network.plan, self.size, weights.layers)
            plan = kept.get(("plan", network.name), (self.size, *weights.layers), make_plan)
        style = None
        if weights.style_layers:
            layers, sizes = tuple(weights.style_layers), tuple(painting.shape for painting in paintings)
            make = partial(
                StyleTargets.of,
                network,
                paintings,
                layers,
                settings.style_blend,
                self._room,
                settings.balanced,
                settings.style_loss or GRAM,
            )
            style = kept.get(("style", network.name, self._halved), (layers, sizes, self._room), make)
        if plan is None:
            team = self.hire(network, self._tiles)
            read = photo if weights.content_layers else None
            return TiledObjective(team, network, weights, read, style, settings.balanced, scratch_in(settings.scratch))
        content = None
        if weights.content_layers:
            content = ContentTargets.of(network, photo, list(weights.content_layers), plan)
        return Objective.from_targets(plan, weights, content, style, settings.balanced)

    @property
    def scratch(self) -> Scratch | None:
        """Where the optimizer's history is, None in memory."""
        return scratch_in(self.settings.scratch) if self.on_disk else None

    @property
    def _halved(self) -> int:
        """How many times smaller than the photo the picture is."""
        return round(len(self.photo) / self.size[0])

    def _begin(self, before: Float32 | None) -> Float32:
        """The start at this size, with what the stage before has changed in it carried over."""
        origin = resized(self.start, self.size)
        if before is None:
            random = self.settings.init == "random" and self.settings.balanced
            return coarse_chroma(origin) if random else origin
        changed = before - resized(self.start, (before.shape[0], before.shape[1]))
        return np.asarray(origin + resized(changed, self.size), np.float32)

    def run(self, before: Float32 | None, state: Arrays | None = None) -> Generator[Step, None, str]:
        steps = self._steps if self.hire is alone else partial(surviving, self._steps)
        return (yield from steps(before, state))

    def _steps(self, before: Float32 | None, state: Arrays | None) -> Generator[Step, None, str]:
        if state is not None and CUT in state:
            state = dict(state)
            written = Cut.of(state.pop(CUT))
            if self.settings.tiles is not None:  # those that are asked for come first
                written = self._uncut._replace(pairs=written.pairs)
            return (yield from replace(self, cut=written)._steps(before, state))
        objective, begin = self.objective(), self._begin(before)
        evaluate = coarse_in_chroma(objective) if self.settings.balanced else objective
        watched, start = Tracked(evaluate), begin
        ops: VectorOps = vector_ops(self.network.kernels.name)
        if isinstance(objective, TiledObjective) and self.settings.optimizer == IN_PARTS:
            start, ops = cast(Float32, objective.space.spread(begin)), objective.space.ops
        scratch = self.scratch
        zeros = np.zeros if scratch is None else scratch.zeros
        method = optimizer(self.settings.optimizer, ops, zeros, self._cut.pairs)
        now = method.start(watched, start)
        del start
        if state is None:
            yield Step(0, begin, begin, now.loss, now.loss, objective.terms)
            del begin
        else:
            now, watched = spread_like(now, like(now, state)), Tracked(evaluate)
        while now.iterations < self.steps:
            now = method.step(watched, now)
            if now.stop is not None:
                return str(now.stop.value)
            losses = now.loss, watched.best_loss, objective.terms
            yield Step(now.iterations, now.pixels, now.best, *losses, state=partial(self._state, now))
        return Stop.ITERATIONS.value

    def _state(self, now: State) -> Arrays:
        return {**to_arrays(now), CUT: np.array(self._cut)}

    def rehearse(self) -> None:
        here = replace(self, kept=Nothing(), hire=alone)  # no numbers to keep
        here.objective()(np.zeros((*self.size, 3), np.float32))
        rehearse_vectors(self.network.kernels.name)
