"""What a batch saves over single runs: the same pictures both ways, in turn.

    python -m bench.batch [--photos 4] [--size 256]

In one process, with the network loaded: `ms.stylize` photo after photo against one `ms.Stylizer`. As commands: a `stylize`
each against one `batch`. One painting; each preset in turn. Seconds of processor time, which others on the machine disturb
least. Writes bench/results/batch.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import minitorch_style as ms
from bench.record import RESULTS, save
from minitorch_style.transfer.job import painter_of
from minitorch_style.transfer.settings import PRESETS, Settings

ROOT = Path(__file__).resolve().parent.parent
PHOTO, PAINTING = (str(ROOT / "examples" / name) for name in ("photo.jpg", "painting.jpg"))


def spent_so_far() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = spent_so_far()
    made = work()
    return spent_so_far() - begun, made


def command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "minitorch_style", *arguments, "--quiet"], cwd=ROOT, check=True)


def in_one_process(photos: list[str], settings: Settings) -> dict[str, float]:
    """Seconds a photo, one after another by each way, the ways in turn."""
    network = painter_of(settings)
    painter = ms.Stylizer(PAINTING, settings, network)
    given = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    painter(photos[0])  # compiles, packs, and looks at the painting: what a long batch does once
    spent = {"single": 0.0, "batch": 0.0}
    for photo in photos:
        alone, one = seconds(lambda photo=photo: ms.stylize(photo, PAINTING, network, **given).image)
        together, other = seconds(lambda photo=photo: painter(photo).image)
        assert np.array_equal(one, other), "a batch has to make the same pictures"
        spent["single"] += alone / len(photos)
        spent["batch"] += together / len(photos)
    return spent


def as_commands(photos: list[str], preset: str, size: int, folder: Path) -> dict[str, float]:
    more = ["--preset", preset, "--size", str(size)]
    alone = sum(
        seconds(lambda photo=photo: command("stylize", photo, PAINTING, "-o", str(folder / "one.png"), *more))[0]
        for photo in photos
    )
    together, _ = seconds(lambda: command("batch", *photos, "--paintings", PAINTING, "-o", str(folder / preset), *more))
    return {"single": alone / len(photos), "batch": together / len(photos)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    record: dict[str, Any] = {"photos": options.photos, "size": options.size}
    with tempfile.TemporaryDirectory() as name:
        folder, photo = Path(name), Image.open(PHOTO)
        photos = [str(folder / f"photo{number}.png") for number in range(options.photos)]
        for number, path in enumerate(photos):  # each another part of the photo, of one size
            photo.crop((number, number, photo.width - 16 + number, photo.height - 16 + number)).save(path)
        for preset in ("instant", "default", "gram"):
            settings = Settings(**{**PRESETS[preset], "size": options.size})
            ways = {
                "one process": in_one_process(photos, settings),
                "commands": as_commands(photos, preset, options.size, folder),
            }
            for way, spent in ways.items():
                record[f"{preset}, {way}"] = {**spent, "single over batch": spent["single"] / spent["batch"]}
                print(preset, way, record[f"{preset}, {way}"], flush=True)
    save(record, RESULTS / "batch.json")


if __name__ == "__main__":
    main()
