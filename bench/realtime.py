"""Films: what few iterations a frame cost in loss, how still the result is, and how many frames a second are painted live.

    python -m bench.realtime films CLIP… --style PAINTING [--sizes 128 256] [--frames 16]
    python -m bench.realtime strokes CLIP… --style PAINTING --sizes 256 --frames 24
    python -m bench.realtime live CLIP… --style PAINTING --sizes 128 256 384 512 --frames 60
    python -m bench.realtime live-losses CLIP… --style PAINTING --sizes 256 --frames 60

Each writes a file of bench/results, from which a table of `docs/video.md` or `docs/realtime.md` is made. `films`: for each clip,
three films: frame by frame (every frame its own `iterations`), warped start only (consistency 0), and the
whole method. Of each: seconds a frame after the first; the loss of equation 6 over that of frame by frame; the warping error
with frame t−1 and t−10, mean squared difference to the warped earlier frame where the flow of the input can be believed, over
that of the input, both read bilinearly, and both bicubically (which films, carried along by Lanczos' filters, are not; a
bilinear reading blurs, and what that takes from strokes counts as their error); and tOF, mean
|flow(x_{t−1}, x_t) − flow(c_{t−1}, c_t)| in pixels. `strokes`: films by the method `auto`, with how sharp they are, mean
|x(p + 1) − x(p)| along rows, in the place of the loss. `live-losses`: of `live`, what does not depend on how fast or busy the
machine is. Needs the extra `video`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import RESULTS, save
from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.image.resize import reduced_size
from minitorch_style.kernels import threads
from minitorch_style.transfer.settings import Settings
from minitorch_style.video import flow
from minitorch_style.video.film import CONSISTENCY, Film, Pace
from minitorch_style.video.frames import Reader
from minitorch_style.video.live import BUDGET_MS, Live

LONG = 10  # frames, of the long-term error
# Frames of a live clip whose loss is compared: the last ones, and one in EACH after the first LONG.
JUDGED, EACH = 8, 6


def floats(frame: Rgb8) -> Float32:
    return frame.astype(np.float32) / np.float32(255)


def film_of(frames: list[Rgb8], begin: Callable[[], Film], each: bool) -> tuple[list[Rgb8], float]:
    """The painted frames, and the median of the seconds that those after the first took; `each` by a film of its own."""
    film, made, seconds = begin(), [], []
    for frame in frames:
        began = time.perf_counter()
        made.append((begin() if each else film).paint(frame))
        seconds.append(time.perf_counter() - began)
    return made, float(np.median(seconds[1:]))


Reading = Callable[[Float32, Float32], Float32]  # of a picture, at where a flow leads


def errors_of(finder: flow.Flow, frames: list[Rgb8], pictures: list[Rgb8], read: Reading) -> list[float]:
    """The warping errors of `pictures` with those 1 and LONG before, over those of `frames`, both read alike."""
    pairs = ([_error(finder, frames, film, apart, read) for apart in (1, LONG)] for film in (pictures, frames))
    return [error / base for error, base in zip(*pairs, strict=True)]


def _error(finder: flow.Flow, frames: list[Rgb8], pictures: list[Rgb8], apart: int, read: Reading) -> float:
    errors = []
    for before, now, first, second in zip(frames, frames[apart:], pictures, pictures[apart:], strict=False):
        found = flow.motion(finder, finder.grey(before), finder.grey(now))
        away = np.square(floats(second) - read(floats(first), found.back)).mean(axis=2)
        errors.append(float((found.trust * away).sum() / max(1.0, found.trust.sum())))
    return float(np.mean(errors)) if errors else float("nan")


def tof(finder: flow.Flow, frames: list[Rgb8], pictures: list[Rgb8]) -> float:
    away = []
    for i in range(1, len(frames)):
        flows = [finder.between(finder.grey(film[i - 1]), finder.grey(film[i])) for film in (frames, pictures)]
        away.append(float(np.linalg.norm(flows[1] - flows[0], axis=2).mean()))
    return float(np.mean(away))


def clip_of(path: Path, size: int, count: int, skip: int) -> list[Rgb8]:
    with Reader(path) as reader:
        height, width = reduced_size(reader.size, size)
        found = []
        for number, frame in enumerate(reader.frames((height // 2 * 2, width // 2 * 2))):
            if number >= skip:
                found.append(frame.pixels)
            if len(found) == count:
                break
    return found


Row = dict[str, Any]


def report(path: Path, size: int, options: argparse.Namespace) -> Iterator[Row]:
    frames = clip_of(path, size, options.frames, options.skip)
    settings = Settings(method="gram", iterations=options.iterations)
    finder = flow.Flow()

    def begin(consistency: float, steps: int = 1) -> Callable[[], Film]:
        return lambda: Film(options.style, settings, Pace(consistency, steps))

    judge = begin(0)()
    ways = {f"frame by frame, {options.iterations}": (begin(0), True)}
    for steps in options.steps:
        ways[f"warped start, {steps}"] = begin(0, steps), False
        for consistency in options.consistency:
            ways[f"consistency {consistency:g}, {steps}"] = begin(consistency, steps), False
    alone: tuple[float, list[float]] | None = None
    for name, (start, each) in ways.items():
        made, seconds = film_of(frames, start, each)
        losses = [judge.objective(floats(frame))(floats(one))[0] for frame, one in zip(frames, made, strict=True)]
        alone = alone or (seconds, losses)
        ratios = np.array(losses[1:]) / np.array(alone[1][1:])
        yield {
            "clip": path.stem,
            "size": max(frames[0].shape),
            "way": name,
            "time": seconds / alone[0],
            "loss": float(np.median(ratios)),
            "worst": float(ratios.max()),
            "losses": [round(loss, 6) for loss in losses],
            "error": errors_of(finder, frames, made, finder.warp),
            "sharp": errors_of(finder, frames, made, flow.Flow(quick=True).carry),
            "tof": tof(finder, frames, made),
        }


def strokes(path: Path, size: int, options: argparse.Namespace) -> Iterator[Row]:
    """Films in strokes: every frame by itself, and with the matches carried along; beside the plans alone."""
    frames = clip_of(path, size, options.frames, options.skip)
    finder = flow.Flow()

    def begin(method: str, consistency: float) -> Callable[[], Film]:
        settings = Settings(method=method, iterations=options.iterations)
        return lambda: Film(options.style, settings, Pace(consistency, options.steps[0]))

    ways = {"plans alone": (begin("gram", CONSISTENCY), False), "frame by frame": (begin("auto", 0), True)}
    for consistency in options.consistency:
        ways[f"strokes carried, consistency {consistency:g}"] = begin("auto", consistency), False
    for name, (start, each) in ways.items():
        made, seconds = film_of(frames, start, each)
        yield {
            "clip": path.stem,
            "way": name,
            "fps": 1 / seconds,
            "error": errors_of(finder, frames, made, finder.warp),
            "sharpness": float(np.mean([np.abs(np.diff(floats(one), axis=1)).mean() for one in made[LONG:]])),
            "tof": tof(finder, frames, made),
        }


def live(path: Path, size: int, options: argparse.Namespace) -> Row:
    """`path` as a camera shows it: milliseconds of a frame from camera to picture, and the loss; with the fewest iterations, one
    in two frames, and with what fits into 33 ms."""
    frames = clip_of(path, size, options.frames, options.skip)
    row: Row = {"clip": path.stem, "height": frames[0].shape[0], "width": frames[0].shape[1], "ways": {}}
    judge = Film(options.style, Settings(method="gram", iterations=options.iterations), Pace(0, 1))
    ends = range(max(0, len(frames) - JUDGED), len(frames))
    alone = {
        i: judge.objective(floats(frames[i]))(floats(_anew(frames[i], options)))[0]
        for i in sorted({*ends, *range(LONG, len(frames), EACH)})
    }
    ways = {"one": 1.0} if options.what == "live-losses" else {"one": 1.0, "budget": BUDGET_MS}
    for name, budget in ways.items():
        painter = Live(options.style, size, budget)
        painter.prepare(frames[0].shape[:2])
        seconds, made, steps = [], [], []
        for frame in frames:
            began = time.perf_counter()
            made.append(painter.next(frame))
            seconds.append(time.perf_counter() - began)
            steps.append(painter.iterations)
            if budget == 1.0:
                painter.working_size = size  # how long a frame of this size takes, however long that is
        losses = {i: judge.objective(floats(frames[i]))(floats(made[i]))[0] / known for i, known in alone.items()}
        row["ways"][name] = {
            "median_ms": 1e3 * float(np.median(seconds)),
            "late_ms": 1e3 * float(np.percentile(seconds, 95)),
            "fps": 1 / float(np.mean(seconds)),
            "iterations": float(np.mean(steps)),
            "loss": float(np.median([losses[i] for i in ends])),
            "throughout": float(np.median([losses[i] for i in range(LONG, len(frames), EACH)])),
            "working_size": painter.working_size,
        }
    return row


def _anew(frame: Rgb8, options: argparse.Namespace) -> Rgb8:
    return Film(options.style, Settings(method="gram", iterations=options.iterations), Pace(0, 1)).paint(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["films", "strokes", "live", "live-losses"])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--style", required=True, metavar="PAINTING")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128], metavar="PX", help="one or several")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--steps", type=int, nargs="+", default=[3], help="iterations per frame to try")
    parser.add_argument("--consistency", type=float, nargs="+", default=[0.5], help="values to try")
    options = parser.parse_args()
    rows = []
    if options.what.startswith("live"):
        for path, size in product(options.clips, options.sizes):
            with Reader(path) as reader:
                if size > max(reader.size):
                    continue  # nothing is enlarged
            rows.append(live(path, size, options))
            for name, way in rows[-1]["ways"].items():
                print(f"{path.stem}, {size}, {name}: {way['median_ms']:.1f} ms, loss {way['loss']:.2f}", flush=True)
    else:
        ways = report if options.what == "films" else strokes
        for path, size in product(options.clips, options.sizes):
            for row in ways(path, size, options):
                rows.append(row)
                errors = "{:.2f} {:.2f}".format(*row["error"])
                print(f"{row['clip']}, {size}, {row['way']}: errors {errors}", flush=True)
    asked = {
        "size": options.sizes[0],
        "frames": options.frames,
        "iterations": options.iterations,
        "clip": options.clips[0].stem,
        "style": Path(options.style).stem,
    }
    save({"asked": asked, "threads": threads(), "rows": rows}, RESULTS / f"{options.what}.json")


if __name__ == "__main__":
    main()
