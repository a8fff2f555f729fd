"""A transfer made ready: everything read and checked, nothing computed yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.scratch import Scratch
from minitorch_style.errors import SettingsError, StyleError
from minitorch_style.files import check_readable
from minitorch_style.image.color import match_colors
from minitorch_style.image.io import Picture, Room, load_picture
from minitorch_style.image.resize import floats, resized
from minitorch_style.image.sources import Source, picture_of
from minitorch_style.kernels import notes as kernel_notes
from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.blas import one_thread
from minitorch_style.nn.layers import Binarize
from minitorch_style.nn.registry import Architecture
from minitorch_style.optimizers import IN_PARTS, LINE_SEARCHES, optimizer
from minitorch_style.restroke.guide import Columns
from minitorch_style.style.hypercolumns import hypercolumn_taps
from minitorch_style.style.objective import Objective, shared_by
from minitorch_style.style.tiled import Hire, TiledObjective, alone
from minitorch_style.transfer.descent import Descent, scaled
from minitorch_style.transfer.estimate import SAVING_SECONDS, Estimate, preparing_bytes, reading_room
from minitorch_style.transfer.lent import Lent, lend
from minitorch_style.transfer.memory import available_memory, require_memory
from minitorch_style.transfer.painting import Planning, Repainting, untouched
from minitorch_style.transfer.region import (
    QUICK_SEGMENTER,
    has_quick_segmenter,
    likely_people,
    load_segmenter,
    person_probability,
    somewhere,
)
from minitorch_style.transfer.settings import INITS, SEGMENTER, Settings
from minitorch_style.transfer.stages import Stage


@dataclass(frozen=True)
class Job:
    """What `prepare` made: the pictures, who paints, and the stages, one after another. `mask` (H, W, 1) in [0, 1] is how
    much of each pixel is painted; `start` is the picture that an optimisation begins with."""

    network: Network
    content: Picture
    styles: list[Picture]
    settings: Settings
    start: Pixels
    stages: tuple[Stage, ...]
    estimates: tuple[Estimate, ...]  # what each stage will take
    preparing: int  # bytes that the reading of the pictures took at most
    mask: Float32 | None = None

    @property
    def estimate(self) -> Estimate:
        """What the job will take, and the writing of its picture."""
        together, pixels = _together(self.stages, self.estimates), self.content.size[0] * self.content.size[1]
        seconds = together.seconds + SAVING_SECONDS * pixels
        return Estimate(max(together.nbytes, self.preparing), seconds)

    @property
    def iterations(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    @property
    def notes(self) -> list[str]:
        """What a user should know of the pictures and the model before the work begins."""
        notes = [note for picture in (self.content, *self.styles) for note in picture.notes]
        notes += kernel_notes() if self.network.kernels.name == "numba" else []
        if not self.network.trained:
            notes.append(
                f"the weights of {self.network.name} are untrained (seeded random filters): expect little style"
            )
        last = self.stages[-1]
        notes += last.notes if isinstance(last, Descent) else []
        steps = any(isinstance(node.layer, Binarize) for node in self.network.architecture.nodes)
        if steps and self.settings.method == "gram" and self.settings.optimizer in LINE_SEARCHES:
            notes.append(
                f"the loss of {self.network.name} is a staircase, on which {self.settings.optimizer} finds no step down: "
                "use --optimizer sgd"
            )
        return notes


def prepare(
    content: Source,
    style: Source | Sequence[Source] | Lent,
    settings: Settings,
    network: Network | None = None,
    client: Any = None,
) -> Job:
    """Reads and checks everything that a transfer needs. Whatever can be refused is refused here: ImageError,
    WeightsError, SettingsError (unknown names, not enough memory), ShapeError (a picture too small for the network),
    ClusterError (the workers of `client`, who are to share the picture, cannot do this).

        >>> job = ms.prepare("photo.jpg", "painting.jpg", ms.Settings(size=64))
        >>> job.content.size, job.iterations
        ((43, 64), 102)
    """
    hire: Hire = alone
    if client is not None:
        hire, settings = _shared(client, settings)
    if network is None:
        network = painter_of(settings)
    optimizer(settings.optimizer, vector_ops(network.kernels.name))  # refuses an unknown name
    settings = replace(settings, **names_of(network))  # what is used, not what would have been
    available = available_memory()
    room = reading_room(network, settings, available)
    photo = picture_of(content, settings.size, room, "content")
    if settings.method == "gram":  # reads it all the time
        photo = replace(photo, values=photo.pixels)
    lent = style if isinstance(style, Lent) else lend(style, settings, photo.size, room)
    paintings = lent.pictures
    start = _start(settings, photo, paintings, room)
    limit = min((limit for limit in (settings.max_memory, available) if limit is not None), default=None)
    preparing = preparing_bytes(network, settings, max(picture.reading_bytes for picture in (photo, *paintings)))
    require_memory(preparing, preparing, photo.size, limit)
    mask = _mask(settings, photo)
    stages = _stages(network, photo, lent, settings, start, mask, limit, hire)
    if settings.scratch is not None:
        Scratch(settings.scratch).require(scratch_bytes(stages))
    if client is not None:
        _require_workers(client, stages)
    estimates = tuple(stage.estimate() for stage in stages)
    job = Job(network, photo, paintings, settings, start, stages, estimates, preparing, mask)
    _require_memory(job, limit)
    return job


def _shared(client: Any, settings: Settings) -> tuple[Hire, Settings]:
    """Who holds the tiles, and the settings with a number of them. SettingsError, ClusterError if the workers of this
    `distributed.Client` cannot share such a picture."""
    from minitorch_style.transfer.actors import Crew
    from minitorch_style.transfer.workers import require_alike

    require_shareable(settings)
    found = require_alike(client)
    return partial(Crew, client), replace(settings, tiles=settings.tiles or len(found))


def _require_workers(client: Any, stages: Sequence[Stage]) -> None:
    """ClusterError if a worker has too little memory for its share of the largest stage."""
    from minitorch_style.transfer.workers import require_room, workers

    count = len(workers(client))
    require_room(client, max(stage.worker_bytes(count) for stage in stages if isinstance(stage, Descent)))


def require_shareable(settings: Settings) -> None:
    """SettingsError if many workers cannot share such a picture."""
    if settings.method != "gram":
        raise SettingsError(
            f"one picture over many workers is made with the method gram; that of {settings.method} is small, and would "
            "gain nothing"
        )
    if settings.optimizer != IN_PARTS:
        raise SettingsError(
            f"many workers share the vectors of the optimizer {IN_PARTS}, not those of {settings.optimizer}"
        )
    if settings.scratch is not None:
        raise SettingsError("scratch is for one process; the workers of a cluster keep what is theirs in memory")
    if settings.max_memory is not None:
        raise SettingsError("max_memory limits one process; the workers of a cluster need less each the more they are")


def painter_of(settings: Settings) -> Network:
    """The network that the settings name, as far as they need it."""
    network = load_network(settings.model, settings.weights, settings.kernels, settings.pooling)
    return network.until(taps_of(settings, network.architecture))


def names_of(network: Network) -> dict[str, Any]:
    """The settings that name a network, as this one has them."""
    return {
        "model": network.name,
        "weights": network.weights,
        "pooling": network.pooling,
        "kernels": network.kernels.name,
    }


def taps_of(settings: Settings, architecture: Architecture) -> list[str]:
    """The layers that a job reads."""
    if settings.method != "gram":
        return [*hypercolumn_taps(architecture), *architecture.style_layers, *architecture.content_layers]
    return [
        *((settings.content_layers or architecture.content_layers) if settings.content_weight else ()),
        *((settings.style_layers or architecture.style_layers) if settings.style_weight else ()),
    ]


def objective_of(job: Job) -> Objective | TiledObjective:
    """The objective of the last stage of a job of method `gram`."""
    stage = job.stages[-1]
    assert isinstance(stage, Descent), f"{job.settings.method} has no objective for pixels"
    return stage.objective()


def _start(settings: Settings, content: Picture, styles: list[Picture], room: Room) -> Pixels:
    """The pixels that the optimisation begins with."""
    if settings.init == "content":
        return content.values
    if settings.init == "style":
        return resized(styles[0].pixels, content.size)
    if settings.init == "random":
        rng = np.random.default_rng(settings.seed)
        return rng.random((*content.size, 3), np.float32)
    try:
        check_readable(settings.init)
    except StyleError as error:
        raise SettingsError(f"init is neither {', '.join(INITS)} nor a picture file: {error}") from error
    return resized(load_picture(settings.init, max(content.size), room).pixels, content.size)


def _mask(settings: Settings, photo: Picture) -> Float32 | None:
    """Where the settings want the new style. SettingsError if a wanted region is empty."""
    if settings.region is None:
        return None
    people = person_probability(photo.values, load_segmenter(SEGMENTER))[..., None]
    mask = people if settings.region == "person" else 1 - people
    if not np.any(mask > 0.5):
        raise SettingsError(f"{SEGMENTER} finds no {settings.region} in this photo: there is nothing to paint")
    return mask


def scratch_bytes(stages: Sequence[Stage]) -> int:
    """What is on the disk, at most, of what optimizers remember: one stage's at a time."""
    return max((stage.scratch_bytes for stage in stages if isinstance(stage, Descent)), default=0)


def _stages(
    network: Network,
    photo: Picture,
    lent: Lent,
    settings: Settings,
    start: Pixels,
    mask: Float32 | None,
    limit: int | None,
    hire: Hire,
) -> tuple[Stage, ...]:
    if settings.method == "gram":
        return _descents(network, photo, lent, settings, start, limit, hire)
    if settings.color == "match":
        lent = lent.replaced([match_colors(painting.pixels, photo.pixels) for painting in lent.pictures])
    shared_by(network.architecture.style_layers, settings.style_layer_weights)  # refuses a wrong number of them
    planning = Planning(network, photo.values, lent.pictures, settings, lent.kept, lent.masks)
    if not settings.restroke or untouched(settings):
        return (planning,)
    fine = None if settings.method == "voting" else _people(photo)
    repainting = Repainting(photo.values, lent.strokes, settings, network.kernels.name, start, mask, fine)
    return (planning, repainting) if settings.init in INITS else (repainting,)  # a picture that is there is the plan


def _people(photo: Picture) -> Columns | None:
    """Where there are people, (H, W, 1) in [0, 1], by a small network; None if they are hardly anywhere. With plain
    kernels, which need not be compiled before the work has begun."""
    if not has_quick_segmenter():
        return None
    with one_thread():  # the same bits with any number of them
        likely = likely_people(photo.values, load_segmenter(QUICK_SEGMENTER))
    return likely if somewhere(likely) else None


def _descents(
    network: Network,
    photo: Picture,
    lent: Lent,
    settings: Settings,
    start: Pixels,
    limit: int | None,
    hire: Hire,
) -> tuple[Descent, ...]:
    """At every scale, by a starter if there is one, the last by `network` at the photo's size."""
    paintings = [painting.pixels for painting in lent.pictures]
    shown = photo.size, photo.pixels, paintings, floats(start), settings
    layers = settings.content_layers, settings.style_layers, settings.style_layer_weights
    own = Descent(network, *shown, *layers, lent.kept, limit, hire=hire)
    painter = own  # alone, or beside a starter, whose network is held as well
    if settings.warm_start not in (None, network.name):
        load = partial(load_network, str(settings.warm_start), None, settings.kernels, settings.pooling)
        starter = lent.kept.get("starter", settings.warm_start, load)
        left = None if limit is None else limit - network.nbytes
        weights = settings.style_layer_weights if settings.style_layers is None else None  # those of its own layers
        painter = Descent(starter, *shown, layer_weights=weights, kept=lent.kept, limit=left, hire=hire)
        own = replace(own, limit=None if limit is None else limit - starter.nbytes)
    sizes = [scaled(photo.size, settings.scale_step**-steps) for steps in reversed(range(settings.scales))]
    stages = tuple(painter.at(size) for size in sizes)
    if painter is not own:
        stages += (own,)
    for stage in stages:
        stage.check()
    return stages


def _together(stages: Sequence[Stage], parts: Sequence[Estimate]) -> Estimate:
    """What all stages take, one after another, while every network that is needed is held."""
    held = {id(stage.network): stage.network.nbytes for stage in stages if isinstance(stage, Descent)}
    own = [held.get(id(stage.network), 0) if isinstance(stage, Descent) else 0 for stage in stages]
    others = sum(held.values())
    most = max(part.nbytes + others - mine for part, mine in zip(parts, own, strict=True))
    return Estimate(most, sum(part.seconds for part in parts))


def _require_memory(job: Job, limit: int | None) -> None:
    """SettingsError, with a size that would fit, if the job needs more than it may take."""
    needed = _together(job.stages, job.estimates).nbytes
    if limit is not None and needed > limit:  # what grows with the pixels, seen at twice the size
        doubled = _together(job.stages, [stage.estimate(2) for stage in job.stages]).nbytes
        require_memory(needed, needed - (doubled - needed) // 3, job.content.size, limit)
