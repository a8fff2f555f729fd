"""The main job: a photo and one or more paintings in, a new painting out. Prints nothing; reports by callback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minitorch_style.colours import keep_colours
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.estimate import Estimate, available_memory, estimate, require_memory
from minitorch_style.images import Bytes, Picture, load_picture, resized, save_picture, to_bytes
from minitorch_style.kernels.buffers import Array
from minitorch_style.layers import Binarize
from minitorch_style.network import Network, load_network
from minitorch_style.networks import Architecture
from minitorch_style.objective import Objective, Terms
from minitorch_style.optimizers import LINE_SEARCHES, Tracked, optimizer
from minitorch_style.plan import Plan
from minitorch_style.segment import load_segmenter, person_probability
from minitorch_style.settings import INITS, SEGMENTER, Settings

Source: TypeAlias = "str | os.PathLike[str] | Array | Picture"


@dataclass(frozen=True)
class Iteration:
    """One step of the optimizer: the loss it reached, its parts, the lowest loss so far, and how long it took."""

    number: int
    loss: float
    terms: Terms
    best_loss: float
    milliseconds: float


Progress: TypeAlias = Callable[[Iteration, Callable[[], Bytes]], "bool | None"]


@dataclass(frozen=True)
class Job:
    """A transfer made ready: everything read and checked, nothing computed yet."""

    network: Network
    content: Picture
    styles: list[Picture]
    settings: Settings
    estimate: Estimate
    start: Array
    mask: Array | None = None  # (H, W, 1) in [0, 1]: how much of each pixel is painted
    starter: Network | None = None  # paints the picture that the network begins with
    costs: tuple[int, ...] = ()  # multiply-adds of an iteration in each stage

    @property
    def stages(self) -> list[tuple[Network, tuple[int, int]]]:
        """(who paints, at which size), one after another; the last is the network at the photo's own size."""
        halvings = reversed(range(self.settings.scales))
        sizes = [_scaled(self.content.size, 0.5**halving) for halving in halvings]
        painted = [(self.starter or self.network, size) for size in sizes]
        return painted if self.starter is None else [*painted, (self.network, self.content.size)]

    @property
    def iterations(self) -> int:
        """Of all stages together."""
        return self.settings.iterations * len(self.stages)

    def left(self, number: int) -> float:
        """How many iterations like iteration `number` take as long as all that come after it."""
        each = self.settings.iterations
        stage = min(max(0, number - 1) // each, len(self.costs) - 1)
        after = each * sum(self.costs[stage + 1 :]) / self.costs[stage]
        return max(0, (stage + 1) * each - number) + after

    @property
    def notes(self) -> list[str]:
        """What a user should know of the pictures and the model before the work begins."""
        notes = [note for picture in (self.content, *self.styles) for note in picture.notes]
        if not self.network.trained:
            notes.append(
                f"the weights of {self.network.name} are untrained (seeded random filters): expect little style"
            )
        steps = any(isinstance(node.layer, Binarize) for node in self.network.architecture.nodes)
        if steps and self.settings.optimizer in LINE_SEARCHES:
            notes.append(
                f"the loss of {self.network.name} is a staircase, on which {self.settings.optimizer} finds no step down: "
                "use --optimizer sgd"
            )
        return notes


@dataclass
class Result:
    """The finished picture: `image` (H, W, 3) uint8, `alpha` (H, W) or None as in the photo, `history` an Iteration each
    (number 0 is the start), `interrupted` if it was ended early, which keeps the best picture so far."""

    image: Bytes
    alpha: Array | None
    history: list[Iteration]
    settings: Settings
    seconds: float
    message: str
    interrupted: bool = False
    metadata: dict[str, str] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the picture; PNG files carry the settings as text. ImageError if that is not possible."""
        save_picture(path, self.image, self.alpha, self.metadata)


def _picture(source: Source, size: int | None) -> Picture:
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise ShapeError(f"expected pixels (height, width, 3), got an array {source.shape}")
        pixels = np.ascontiguousarray(source, np.float32)
        return Picture(pixels / np.float32(255) if source.dtype == np.uint8 else pixels)
    return load_picture(source, size)


def _start(settings: Settings, content: Picture, styles: list[Picture]) -> Array:
    """The pixels that the optimisation begins with."""
    if settings.init == "content":
        return content.pixels
    if settings.init == "style":
        return resized(styles[0].pixels, content.size)
    if settings.init == "random":
        rng = np.random.default_rng(settings.seed)
        return rng.random((*content.size, 3), np.float32)
    if not Path(settings.init).is_file():
        raise SettingsError(f"init {settings.init!r} is neither {', '.join(INITS)} nor a picture file")
    return resized(load_picture(settings.init).pixels, content.size)


def _mask(settings: Settings, photo: Picture) -> Array | None:
    """Where the settings want the new style. SettingsError if a wanted region is empty."""
    if settings.region is None:
        return None
    people = person_probability(photo.pixels, load_segmenter(SEGMENTER))[..., None]
    mask = people if settings.region == "person" else 1 - people
    if not np.any(mask > 0.5):
        raise SettingsError(f"{SEGMENTER} finds no {settings.region} in this photo: there is nothing to paint")
    return mask


def prepare(
    content: Source, style: Source | Sequence[Source], settings: Settings, network: Network | None = None
) -> Job:
    """Reads and checks everything that a transfer needs. Whatever can be refused is refused here: ImageError,
    WeightsError, SettingsError (unknown names, not enough memory), ShapeError (a picture too small for the network)."""
    optimizer(settings.optimizer)
    if network is None:
        network = load_network(settings.model, settings.weights, settings.kernels, settings.pooling)
        network = network.until(_taps(settings, network.architecture, settings.content_layers, settings.style_layers))
    sources = [style] if isinstance(style, str | os.PathLike | np.ndarray | Picture) else list(style)
    if not sources:
        raise SettingsError("no style picture given")
    if settings.style_blend is not None and len(settings.style_blend) != len(sources):
        raise SettingsError(f"{len(sources)} styles need as many blend weights, got {len(settings.style_blend)}")
    photo = _picture(content, settings.size)
    paintings = [_picture(source, settings.style_size or settings.size) for source in sources]
    start = _start(settings, photo, paintings)
    starter = None
    if settings.warm_start not in (None, network.name):
        starter = load_network(str(settings.warm_start), None, settings.kernels, settings.pooling)
    job = Job(network, photo, paintings, settings, Estimate(0, 0), start, _mask(settings, photo), starter)
    plans = [_plan(job, painter, size) for painter, size in job.stages]  # refuses what is too small for the coarsest
    job = replace(job, costs=tuple(sum(step.macs for step in plan.steps) for plan in plans))
    expected = _expected(job)
    available = min((limit for limit in (settings.max_memory, available_memory()) if limit is not None), default=None)
    if available is not None and expected.nbytes > available:  # what grows with the pixels, seen at twice the size
        fixed = expected.nbytes - (_expected(job, 2).nbytes - expected.nbytes) // 3
        require_memory(expected.nbytes, fixed, photo.size, available)
    return replace(job, estimate=expected)


def _layers(job: Job, network: Network) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The content and style layers that are asked for; they are `model`'s, so that a starter has its own."""
    return (job.settings.content_layers, job.settings.style_layers) if network is job.network else (None, None)


def _taps(
    settings: Settings,
    architecture: Architecture,
    content_layers: tuple[str, ...] | None,
    style_layers: tuple[str, ...] | None,
) -> list[str]:
    return [
        *((content_layers or architecture.content_layers) if settings.content_weight else ()),
        *((style_layers or architecture.style_layers) if settings.style_weight else ()),
    ]


def _plan(job: Job, network: Network, size: tuple[int, int]) -> Plan:
    return network.plan(size, _taps(job.settings, network.architecture, *_layers(job, network)))


def _expected(job: Job, factor: float = 1) -> Estimate:
    """What a job will take, for pictures `factor` times as large."""
    size, paintings = _scaled(job.content.size, factor), [_scaled(painting.size, factor) for painting in job.styles]
    scales = job.settings.scales if job.starter is None else 1
    last = estimate(job.network, _plan(job, job.network, size), paintings, replace(job.settings, scales=scales))
    if job.starter is None:
        return last
    first = estimate(job.starter, _plan(job, job.starter, size), paintings, job.settings)
    held = sum(array.nbytes for array in job.starter.parameters.values())
    return Estimate(max(first.nbytes, last.nbytes) + held, first.seconds + last.seconds)


def objective_of(job: Job, size: tuple[int, int] | None = None, network: Network | None = None) -> Objective:
    """The objective of a job, its weights balanced as `Settings` describes, for a picture of `size` (the photo's by
    default) as `network` (the job's by default) sees it; the paintings shrink along."""
    settings, network = job.settings, network or job.network
    content_layers, style_layers = _layers(job, network)
    photo, paintings = job.content.pixels, [painting.pixels for painting in job.styles]
    if size is not None and size != job.content.size:
        factor = size[0] / job.content.size[0]
        photo = resized(photo, size)
        paintings = [resized(painting, _scaled(painting.shape, factor)) for painting in paintings]
    objective = Objective(
        network,
        photo,
        paintings,
        content_weight=settings.content_weight,
        style_weight=settings.style_weight,
        content_layers=content_layers,
        style_layers=style_layers,
        style_blend=settings.style_blend,
        tv_weight=settings.tv_weight,
    )
    if settings.balanced:
        content, style = objective.target_norms()
        objective.content_layers = {tap: w / (content[tap] or 1) for tap, w in objective.content_layers.items()}
        objective.style_layers = {tap: w / (style[tap] or 1) for tap, w in objective.style_layers.items()}
        objective.tv_weight = settings.tv_weight / objective.pixel_count
    return objective


def _scaled(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


class _Run:
    """A job under way: the history so far, and the best picture so far, of the stage that is being worked at."""

    def __init__(self, job: Job, progress: Progress | None) -> None:
        self.job, self.progress = job, progress
        self.history: list[Iteration] = []
        self.last = time.perf_counter()
        self.start = job.start  # of the current stage
        self.watched: Tracked | None = None
        self.message = "interrupted"
        self.interrupted = False

    def milliseconds(self) -> float:
        """Since this was last asked."""
        before, self.last = self.last, time.perf_counter()
        return 1e3 * (self.last - before)

    @property
    def best(self) -> Array:
        return self.start if self.watched is None or self.watched.best is None else self.watched.best

    def finished(self, pixels: Array) -> Bytes:
        """A picture of any scale as the image of the photo's size that it stands for."""
        job, photo = self.job, self.job.content.pixels
        pixels = resized(pixels, job.content.size) if pixels.shape != photo.shape else pixels
        if job.settings.preserve_color:
            pixels = keep_colours(pixels, photo)
        if job.mask is not None:
            pixels = photo + job.mask * (np.clip(pixels, 0, 1) - photo)
        return to_bytes(pixels)

    def work(self) -> None:
        changed: Array | None = None  # what the stage before has changed
        for network, size in self.job.stages:
            origin = resized(self.job.start, size)
            self.watched, self.start = None, origin if changed is None else origin + resized(changed, size)
            self.work_at(network, size)
            if self.interrupted:
                return
            changed = self.best - origin

    def work_at(self, network: Network, size: tuple[int, int]) -> None:
        settings, done = self.job.settings, len(self.history) and self.history[-1].number
        objective = objective_of(self.job, size, network)

        def counted(pixels: Array) -> tuple[float, Array]:
            loss, gradient = objective(pixels)
            if not self.history:
                self.history.append(Iteration(0, loss, objective.terms, loss, self.milliseconds()))
            return loss, gradient

        watched = self.watched = Tracked(counted)

        def after(number: int, loss: float, pixels: Array) -> bool | None:
            step = Iteration(done + number, loss, objective.terms, watched.best_loss, self.milliseconds())
            self.history.append(step)
            wish = self.progress(step, lambda: self.finished(pixels)) if self.progress else None
            self.last = time.perf_counter()
            return wish

        ended = optimizer(settings.optimizer)(watched, self.start, settings.iterations, after, network.kernels)
        self.message = ended.message
        self.interrupted = ended.message == "stopped by the callback"


def run(job: Job, progress: Progress | None = None) -> Result:
    """Does a job. `progress(iteration, picture)` is called after each iteration, `picture()` gives the image as it then
    is; True ends the run. KeyboardInterrupt ends it too: both return the best picture so far."""
    settings, began = job.settings, time.perf_counter()
    running = _Run(job, progress)
    try:
        running.work()
    except KeyboardInterrupt:
        running.interrupted = True
    best, loss = running.best, running.watched.best_loss if running.watched else float("nan")
    running.watched = None  # and with it the plan: what is left to do needs memory too
    metadata = {
        "Software": "minitorch_style",
        **settings.as_texts(),
        "minitorch_style.final_loss": repr(loss),
    }
    return Result(
        running.finished(best),
        job.content.alpha,
        running.history,
        settings,
        time.perf_counter() - began,
        running.message,
        running.interrupted,
        metadata,
    )


def stylize(
    content: Source,
    style: Source | Sequence[Source],
    network: Network | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """The photo `content` painted in the manner of `style`: files, `Picture`s, or pixels (H, W, 3), uint8 or floats in
    [0, 1]; several styles are blended. `settings` are the fields of `Settings`. A `network` already loaded serves
    again; `progress` as for `run`. Raises StyleErrors before any work for whatever cannot be done."""
    return run(prepare(content, style, Settings(**settings), network), progress)
