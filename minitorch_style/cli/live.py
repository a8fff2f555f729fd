"""minitorch_style live: what a camera sees, painted as it sees it."""

from __future__ import annotations

import argparse
import time
from collections import deque
from contextlib import closing
from dataclasses import fields
from pathlib import Path

from minitorch_style.cli.streams import say
from minitorch_style.cli.stylize import add_setting
from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.cli.values import number, whole
from minitorch_style.transfer.settings import Settings, described
from minitorch_style.video.camera import Camera, Playing, Source
from minitorch_style.video.film import CONSISTENCY
from minitorch_style.video.live import BUDGET_MS, Live
from minitorch_style.video.window import Window

HELP = "Paint what a camera sees, as it sees it, in a window: n for the next painting, q to end."
SETTINGS = ("model", "weights", "style_size", "content_weight", "style_weight", "preserve_color", "pooling", "kernels")
SIZE = 256
COUNTED = 30  # frames that the speed is measured over


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("style", metavar="PAINTING", nargs="+", help="the paintings; one at a time")
    parser.add_argument(
        "--source", default="0", metavar="N|FILE", help="number of the camera, or a film to play (default: 0)"
    )
    parser.add_argument("--size", type=whole, default=SIZE, metavar="PX", help=f"longer side (default: {SIZE})")
    parser.add_argument(
        "--budget", type=number, default=BUDGET_MS, metavar="MS", help=f"of a frame (default: {BUDGET_MS:g})"
    )
    parser.add_argument(
        "--consistency", type=number, default=CONSISTENCY, metavar="C",
        help=f"from lively (0) to still (1) (default: {CONSISTENCY})",
    )  # fmt: skip
    for known in described():
        if known.name in SETTINGS:
            add_setting(parser, known)
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _source(options: argparse.Namespace) -> Camera | Playing:
    if options.source.isdecimal() and not Path(options.source).exists():
        return Camera(int(options.source))
    return Playing(Path(options.source), max(640, options.size))


def run(options: argparse.Namespace) -> int:
    known = {field.name for field in fields(Settings)} - {"size"}
    given = {name: value for name, value in vars(options).items() if name in known}
    paintings = deque(options.style)
    with limited(options.threads):
        live = Live(paintings[0], options.size, options.budget, options.consistency, **given)
        with _source(options) as source, closing(_window(live, paintings)) as window:
            live.prepare(source.size)
            frames, seconds = _show(source, live, window)
    if not options.quiet:
        say(f"{frames} frames, {frames / max(seconds, 1e-9):.1f} a second, the last of {live.working_size} pixels")
    return 0


def _window(live: Live, paintings: deque[str]) -> Window:
    def following() -> None:
        paintings.rotate(-1)
        live.painting = paintings[0]

    return Window("minitorch_style", {"n": following})


def _show(source: Source, live: Live, window: Window) -> tuple[int, float]:
    """How many frames were shown, and the seconds that took."""
    began, count = time.monotonic(), 0
    times: deque[float] = deque([began], maxlen=COUNTED)
    while window.open and (frame := source.newest()) is not None:
        picture = live.next(frame)
        count += 1
        times.append(time.monotonic())
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
        window.show(picture, f"{Path(str(live.painting)).stem}: {rate:.0f} frames a second")
    return count, time.monotonic() - began
