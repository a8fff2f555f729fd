"""minitorch_style video: a film and a painting in, a painted film out."""

from __future__ import annotations

import argparse
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from minitorch_style import __version__
from minitorch_style.arrays import Rgb8
from minitorch_style.cli.streams import say
from minitorch_style.cli.stylize import add_setting
from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.cli.values import number, whole
from minitorch_style.errors import SettingsError
from minitorch_style.files import alone, atomic_write, check_writable, require_apart
from minitorch_style.image.resize import reduced_size
from minitorch_style.transfer.settings import Settings, described
from minitorch_style.video.film import CONSISTENCY, ITERATIONS_PER_FRAME, METHODS, Film, Pace
from minitorch_style.video.flow import available
from minitorch_style.video.folders import FolderReader, FolderWriter, WebpReader, is_folder
from minitorch_style.video.frames import CONTAINERS, SILENT, Frame, Reader, Writer, container_of
from minitorch_style.video.unfinished import Unfinished, fits

HELP = "Paint a film in the style of one or more paintings."
SETTINGS = (
    "model",
    "weights",
    "iterations",
    "scales",
    "scale_step",
    "warm_start",
    "size",
    "style_size",
    "style_mask",
    "strength",
    "color",
    "detail",
    "stroke_size",
    "plan_size",
    "content_weight",
    "style_weight",
    "content_layers",
    "style_layers",
    "style_loss",
    "style_layer_weights",
    "style_blend",
    "tv_weight",
    "preserve_color",
    "region",
    "optimizer",
    "pooling",
    "kernels",
    "max_memory",
)
REPORTS = 2.0  # seconds between two lines of progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("film", metavar="IN", help="the film: a file, or a folder of numbered pictures")
    parser.add_argument("style", metavar="PAINTING", nargs="+", help="the painting; several are blended")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help=f"film to write: {' '.join(CONTAINERS)}, or a folder"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=METHODS[0],
        help="gram: the pixels themselves, Gatys et al.; auto: that is a plan, which is repainted with the painting's own "
        f"strokes (default: {METHODS[0]})",
    )
    parser.add_argument(
        "--consistency",
        type=number,
        default=CONSISTENCY,
        metavar="C",
        help=f"from lively (0) to still (1) (default: {CONSISTENCY})",
    )
    parser.add_argument(
        "--iterations-per-frame",
        type=whole,
        default=ITERATIONS_PER_FRAME,
        metavar="N",
        help=f"for all but the first frame of a scene, which gets --iterations (default: {ITERATIONS_PER_FRAME})",
    )
    parser.add_argument("--start", type=number, default=0.0, metavar="S", help="second of the film to begin at")
    parser.add_argument("--end", type=number, metavar="S", help="second of the film to end at")
    parser.add_argument("--preview", type=number, metavar="S", help="so many seconds from the start, and no more")
    parser.add_argument("--fps", type=number, metavar="N", help="frames a second: fewer of the film's (default: all)")
    parser.add_argument("--codec", metavar="NAME", help="encoder of the pictures (default: libx264, or what OUT needs)")
    parser.add_argument("--crf", type=whole, metavar="N", help="quality of the encoder: less is better (H.264: 18)")
    parser.add_argument("--no-sound", action="store_true", help="leave the sound out")
    for known in described():
        if known.name in SETTINGS:
            add_setting(parser, known)
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _settings(options: argparse.Namespace) -> Settings:
    given = {field.name: getattr(options, field.name) for field in fields(Settings) if hasattr(options, field.name)}
    return Settings(**given)


def _span(options: argparse.Namespace) -> tuple[Fraction, Fraction | None]:
    """(first second, second to end before or None)."""
    start = Fraction(options.start).limit_denominator(10**6)
    if start < 0:
        raise SettingsError(f"--start must be at least 0, is {options.start:g}")
    ends = [] if options.end is None else [options.end]
    if options.preview is not None:
        ends.append(options.start + options.preview)
    end = Fraction(min(ends)).limit_denominator(10**6) if ends else None
    if end is not None and end <= start:
        raise SettingsError(f"nothing to paint from second {options.start:g} to {float(end):g}")
    return start, end


def _rate(options: argparse.Namespace) -> Fraction | None:
    if options.fps is None:
        return None
    if not 0.1 <= options.fps <= 1000:
        raise SettingsError(f"--fps must be from 0.1 to 1000, is {options.fps:g}")
    return Fraction(options.fps).limit_denominator(1001)


def thinned(frames: Iterator[Frame], rate: Fraction | None, start: Fraction) -> Iterator[Frame]:
    """The frames that are on at each 1/rate of a second, from `start` on; times begin at 0 there. All without a rate."""
    due = Fraction(0)
    for frame in frames:
        time = frame.time - start
        if rate is None:
            yield Frame(frame.pixels, time, frame.duration)
        elif time + frame.duration / 2 >= due:
            yield Frame(frame.pixels, time, max(frame.duration, 1 / rate))
            while due <= time + frame.duration / 2:
                due += 1 / rate


class _Progress:
    """Counts frames, and those of them that were `known` from a run before, which cost nothing."""

    def __init__(self, total: int | None, known: int, quiet: bool) -> None:
        self.total, self.known, self.quiet, self.done = total, known, quiet, 0
        self.began = self.reported = time.monotonic()
        self.second: float | None = None  # when the first frame was painted, which takes longest

    def frame(self) -> None:
        self.done += 1
        now, painted = time.monotonic(), self.done - self.known
        if painted == 1:
            self.second = now
        if not self.quiet and now - self.reported >= REPORTS and self.second is not None and painted > 1:
            self.reported = now
            each = (now - self.second) / (painted - 1)
            left = "" if self.total is None else f", about {max(0, self.total - self.done) * each:.0f} s left"
            of = "" if self.total is None else f"/{self.total}"
            say(f"frame {self.done}{of}: {1 / max(each, 1e-9):.1f} frames a second{left}")


@contextmanager
def _folder(path: Path, going_on: bool) -> Iterator[FolderWriter]:
    """A folder to write to, which is taken away again if nothing came of it."""
    there = path.exists()
    writer = FolderWriter(path, going_on)
    try:
        yield writer
    finally:
        if not there and not writer.number:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _file(path: Path, begun: Callable[[Any], Writer]) -> Iterator[Writer]:
    with atomic_write(path) as file, begun(file) as writer:
        yield writer


def run(options: argparse.Namespace) -> int:
    out, start_end, rate = Path(options.output), _span(options), _rate(options)
    settings, pace = _settings(options), Pace(options.consistency, options.iterations_per_frame)
    to_folder = is_folder(out)
    if not to_folder:
        container_of(out)
        check_writable(out)
    require_apart([out], [options.film, *options.style], SettingsError)
    with limited(options.threads), alone(out, SettingsError), ExitStack() as stack:
        reader = _reader(options.film, rate)
        stack.callback(reader.close)
        film = Film(options.style, settings, pace)
        size = _size(reader.size, settings.size, not to_folder and out.suffix.lower() not in SILENT)
        film.prepare(size)
        keep = _kept(options, out, size, _total(reader, start_end, rate), pace, settings)
        if keep is not None:
            stack.callback(keep.close)
            if keep.done:
                film.restore(keep.state)
        sound = None if options.no_sound or to_folder or out.suffix.lower() in SILENT else reader.sound
        total = _total(reader, start_end, rate)
        if not options.quiet:
            if reader.sound is not None and sound is None and not options.no_sound:
                say(f"note: {out} holds no sound; that of the film is left out")
            if not available(size):
                say("note: without OpenCV (pip install 'minitorch-style[video]') the film is less still")
            frames = "frames" if total is None else f"{total} frames"
            if keep is None:
                say("note: the painted frames cannot be kept meanwhile; a run that is killed begins anew")
            elif keep.done:
                say(f"{keep.path}: goes on after frame {keep.done}")
            strokes = ", then in strokes" if settings.method == "auto" else ""
            say(
                f"{frames} of {size[1]}×{size[0]} by {film.network.name}, {pace.iterations} iterations each{strokes} → {out}"
            )
        opened: AbstractContextManager[Any]
        if to_folder:
            opened = _folder(out, keep is not None and keep.done > 0)
        else:
            metadata = {"comment": "; ".join(f"{key}={value}" for key, value in settings.as_texts().items())}
            speed = rate or reader.rate
            opened = _file(out, lambda file: Writer(file, out, size, speed, reader.time_base, sound, options.codec,
                                                    options.crf, reader.aspect, metadata))  # fmt: skip
        return _paint(options, reader, film, size, start_end, rate, opened, sound is not None, total, keep)


def _kept(
    options: argparse.Namespace, out: Path, size: tuple[int, int], total: int | None, pace: Pace, settings: Settings
) -> Unfinished | None:
    """What a run that is broken off goes on from. None where there is no room for that, or nobody knows how much it takes."""
    if total is None or not fits(out, size, total):
        return None
    sources = [options.film, *options.style]
    about = {
        "version": __version__,
        "files": [
            [str(Path(one).absolute()), Path(one).stat().st_size, Path(one).stat().st_mtime_ns] for one in sources
        ],
        "span": [options.start, options.end, options.preview, options.fps],
        "size": size,
        "pace": asdict(pace),
        "settings": settings.as_texts(),
    }
    return Unfinished(out, size, about)


def _reader(path: str, rate: Fraction | None) -> FolderReader | WebpReader | Reader:
    if Path(path).is_dir():
        return FolderReader(path, rate)
    return WebpReader(path) if Path(path).suffix.lower() == ".webp" else Reader(path)


def _size(film: tuple[int, int], longest: int, even: bool) -> tuple[int, int]:
    """(height, width) of the result; `even` for most encoders."""
    height, width = reduced_size(film, longest)
    return (max(2, height // 2 * 2), max(2, width // 2 * 2)) if even else (height, width)


def _total(reader: Any, span: tuple[Fraction, Fraction | None], rate: Fraction | None) -> int | None:
    """How many frames there will be, as far as the file says."""
    if reader.count is None or reader.seconds is None:
        return None
    if span[0] == 0 and span[1] is None and rate is None:
        return int(reader.count)
    seconds = float(min(reader.seconds, span[1] or reader.seconds) - span[0])
    return max(0, round(seconds * float(min(rate or reader.rate, reader.rate))))


def _paint(
    options: argparse.Namespace,
    reader: Any,
    film: Film,
    size: tuple[int, int],
    span: tuple[Fraction, Fraction | None],
    rate: Fraction | None,
    opened: AbstractContextManager[Any],
    with_sound: bool,
    total: int | None,
    keep: Unfinished | None,
) -> int:
    """Frame after frame. A signal breaks off the frame at work; those that are done are a film."""
    progress = _Progress(total, 0 if keep is None else keep.done, options.quiet)
    packets: deque[Any] = deque()
    listening = {"sound": packets.append} if with_sound else {}
    frames = thinned(
        reader.frames(size, *span, **listening), None if isinstance(reader, FolderReader) else rate, span[0]
    )
    heard = span[0] + reader.begin, None if span[1] is None else span[1] + reader.begin  # by the file's clock
    began, stopped = time.monotonic(), False

    def following() -> tuple[Frame, Rgb8] | None:
        frame = next(frames, None)
        if frame is None:
            return None
        number = progress.done
        if keep is not None and number < keep.done:
            return frame, keep.frame(number)
        return frame, film.paint(frame.pixels)

    with options.signals.deferred(), opened as writer:
        last = span[0]
        while True:
            try:
                with options.signals.interruptible():
                    found = following()
            except KeyboardInterrupt:
                if not progress.done:
                    raise
                stopped = True
                break
            if found is None:
                break
            frame, picture = found
            if keep is not None and progress.done >= keep.done:
                keep.add(progress.done, picture, film)
            writer.write(Frame(picture, frame.time, frame.duration))
            last = span[0] + frame.time + frame.duration
            while packets:
                writer.sound(packets.popleft(), *heard)
            progress.frame()
        if not progress.done:
            raise SettingsError(f"{options.film}: has no frames from second {options.start:g} on")
        while packets:
            writer.sound(packets.popleft(), heard[0], last + reader.begin if stopped else heard[1])
    if keep is not None and not stopped:
        keep.remove()
    if not options.quiet:
        seconds = time.monotonic() - began
        said = "interrupted; " if stopped else ""
        again = "; the same command goes on with it" if stopped and keep is not None and keep.can_go_on else ""
        scenes = f"{film.scenes} scene{'s' if film.scenes > 1 else ''}"
        say(f"{said}{options.output} written: {progress.done} frames, {scenes}, {seconds:.1f} s{again}")
    return 0
