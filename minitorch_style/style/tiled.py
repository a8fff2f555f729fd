"""Equation 6 of a picture whose features do not fit into memory at once: tile by tile, and exactly that of the whole.

Two passes an evaluation. The first adds up the Gram matrices of all tiles, in double and in their order. The second gives
each tile the gradient of the whole picture's losses at its own features; what several tiles say of a pixel is added up in
their order. Layers behind a seam are computed for the whole picture between the two. The tiles may lie with several holders:
then only Gram matrices, numbers and the strips of pixels and gradients that other tiles' crops reach into go from one to
another, and the bits are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.parts import Alone, Holder, Parts, Space, Team, Wanted
from minitorch_style.engine.scratch import Scratch
from minitorch_style.engine.tiles import SEAM, Part, TiledPlan, Tiles
from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.style.losses import content_loss
from minitorch_style.style.moments import FeatureSums, FlatSlope
from minitorch_style.style.objective import LossWeights, Terms, require_targets
from minitorch_style.style.targets import StyleTargets

# Whoever is to hold a picture's tiles.
Hire: TypeAlias = Callable[[Network, Tiles], Team]


class TileHolder(Holder):
    """Computes its tiles, with one plan for all of them. Where the network has a seam it holds all tiles, and what layers
    behind the seam give is told with the last."""

    def __init__(self, network: Network, tiles: Tiles, numbers: Iterable[int]) -> None:
        super().__init__(tiles, numbers)
        self.plan = TiledPlan(network, tiles)
        self._picture = -1  # that was seen last
        self._strips: dict[tuple[int, int], Float32] = {}  # (i, j): what tile i sees of j's pixels, with another holder
        self._planned: int | None = None  # the tile whose features are in the plan
        self._targets: dict[int, dict[str, Float32]] = defaultdict(dict)
        self._deep_targets: dict[str, Float32] = {}
        self._slopes: dict[tuple[int, int], Float32] = {}  # (i, j): what tile i says of j's pixels, not yet added
        self._awaited: dict[int, list[int]] = {}  # {j: the tiles i that are still to be added, in order}

    def look(self, picture: int, layers: Sequence[str]) -> dict[int, dict[str, float]]:
        """Takes the features of a photo as targets; what equation 1 would be for features of zero."""
        norms = {}
        for number in self._see(picture):
            targets = self._targets[number]
            targets.update({layer: own.interior.copy() for layer, own in self._features(number, layers)})
            norms[number] = _norms(targets)
        self._deep_targets = {layer: own.interior.copy() for layer, own in self._deep_features(layers)}
        norms[self.numbers[-1]] |= _norms(self._deep_targets)
        return norms

    def sums(self, picture: int, layers: Sequence[str], mean: bool) -> dict[int, dict[str, FeatureSums]]:
        """The Gram matrices of a picture's features, with those for the `mean`; sees the picture also where no layers are
        asked for."""
        found, kernels = {}, self.plan.plan.kernels
        for number in self._see(picture):
            found[number] = {layer: FeatureSums.of(own, kernels, mean) for layer, own in self._features(number, layers)}
        found[self.numbers[-1]] |= {
            layer: FeatureSums.of(features, kernels, mean) for layer, features in self._deep_features(layers)
        }
        return found

    def back(
        self, style: Mapping[str, FlatSlope], factors: Mapping[str, float], variation: float, gradient: int
    ) -> dict[int, tuple[float, float]]:
        """Of the picture that was seen last: Σ factors · equation 1 of the tile's own features, and the total variation that
        begins in it, times `variation`. What these and the `style` losses' gradients at the features
        say of the pixels goes to the vector `gradient`, but for what has to wait for other holders."""
        tiles, found = self.tiles.tiles, {}
        deep = self._deep_back(style, factors)
        self.vectors[gradient] = {number: np.zeros(_values(tiles[number].own), np.float32) for number in self.numbers}
        self._awaited = {number: self.tiles.seeing(number) for number in self.numbers}
        for number in self.numbers:
            tile, crop = tiles[number], self._crop(number)
            content, slope = self._back(number, crop, style, factors)
            roughness = _variation(crop, tile.own.within(tile.crop), slope, variation) if variation else 0.0
            for other, common in self.tiles.seen_by(number).items():
                self._slopes[number, other] = slope[common.within(tile.crop)]
                if other in self._awaited:
                    self._add(gradient, other)
                if (number, other) in self._slopes:
                    self._slopes[number, other] = self._slopes[number, other].copy()  # not to hold the whole crop's
            found[number] = content, roughness
        last = self.numbers[-1]
        found[last] = found[last][0] + deep, found[last][1]
        return found

    def merge(self, gradient: int) -> dict[int, None]:
        """Adds what other holders' tiles say of the pixels here, and what had to wait for that."""
        pairs = [(other, number) for number, awaited in self._awaited.items() for other in awaited]
        pairs = [pair for pair in pairs if pair[0] not in self._awaited]
        self._slopes.update(zip(pairs, self.fetch([Wanted(pair[0], "slope", pair) for pair in pairs]), strict=True))
        for number in self.numbers:
            self._add(gradient, number)
        return dict.fromkeys(self.numbers)

    def _add(self, gradient: int, number: int) -> None:
        """Adds up what tiles say of that one's pixels, as far as it is known, in the order of tiles."""
        awaited, own = self._awaited[number], self.tiles.tiles[number].own
        while awaited and (awaited[0], number) in self._slopes:
            other = awaited.pop(0)
            common = self.tiles.seen_by(other)[number].within(own)
            self.pixels(gradient, number)[common] += self._slopes.pop((other, number))

    def strip(self, picture: int, number: int, where: Part) -> Float32:
        """These of a tile's own pixels."""
        return self.pixels(picture, number)[where.within(self.tiles.tiles[number].own)]

    def slope(self, number: int, other: int) -> Float32:
        """What a tile says of another's pixels, which is asked for once."""
        return self._slopes.pop((number, other))

    def _features(self, number: int, layers: Sequence[str]) -> Iterator[tuple[str, Buffer]]:
        """The own features of the tile that was seen last, at those layers where it has any."""
        for layer in layers:
            own = self.plan.feature(layer, self.tiles.tiles[number]) if layer in self.tiles.tiled else None
            if own is not None:
                yield layer, own

    def _deep_features(self, layers: Sequence[str]) -> Iterator[tuple[str, Buffer]]:
        """Those behind the seam, once all tiles have been seen."""
        if self.plan.deep is not None:
            self._planned = None
            self.plan.deep.forward()
            yield from ((layer, self.plan.deep.feature(layer)) for layer in layers if layer in self.tiles.deep)

    def _see(self, picture: int) -> Iterator[int]:
        """Each tile, once the plan has computed its features."""
        self._picture, self._planned = picture, None
        pairs = [(number, other) for number in self.numbers for other in self.tiles.seen_by(number)]
        pairs = [pair for pair in pairs if pair[1] not in self.numbers]
        strips = self.fetch([Wanted(j, "strip", (picture, j, self.tiles.seen_by(i)[j])) for i, j in pairs])
        self._strips = dict(zip(pairs, strips, strict=True))
        for number in self.numbers:
            self.plan.plan.run(self._crop(number))
            self._planned = number
            if self.plan.deep is not None:
                for _, own in self._features(number, [SEAM]):
                    rows, columns = self.tiles.own(SEAM, self.tiles.tiles[number])
                    self.plan.deep.source.interior[rows, columns] = own.interior
            yield number

    def _crop(self, number: int) -> Float32:
        """All pixels that a tile is computed from."""
        crop = np.empty((*self.tiles.crop, 3), np.float32)
        for other, where in self.tiles.seen_by(number).items():
            here = other in self.numbers
            strip = self.strip(self._picture, other, where) if here else self._strips[number, other]
            crop[where.within(self.tiles.tiles[number].crop)] = strip
        return crop

    def _back(
        self, number: int, crop: Float32, style: Mapping[str, FlatSlope], factors: Mapping[str, float]
    ) -> tuple[float, Float32]:
        """Σ factors · equation 1, and the gradient of all losses at the tile's own features towards its crop's pixels."""
        content, plan, tile = 0.0, self.plan, self.tiles.tiles[number]

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            nonlocal content
            gradient.interior[...] = 0
            own, out = plan.own(features, tap, tile), plan.own(gradient, tap, tile)
            if own is None or out is None:
                return
            if tap == SEAM:
                assert plan.deep is not None
                out.interior[...] = plan.deep.source_gradient.interior[plan.tiles.own(tap, tile)]
            else:
                content += self._losses(tap, own, out, self._targets[number], style, factors)

        if self._planned != number:
            plan.plan.run(crop)
        self._planned = None  # the way back writes over the features
        gradient = plan.plan.run_back(inject)
        return content, gradient

    def _deep_back(self, style: Mapping[str, FlatSlope], factors: Mapping[str, float]) -> float:
        """Likewise behind the seam, towards what goes through it."""
        content = 0.0

        def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
            nonlocal content
            gradient.interior[...] = 0
            content += self._losses(tap, features, gradient, self._deep_targets, style, factors)

        if self.plan.deep is not None:
            self.plan.deep.backward(inject)
        return content

    def _losses(
        self,
        tap: str,
        features: Buffer,
        gradient: Buffer,
        targets: Mapping[str, Float32],
        style: Mapping[str, FlatSlope],
        factors: Mapping[str, float],
    ) -> float:
        """The losses at one tap: factor · equation 1, and of all of them the gradient, which was zero."""
        content = 0.0
        if tap in factors:
            value, difference = content_loss(features.interior, targets[tap], gradient.interior)
            difference *= np.float32(factors[tap])
            content = factors[tap] * value
        if tap in style:
            style[tap].apply(features, gradient, True, self.plan.plan.kernels)
        return content


def _norms(targets: Mapping[str, Float32]) -> dict[str, float]:
    return {layer: content_loss(target, np.zeros_like(target))[0] for layer, target in targets.items()}


def alone(network: Network, tiles: Tiles) -> Team:
    """All tiles in this process."""
    return Alone(TileHolder(network, tiles, range(len(tiles.tiles))), vector_ops(network.kernels.name))


class TiledObjective:
    """The same function as `Objective`'s, but for the order in which it adds: of tiles, whoever holds them. Called with x
    (H, W, 3) float32, or its parts in `space`: (loss, gradient likewise). `photo` (H, W, 3) float32 may be None where no
    layer reads it; `scratch` is for large arrays put together of parts. SettingsError, ShapeError as there."""

    def __init__(
        self,
        team: Team,
        network: Network,
        weights: LossWeights,
        photo: Float32 | None,
        style: StyleTargets | None,
        balanced: bool = False,
        scratch: Scratch | None = None,
    ) -> None:
        self.space, self.style = Space(team, scratch), style
        layers = list(weights.content_layers)
        self._scales = {layer: network.tap_scales.get(layer, 1.0) ** 2 for layer in layers}
        targets = {} if photo is None else {tap: team.tiles.shape(tap) for tap in team.tiles.taps if tap in layers}
        require_targets(weights, {tap: team.tiles.shape(tap) for tap in team.tiles.taps}, targets, style)
        norms: dict[str, float] = {}
        if photo is not None and layers:
            parts = self.space.spread(photo)
            for found in self.space.in_order("look", parts.ref.number, layers):
                for layer, value in found.items():
                    norms[layer] = norms.get(layer, 0.0) + self._scales[layer] * value
        self.weights = weights.balanced(norms, style.norms if style else {}, self.pixel_count) if balanced else weights
        self.terms = Terms(0.0, 0.0, 0.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.space.shape

    @property
    def pixel_count(self) -> int:
        return self.shape[0] * self.shape[1]

    def __call__(self, x: Float32) -> tuple[float, Float32]:
        if not isinstance(x, Parts):
            loss, gradient = self(cast(Float32, self.space.spread(x)))
            return loss, np.asarray(gradient)
        space, weights = self.space, self.weights
        space.flush()
        sums: dict[str, FeatureSums] = {}
        mean = self.style is not None and self.style.reads_means
        for seen in space.in_order("sums", x.ref.number, list(weights.style_layers), mean):
            for layer, part in seen.items():
                sums[layer] = sums[layer] + part if layer in sums else part
        style, slopes = self._style(sums)
        factors = {
            layer: weights.content * weight * self._scales[layer] for layer, weight in weights.content_layers.items()
        }
        slope = space.vector()
        found = space.in_order("back", slopes, factors, weights.variation, slope.ref.number)
        space.team.ask("merge", slope.ref.number)
        content, variation = (float(sum(values)) for values in zip(*found, strict=True))
        self.terms = Terms(content, style, variation)
        return self.terms.total, cast(Float32, slope)

    def _style(self, sums: dict[str, FeatureSums]) -> tuple[float, dict[str, FlatSlope]]:
        """β·L_style, and {layer: its gradient towards the features}."""
        value, slopes = 0.0, {}
        for tap, seen in sums.items():
            assert self.style is not None
            factor = self.weights.style * self.weights.style_layers[tap]
            loss, slope = self.style.loss(tap, seen)
            slopes[tap] = slope.times(factor)
            value += factor * loss
        return value, slopes


def _values(part: Part) -> int:
    height, width = (int(side.stop - side.start) for side in part)
    return 3 * height * width


def _variation(x: Float32, own: Part, gradient: Float32, weight: float) -> float:
    """`weight` times the total variation of the differences that begin in a tile; of its gradient, as much is added."""
    height, width = (side.stop - side.start for side in own)
    here = tuple(slice(side.start, side.stop + 1) for side in own)
    part, out = x[here], gradient[here]
    value = 0.0
    for pixels, slope in (
        (part[:, :width], out[:, :width]),
        (part[:height].swapaxes(0, 1), out[:height].swapaxes(0, 1)),
    ):
        change = np.diff(pixels, axis=0)
        value += 0.5 * float(np.sum(np.square(change), dtype=np.float64))
        change *= np.float32(weight)
        slope[1:] += change
        slope[:-1] -= change
    return weight * value
