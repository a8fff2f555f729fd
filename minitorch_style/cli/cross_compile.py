"""minitorch_style cross-compile: a folder that runs on a small board."""

from __future__ import annotations

import argparse
from pathlib import Path

from minitorch_style.cli.streams import say
from minitorch_style.deploy.bundle import MODELS, make_bundle

HELP = "Make a folder for a board with Python and NumPy: the package, weights, kernels for its processor."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", required=True, metavar="NAME", help="armv7-neon, aarch64 or x86-64-v3")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--models", nargs="+", default=list(MODELS), metavar="NAME", help=f"default: {' '.join(MODELS)}"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    package = make_bundle(options.target, options.output, options.models)
    if not options.quiet:
        size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
        say(f"{package}: {size / 1e6:.1f} MB; on the board, in {options.output}: python3 -m minitorch_style stylize …")
    return 0
