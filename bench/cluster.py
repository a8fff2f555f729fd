"""Many pictures on many workers: measured here, and reckoned for more.

    python -m bench.cluster [--photos 8] [--size 128] [--iterations 10]

The same batch by one process, then by 2, 4 and 8 worker processes of one thread. Each worker tells the seconds that a picture
took and the processor time it used: what differs between those two is waiting for a core (contention); what the whole took
beyond the workers' seconds is overhead (sending, taking, writing). From these costs a model of time and bytes for larger
clusters. Writes bench/results/cluster.json and the tables in docs/cluster.md.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster
from PIL import Image

from bench.record import RESULTS, save
from minitorch_style.files import write_text
from minitorch_style.transfer.batch import Stylizer, Task, encoded_as, found, tasks, texts_of, write
from minitorch_style.transfer.cluster import painted
from minitorch_style.transfer.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PHOTO, PAINTING = ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"
PAGE = ROOT / "docs" / "cluster.md"
WORKERS, MANY, MEGAPIXELS = (2, 4, 8), (2, 4, 8, 16, 32, 64), (24, 100, 1000)
SIZES = (512, 1024)  # whose costs the model's lines go through
NETWORK = 125e6  # bytes a second of the client's cable: 1 Gbit/s


def processor_seconds() -> float:
    return sum(os.times()[:2])


def here(todo: list[tuple[Task, dict[str, str]]], settings: Settings) -> dict[str, float]:
    """By one process: seconds a picture, bytes that would travel."""
    painter = Stylizer(PAINTING, settings)
    painter(todo[0][0].photo)  # compiles, looks at the painting
    begun, spent, sent, received = time.perf_counter(), processor_seconds(), 0, 0
    painting, writing = 0.0, 0.0
    for task, texts in todo:
        before = time.perf_counter()
        data = encoded_as(task.out.suffix, painter(task.photo), texts)
        painting += time.perf_counter() - before
        before = time.perf_counter()
        write(task, texts, data)
        writing += time.perf_counter() - before
        sent, received = sent + task.photo.stat().st_size + PAINTING.stat().st_size, received + len(data)
    count = len(todo)
    return {"seconds": time.perf_counter() - begun, "processor seconds": processor_seconds() - spent,
            "painting a picture": painting / count, "writing a picture": writing / count,
            "bytes sent a picture": sent / count, "bytes received a picture": received / count}  # fmt: skip


def there(todo: list[tuple[Task, dict[str, str]]], settings: Settings, count: int) -> dict[str, float]:
    """By `count` workers that have painted before."""
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for _ in painted(todo * max(1, count // len(todo)), settings, client):
            pass  # each has loaded the network and looked at the painting
        before = sum(client.run(processor_seconds).values())
        begun, busy, own = time.perf_counter(), 0.0, processor_seconds()
        texts = dict(todo)
        for done in painted(todo, settings, client):
            if done is not None:
                assert not done.problem, done.problem
                write(done.task, texts[done.task], done.data)
                busy += done.seconds
        wall = time.perf_counter() - begun
        used = sum(client.run(processor_seconds).values()) - before
        own = processor_seconds() - own
    return {"workers": count, "seconds": wall, "seconds at the workers": busy, "their processor seconds": used,
            "the client's and scheduler's": own}  # fmt: skip


COSTS = ("painting a picture", "writing a picture", "bytes sent a picture", "bytes received a picture")


def model(costs: list[dict[str, float]], measured: list[dict[str, float]], photos: int) -> list[dict[str, float]]:
    """Seconds a picture in larger clusters, and the client's bytes: a straight line through the costs at two sizes."""
    client = max(row[_OWN] for row in measured) / photos
    first, last = costs
    rows = []
    for megapixels in MEGAPIXELS:
        far = (megapixels * 1e6 - first["pixels"]) / (last["pixels"] - first["pixels"])
        each, writing, sent, received = (first[name] + far * (last[name] - first[name]) for name in COSTS)
        for count in MANY:
            seconds = max(each / count, (sent + received) / NETWORK, client + writing)
            rows.append({"megapixels": megapixels, "workers": count, "seconds a picture": seconds,
                         "of one machine": each / seconds, "megabytes a picture": (sent + received) / 1e6})  # fmt: skip
    return rows


def tables(record: dict[str, Any]) -> str:
    one, lines = (
        record["one process"],
        ["| workers | seconds | at the workers | their processor time | client and scheduler |"],
    )
    lines += [
        "|---|---|---|---|---|",
        f"| none, one process | {one['seconds']:.1f} | | {one['processor seconds']:.1f} | |",
    ]
    lines += [
        f"| {row['workers']} | {row['seconds']:.1f} | {row['seconds at the workers']:.1f} "
        f"| {row['their processor seconds']:.1f} | {row[_OWN]:.2f} |"
        for row in record["measured"]
    ]
    lines += [
        "",
        f"{record['photos']} photos of {record['size']} pixels, {record['iterations']} iterations, "
        f"{record['cores']} shared cores; seconds.",
        "",
    ]
    lines += ["| megapixels | MB a picture | " + " | ".join(f"{count} workers" for count in MANY) + " |"]
    lines += ["|---" * (2 + len(MANY)) + "|"]
    for megapixels in MEGAPIXELS:
        rows = [row for row in record["model"] if row["megapixels"] == megapixels]
        cells = " | ".join(f"{row['seconds a picture']:.1f} s ({row['of one machine']:.1f}×)" for row in rows)
        lines.append(f"| {megapixels} | {rows[0]['megabytes a picture']:.0f} | {cells} |")
    return "\n".join(lines)


_OWN = "the client's and scheduler's"


def prepared(folder: Path, settings: Settings, count: int) -> list[tuple[Task, dict[str, str]]]:
    """So many photos, each another part of the example, of one size."""
    folder.mkdir()
    photo = Image.open(PHOTO)
    for number in range(count):
        part = photo.crop((number, number, photo.width - 16 + number, photo.height - 16 + number))
        part.resize((settings.size, settings.size * 2 // 3)).save(folder / f"photo{number}.png")
    return [(task, texts_of(task, settings)) for task in tasks(found([folder]), [PAINTING], folder, "out-{photo}.png")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    settings = Settings(size=options.size, iterations=options.iterations)
    with tempfile.TemporaryDirectory() as name:
        todo = prepared(Path(name) / "small", settings, options.photos)
        one = here(todo, settings)
        print(one, flush=True)
        measured = []
        for count in WORKERS:
            measured.append(there(todo, settings, count))
            print(measured[-1], flush=True)
        costs = []
        for size in SIZES:
            larger = replace(settings, size=size)
            costs.append(
                {"pixels": size * (size * 2 // 3), **here(prepared(Path(name) / str(size), larger, 2), larger)}
            )
    record = {"photos": options.photos, "size": options.size, "iterations": options.iterations, "cores": os.cpu_count(),
              "one process": one, "measured": measured, "costs": costs,
              "model": model(costs, measured, options.photos)}  # fmt: skip
    save(record, RESULTS / "cluster.json")
    page = re.sub(r"(?s)(<!-- bench.cluster -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{tables(record)}\n{m[2]}",
                  PAGE.read_text("utf-8"))  # fmt: skip
    write_text(PAGE, page)


if __name__ == "__main__":
    main()
