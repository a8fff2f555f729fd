"""minitorch_style segment: where in a photo the people are."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from minitorch_style.cli.streams import say
from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.errors import ImageError
from minitorch_style.files import require_apart
from minitorch_style.image.io import Room, load_picture
from minitorch_style.image.writing import check_output, save_picture
from minitorch_style.kernels import KERNEL_SETS
from minitorch_style.nn.registry import DECODERS
from minitorch_style.transfer.memory import available_memory
from minitorch_style.transfer.region import load_segmenter, person_probability
from minitorch_style.transfer.settings import SEGMENTER

HELP = "Write a mask of the people in a photo: a grey PNG of its size, 255 where there is a person."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("-o", "--output", required=True, metavar="MASK.png")
    parser.add_argument("--model", choices=list(DECODERS), default=SEGMENTER, help=f"default: {SEGMENTER}")
    parser.add_argument(
        "--kernels", choices=KERNEL_SETS, default="numpy", help="numpy (default) is soonest done with one photo"
    )
    add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    out = Path(options.output)
    check_output(out)
    if out.suffix.lower() != ".png":
        raise ImageError(f"{out}: a mask is written as .png, which loses nothing")
    require_apart([out], [options.photo], ImageError)
    picture = load_picture(options.photo, room=Room(available_memory()))
    check_output(out, picture.size)
    with limited(options.threads):
        people = person_probability(picture.pixels, load_segmenter(options.model, options.kernels)) > 0.5
    with options.signals.deferred():
        save_picture(out, np.where(people, 255, 0).astype(np.uint8))
    if not options.quiet:
        for note in picture.notes:
            say(f"note: {note}")
        say(f"{out} written: {100 * people.mean():.1f} % of the photo is people")
    return 0
