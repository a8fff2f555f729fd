"""The pictures of a batch on the workers of a Dask cluster, to the same bytes as here.

A worker is sent everything as bytes and sends back the bytes of the picture's file: it reads and writes no file that the
client knows. Setting up the cluster is Dask's business; what dies is done again elsewhere by Dask's scheduler.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker, get_worker, wait

import minitorch_style
from minitorch_style.errors import ClusterError, ImageError, StyleError
from minitorch_style.image.writing import check_format
from minitorch_style.kernels import set_threads
from minitorch_style.transfer.batch import Stylizer, Task, encoded_as
from minitorch_style.transfer.run import run
from minitorch_style.transfer.settings import Settings
from minitorch_style.transfer.workers import require_alike, workers

AHEAD = 2  # pictures sent to each worker: one to work at, one that waits meanwhile
MAX_MEMORY = "minitorch_style.max_memory"  # in a picture's settings
PATIENCE = 1.0  # seconds after which new workers are looked for


@dataclass(frozen=True)
class Order:
    """What a worker makes a picture of. `files` are the contents of those that `settings` name."""

    version: str
    photo: bytes
    painting: bytes
    suffix: str
    settings: Settings
    files: Mapping[str, bytes]
    texts: Mapping[str, str]
    share: int | None = None  # bytes of memory that it may take


@dataclass(frozen=True)
class Painted:
    """A task that is done: the bytes of its file, or what went wrong; seconds at the worker."""

    task: Task
    data: bytes = b""
    problem: str = ""
    seconds: float = 0.0


class _Easel:
    """A worker's `Stylizer` for one painting, with the files that its settings name."""

    def __init__(self, order: Order) -> None:
        self.painting, self.given, self.files = order.painting, order.settings, order.files
        self.folder = tempfile.TemporaryDirectory(prefix="minitorch_style-")
        here: dict[str, Any] = {}
        for name, content in order.files.items():
            path = Path(self.folder.name) / f"{name}{Path(order.settings.files[name]).suffix}"
            path.write_bytes(content)
            here[name] = str(path)
        self.settings = replace(order.settings, max_memory=order.share or order.settings.max_memory, **here)

    @cached_property
    def stylizer(self) -> Stylizer:
        return Stylizer(self.painting, self.settings)

    def serves(self, order: Order) -> bool:
        return (self.painting, self.given, self.files) == (order.painting, order.settings, order.files)


_one_at_a_time = threading.Lock()  # a worker with several threads paints one picture with all of them
_easels: list[_Easel] = []  # the last one


def paint(order: Order) -> tuple[bytes, float]:
    """Runs at a worker: the bytes of the picture's file, and seconds."""
    if order.version != minitorch_style.__version__:
        raise ClusterError(f"{get_worker().address} has version {minitorch_style.__version__}, this is {order.version}")
    with _one_at_a_time:
        begun = time.perf_counter()
        set_threads(get_worker().state.nthreads)
        if not (_easels and _easels[0].serves(order)):
            _easels[:] = [_Easel(order)]
        job = _easels[0].stylizer.prepare(order.photo)
        check_format(f"picture{order.suffix}", job.content.size, job.content.alpha is not None)
        result = run(job).complete()
        result.metadata.pop(MAX_MEMORY, None)  # the client's settings, not those of here
        result.metadata.update(order.settings.as_texts())
        return encoded_as(order.suffix, result, order.texts), time.perf_counter() - begun


def painted(
    todo: Sequence[tuple[Task, Mapping[str, str]]], settings: Settings, client: Client, share: int | None = None
) -> Iterator[Painted | None]:
    """Tasks with their texts (`batch.texts_of`) as they are done, in any order; None now and then meanwhile. Each worker may
    take `share` bytes of memory, or what the settings say. ClusterError if the workers cannot do this or the scheduler is
    lost. What is not done when the caller leaves is called off."""
    require_alike(client)
    waiting, running = deque(todo), dict[Future, Task]()
    files = {name: _content(Path(path)) for name, path in settings.files.items()}
    try:
        while waiting or running:
            while waiting and len(running) < AHEAD * max(1, len(workers(client))):
                task, texts = waiting.popleft()
                try:
                    order = Order(minitorch_style.__version__, _content(task.photo), _content(task.painting),
                                  task.out.suffix.lower(), settings, files, texts, share)  # fmt: skip
                except ImageError as error:
                    yield Painted(task, problem=str(error))
                    continue
                running[client.submit(paint, order, pure=False)] = task
            if running:
                for future in _done(running, client):
                    yield _outcome(running.pop(future), future)
            yield None
    finally:
        client.cancel(list(running))


def _done(running: Mapping[Future, Task], client: Client) -> list[Future]:
    """Those that are done, once there is one or some time has passed."""
    try:
        with client.as_current():
            wait(list(running), timeout=PATIENCE, return_when="FIRST_COMPLETED")
    except TimeoutError:
        pass
    except CancelledError:
        raise ClusterError("the scheduler has been lost") from None
    return [future for future in running if future.done()]


def _outcome(task: Task, future: Future) -> Painted:
    error = future.exception()
    if error is None:
        data, seconds = future.result()
        return Painted(task, data, "", seconds)
    if isinstance(error, StyleError | OSError):
        return Painted(task, problem=str(error))
    if isinstance(error, MemoryError):
        return Painted(task, problem="out of memory")
    if isinstance(error, KilledWorker):
        return Painted(task, problem=f"{error.allowed_failures + 1} workers died of it")
    if isinstance(error, CancelledError):
        raise ClusterError("the scheduler has been lost")
    if isinstance(error, ModuleNotFoundError):  # a worker that has come since
        return Painted(task, problem=f"a worker has no {error.name}")
    raise error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
