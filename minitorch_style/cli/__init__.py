"""The command line: one file a subcommand. The only part of the package that prints."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from typing import NoReturn

from minitorch_style import __version__
from minitorch_style.cli import (
    batch,
    bench,
    cross_compile,
    live,
    networks,
    resume,
    segment,
    serve,
    stylize,
    video,
    warmup,
    weights,
)
from minitorch_style.cli.signals import Signals
from minitorch_style.cli.streams import say, tolerant_streams
from minitorch_style.errors import StyleError, one_line

COMMANDS = {
    "stylize": stylize,
    "resume": resume,
    "batch": batch,
    "video": video,
    "live": live,
    "segment": segment,
    "serve": serve,
    "networks": networks,
    "weights": weights,
    "bench": bench,
    "warmup": warmup,
    "cross-compile": cross_compile,
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line, not under a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message} (--help lists the options)") + "\n")


def parser() -> argparse.ArgumentParser:
    """All commands with their options; the reference of the command line is made from it."""
    parser = _Parser(prog="minitorch_style", description="Artistic style transfer on ordinary processors.")
    parser.add_argument("--version", action="version", version=f"minitorch_style {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _run(arguments: Sequence[str] | None, signals: Signals) -> int:
    try:
        options = parser().parse_args(arguments)
        options.signals = signals
        return _reported(options) or signals.exit_code
    except KeyboardInterrupt:
        say("minitorch_style: interrupted")
        return signals.exit_code or 128 + signal.SIGINT


def _reported(options: argparse.Namespace) -> int:
    """The command's exit code; what it refuses, in one line, gives 2."""
    try:
        return int(options.run(options))
    except StyleError as error:
        say(f"minitorch_style: {error}")
    except MemoryError:
        say("minitorch_style: out of memory; a smaller --size or model needs less")
    except OSError as error:  # a file or folder that cannot be used, met where it was not looked for
        named = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
        say(f"minitorch_style: {named}")
    return 2


def main(arguments: Sequence[str] | None = None, signals: Signals | None = None) -> int:
    """Runs a command; 0 is success, 2 bad input (one line on stderr), 1 a result that stdout did not take, 128 + N ended by
    signal N: 130 for Ctrl-C. May be called from any thread; signals are handled in the main one only, unless the caller
    has installed its own `signals`."""
    own = Signals()
    if signals is None:
        own.install()
    try:
        with tolerant_streams() as stdout:
            code = _run(arguments, signals or own)
            stdout.flush()
            if stdout.failure is not None and not isinstance(
                stdout.failure, BrokenPipeError
            ):  # a reader who left had enough
                say(f"minitorch_style: standard output cannot be written ({stdout.failure})")
                code = code or 1
        return code
    finally:
        own.restore()
