"""minitorch_style resume: a run that was broken off goes on from its checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from minitorch_style.cli.cluster import add_cluster, connected
from minitorch_style.cli.streams import say
from minitorch_style.cli.stylize import Previews, Progress, add_reporting, paint
from minitorch_style.cli.threads import limited
from minitorch_style.errors import ResumeError
from minitorch_style.image.writing import check_output
from minitorch_style.transfer.checkpoint import load_checkpoint, read_about, settings_in
from minitorch_style.transfer.job import prepare

HELP = "Go on with a run of stylize --checkpoint FILE, to the same bytes as if it had never been interrupted."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="FILE", help="as stylize wrote it; removed when the picture is done")
    parser.add_argument("-o", "--output", metavar="OUT", help="picture to write (default: where stylize was to)")
    add_cluster(parser, "share the picture among N workers")
    add_reporting(parser)


def run(options: argparse.Namespace) -> int:
    about = read_about(options.checkpoint)
    settings = settings_in(options.checkpoint, about)
    _take(options, about.get("command"))
    out = Path(options.output)
    check_output(out)
    with limited(options.threads), connected(options) as client:
        job = prepare(options.content, options.style, settings, client=client)
        checkpoint = load_checkpoint(options.checkpoint, job)
        check_output(out, job.content.size, job.content.alpha is not None)
        if not options.quiet:
            say(
                f"{options.checkpoint}: goes on after iteration {checkpoint.iterations[-1].number}/{job.iterations} → {out}"
            )
            if settings.tiles != job.settings.tiles:
                say(f"note: now in {job.settings.tiles} tiles; the last bits are not those of a run without")
        with options.signals.deferred():
            return paint(job, out, Progress(job, options, Previews(out, options.save_every, job)), options, checkpoint)


def _take(options: argparse.Namespace, command: object) -> None:
    """The options of stylize that the checkpoint holds. ResumeError for what they cannot be."""
    kinds = {"content": str, "style": list, "output": str, "save_every": int | None, "checkpoint_every": float}
    if not isinstance(command, dict) or not all(isinstance(command.get(name), kind) for name, kind in kinds.items()):
        raise ResumeError(f"{options.checkpoint}: was not written by stylize; it can be gone on with in Python only")
    options.output = options.output or command["output"]
    for name in ("content", "style", "save_every", "checkpoint_every"):
        setattr(options, name, command[name])
