"""How good the pictures are: python -m bench.looks PHOTO×PAINTING … --methods NAME …

A method is a preset of `stylize`, or settings written as `name=gram,model=segnet,iterations=300` over the default.
Writes `sheet.jpg` (photo, painting, a column a method), the pictures themselves, and `looks.json` with what judges and
rulers say of each into --out. With --blind there is `blind-1.jpg` … a pair each, the methods shuffled and lettered, and
`key.json`: look first, write down what you see, then open the key.

Pictures may be a bit of a file's name: `sailboats×scream` looks in --pictures for it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import minitorch_style as ms
from bench.looks.judges import judges
from bench.looks.measures import LooksJudge, clipped, energies, legibility
from bench.looks.sheet import draw, shuffled
from bench.record import save
from minitorch_style.arrays import Float32
from minitorch_style.errors import StyleError
from minitorch_style.image.io import load_picture
from minitorch_style.image.resize import resized
from minitorch_style.transfer.settings import PRESETS, described

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def found(name: str, folders: list[Path]) -> Path:
    """The picture that a name, or a part of one, means."""
    if Path(name).is_file():
        return Path(name)
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.suffix.lower() in ENDINGS]
    matches = [file for file in files if name in file.stem]
    if not matches:
        raise StyleError(f"no picture called {name} in {', '.join(map(str, folders))}")
    return matches[0]


def settings_of(method: str) -> dict[str, Any]:
    """{setting: value} of a preset or of `name=PRESET,setting=value,…`."""
    parts = dict(part.split("=", 1) for part in method.split(",")) if "=" in method else {"name": method}
    kinds = {known.name: known.kind for known in described()}
    chosen = dict(PRESETS[parts.pop("name", "default")])
    read: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "flag": lambda text: text == "True"}
    for key, text in parts.items():
        chosen[key] = read.get(kinds[key], str)(text)
    return chosen


def title(method: str) -> str:
    """A method's name in tables: of its settings those that are no file of this machine."""
    if "=" not in method:
        return method
    parts = dict(part.split("=", 1) for part in method.split(","))
    rest = [f"{key} {text}" for key, text in parts.items() if key not in ("name", "weights")]
    return ", ".join([parts.get("name", "default"), *rest])


def measured(picture: Float32, photo: Float32, painting: Float32) -> dict[str, float]:
    fine, theirs = energies(picture), energies(painting)
    return {
        "luma": fine[0] / theirs[0],
        "chroma": fine[1] / theirs[1],
        "clipped": clipped(picture) - clipped(painting),
        "legibility": legibility(picture, photo),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="PHOTO×PAINTING")
    parser.add_argument("--methods", nargs="+", default=["default"], metavar="METHOD")
    parser.add_argument("--size", type=int, default=512, help="longest side (default: 512)")
    parser.add_argument("--judged", type=int, help="longest side before the judges (default: --size)")
    parser.add_argument(
        "--pictures", nargs="+", type=Path, default=[SHARED / name for name in ("photos", "pictures", "paintings")]
    )
    parser.add_argument("--judges", type=Path, default=SHARED / "vgg", help="folder of the judges' weights")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "looks" / "run")
    parser.add_argument("--blind", action="store_true", help="also blind sheets and their key")
    options = parser.parse_args()
    try:
        report(options)
    except StyleError as error:
        print(f"bench.looks: {error}", file=sys.stderr)
        return 2
    return 0


def report(options: argparse.Namespace) -> None:
    judging = judges(options.judges)
    folder: Path = options.out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    rows, sheet, key = [], [], {}
    for number, pair in enumerate(options.pairs, 1):
        photo_file, painting_file = (found(name, options.pictures) for name in pair.replace("×", "*").split("*"))
        photo, painting = (load_picture(file, options.size).pixels for file in (photo_file, painting_file))
        seen = options.judged or options.size
        small = [load_picture(file, seen).pixels for file in (photo_file, painting_file)]
        panel = {name: LooksJudge(network, *small) for name, network in judging.items()}
        pictures: dict[str, Float32] = {}
        for method in options.methods:
            begun = time.perf_counter()
            made = ms.stylize(photo_file, painting_file, **{**settings_of(method), "size": options.size})
            picture = made.image.astype(np.float32) / np.float32(255)
            row = {"pair": pair, "method": title(method), "seconds": time.perf_counter() - begun}
            row |= measured(picture, photo, painting)
            shown = resized(picture, (small[0].shape[0], small[0].shape[1]))
            row |= {name: asdict(judge(shown)) for name, judge in panel.items()}
            pictures[method] = picture
            rows.append(row)
            made.save(folder / f"{number:02d}-{options.methods.index(method)}.png")
            print(line(row), flush=True)
        sheet.append([("photo", photo), ("painting", painting), *pictures.items()])
        if options.blind:
            order = shuffled(options.methods, number)
            letters = [chr(ord("A") + place) for place in range(len(order))]
            key[pair] = dict(zip(letters, order, strict=True))
            columns = [(letter, pictures[name]) for letter, name in key[pair].items()]
            draw(
                [[("photo", photo), ("painting", painting), *columns]],
                options.out / f"blind-{number}.jpg",
                photo.shape[0],
                92,
            )
    draw(sheet, options.out / "sheet.jpg", 300)
    save({"size": options.size, "rows": rows}, options.out / "looks.json")
    if key:
        save(key, options.out / "key.json")
    for method in options.methods:
        print("median", line(middle([row for row in rows if row["method"] == title(method)])))


def middle(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of a method's rows."""
    medians: dict[str, Any] = {"pair": f"of {len(rows)} pairs", "method": rows[0]["method"]}
    for name, value in rows[0].items():
        if isinstance(value, dict):
            medians[name] = {what: statistics.median(row[name][what] for row in rows) for what in value}
        elif isinstance(value, float):
            medians[name] = statistics.median(row[name] for row in rows)
    return medians


def line(row: dict[str, Any]) -> str:
    judged = "  ".join(
        f"{name} {value['style']:.3f}/{value['content']:.2f}" for name, value in row.items() if isinstance(value, dict)
    )
    return (
        f"{row['pair']:<28}{row['method']:<22}{row['seconds']:6.1f} s  luma {row['luma']:.2f}  chroma {row['chroma']:.2f}  "
        f"clipped {100 * row['clipped']:+.1f} %  legible {row['legibility']:.2f}  {judged}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
