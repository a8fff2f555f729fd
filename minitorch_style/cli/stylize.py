"""minitorch_style stylize: a photo and a painting in, a new painting out."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from minitorch_style.arrays import Rgb8
from minitorch_style.cli.cluster import add_cluster, connected
from minitorch_style.cli.streams import say
from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.cli.values import memory, names, number, numbers, whole
from minitorch_style.errors import ImageError, ResumeError, SettingsError
from minitorch_style.files import check_writable, require_apart
from minitorch_style.image.io import Room, read_texts
from minitorch_style.image.writing import WRITABLE, check_output, has_alpha, save_picture
from minitorch_style.transfer.checkpoint import Checkpoint, Checkpoints
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.job import Job, prepare, require_shareable
from minitorch_style.transfer.memory import available_memory
from minitorch_style.transfer.run import Result
from minitorch_style.transfer.run import run as run_job
from minitorch_style.transfer.settings import PRESET_HELP, PRESETS, Setting, Settings, described
from minitorch_style.weights.store import network_for

HELP = "Paint a photo in the style of one or more paintings."
CHECKPOINT_SECONDS = 60.0


PARSERS: dict[str, Callable[[str], Any]] = {
    "int": whole,
    "float": number,
    "text": str,
    "names": names,
    "numbers": numbers,
    "bytes": memory,
}


def add_setting(parser: argparse.ArgumentParser, known: Setting) -> None:
    """The option of one field of `Settings`; absent from the parsed options where it is not given."""
    option = [f"--{known.name.replace('_', '-')}"]
    shown = "" if known.default is None or known.default is False else f" (default: {known.default})"
    if known.kind == "flag":
        action = argparse.BooleanOptionalAction if known.default else "store_true"
        parser.add_argument(*option, action=action, default=argparse.SUPPRESS, help=known.help)
        return
    parser.add_argument(
        *option,
        type=PARSERS[known.kind],
        choices=list(known.choices) or None,
        metavar=known.unit or None,
        default=argparse.SUPPRESS,
        help=known.help + shown,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("content", metavar="CONTENT", help="the photo")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting; several are blended")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help=f"picture to write: {' '.join(WRITABLE)}")
    add_settings(parser)
    parser.add_argument("--dry-run", action="store_true", help="tell the memory and time it would take, and stop")
    parser.add_argument("--save-every", type=whole, metavar="N", help="also write the picture after every N iterations")
    parser.add_argument("--checkpoint", metavar="FILE", help="write the run down in FILE, for the command resume")
    parser.add_argument(
        "--checkpoint-every",
        type=number,
        default=CHECKPOINT_SECONDS,
        metavar="SECONDS",
        help=f"how often, beside the end of each scale or level (default: {CHECKPOINT_SECONDS:.0f})",
    )
    add_cluster(parser, "with --method gram: share the picture among N workers")
    add_reporting(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options of all settings, and where those not given are from."""
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="; ".join(f"{name}: {meaning}" for name, meaning in PRESET_HELP.items()),
    )
    parser.add_argument(
        "--resume-from",
        metavar="PICTURE",
        help="a PNG made by this program, whose settings hold where no option is given; with --method gram its pixels "
        "are also what is begun with",
    )
    for known in described():
        if known.name not in ("balanced", "activation"):  # the preset paper sets them
            add_setting(parser, known)


def add_reporting(parser: argparse.ArgumentParser) -> None:
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument(
        "--json", action="store_true", help="on stdout: a JSON line an iteration, and one for the result"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the options name, over those of the preset, over those of the picture that is to be gone on from,
    over the defaults."""
    given = {field.name: getattr(options, field.name) for field in fields(Settings) if hasattr(options, field.name)}
    if "model" not in given and not given.get("weights", "random:").startswith("random:"):
        given["model"] = network_for(given["weights"])
    given = {**PRESETS[options.preset or "default"], **given}
    if options.resume_from is None:
        return Settings(**given)
    drafted = Settings.from_texts(
        read_texts(options.resume_from, Room(available_memory(), given.get("allow_large", False))), options.resume_from
    )
    method = given.get("method", drafted.method)
    drafts = {known.name: getattr(drafted, known.name) for known in described() if known.is_read_by(method)}
    begun = {"init": options.resume_from} if method == "gram" else {}
    return Settings(**{**drafts, **begun, **given})


def stages_of(job: Job) -> str:
    return ", then ".join(stage.title for stage in job.stages)


def _announce(job: Job, out: Path) -> None:
    height, width = job.content.size
    estimate = job.estimate
    say(
        f"{width}×{height} pixels, {job.network.name} ({job.network.kernels.name} kernels): {stages_of(job)} → {out}; "
        f"about {max(1, round(estimate.seconds))} s and {estimate.nbytes / 1e6:.0f} MB"
    )


class Previews:
    """Pictures of the run under way, beside the output. One that cannot be written is the last: the work goes on."""

    def __init__(self, out: Path, every: int | None, job: Job) -> None:
        self.out, self.every, self.alpha = out, every, job.content.alpha
        self.last = (job.iterations - 1) // every * every if every else 0

    def path(self, number: int) -> Path:
        return self.out.with_name(f"{self.out.stem}-{number:04d}{self.out.suffix}")

    def check(self, sources: list[str]) -> None:
        """ImageError, SettingsError if one could not be written, or would replace a file that is read."""
        if self.last:
            check_output(self.path(self.last))
            beside = self.out.parent.iterdir()
            require_apart((path for path in beside if self.is_one(path)), sources, SettingsError)

    def is_one(self, path: Path) -> bool:
        """Whether the run will write a preview to `path`, if the disk does not tell large letters from small ones."""
        pattern = re.escape(self.out.stem) + r"-(\d{4,})" + re.escape(self.out.suffix)
        found = re.fullmatch(pattern, path.name, re.IGNORECASE)
        return bool(found and self.every and int(found[1]) % self.every == 0 and 0 < int(found[1]) <= self.last)

    def show(self, number: int, picture: Callable[[], Rgb8]) -> None:
        if self.every and number % self.every == 0 and number <= self.last:
            try:
                save_picture(self.path(number), picture(), self.alpha)
            except (ImageError, MemoryError) as error:
                say(f"note: {error or 'out of memory'}; no more pictures are written before the last")
                self.every = None


class Progress:
    """Listens to a run: a bar on a terminal, else a line now and then; previews; JSON lines. Signals wait meanwhile."""

    def __init__(self, job: Job, options: argparse.Namespace, previews: Previews) -> None:
        self.total, self.options, self.previews = job.iterations, options, previews
        self.bar: Any = None
        self.step = max(1, self.total // 10)
        if not options.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, unit="it", file=sys.stderr, dynamic_ncols=True)

    def __call__(self, event: Iterated) -> bool:
        """Whether the run is to end."""
        with self.options.signals.deferred():
            self.previews.show(event.iteration.number, event.picture)
            self.report(event)
        if self.options.checkpoint is not None:
            self.options.signals.hold(self.waiting)
        return self.options.signals.received is not None

    def waiting(self) -> None:
        if not self.options.quiet:
            say("the run ends after this iteration, to be gone on with from there; a second signal breaks it off")

    def report(self, event: Iterated) -> None:
        iteration = event.iteration
        number, terms = iteration.number, iteration.terms
        if self.options.json:
            print(json.dumps({"iteration": number, "loss": iteration.loss, "best_loss": iteration.best_loss,
                              "content_loss": terms and terms.content, "style_loss": terms and terms.style,
                              "milliseconds": round(iteration.milliseconds, 3), "stage": event.stage,
                              "seconds_left": round(event.seconds_left, 2)}), flush=True)  # fmt: skip
        lost = "" if iteration.loss is None else f"loss {iteration.loss:.4g}, "
        if self.bar is not None:
            self.bar.set_postfix_str(f"{lost}{iteration.milliseconds:.0f} ms, {event.seconds_left:.0f} s left")
            self.bar.update(number - self.bar.n)
        elif not self.options.quiet and (number % self.step == 0 or number == self.total):
            say(f"iteration {number}/{self.total}: {lost}{iteration.milliseconds:.0f} ms each, "
                f"{event.seconds_left:.0f} s left")  # fmt: skip

    def compiling(self, done: int, count: int) -> None:
        if self.bar is not None:
            self.bar.set_description_str(f"compiling kernels, once: {done} of {count}" if done < count else "")
        elif not self.options.quiet and done in (0, count):
            say("compiling kernels, once …" if done < count else "the kernels are ready")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def sources_of(options: argparse.Namespace, settings: Settings) -> list[str]:
    """Every file that the run reads."""
    drafts = [options.resume_from] if options.resume_from else []
    return [options.content, *options.style, *drafts, *settings.files.values()]


def _save(result: Result, out: Path) -> None:
    """Writes the picture; where that has become impossible since the start, elsewhere, and says so in an ImageError."""
    try:
        result.save(out)
    except ImageError as error:
        try:
            spare = Path(tempfile.mkdtemp(prefix="minitorch_style-")) / out.name
            result.save(spare)
        except (ImageError, OSError):
            raise error from None
        raise ImageError(f"{error}; the picture is in {spare} instead") from error


def run(options: argparse.Namespace) -> int:
    out = Path(options.output)
    check_output(out)
    if options.save_every is not None and options.save_every < 1:
        raise SettingsError(f"--save-every must be at least 1, is {options.save_every}")
    settings = settings_of(options)
    sources = sources_of(options, settings)
    require_apart([out, *([options.checkpoint] if options.checkpoint else [])], sources, SettingsError)
    if options.checkpoint is not None:
        check_checkpoint(options, out)
    if options.workers is not None or options.scheduler is not None:
        require_shareable(settings)
    with limited(options.threads), connected(options) as client:
        job = prepare(options.content, options.style, settings, client=client)
        check_output(out, job.content.size, job.content.alpha is not None)
        previews = Previews(out, options.save_every, job)
        previews.check(sources)
        if not options.quiet:
            for note in job.notes:
                say(f"note: {note}")
            if job.content.alpha is not None and not has_alpha(out):
                say(f"note: {out.suffix} has no transparency; that of the photo is lost")
            _announce(job, out)
        if options.dry_run:
            if options.json:
                print(json.dumps({"bytes": job.estimate.nbytes, "seconds": round(job.estimate.seconds, 2),
                                  "size": list(job.content.size), "model": job.network.name}))  # fmt: skip
            return 0
        with options.signals.deferred():
            return paint(job, out, Progress(job, options, previews), options)


def check_checkpoint(options: argparse.Namespace, out: Path) -> None:
    """SettingsError, ResumeError if no checkpoint could be written as the options say."""
    if not 0 <= options.checkpoint_every < float("inf"):
        raise SettingsError(f"--checkpoint-every must be at least 0 seconds, is {options.checkpoint_every}")
    check_writable(options.checkpoint, ResumeError)
    if os.path.realpath(options.checkpoint) == os.path.realpath(out):
        raise SettingsError(f"{out}: the checkpoint would replace the picture")


def _checkpoints(job: Job, out: Path, options: argparse.Namespace) -> Checkpoints | None:
    """What writes the run down, with all that the command resume has to know."""
    if options.checkpoint is None:
        return None
    command = {
        "content": str(Path(options.content).absolute()),
        "style": [str(Path(style).absolute()) for style in options.style],
        "output": str(out.absolute()),
        "save_every": options.save_every,
        "checkpoint_every": options.checkpoint_every,
    }
    return Checkpoints(
        options.checkpoint, job, options.checkpoint_every, {"command": command}, lambda problem: say(f"note: {problem}")
    )


def paint(
    job: Job, out: Path, progress: Progress, options: argparse.Namespace, resumed: Checkpoint | None = None
) -> int:
    """Runs the job, saves its picture, reports. Signals break off the run alone."""
    checkpoints = _checkpoints(job, out, options)
    if checkpoints is not None and resumed is not None:
        checkpoints.written = resumed.iterations[-1].number
    under_way = run_job(job, progress.compiling, resumed)
    try:
        result = under_way.complete(progress, options.signals.interruptible(), checkpoints)
    finally:
        progress.close()
    last = result.history[-1] if result.history else None
    done = last.number if last else 0
    if done:  # else there is nothing but the untouched photo
        _save(result, out)
    if options.json:
        print(json.dumps({"output": str(out) if done else None, "size": list(job.content.size),
                          "model": job.network.name, "iterations": done, "loss": result.loss,
                          "seconds": round(result.seconds, 3), "interrupted": result.interrupted,
                          "message": result.message, "settings": asdict(job.settings)}), flush=True)  # fmt: skip
    if not done:
        say("minitorch_style: interrupted before the first iteration was done; nothing is written")
    elif not options.quiet:
        if result.interrupted:
            say(f"interrupted after {done} iterations; the best picture so far is in {out}")
        elif done < job.iterations:
            say(f"ended after {done} iterations: {result.message}")
        if not under_way.finished and checkpoints is not None and checkpoints.written:
            say(f"`resume {options.checkpoint}` goes on after iteration {checkpoints.written}")
        say(f"{out} written after {result.seconds:.1f} s")
    if checkpoints is not None and under_way.finished:
        Path(options.checkpoint).unlink(missing_ok=True)  # the picture is safe: there is nothing to go on with
    return 0
