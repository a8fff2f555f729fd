"""A picture cut into tiles that a plan can go through one after another, and the features are those of the whole picture.

Each position of a feature map belongs to one tile. A tile's crop reaches so far beyond its own pixels that everything these
positions see lies in it; where the crop ends with the picture it is padded as the picture is, where it ends inside, what
the padding spoils is another tile's. All crops of a picture have one size, so that one plan serves them all: they begin at
multiples of the network's stride, and the last one ends with the picture.

Where the network is cut at a seam, only the layers above it are computed in tiles, whose crops then reach little beyond
their own pixels; the deeper ones, whose maps are small, for the whole picture at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.nn.layers import Pair, Shape
from minitorch_style.nn.registry import Architecture

WHOLE = (1, 1)
# Tiles begin at multiples of so many pixels at least, so that what is done by small squares can be done tile by tile.
SQUARE = 4
SEAM = "seam"  # the tap at which a network is cut


class Part(NamedTuple):
    """Rows and columns."""

    rows: slice
    columns: slice

    def within(self, outer: Part) -> Part:
        """The same, counted from the first row and column of `outer`."""
        (top, bottom), (left, right) = ((part.start - first.start, part.stop - first.start)
                                        for part, first in zip(self, outer, strict=True))  # fmt: skip
        return Part(slice(top, bottom), slice(left, right))


def _common(one: Part, other: Part) -> Part | None:
    rows, columns = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return Part(rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


@dataclass(frozen=True)
class Tile:
    """`own` are the pixels of the picture that are this tile's, `crop` those that it is computed from."""

    own: Part
    crop: Part


@dataclass(frozen=True)
class _Axis:
    """One side of a picture: `count` tiles of `length` pixels (the last has what is left), crops of `crop` pixels, the
    first pixel of each crop."""

    size: int
    length: int
    crop: int
    starts: tuple[int, ...]

    @classmethod
    def cut(cls, size: int, count: int, before: int, after: int, align: int) -> _Axis:
        """Into at most `count` tiles."""
        length = align * -(-size // (count * align))
        reach = align * -(-before // align)
        crop = size - max(0, size - reach - length - after) // align * align
        cores = range(0, size, length)
        return cls(size, length, crop, tuple(min(max(0, core - reach), size - crop) for core in cores))

    def own(self, number: int) -> slice:
        return slice(number * self.length, min(self.size, (number + 1) * self.length))


class Tiles:
    """A picture of `size` (height, width) in at most `counts` (rows, columns) of tiles, for a network read at `taps`: its
    `tiles`, row by row, all of whose crops have the size `crop`. With a `seam`, one of `Architecture.necks`, only the taps
    above it are read in tiles, and the tap SEAM; `deep` are those below. Tiles begin at multiples of `align` (rows, columns)."""

    def __init__(
        self,
        architecture: Architecture,
        size: Pair,
        taps: Iterable[str],
        counts: Pair = WHOLE,
        seam: str | None = None,
    ) -> None:
        self.size, self.seam, self.taps = size, seam, architecture.require_taps(taps)
        nodes = architecture.until(self.taps)
        shapes, names = architecture.shapes(size, nodes), [node.name for node in nodes]
        self.deep: tuple[str, ...] = ()
        if seam is not None:
            below = set(names[names.index(seam) + 1 :])
            self.deep = tuple(tap for tap in self.taps if architecture.taps[tap] in below)
        architecture = self.upper(architecture)
        self.tiled = tuple(tap for tap in self.taps if tap not in self.deep) + ((SEAM,) if seam else ())
        self._shapes = {tap: shapes[architecture.taps[tap]] for tap in (*self.taps, *self.tiled)}
        nodes = architecture.until(self.tiled)
        fields = architecture.fields(nodes)
        # Every layer's windows then lie as in the whole picture. Behind a seam the squares do as well that fast kernels compute
        # at a time, so that nearly all features have the same bits.
        strides = [field.stride for field in fields.values()]
        if seam is not None:
            strides += [(SQUARE * rows, SQUARE * columns) for node in nodes for name in node.inputs
                        for rows, columns in [fields[name].stride]]  # fmt: skip
        self.align = tuple(math.lcm(SQUARE, *(stride[axis] for stride in strides)) for axis in (0, 1))
        self._fields = {tap: fields[architecture.taps[tap]] for tap in self.tiled}
        down, across = (
            _Axis.cut(
                size[axis],
                counts[axis],
                max(field.before[axis] for field in self._fields.values()),
                max(1, *(field.after[axis] for field in self._fields.values())),  # 1: differences of neighboring pixels
                self.align[axis],
            )
            for axis in (0, 1)
        )
        self.counts = len(down.starts), len(across.starts)
        self.crop = down.crop, across.crop
        self.tiles = [
            Tile(
                Part(down.own(row), across.own(column)),
                Part(slice(top, top + down.crop), slice(left, left + across.crop)),
            )
            for row, top in enumerate(down.starts)
            for column, left in enumerate(across.starts)
        ]

    def upper(self, architecture: Architecture) -> Architecture:
        """The same network, which can be read at the seam as well."""
        if self.seam is None:
            return architecture
        return replace(architecture, taps={**architecture.taps, SEAM: self.seam})

    def seen_by(self, number: int) -> dict[int, Part]:
        """{number of a tile: those of its own pixels that lie in the crop of tile `number`}, in the order of tiles."""
        return self._seen[number]

    def seeing(self, number: int) -> list[int]:
        """The tiles whose crops reach into the own pixels of that one, in order."""
        return [other for other in range(len(self.tiles)) if number in self._seen[other]]

    @cached_property
    def _seen(self) -> list[dict[int, Part]]:
        return [
            {
                other: common
                for other, tile in enumerate(self.tiles)
                if (common := _common(one.crop, tile.own)) is not None
            }
            for one in self.tiles
        ]

    def shape(self, tap: str) -> Shape:
        """(H', W', C) of the whole picture's features."""
        return self._shapes[tap]

    def own(self, tap: str, tile: Tile) -> Part:
        """Which of the whole picture's features are this tile's."""
        return Part(*(self._positions(tap, axis, tile.own[axis]) for axis in (0, 1)))

    def within(self, tap: str, tile: Tile) -> Part:
        """The same, counted from the first of its crop's features."""
        stride, own = self._fields[tap].stride, self.own(tap, tile)
        firsts = [tile.crop[axis].start // stride[axis] for axis in (0, 1)]
        return Part(*(slice(part.start - first, part.stop - first) for part, first in zip(own, firsts, strict=True)))

    def _positions(self, tap: str, axis: int, pixels: slice) -> slice:
        stride, count = self._fields[tap].stride[axis], self._shapes[tap][axis]
        last = pixels.stop == self.size[axis]
        return slice(min(count, pixels.start // stride), count if last else min(count, pixels.stop // stride))


class TiledPlan:
    """One plan that goes through all tiles of a picture, and behind a seam a `deep` one for the whole, in the same memory:
    what the tiles' plan has made of the last one is gone when that runs. `nbytes` are those of both."""

    def __init__(self, network: Network, tiles: Tiles, gradient: bool = True) -> None:
        self.tiles = tiles
        upper = replace(network, architecture=tiles.upper(network.architecture))
        self.deep = None if tiles.seam is None else network.plan(tiles.size, tiles.deep, gradient, since=tiles.seam)
        self.plan: Plan = upper.plan(tiles.crop, tiles.tiled, gradient, over=self.deep)

    @property
    def nbytes(self) -> int:
        return self.plan.nbytes + (0 if self.deep is None else self.deep.nbytes)

    @property
    def macs(self) -> int:
        """Multiply-adds of a loss and its gradient."""
        tiled, deep = (sum(step.macs for step in plan.steps) if plan else 0 for plan in (self.plan, self.deep))
        return self.passes * tiled + 2 * deep

    @property
    def passes(self) -> int:
        """How often a loss and its gradient go through a tile: each goes forward a second time to go back, but for the last
        where nothing has come between."""
        return 3 * len(self.tiles.tiles) - (self.deep is None)

    def run(self, pixels: Float32) -> Iterator[Tile]:
        """Each tile, once the plan has computed its features. `pixels` (H, W, 3) are the whole picture's."""
        for tile in self.tiles.tiles:
            self.plan.run(pixels[tile.crop])
            yield tile

    def feature(self, tap: str, tile: Tile) -> Buffer | None:
        """This tile's own features, until the next tile; None where it has none at this tap."""
        return self.own(self.plan.feature(tap), tap, tile)

    def own(self, values: Buffer, tap: str, tile: Tile) -> Buffer | None:
        """What is this tile's own of its crop's features or of their gradient."""
        rows, columns = self.tiles.within(tap, tile)
        return values.window(rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def fitting(
    network: Network,
    size: Pair,
    taps: Iterable[str],
    fits: Callable[[TiledPlan], bool],
    gradient: bool = True,
    seam: str | None = None,
) -> TiledPlan:
    """The plan with the largest tiles, as near to squares as they go, that `fits`; where none does, the one whose buffers take
    least of those tried."""
    taps = tuple(taps)

    def of(side: int) -> TiledPlan:
        rows, columns = (-(-length // side) for length in size)
        return TiledPlan(network, Tiles(network.architecture, size, taps, (rows, columns), seam), gradient)

    best = made = of(max(size))
    step, too_large = max(made.tiles.align), -(-max(size) // max(made.tiles.align))
    if fits(made):
        return made
    fitting = 0
    while too_large - fitting > 1:
        middle = (fitting + too_large) // 2
        made = of(middle * step)
        if fits(made):
            fitting, best = middle, made
        else:
            too_large = middle
            if not fitting and made.nbytes < best.nbytes:
                best = made
    return best


def cheapest(network: Network, size: Pair, taps: Iterable[str], fits: Callable[[TiledPlan], bool]) -> TiledPlan:
    """The plan that `fits` with the least work, of those with a seam and without; where none does, the one whose buffers
    take least."""
    taps = tuple(taps)
    plans = [fitting(network, size, taps, fits, seam=seam) for seam in (None, *network.architecture.necks(taps))]
    good = [plan for plan in plans if fits(plan)]
    return min(good, key=lambda plan: plan.macs) if good else min(plans, key=lambda plan: plan.nbytes)


def in_tiles(architecture: Architecture, size: Pair, taps: Iterable[str], count: int) -> Tiles:
    """A picture in `count` tiles, or nearly as many where that is too small, cut so that least is computed twice."""
    taps = tuple(taps)
    ways = [Tiles(architecture, size, taps, (rows, count // rows)) for rows in range(1, count + 1) if count % rows == 0]
    return min(ways, key=lambda tiles: (-len(tiles.tiles), math.prod(tiles.crop)))


def within(room: int | None) -> Callable[[TiledPlan], bool]:
    """Whether a plan's buffers take at most `room` bytes, whatever they take where that is None."""
    return lambda plan: room is None or plan.nbytes <= room
