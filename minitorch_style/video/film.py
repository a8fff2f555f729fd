"""A film painted frame by frame by Gatys' method: what can be made once is made once, and every frame begins where the one
before has ended.

The paintings' targets are made once a film, the plan once a size. The first frame of a scene gets `iterations` of the
optimizer (coarse to fine with `scales`), every other one begins with the painted frame before, moved along with the film,
and needs a few. With the method `auto` what that gives is a plan, which is repainted with the painting's own strokes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32, Pixels, Rgb8
from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.plan import Plan
from minitorch_style.errors import ResumeError, SettingsError, ShapeError, StyleError
from minitorch_style.image.color import keep_colors, match_colors
from minitorch_style.image.io import Picture, to_bytes
from minitorch_style.image.resize import floats, reduced_size, resized
from minitorch_style.image.sources import Source, is_one, picture_of
from minitorch_style.kernels import vector_ops
from minitorch_style.optimizers import Optimizer, State, optimizer
from minitorch_style.optimizers.base import Function
from minitorch_style.style.chroma import coarse_in_chroma
from minitorch_style.style.objective import LossWeights, Objective, shared_by
from minitorch_style.style.targets import ContentTargets, StyleTargets
from minitorch_style.style.wasserstein import GRAM
from minitorch_style.transfer.checks import require_number, require_whole
from minitorch_style.transfer.job import prepare, taps_of
from minitorch_style.transfer.lent import longest_side
from minitorch_style.transfer.painting import faded
from minitorch_style.transfer.settings import SEGMENTER, Settings, described
from minitorch_style.transfer.stages import Stage
from minitorch_style.values import Arrays, from_arrays, to_arrays
from minitorch_style.video import flow
from minitorch_style.video.colors import Colors
from minitorch_style.video.people import People, region_mask
from minitorch_style.video.repainter import Repainter
from minitorch_style.video.strength import content_factor, drawn_to, scales
from minitorch_style.video.temporal import Anchor, Painted, anchor

CONSISTENCY, ITERATIONS_PER_FRAME = 0.5, 3  # `bench.realtime`: more gain little
STRENGTH = 30.0  # of the temporal loss at a consistency of ½; the balanced losses are of the order of 1
METHODS = ("gram", "auto")  # of a picture's, those that a film can be painted by
PEOPLE, COLORS = "people", "colors"
OPTIMIZER, STROKES = "optimizer/", "strokes/"  # before the names of what they know, in a film's state
MEMORY = (1, 2, 4, 8)  # how many frames back the film is remembered


@dataclass(frozen=True)
class Pace:
    """How a film goes on from frame to frame: `consistency` from 0, lively, to 1, still; `iterations` for each frame that
    is not the first of a scene."""

    consistency: float = CONSISTENCY
    iterations: int = ITERATIONS_PER_FRAME

    def __post_init__(self) -> None:
        require_number("consistency", self.consistency, 0, 1)
        require_whole("iterations_per_frame", self.iterations, 1, None)

    @property
    def strength(self) -> float:
        """γ, the weight of the temporal loss."""
        return STRENGTH * self.consistency / max(1 - self.consistency, 1e-2)


@dataclass(frozen=True)
class Canvas:
    """What serves all frames of one size."""

    plan: Plan
    weights: LossWeights
    style: StyleTargets | None


class Film:
    """A film under way: `paint` takes its frames (H, W, 3) uint8 in order. `settings` are those of a picture, of one
    of METHODS; `scenes` counts the scenes begun."""

    def __init__(
        self,
        style: Source | Sequence[Source],
        settings: Settings | None = None,
        pace: Pace | None = None,
        network: Network | None = None,
    ) -> None:
        self.settings, self.pace = settings or Settings(method="gram"), pace or Pace()
        _require_possible(self.settings)
        known = self._planned = _plan_settings(self.settings)
        if network is None:
            network = load_network(known.model, known.weights, known.kernels, known.pooling)
            network = network.until(taps_of(known, network.architecture))
        self.network = network
        self._given = list(style) if isinstance(style, Iterable) and not is_one(style) else [style]
        self.sources = self._given  # as they are painted after
        self._colors: Rgb8 | None = None  # the frame whose colors the paintings have been moved to
        self.method = optimizer(self.settings.optimizer, vector_ops(network.kernels.name))
        self._canvases: dict[tuple[int, int], Canvas] = {}
        self._history: list[Painted] = []
        self._state: State | None = None  # of the optimizer, at the last frame
        self._finder: flow.Flow | None = None
        self._repainter: Repainter | None = None
        if self.settings.method == "auto":
            self._repainter = Repainter(self.sources, self.settings, network.kernels.name, self.pace.consistency)
        self._people = None if self.settings.region is None else People(SEGMENTER, network.kernels.name)
        self.scenes = 0

    def paint(self, frame: Rgb8) -> Rgb8:
        """The next frame, painted. ShapeError for what is no frame, or is too small for the network."""
        require_frame(frame)
        photo = _floats(frame)
        size = frame.shape[0], frame.shape[1]
        small = self._plan_size(size)
        self._find_flows(small)
        seen = frame if small == size else to_bytes(resized(photo, small))
        held = self._held(seen)
        if held is None and self.settings.color == "match":
            self._match(seen, size)
        picture = self._plan(seen, held)
        moved = None if held is None else held.moved
        if self._repainter is not None:
            if moved is not None and small != size:
                moved = self._motion(self._repainter.frame, frame)
            plan = drawn_to(_floats(seen), picture, self.settings.strength)
            picture = self._repainter.paint(plan, frame, held is None, moved, self._finder)
            picture = floats(faded(photo, picture, self.settings))
        painted = keep_colors(picture, photo) if self.settings.preserve_color else picture
        if self._people is not None and self.settings.region is not None:
            likely = self._people.find(photo, held is None, moved, self._finder)
            painted = photo + region_mask(likely, self.settings.region) * (painted - photo)
        return to_bytes(painted)

    def _match(self, seen: Rgb8, size: tuple[int, int]) -> None:
        """Moves the paintings, for frames of `size`, to the colors of the frame that a scene begins with."""
        assert self._repainter is not None
        photo, longest = _floats(seen), longest_side(self.settings, size)
        pictures = [picture_of(source, longest, name="style") for source in self._given]
        self.sources = [replace(one, values=match_colors(one.pixels, photo)) for one in pictures]
        self._colors = seen
        self._canvases.clear()
        self._repainter.lend(self.sources)

    def _find_flows(self, size: tuple[int, int]) -> None:
        if self._finder is None and flow.available(size):
            self._finder = flow.Flow()

    def _motion(self, before: Rgb8 | None, now: Rgb8) -> flow.Motion | None:
        if self._finder is None or before is None:
            return None
        return flow.motion(self._finder, self._finder.grey(before), self._finder.grey(now))

    def _plan(self, frame: Rgb8, held: Anchor | None) -> Float32:
        """The next frame as the method `gram` paints it, `held` by those before."""
        photo = _floats(frame)
        picture = self._begun(photo) if held is None else self._continued(held, photo)
        grey = self._finder.grey(frame) if self._finder is not None else None
        self._history = [*self._history, Painted(frame, picture, grey)][-MEMORY[-1] :]
        return picture

    def _begun(self, photo: Float32) -> Float32:
        """The first frame of a scene."""
        self.scenes += 1
        self._history.clear()
        self._state = None
        size = max(photo.shape)
        settings = replace(self._planned, style_size=self._style_size(photo.shape), size=size, region=None)
        if self._repainter is not None:
            settings = replace(settings, scales=scales(self.settings.strength, (photo.shape[0], photo.shape[1])))
        job = prepare(Picture(photo), self.sources, settings, self.network)
        picture: Float32 | None = None
        for stage in job.stages:
            picture = _last(stage, picture)
        assert picture is not None
        return np.clip(picture, 0, 1)

    def _held(self, frame: Rgb8) -> Anchor | None:
        """What ties a frame to those before; None where a scene begins."""
        if not self._history or self._history[-1].frame.shape != frame.shape:
            return None
        remembered = [self._history[-back] for back in reversed(MEMORY) if back <= len(self._history)]
        return anchor(remembered, frame, self._finder, self.pace.strength)

    def _continued(self, held: Anchor, photo: Float32) -> Float32:
        """A frame that goes on from the one before."""
        loss = self.lowered(self.objective(photo), held)
        self._state = again(self.method, loss, self._start(held, photo), self._state)
        for _ in range(self.pace.iterations):
            self._state = self.method.step(loss, self._state)
            if self._state.stop is not None:
                break
        return np.clip(self._state.best, 0, 1)

    def _start(self, held: Anchor, photo: Float32) -> Float32:
        """The frame before, moved along. What was outside of it begins as the photo in its colors, for its border pixels,
        repeated, would grow to stripes as a camera pans."""
        if held.moved is None:
            return held.target
        last = self._history[-1]
        colors = Colors.of(_floats(last.frame), last.picture[::4, ::4])
        new = flow.outside(held.moved.back)[..., None] & (held.trust == 0)
        return np.where(new, colors(photo), held.target)

    def prepare(self, size: tuple[int, int]) -> None:
        """Reads the paintings and checks them and frames of `size` (height, width): ImageError, ShapeError, SettingsError."""
        self.canvas(self._plan_size(size))
        if self._repainter is not None:
            self._repainter.paintings(size)

    def _plan_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at which a frame of `size` is painted by the method `gram`."""
        return size if self._repainter is None else reduced_size(size, self.settings.plan_size)

    def state(self) -> Arrays:
        """All that the next frame depends on: {name: array}, until that is painted. See `restore`."""
        known = {} if self._state is None else to_arrays(self._state)
        strokes = {} if self._repainter is None else self._repainter.state()
        return {
            "scenes": np.asarray(self.scenes),
            "frames": np.stack([past.frame for past in self._history]),
            "pictures": np.stack([past.picture for past in self._history]),
            **({} if self._people is None or self._people.likely is None else {PEOPLE: self._people.likely}),
            **({} if self._colors is None else {COLORS: self._colors}),
            **{OPTIMIZER + name: array for name, array in known.items()},
            **{STROKES + name: array for name, array in strokes.items()},
        }

    def restore(self, state: Arrays) -> None:
        """Goes on as the film did that had this `state`, to the same bits. ResumeError for what is none."""
        try:
            scenes, frames, pictures = int(state["scenes"]), state["frames"], state["pictures"]
        except (KeyError, TypeError, ValueError) as error:
            raise ResumeError(f"no state of a film ({error})") from error
        known = frames.dtype == np.uint8 and pictures.dtype == np.float32 and frames.ndim == 4 and frames.shape[3] == 3
        if not known or frames.shape != pictures.shape or not 0 < len(frames) <= MEMORY[-1]:
            raise ResumeError(f"no state of a film (frames {frames.shape}, pictures {pictures.shape})")
        learnt, strokes = (
            {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            for prefix in (OPTIMIZER, STROKES)
        )
        if self.settings.color == "match":
            colors, frame = state.get(COLORS, np.empty(0)), strokes.get("frame", np.empty(0))
            if colors.dtype != np.uint8 or colors.shape != frames.shape[1:] or frame.ndim != 3:
                raise ResumeError("no state of a film whose paintings take its colors")
            self._match(colors, (frame.shape[0], frame.shape[1]))
        try:
            self._state = from_arrays(self.method.State, learnt) if learnt else None
            if self._repainter is not None:
                self._repainter.restore(strokes)
        except (StyleError, KeyError, TypeError, ValueError) as error:
            raise ResumeError(f"no state of a film ({error})") from error
        self._find_flows(frames.shape[1:3])
        if self._people is not None:
            whole = frames.shape[1:3] if self._repainter is None else strokes["frame"].shape[:2]
            if state.get(PEOPLE, np.empty(0)).shape != whole:
                raise ResumeError("no state of a film of people")
            self._people.likely = state[PEOPLE]
        self.scenes = scenes
        self._history = [
            Painted(frame, picture, None if self._finder is None else self._finder.grey(frame))
            for frame, picture in zip(frames, pictures, strict=True)
        ]

    def objective(self, photo: Float32, style: StyleTargets | None = None) -> Objective:
        """Equation 6 of a frame (H, W, 3) in [0, 1], without what ties it to others, towards the paintings or other targets
        of style: one forward pass."""
        canvas = self.canvas((photo.shape[0], photo.shape[1]))
        content = None
        if canvas.weights.content_layers:
            content = ContentTargets.of(self.network, photo, list(canvas.weights.content_layers), canvas.plan)
        return Objective.from_targets(
            canvas.plan, canvas.weights, content, style or canvas.style, self._planned.balanced
        )

    def lowered(self, loss: Objective, held: Anchor | None) -> Function:
        """What a frame's iterations lower: its own `loss` and what it is `held` by, in color by squares as pictures are."""
        together = loss if held is None else held.beside(loss)
        return coarse_in_chroma(together) if self._planned.balanced else together

    def _style_size(self, size: Sequence[int]) -> int:
        """Pixels of the longer side of the paintings for a plan of that size."""
        return int(self.settings.style_size or round(self.settings.stroke_size * max(size)))

    def paintings(self, size: tuple[int, int]) -> list[Float32]:
        """The paintings as large as frames of `size` (height, width) are painted after them: ImageError."""
        longest = self._style_size(size)
        return [picture_of(source, longest, name="style").pixels for source in self.sources]

    def canvas(self, size: tuple[int, int]) -> Canvas:
        """What serves frames of `size` (height, width), made when the first one comes."""
        if size not in self._canvases:
            known = self._planned
            weights = LossWeights.of(
                self.network.architecture,
                known.content_weight,
                known.style_weight,
                known.content_layers,
                shared_by(known.style_layers or self.network.architecture.style_layers, known.style_layer_weights),
                known.tv_weight,
            )
            style = None
            if weights.style_layers:
                style = StyleTargets.of(
                    self.network,
                    self.paintings(size),
                    list(weights.style_layers),
                    known.style_blend,
                    None,
                    known.balanced,
                    known.style_loss or GRAM,
                )
            self._canvases = {size: Canvas(self.network.plan(size, weights.layers), weights, style)}
        return self._canvases[size]


def require_frame(frame: Rgb8) -> None:
    """ShapeError for what is no frame."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ShapeError(f"expected a frame (H, W, 3) of uint8, got {frame.shape} of {frame.dtype}")


def _floats(frame: Rgb8) -> Float32:
    return frame.astype(np.float32) / np.float32(255)


def _plan_settings(settings: Settings) -> Settings:
    """Of the method `gram`, with what that reads of these, and for strokes as bold as their strength says."""
    read = {known.name: getattr(settings, known.name) for known in described() if known.is_read_by("gram")}
    if settings.method == "auto":
        read["content_weight"] *= content_factor(settings.strength)
    return Settings(**read | {"method": "gram"})


def again(method: Optimizer[Any], f: Function, x: Float32, state: State | None) -> State:
    """The state before a frame's first iteration, which knows the curvature that the frame before has shown: that halves
    the loss that three evaluations reach (`bench.realtime`)."""
    found: State = method.start(f, x) if state is None else method.restart(f, x, state)
    return found


def _last(stage: Stage, before: Float32 | None) -> Float32:
    """The best picture of a stage."""
    best: Pixels | None = None
    for step in stage.run(before):
        best = step.best
    assert best is not None
    return floats(best)


def _require_possible(settings: Settings) -> None:
    """SettingsError for settings that a film cannot have."""
    if settings.method not in METHODS:
        raise SettingsError(f"films are painted by the methods {' and '.join(METHODS)}, not by {settings.method}")
    alone = ["activation"] if settings.method == "gram" else ["style_loss", "restroke"]
    for known in described():
        if known.name in alone and getattr(settings, known.name) != known.default:
            raise SettingsError(f"{known.name} is for pictures only")
    if settings.method == "auto" and settings.style_size is not None:
        raise SettingsError(
            "style_size is for films by the method gram; with auto, stroke_size says how large strokes are"
        )
    if settings.init != "content":
        raise SettingsError(f"init {settings.init!r}: a film begins with its own first frame, content")


def stylize_frames(
    frames: Iterable[Rgb8],
    painting: Source | Sequence[Source],
    network: Network | None = None,
    consistency: float = CONSISTENCY,
    iterations_per_frame: int = ITERATIONS_PER_FRAME,
    **settings: Any,
) -> Iterator[Rgb8]:
    """The frames (H, W, 3) uint8 of a film painted in the manner of `painting`, a picture or several: one after another,
    each when it is asked for, however many there are.

    consistency: from 0, lively, to 1, still. iterations_per_frame: for all but the first frame of a scene, which gets
    `iterations`. `settings` are the fields of `Settings` for the method gram, or with method="auto" those for films in the
    painting's own strokes. What cannot be done is refused at once.

        >>> frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
        >>> painted = list(ms.stylize_frames(frames, "painting.jpg", size=64, iterations=5))
        >>> len(painted), painted[0].shape
        (3, (48, 64, 3))
    """
    film = Film(painting, Settings(**{"method": "gram", **settings}), Pace(consistency, iterations_per_frame), network)
    return map(film.paint, frames)
