"""The process that paints: one order after another from a pipe, events and pictures back into it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.errors import StyleError
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import resized
from minitorch_style.image.writing import encoded
from minitorch_style.transfer.events import Iterated, Started
from minitorch_style.transfer.job import Job, prepare
from minitorch_style.transfer.region import load_segmenter, person_probability, soft_edge
from minitorch_style.transfer.run import Result, Run
from minitorch_style.transfer.settings import INITS, Settings

PREVIEW_SIZE, PREVIEW_QUALITY = 640, 80
PREVIEW_SECONDS = 0.3  # between two previews
SEGMENTER = "enet"  # small: its mask is there before anybody asks for it
STOP = "stop"

Message: TypeAlias = "tuple[dict[str, Any], Any]"  # an event as the page gets it, and what goes with it


@dataclass(frozen=True)
class Order:
    """Files that are there, and settings that are allowed."""

    photo: str
    paintings: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class Painted:
    """`image` and `photo` (H, W, 3) uint8 of one size, `alpha` (H, W) in [0, 1] or None, `people` (H, W) uint8 where they
    are; the settings as texts."""

    image: Rgb8
    photo: Rgb8
    alpha: Float32 | None
    people: npt.NDArray[np.uint8]
    metadata: dict[str, str]

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.image, self.photo, self.people, self.alpha) if part is not None)


def work(pipe: Connection) -> None:
    """The process. Whatever is not foreseen ends it, and the server starts another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which then ends this
    try:
        _warm_up(pipe)
        pipe.send(({"type": "ready"}, None))
        while True:
            order = pipe.recv()
            if isinstance(order, Order):  # else a stop that came after the end
                _paint(pipe, order)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the server is gone


def _warm_up(pipe: Connection) -> None:
    """Compiles, or loads from the cache, what the first job would otherwise wait for."""
    pixels = np.random.default_rng(0).random((64, 64, 3), np.float32)
    Run(prepare(pixels, pixels, Settings(size=64, iterations=2)), _compiling(pipe)).complete()


def _compiling(pipe: Connection) -> Callable[[int, int], None]:
    def tell(done: int, count: int) -> None:
        if count:
            pipe.send(({"type": "compiling", "done": done, "count": count}, None))

    return tell


def _paint(pipe: Connection, order: Order) -> None:
    try:
        job = prepare(order.photo, order.paintings, order.settings)
        run = Run(job, _compiling(pipe))
        shown = float("-inf")
        for event in run:
            if isinstance(event, Started):
                pipe.send((_started(job, order), None))
            elif isinstance(event, Iterated):
                now = time.monotonic()
                picture = _preview(event.picture()) if now - shown >= PREVIEW_SECONDS else None
                shown = now if picture else shown
                pipe.send((_iterated(event), picture))
                if pipe.poll() and pipe.recv() == STOP:
                    break
        end = _finished(job, run.result())
    except StyleError as error:
        end = {"type": "failed", "sentence": without_paths(str(error), order)}, None
    except MemoryError:
        end = {"type": "failed", "sentence": "out of memory; a smaller size needs less"}, None
    pipe.send(end)


def _finished(job: Job, result: Result) -> Message:
    metadata = dict(result.metadata)
    if job.settings.init not in INITS:
        del metadata["minitorch_style.init"]  # a file of this server
    photo = job.content.pixels
    likely = person_probability(photo, load_segmenter(SEGMENTER))
    people = soft_edge(likely)
    event = {
        "type": "finished",
        "interrupted": result.interrupted,
        "iterations": result.history[-1].number if result.history else 0,
        "seconds": round(result.seconds, 2),
        "message": result.message,
        "people": bool(np.any(people > 0.5)),
    }
    return event, Painted(result.image, to_bytes(photo), result.alpha, to_bytes(people), metadata)


def _started(job: Job, order: Order) -> dict[str, Any]:
    height, width = job.content.size
    return {
        "type": "started",
        "width": width,
        "height": height,
        "iterations": job.iterations,
        "stages": [stage.title for stage in job.stages],
        "megabytes": round(job.estimate.nbytes / 1e6),
        "seconds": round(job.estimate.seconds, 1),
        "notes": [without_paths(note, order) for note in job.notes],
    }


def _iterated(event: Iterated) -> dict[str, Any]:
    return {
        "type": "iterated",
        "iteration": event.iteration.number,
        "stage": event.stage,
        "loss": event.iteration.loss,
        "seconds_left": round(event.seconds_left, 2),
    }


def _preview(image: Rgb8) -> bytes:
    longest = max(image.shape)
    if longest > PREVIEW_SIZE:
        size = tuple(max(1, round(side * PREVIEW_SIZE / longest)) for side in image.shape[:2])
        image = to_bytes(resized(image.astype(np.float32) / np.float32(255), (size[0], size[1])))
    return encoded("JPEG", image, quality=PREVIEW_QUALITY)


def without_paths(text: str, order: Order) -> str:
    """People know their pictures by what they are, not by what the server calls their files."""
    for number, path in enumerate(order.paintings, 1):
        text = text.replace(path, "the painting" if len(order.paintings) == 1 else f"painting {number}")
    if order.settings.init not in INITS:
        text = text.replace(order.settings.init, "the picture before")
    return text.replace(order.photo, "the photo")
