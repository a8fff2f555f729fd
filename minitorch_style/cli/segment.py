"""minitorch_style segment: where in a photo the people are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from minitorch_style.cli.threads import add_threads, limited
from minitorch_style.errors import ImageError
from minitorch_style.images import check_output, load_picture, save_picture
from minitorch_style.kernels import KERNEL_SETS
from minitorch_style.networks import DECODERS
from minitorch_style.segment import load_segmenter, person_probability
from minitorch_style.settings import SEGMENTER

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
    if out.resolve() == Path(options.photo).resolve():
        raise ImageError(f"{out}: the output would replace the photo")
    picture = load_picture(options.photo)
    with limited(options.threads):
        people = person_probability(picture.pixels, load_segmenter(options.model, options.kernels)) > 0.5
    save_picture(out, np.where(people, 255, 0).astype(np.uint8))
    if not options.quiet:
        for note in picture.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{out} written: {100 * people.mean():.1f} % of the photo is people", file=sys.stderr)
    return 0
