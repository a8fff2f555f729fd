"""A picture under way at one level: each of its patches has a match in the paintings, and the matches vote for its pixels.

Expectation and maximization in turn, as Wexler et al. 2007 fill holes and Kwatra et al. 2005 make textures. Matches are
searched for among all of a regular grid of patches, by one product of matrices in terms of principal axes; between them
the neighbours' matches are tried (coherence, Ashikhmin 2001). Nothing is searched at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import StyleError
from minitorch_style.kernels.buffers import roomy
from minitorch_style.kernels.patches import SLACK, Field, PatchKernels
from minitorch_style.restroke.guide import Columns, assembled, bands
from minitorch_style.restroke.paintings import Palette

CHROMA = 0.4  # the part of a change in color that goes with a change in light
ROWS = 64  # that are sharpened, or counted, at once
BAND = 1 << 14  # patches that are searched for, or inherited, at once, so that their numbers take little memory


@dataclass(frozen=True)
class Matched:
    """What a canvas leaves to a finer one: its `field`, and of its palette the side of a patch, the width, and the paintings'
    places, not the pixels, which there may be no memory for beside those of the next."""

    field: Field
    side: int
    width: int
    places: tuple[tuple[int, int, int], ...]


def _finer(coarse: Matched, fine: Palette, shape: tuple[int, ...]) -> Field:
    """The matches of a level for the one below: a patch's centre lies as far from its match's as in the level above."""
    radius = fine.side // 2
    found = np.empty(shape, np.int32)
    tops, heights, widths = (np.array(numbers, np.int32) for numbers in zip(*fine.places, strict=True))
    starts = np.array([place[0] for place in coarse.places], np.int32)
    y, x = (np.arange(size, dtype=np.int32) + radius for size in shape)
    parent_y, parent_x = (
        np.clip(at // 2, radius, size - 1 + radius) for at, size in zip((y, x), coarse.field.shape, strict=True)
    )
    down, right = (at - 2 * parent - radius for at, parent in ((y, parent_y), (x, parent_x)))
    rows = max(1, BAND // shape[1])
    for top in range(0, shape[0], rows):
        here = np.s_[top : top + rows]
        parents = coarse.field[parent_y[here, None] - radius, parent_x - radius]
        corner_y, corner_x = np.divmod(parents, np.int32(coarse.width))
        which = np.searchsorted(starts, corner_y, "right") - 1
        new_y = 2 * (corner_y - starts[which] + radius) + down[here, None]
        new_x = 2 * (corner_x + radius) + right
        new_y = np.clip(new_y, 0, heights[which] - fine.side)
        new_x = np.clip(new_x, 0, widths[which] - fine.side)
        found[here] = (tops[which] + new_y) * fine.pixels.shape[1] + new_x
    return found


def _closer(coarse: Matched, fine: Palette, shape: tuple[int, ...]) -> Field:
    """The matches of smaller patches at the same level: what the larger patch around each of them has in its middle."""
    off = coarse.side // 2 - fine.side // 2
    y, x = (np.arange(size) for size in shape)
    above, left = (
        np.clip(at - off, 0, size - 1).astype(np.int32) for at, size in zip((y, x), coarse.field.shape, strict=True)
    )
    found: Field = np.empty(shape, np.int32)
    for row in range(shape[0]):
        found[row] = coarse.field[above[row], left] + (y[row] - above[row]) * coarse.width + (x - left)
    return found


def inherited(coarser: Matched, palette: Palette, size: tuple[int, int]) -> Field:
    """What the patches of a canvas of `size` (H, W) begin with after a `coarser` one, half as large or with larger
    patches."""
    below = _finer if palette.side == coarser.side else _closer
    return below(coarser, palette, (size[0] - palette.side + 1, size[1] - palette.side + 1))


class Canvas:
    """A picture under way at one size: `picture` O, `field` the matches of its patches in the palette."""

    def __init__(
        self,
        size: tuple[int, int],
        target: Columns,
        guidance: Columns,
        palette: Palette,
        kernels: PatchKernels,
        *,
        step: int,
        rounds: int,
        occurrence: float,
        active: npt.NDArray[np.bool_] | None = None,
        field: Field | None = None,
    ) -> None:
        """`target` T (H, W, 3) is what is to be painted at `size` (H, W), in so many `rounds`; it counts `guidance` μ (H, W, 1)
        times as much as what has been painted, and `occurrence` λ is what a patch of the palette costs that is often
        used. Every `step`-th row and column is searched for. Only patches that are `active` are painted. `field` is what
        they begin with (`inherited`)."""
        self.size, self.target, self.guidance = size, target, guidance
        self.palette, self.kernels, self.step = palette, kernels, step
        self.rounds, self.occurrence, self.active = rounds, occurrence, active
        shape = size[0] - palette.side + 1, size[1] - palette.side + 1
        self.matched = field is not None
        self.weights = np.ones(shape, np.float32)
        self.field = np.zeros(shape, np.int32) if field is None else field
        self.picture = assembled(self.target) if field is None else self._vote()

    def left(self) -> Matched:
        """For a finer canvas to begin with."""
        return Matched(self.field, self.palette.side, self.palette.pixels.shape[1], self.palette.places)

    def restore(self, picture: Float32, field: Field, weights: Float32) -> None:
        """Takes over what a canvas like this one had after a round. StyleError if it cannot have been one."""
        for own, found in ((self.picture, picture), (self.field, field), (self.weights, weights)):
            if own.shape != found.shape or own.dtype != found.dtype:
                raise StyleError(f"a canvas {own.dtype} {own.shape} cannot go on from {found.dtype} {found.shape}")
        corners = self.palette.allowed
        if field.min() < 0 or field.max() >= len(corners) or not corners[field].all():
            raise StyleError("matches that lie outside the paintings")
        self.picture, self.field, self.weights, self.matched = picture, field.copy(), weights.copy(), True

    def go_on(self, picture: Float32, field: Field) -> None:
        """Takes over a picture and matches of its patches."""
        self.picture, self.field, self.matched = picture, field, True

    def distances(self) -> Float32:
        """How far each patch is from its match: Σ (wanted − match)²."""
        return self.kernels.distances(self._mixed(), self.palette.pixels, self.field, self.palette.side)

    def round(self, free: npt.NDArray[np.bool_] | None = None, fleeting: bool = False) -> None:
        """Matches, weights and picture anew; only patches that are `free` may change their match (default: all). The matches
        are written over, and so is the picture where it is `fleeting`: nobody else holds it."""
        palette, kernels = self.palette, self.kernels
        wanted = self.active
        if free is not None:
            wanted = free if wanted is None else free & wanted
        del self.weights  # there may not be memory for all of these at once
        mixed = self._mixed(fleeting)
        del self.picture  # whoever has been shown it may hold it
        distance = np.empty(self.field.shape, np.float32)
        penalty = palette.penalty(self._counts() if self.matched else None, self.occurrence)
        self._match(mixed, penalty, distance, wanted, free)
        del penalty
        self.matched = True
        penalty = palette.penalty(self._counts(), self.occurrence)
        held = None if wanted is None else ~wanted
        kept = None if held is None else distance[held]
        if held is not None:
            distance[held] = -np.inf
        for forward in (True, False):
            kernels.sweep(mixed, palette.pixels, self.field, distance, penalty, palette.side, forward)
        if held is not None:
            distance[held] = kept
        del mixed, penalty
        self.weights = self._weights(distance)
        self.picture = self._vote()

    def _mixed(self, over: bool = False) -> Float32:
        """What matches are searched for: between the picture as it stands and what is to be painted; written `over` the
        picture if so wanted."""
        mixed = self.picture if over else roomy((*self.size, 3), SLACK)
        for columns in bands(self.size[1]):
            here, picture = mixed[:, columns], self.picture[:, columns].copy()
            np.subtract(self.target[columns], picture, out=here)
            guidance = self.guidance[columns]
            here *= guidance / (1 + guidance)
            here += picture
        return mixed

    def _match(
        self,
        mixed: Float32,
        penalty: Float32,
        distance: Float32,
        wanted: npt.NDArray[np.bool_] | None,
        free: npt.NDArray[np.bool_] | None,
    ) -> None:
        """Each patch takes the match that is found for it, or keeps what it has where that costs no more, or it is not
        `free`; what is found for those that are not `wanted` means nothing. Into `distance` goes how far from it each is
        then."""
        palette, kernels, step = self.palette, self.kernels, self.step
        bias: Float32 = palette.halves + penalty[palette.corners] * np.float32(0.5)
        rows, columns = self.field.shape
        band = max(1, BAND // -(-columns // step)) * step
        for top in range(0, rows, band):
            here = np.s_[top : min(rows, top + band)]
            patches = mixed[top : here.stop + palette.side - 1]
            found = self._search(patches, bias, here, None if wanted is None else wanted[here])
            if free is not None:
                np.copyto(found, self.field[here], where=~free[here])
            apart = kernels.distances(patches, palette.pixels, found, palette.side)
            if self.matched:
                own = self.field[here]
                before = kernels.distances(patches, palette.pixels, own, palette.side)
                mine, cost = penalty[own], penalty[found]
                mine += before
                cost += apart
                stays = mine <= cost
                np.copyto(found, own, where=stays)
                np.copyto(apart, before, where=stays)
            self.field[here], distance[here] = found, apart

    def sharpen(self, share: float) -> None:
        """Makes of the picture what its patches' inner 3×3 pixels alone vote for, with a `share` of each match's middle pixel:
        the light and dark of that, and CHROMA of its color, for the eye takes color from wider around."""
        side, radius = self.palette.side, self.palette.side // 2
        flat, width = self.palette.pixels.reshape(-1, 3), self.palette.pixels.shape[1]
        height, reach = self.size[0], 2 * radius  # near the border few patches lie, and all of each is wanted
        rows, columns = self.field.shape
        for top in range(0, height, ROWS):
            bottom = min(height, top + ROWS)
            voters = np.s_[max(0, top - side + 1) : min(rows, bottom)]
            picture = self.picture[top:bottom]
            voted = self.picture[voters.start : voters.stop + side - 1].copy()
            self.kernels.vote(self.palette.pixels, self.field[voters], self.weights[voters], side, radius - 1, voted)
            inner = np.s_[max(reach - top, 0) : max(height - reach - top, 0), reach:-reach]
            sharp = picture.copy()
            sharp[inner] = voted[top - voters.start :][: len(picture)][inner]
            match = self.field[max(0, top - radius) : max(0, min(rows, bottom - radius))]
            middle = sharp[max(top, radius) - top :][: len(match), radius : radius + columns]
            middle += np.float32(share) * (flat[match + radius * (width + 1)] - middle)
            change = sharp - picture
            light = change.mean(axis=2, keepdims=True)
            picture[...] = (picture + light + np.float32(CHROMA) * (change - light)).clip(0, 1)

    def _counts(self) -> npt.NDArray[np.int64]:
        if self.active is None:
            return self.palette.counts(self.field)
        counts = np.zeros(len(self.palette.fair), np.int64)
        for top in range(0, len(self.field), ROWS):
            here = np.s_[top : top + ROWS]
            counts += self.palette.counts(self.field[here][self.active[here]])
        return counts

    def _weights(self, distance: Float32) -> Float32:
        """Makes of the distances weights, exp(−D/σ), σ half the median D, so that what fits worse has less to say; 0 where
        nothing is to be painted."""
        known = distance if self.active is None else distance[self.active]
        sigma = max(float(np.median(known)) / 2, 1e-12) if known.size else 1.0
        np.maximum(distance, 0, out=distance)
        distance /= np.float32(-sigma)
        np.exp(distance, out=distance)
        distance += np.float32(1e-5)
        if self.active is not None:
            distance[~self.active] = 0
        return distance

    def _vote(self) -> Float32:
        """The picture as its patches vote for it; the guide where none does, for not all need be painted."""
        picture = roomy((*self.size, 3), SLACK)
        if self.active is not None:
            assembled(self.target, picture)
        self.kernels.vote(self.palette.pixels, self.field, self.weights, self.palette.side, 0, picture)
        return picture

    def _search(self, mixed: Float32, bias: Float32, here: slice, asked: npt.NDArray[np.bool_] | None) -> Field:
        """For every `step`-th patch of a band the match that costs least, in terms of the palette's axes; those between them
        take the same one, moved along with them. Any match where no patch is `asked` for."""
        palette, step = self.palette, self.step
        field = np.empty((here.stop - here.start, self.field.shape[1]), np.int32)
        nearest = self._nearest(mixed, bias, asked)
        for a in range(step):
            for b in range(step):
                part = field[a::step, b::step]
                match = nearest[: part.shape[0], : part.shape[1]]
                moved = np.minimum(match + (a * palette.pixels.shape[1] + b), len(palette.allowed) - 1)
                part[...] = np.where(palette.allowed[moved], moved, match)
        return field

    def _nearest(self, mixed: Float32, bias: Float32, asked: npt.NDArray[np.bool_] | None) -> Field:
        """The best key's corner for every step-th patch of a band; any corner where no patch is `asked` for."""
        palette, step = self.palette, self.step
        queries = self.kernels.project(mixed, palette.axes, palette.side, step)
        found = np.full(queries.shape[:2], palette.corners[0], np.int32)
        if asked is None:
            wanted = np.ones(found.shape, bool)
        else:
            wanted = np.zeros(found.shape, bool)
            for a in range(step):
                for b in range(step):
                    part = asked[a::step, b::step]
                    wanted[: part.shape[0], : part.shape[1]] |= part
        found[wanted] = palette.corners[self.kernels.nearest(queries[wanted], palette.keys, bias)]
        return found
