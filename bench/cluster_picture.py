"""One picture over many workers: measured here, and reckoned for more.

    python -m bench.cluster_picture [--size 2048] [--iterations 6] [--tiles 8]

The same picture in the same tiles by one process, then by 2, 4 and 8 worker processes of one thread. Processor time beyond
that of the one process is overhead; time by the clock beyond what the processor time takes on the cores that are there is
waiting, for each other or for a core. Bytes are counted where they are sent. From the costs of one process and of an empty
round, a model of time and bytes for larger clusters. Writes bench/results/cluster-picture.json; `python -m bench.readme` puts
it into docs/cluster.md.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from bench.cluster import MANY, MEGAPIXELS, NETWORK, PAINTING, PHOTO, WORKERS, processor_seconds
from bench.record import RESULTS, save
from minitorch_style.engine.tiles import Part, TiledPlan, Tiles, in_tiles
from minitorch_style.image.io import load_picture
from minitorch_style.kernels import set_threads
from minitorch_style.transfer import actors
from minitorch_style.transfer.descent import Descent
from minitorch_style.transfer.estimate import OPTIMIZER_BYTES
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.job import Job, prepare
from minitorch_style.transfer.run import run
from minitorch_style.transfer.settings import Settings

ROUNDS = 8  # times that all workers are asked in an iteration of one evaluation
EMPTY = 50  # empty rounds that are timed
EVALUATING = ("do", "sums", "back", "merge")  # and not the start, checkpoints and the finished picture
LATENCY = 1e-3  # seconds, assumed, from asking until the slowest of the workers has begun


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """{method: bytes of arguments and answers} between the client and the workers, meanwhile."""
    ask, found = actors.answer, Counter[str]()

    async def weighed(rpc: Any, seat: actors.Seat, method: str, arguments: Sequence[Any]) -> Any:
        answer = await ask(rpc, seat, method, arguments)
        found[method] += len(pickle.dumps((arguments, answer)))
        return answer

    actors.answer = weighed
    try:
        yield found
    finally:
        actors.answer = ask


def prepared(settings: Settings, client: Client | None = None) -> Job:
    photo = load_picture(PHOTO, settings.size).pixels
    height = round(settings.size / 1.5)
    rows = np.arange(height) * len(photo) // height  # whatever its size, the picture has 3:2
    columns = np.arange(settings.size) * photo.shape[1] // settings.size
    return prepare(np.ascontiguousarray(photo[rows][:, columns]), PAINTING, settings, client=client)


def timed(job: Job) -> tuple[float, float]:
    """Seconds, and processor seconds of this process, of an iteration after the first."""
    begun = spent = 0.0
    count = 0
    for event in run(job):
        if isinstance(event, Iterated):
            count = event.iteration.number
            if count == 1:
                begun, spent = time.perf_counter(), processor_seconds()
            last = time.perf_counter(), processor_seconds()
    return (last[0] - begun) / (count - 1), (last[1] - spent) / (count - 1)


def here(settings: Settings) -> dict[str, float]:
    """By one process and thread."""
    seconds, processor = timed(prepared(settings))
    return {"seconds": seconds, "processor": processor}


def there(settings: Settings, count: int) -> dict[str, float]:
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, memory_limit=0, silence_logs=50, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False, direct_to_workers=True) as client,
    ):
        run(prepared(settings, client)).complete(lambda event: True)  # each has compiled
        job = prepared(settings, client)
        with counted() as sent:
            events = (event for event in run(job) if isinstance(event, Iterated))
            next(events)
            before, own, begun = sum(client.run(processor_seconds).values()), processor_seconds(), time.perf_counter()
            sent.clear()
            iterations = len(list(events))
            seconds = time.perf_counter() - begun
            used = sum(client.run(processor_seconds).values()) - before
            own = processor_seconds() - own
            travelled = sum(sent[method] for method in EVALUATING) / iterations
        stage = job.stages[-1]
        assert isinstance(stage, Descent)
        crew = actors.Crew(client, job.network, stage.plan.tiles)
        begun = processor_seconds()
        for _ in range(EMPTY):
            crew.ask("do", [], [])
        empty = (processor_seconds() - begun) / EMPTY
    return {"workers": count, "seconds": seconds / iterations, "processor": used / iterations, "client": own / iterations,
            "empty round": empty, "bytes of the client": travelled,
            "halo": sum(strips(stage.plan.tiles, [range(*ends) for ends in shares(settings, count)]))}  # fmt: skip


def shares(settings: Settings, count: int) -> list[tuple[int, int]]:
    tiles = settings.tiles or count
    return [(tiles * number // count, tiles * (number + 1) // count) for number in range(count)]


def strips(tiles: Tiles, held: Sequence[Sequence[int]]) -> list[float]:
    """Bytes that each worker fetches from others in an evaluation: of the picture, and as much of its gradient."""

    def values(part: Part) -> int:
        return 3 * math.prod(side.stop - side.start for side in part)

    return [
        8 * sum(values(part) for one in own for other, part in tiles.seen_by(one).items() if other not in own)
        for own in held
    ]


def model(job: Job, a_pixel: float, empty: list[dict[str, float]]) -> list[dict[str, float]]:
    """Seconds, bytes and memory of an evaluation, each worker with one tile and a core of its own."""
    architecture, stage = job.network.architecture, job.stages[-1]
    assert isinstance(stage, Descent)
    each, fixed = np.polyfit([row["workers"] for row in empty], [row["empty round"] for row in empty], 1)
    gram = sum(8 * stage.plan.tiles.shape(tap)[2] ** 2 for tap in architecture.style_layers)
    rows = []
    for megapixels in MEGAPIXELS:
        height = round(math.sqrt(megapixels * 1e6 / 1.5))
        size = height, round(1.5 * height)
        for count in MANY:
            tiles = in_tiles(architecture, size, stage.taps, count)
            crop, halo = math.prod(tiles.crop), max(strips(tiles, [[number] for number in range(count)]))
            computing, fetching = a_pixel * crop, halo / NETWORK
            telling = count * 1.5 * gram / NETWORK + ROUNDS * (LATENCY + max(0.0, fixed + each * count))
            seconds = computing + fetching + telling
            values = 3 * size[0] * size[1] / count
            memory = TiledPlan(job.network, tiles).nbytes + OPTIMIZER_BYTES["lbfgs"] * values + 24 * crop
            rows.append({"megapixels": megapixels, "workers": count, "seconds": seconds, "computing": computing,
                         "fetching": fetching, "telling": telling, "of one": a_pixel * size[0] * size[1] / seconds,
                         "halo": halo, "client": 1.5 * gram * count, "memory": memory})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--tiles", type=int, default=8)
    options = parser.parse_args()
    set_threads(1)
    settings = Settings(method="gram", size=options.size, iterations=options.iterations, tiles=options.tiles)
    one = here(settings)
    print(one, flush=True)
    measured = []
    for count in WORKERS:
        measured.append(there(settings, count))
        print(measured[-1], flush=True)
    single = Settings(method="gram", size=options.size, iterations=options.iterations, tiles=1)
    whole = here(single)
    job = prepared(single)
    a_pixel = whole["processor"] / math.prod(job.content.size)
    record = {"size": list(job.content.size), "model": job.network.name, "iterations": options.iterations,
              "tiles": options.tiles, "cores": os.cpu_count(), "load": os.getloadavg()[0], "one process": one,
              "one tile": whole, "measured": measured, "a pixel": a_pixel,
              "model rows": model(job, a_pixel, measured)}  # fmt: skip
    save(record, RESULTS / "cluster-picture.json")


if __name__ == "__main__":
    main()
