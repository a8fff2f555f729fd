"""minitorch_style stylize: a photo and a painting in, a new painting out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.errors import SettingsError
from minitorch_style.images import WITH_ALPHA, WRITABLE, Bytes, check_output, save_picture
from minitorch_style.kernels import KERNEL_SETS
from minitorch_style.network import POOLINGS
from minitorch_style.networks import NETWORKS
from minitorch_style.optimizers import OPTIMIZERS
from minitorch_style.settings import PRESETS, REGIONS, Settings
from minitorch_style.transfer import Iteration, Job, prepare
from minitorch_style.transfer import run as run_job

HELP = "Paint a photo in the style of one or more paintings."


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _bytes(text: str) -> int:
    """275M, 1.5G, 800k or plain bytes."""
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower())
    return int(float(text[:-1] if factor else text) * (factor or 1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Settings()

    def option(name: str, help: str, **rest: Any) -> None:
        value = getattr(default, name)
        shown = "" if value is None or value is False else f" (default: {value})"
        parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=help + shown, **rest)

    parser.add_argument("content", metavar="CONTENT", help="the photo")
    parser.add_argument("style", metavar="STYLE", nargs="+", help="the painting; several are blended")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help=f"picture to write: {' '.join(WRITABLE)}")
    parser.add_argument("--preset", choices=PRESETS, default="default",
                        help="fast: coarse to fine, and by a small network first; "
                             "paper: equation 6 as printed, not size-stable")  # fmt: skip
    option("model", "network that reads content and style", choices=list(NETWORKS), metavar="NAME")
    option("weights", "its weights: an HDF5 file, or random:SEED", metavar="FILE")
    option("iterations", "steps of the optimizer", type=int, metavar="N")
    option("scales", "make the picture at 1/2, 1/4 … of its size first: 3 is quarter, half, whole; --iterations at each",
           type=int, metavar="N")  # fmt: skip
    option("warm_start", "a smaller network that makes a first picture, at all --scales, for the model to go on from",
           choices=list(NETWORKS), metavar="NAME")  # fmt: skip
    option("size", "longest side of the result in pixels; smaller photos are not enlarged", type=int, metavar="PX")
    option("style_size", "longest side of the paintings: larger gives larger strokes (default: --size)",
           type=int, metavar="PX")  # fmt: skip
    option("content_weight", "how much of the photo stays", type=float, metavar="W")
    option("style_weight", "how much the painting's manner counts", type=float, metavar="W")
    option("content_layers", "layers for the content, comma-separated (default: the network's own)",
           type=_names, metavar="L,…")  # fmt: skip
    option("style_layers", "layers for the style, comma-separated (default: the network's own)",
           type=_names, metavar="L,…")  # fmt: skip
    option("style_blend", "weights of several styles, comma-separated (default: even)", type=_numbers, metavar="W,…")
    option("init", "what to begin with: content, style, random, or a picture file", metavar="WHAT")
    option("optimizer", "how to minimise", choices=list(OPTIMIZERS))
    option("tv_weight", "smooths the result: weight of its total variation", type=float, metavar="W")
    option("pooling", "average paints longer strokes than the max that networks are trained with", choices=POOLINGS)
    option("seed", "for --init random", type=int)
    option("preserve_color", "keep the photo's colours, take only light and dark from the painting",
           action="store_true")  # fmt: skip
    option("region", "paint only the people in the photo, or only everything else", choices=REGIONS)
    option("kernels", "numba is fast, numpy runs anywhere", choices=KERNEL_SETS)
    option("max_memory", "use no more than this: 275M, 1.5G; says what size would fit", type=_bytes, metavar="BYTES")
    parser.add_argument("--dry-run", action="store_true", help="tell the memory and time it would take, and stop")
    parser.add_argument("--save-every", type=int, metavar="N", help="also write the picture after every N iterations")
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument(
        "--json", action="store_true", help="on stdout: a JSON line an iteration, and one for the result"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the options name, over those of the preset, over the defaults."""
    given = {field.name: getattr(options, field.name) for field in fields(Settings) if hasattr(options, field.name)}
    return Settings(**{**PRESETS[options.preset], **given})


def iterations_of(job: Job) -> str:
    scales = f" at each of {job.settings.scales} scales" if job.settings.scales > 1 else ""
    begun = "" if job.starter is None else f" by {job.starter.name}, then as many more"
    return f"{job.settings.iterations} iterations{scales}{begun}"


def _announce(job: Job, out: Path) -> None:
    height, width = job.content.size
    estimate = job.estimate
    print(
        f"{width}×{height} pixels, {job.network.name} ({job.network.kernels.name} kernels), "
        f"{iterations_of(job)} of {job.settings.optimizer} → {out}; "
        f"about {max(1, round(estimate.seconds))} s and {estimate.nbytes / 1e6:.0f} MB",
        file=sys.stderr,
    )


class _Progress:
    """Listens to a run: a bar on a terminal, else a line now and then; previews; JSON lines."""

    def __init__(self, job: Job, options: argparse.Namespace, preview: Callable[[int, Bytes], None]) -> None:
        self.job, self.total, self.options, self.preview = job, job.iterations, options, preview
        self.bar: Any = None
        self.step = max(1, self.total // 10)
        if not options.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, unit="it", file=sys.stderr, dynamic_ncols=True)

    def __call__(self, iteration: Iteration, picture: Callable[[], Bytes]) -> None:
        number = iteration.number
        every = self.options.save_every
        if every and number % every == 0 and number < self.total:
            self.preview(number, picture())
        if self.options.json:
            print(json.dumps({"iteration": number, "loss": iteration.loss, "best_loss": iteration.best_loss,
                              "content_loss": iteration.terms.content, "style_loss": iteration.terms.style,
                              "milliseconds": round(iteration.milliseconds, 3)}), flush=True)  # fmt: skip
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {iteration.loss:.4g}, {iteration.milliseconds:.0f} ms")
            self.bar.update(number - self.bar.n)
        elif not self.options.quiet and (number % self.step == 0 or number == self.total):
            left = self.job.left(number) * iteration.milliseconds / 1e3
            print(f"iteration {number}/{self.total}: loss {iteration.loss:.4g}, {iteration.milliseconds:.0f} ms each, "
                  f"{left:.0f} s left", file=sys.stderr)  # fmt: skip

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run(options: argparse.Namespace) -> int:
    out = Path(options.output)
    check_output(out)
    if options.save_every is not None and options.save_every < 1:
        raise SettingsError(f"--save-every must be at least 1, is {options.save_every}")
    for source in (options.content, *options.style):
        if Path(source).resolve() == out.resolve():
            raise SettingsError(f"{out}: the output would replace an input")
    settings = settings_of(options)
    with limited(options.threads):
        job = prepare(options.content, options.style, settings)
        if not options.quiet:
            for note in job.notes:
                print(f"note: {note}", file=sys.stderr)
            if job.content.alpha is not None and WRITABLE[out.suffix.lower()] not in WITH_ALPHA:
                print(f"note: {out.suffix} has no transparency; that of the photo is lost", file=sys.stderr)
            _announce(job, out)
        if options.dry_run:
            if options.json:
                print(json.dumps({"bytes": job.estimate.nbytes, "seconds": round(job.estimate.seconds, 2),
                                  "size": list(job.content.size), "model": job.network.name}))  # fmt: skip
            return 0

        def preview(number: int, image: Bytes) -> None:
            save_picture(out.with_name(f"{out.stem}-{number:04d}{out.suffix}"), image, job.content.alpha)

        progress = _Progress(job, options, preview)
        try:
            result = run_job(job, progress)
        finally:
            progress.close()
        result.save(out)
    last = result.history[-1] if result.history else None
    done = last.number if last else 0
    best = last.best_loss if last else None
    if options.json:
        print(json.dumps({"output": str(out), "size": list(job.content.size), "model": job.network.name,
                          "iterations": done, "loss": best, "seconds": round(result.seconds, 3),
                          "interrupted": result.interrupted, "message": result.message,
                          "settings": asdict(settings)}), flush=True)  # fmt: skip
    if not options.quiet:
        if result.interrupted:
            print(f"interrupted after {done} iterations; the best picture so far is in {out}", file=sys.stderr)
        elif done < job.iterations:
            print(f"ended after {done} iterations: {result.message}", file=sys.stderr)
        print(f"{out} written after {result.seconds:.1f} s", file=sys.stderr)
    return 130 if result.interrupted else 0
