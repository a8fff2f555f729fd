"""The main job: a photo and one or more paintings in, a new painting out. Prints nothing; tells what it does by events."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np

from minitorch_style.arrays import Float32, Pixels, Rgb8
from minitorch_style.engine.network import Network
from minitorch_style.errors import ClusterError, DivergedError, ScratchError, SettingsError, WorkerLostError
from minitorch_style.image.color import keep_colors
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import floats, resized
from minitorch_style.image.sources import Source
from minitorch_style.image.writing import save_picture
from minitorch_style.kernels import compiled_ahead
from minitorch_style.transfer.checkpoint import Checkpoint, Checkpoints, rows_of
from minitorch_style.transfer.events import Event, Finished, Iterated, Iteration, Look, StageEnded, Started
from minitorch_style.transfer.job import Job, names_of, objective_of, prepare
from minitorch_style.transfer.settings import Settings
from minitorch_style.transfer.stages import Step

__all__ = ["Iteration", "Job", "Listener", "Progress", "Result", "Run", "objective_of", "prepare", "run", "stylize"]

BREAKS = ClusterError, DivergedError, MemoryError, ScratchError
ROWS = 64  # of a picture that are made an image at once

# Called after each iteration; `event.picture()` gives the image as it then is. True asks to stop.
Listener: TypeAlias = Callable[[Iterated], "bool | None"]
# The same in short: (iteration, picture).
Progress: TypeAlias = Callable[[Iteration, Look], "bool | None"]
# Called while kernels are compiled, once: how many of how many are done.
Compiling: TypeAlias = Callable[[int, int], None]


@dataclass
class Result:
    """The finished picture: `image` (H, W, 3) uint8, `alpha` (H, W) or None as in the photo, `history` an Iteration each
    (number 0 is the start), `interrupted` if it was ended early, which keeps the best picture so far.

        >>> result = ms.stylize("photo.jpg", "painting.jpg", size=64, method="voting")
        >>> result.image.shape, result.interrupted
        ((43, 64, 3), False)
        >>> result.save("out.png")
    """

    image: Rgb8
    alpha: Float32 | None
    history: list[Iteration]
    settings: Settings
    seconds: float
    message: str
    interrupted: bool = False
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """The lowest of the last stage that lowered one."""
        losses = [iteration.best_loss for iteration in self.history if iteration.best_loss is not None]
        return losses[-1] if losses else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the picture; PNG files carry the settings as text. ImageError if that is not possible."""
        save_picture(path, self.image, self.alpha, self.metadata)


class Run(Iterator[Event]):
    """A job under way: an iterator of events. It may be left at any time; `result` gives the best picture so far.

    for event in run(job):
        if isinstance(event, Iterated):
            print(event.iteration.number, event.seconds_left)
    """

    def __init__(self, job: Job, compiling: Compiling | None = None, resumed: Checkpoint | None = None) -> None:
        self.job = job
        compiled = job.network.kernels.name == "numba"  # asking would load the compiler
        self._compiled_ahead = compiled_ahead(self._rehearse, self._compiled) if compiled else nullcontext()
        self._compiling = compiling
        self.history: list[Iteration] = [] if resumed is None else resumed.iterations
        self.message = "interrupted"
        self._finished = self._broken = False
        self._best: Pixels = job.start if resumed is None else resumed.best
        self._began = self._last = time.perf_counter()
        self._resumed = resumed
        self._stage, self._done, self._before = 1, 0, None if resumed is None else resumed.before
        if resumed is not None:
            self._stage, self._done, self._began = resumed.stage, resumed.done, self._began - resumed.seconds
            self.message = resumed.message
        self._step: Step | None = None
        self._under_way = resumed is not None  # from what has been written down already
        self._events = self._work()

    def __next__(self) -> Event:
        self._last = time.perf_counter()  # the listener's time is not the iteration's
        try:
            with self._compiled_ahead:
                return next(self._events)
        except BREAKS as error:
            self._break(error)
            raise StopIteration from error

    def _break(self, error: Exception) -> None:
        """Ends the run for a reason of its own, once there has been an iteration: what was painted until then is a picture
        all the same."""
        if not self.history or not self.history[-1].number:
            raise error
        self._broken, self.message = True, str(error) or "out of memory"

    def _rehearse(self) -> None:
        for stage in self.job.stages:
            stage.rehearse()

    def _compiled(self, done: int, count: int) -> None:
        if self._compiling is not None:
            self._compiling(done, count)
        self._last = time.perf_counter()  # nor is the compiler's

    def _work(self) -> Iterator[Event]:
        yield Started(self.job)
        state, self._resumed = (self._resumed.state if self._resumed else None) or None, None
        for number in range(self._stage, len(self.job.stages) + 1):
            self._stage, made, spent = number, 0, 0.0
            steps = self.job.stages[number - 1].run(self._before, state)
            state = None
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    self.message = end.value
                    break
                spent += self._note(step)
                if step.number:
                    made += 1
                    left = self._left(number, step.number, spent / made)
                    yield Iterated(self.history[-1], number, left, self._look(step.picture))
                self._between(step)
                del step
            self._under_way, self._before, self._done = False, floats(self._best), self.history[-1].number
            self._stage += 1
            yield StageEnded(number, self._look(self._best))
        self._finished = True
        yield Finished(self.result())

    def _note(self, step: Step) -> float:
        """Takes in a step; the seconds it took."""
        seconds = time.perf_counter() - self._last
        if step.number or not self.history:
            made = Iteration(self._done + step.number, step.loss, step.terms, step.best_loss, 1e3 * seconds)
            self.history.append(made)
        # At last, and at once: an interruption before leaves no state that its list of iterations does not fit.
        self._best, self._last, self._step, self._under_way = step.best, time.perf_counter(), step, False
        return seconds

    def _between(self, step: Step) -> None:
        """Lets go of what the next step may write over, or need the memory of. Should that one never come to its end, an
        image of `best` in bytes is all that is wanted of it."""
        self._step, self._under_way = None, True
        best = step.best
        if step.fleeting and best.shape == self.job.content.values.shape:
            self._best = best if best.dtype == np.uint8 else to_bytes(floats(best))

    def _left(self, stage: int, number: int, each: float) -> float:
        """Seconds until the end: this stage goes on as it has, the later ones as much faster or slower than expected."""
        steps = self.job.stages[stage - 1].steps
        expected = self.job.estimates[stage - 1].seconds / max(1, steps)
        later = sum(estimate.seconds for estimate in self.job.estimates[stage:])
        return each * (steps - number) + later * (each / expected if expected > 0 else 1.0)

    def _look(self, pixels: Pixels) -> Look:
        return lambda: self._image(pixels)

    def _image(self, pixels: Pixels) -> Rgb8:
        """A picture of any size as the image of the photo's size that it stands for."""
        job, photo = self.job, self.job.content.values
        pixels = cast(Pixels, np.asarray(pixels))  # which may lie elsewhere
        if pixels.shape != photo.shape:
            pixels = resized(pixels, job.content.size)
        image = np.empty(photo.shape, np.uint8)
        for top in range(0, len(image), ROWS):
            here = np.s_[top : top + ROWS]
            shown, below = floats(pixels[here]), floats(photo[here])
            if job.settings.preserve_color:
                shown = keep_colors(shown, below)
            if job.mask is not None:
                shown = below + job.mask[here] * (np.clip(shown, 0, 1) - below)
            image[here] = to_bytes(shown)
        return image

    @property
    def scale_ended(self) -> bool:
        """Whether the last step was that of a scale or level."""
        return self._step is not None and self._step.ended

    def checkpoint(self) -> Checkpoint | None:
        """Where the run stands, as it is until the next event; None where there is nothing yet that could be lost. After
        an exception in a step its memory may be half changed: then there is none either."""
        step = self._step
        if not self.history or self._under_way or (step is not None and step.state is None):
            return None
        try:
            state = {} if step is None or step.state is None else step.state()
        except WorkerLostError:  # the next step sees to that
            return None
        return Checkpoint(
            self._stage,
            self._done,
            time.perf_counter() - self._began,
            self.message,
            floats(self._best),
            rows_of(self.history),
            self._before,
            state,
        )

    @property
    def finished(self) -> bool:
        """Whether it has come to its end, and not to one for want of memory or because it diverged."""
        return self._finished

    @property
    def interrupted(self) -> bool:
        return not (self._finished or self._broken)

    def result(self) -> Result:
        """The best picture so far, with what led to it."""
        metadata = {"Software": "minitorch_style", **self.job.settings.as_texts()}
        made = Result(
            self._image(self._best),
            self.job.content.alpha,
            self.history,
            self.job.settings,
            time.perf_counter() - self._began,
            self.message,
            self.interrupted,
            metadata,
        )
        if made.loss is not None:
            metadata["minitorch_style.final_loss"] = repr(made.loss)
        return made

    def complete(
        self,
        listener: Listener | None = None,
        interruptible: AbstractContextManager[object] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> Result:
        """Goes on to the end, or until `listener` returns True or KeyboardInterrupt comes; the picture is kept in every
        case. `checkpoints` writes the run down meanwhile, and where it ends early. `interruptible` is entered for the
        time in which KeyboardInterrupt does so; what comes after has to be left alone, or the picture is lost."""
        result: Result | None = None
        try:
            with interruptible or nullcontext():
                for event in self:
                    if checkpoints is not None:
                        checkpoints.hear(self, event)
                    if isinstance(event, Finished):
                        result = event.result
                    elif isinstance(event, Iterated) and listener and listener(event):
                        break
                    del event  # and the picture in it
        except KeyboardInterrupt:
            pass
        except BREAKS as error:
            self._break(error)
        if checkpoints is not None and self.interrupted:
            checkpoints.broken_off(self)
        self._events = iter(())  # and with it plans and buffers: what is left to do needs memory too
        return result or self.result()


def run(job: Job, compiling: Compiling | None = None, resumed: Checkpoint | None = None) -> Run:
    """The job, ready to be iterated over: `for event in run(job)`, or `run(job).complete()`; from its beginning or on from
    a checkpoint of it, to the same bytes. `compiling(done, count)` is called while kernels are compiled, which happens
    once.

        >>> job = ms.prepare("photo.jpg", "painting.jpg", ms.Settings(size=64, method="voting"))
        >>> previews = [event.picture() for event in ms.run(job) if hasattr(event, "picture")]
        >>> previews[-1].shape
        (43, 64, 3)
    """
    return Run(job, compiling, resumed)


def stylize(
    content: Source,
    style: Source | Sequence[Source],
    network: Network | None = None,
    progress: Progress | None = None,
    client: Any = None,
    **settings: Any,
) -> Result:
    """The photo `content` painted in the manner of `style`, or of several, blended. Pictures are files by name, their bytes
    or open files, `Picture`s, Pillow's images, or arrays as `image.sources.picture_of` says: (H, W, 3) uint8 or floats in
    [0, 1], grey, RGBA, 16 bits. `settings` are the fields of `Settings`. A `network` already loaded serves again, and
    SettingsError refuses settings that name another. `progress(iteration, picture)` is called after each iteration, and
    True from it ends the run. With `client`, a `distributed.Client`, the workers of its cluster share the picture (method
    `gram`). Raises StyleErrors before any work for whatever cannot be done.

        >>> result = ms.stylize("photo.jpg", "painting.jpg", size=64, iterations=10, strength=0.8)
        >>> result.image.shape, result.image.dtype
        ((43, 64, 3), dtype('uint8'))
    """
    if network is not None:
        for name, used in names_of(network).items():
            said = settings.get(name, used)
            if said not in (used, "auto") and str(said) != str(used):
                raise SettingsError(f"{name}={said!r} beside a network whose {name} is {used!r}")
    listener: Listener | None = None if progress is None else lambda event: progress(event.iteration, event.picture)
    return run(prepare(content, style, Settings(**settings), network, client)).complete(listener)
