"""The command line: one file a subcommand. The only part of the package that prints."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from minitorch_style.cli import bench, cross_compile, networks, segment, stylize, warmup, weights
from minitorch_style.errors import StyleError

COMMANDS = {
    "stylize": stylize,
    "segment": segment,
    "networks": networks,
    "weights": weights,
    "bench": bench,
    "warmup": warmup,
    "cross-compile": cross_compile,
}


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line, not under a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 is success, 2 bad input (one line on stderr), 130 interrupted."""
    parser = _Parser(prog="minitorch_style", description="Artistic style transfer on ordinary processors.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _terminated)  # so that it saves what there is, like Ctrl-C
    try:
        return int(options.run(options))
    except StyleError as error:
        message = " ".join(str(error).split())
        print(f"minitorch_style: {message}", file=sys.stderr)
        return 2
    except MemoryError:
        print("minitorch_style: out of memory; a smaller --size or model needs less", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minitorch_style: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has gone
        sys.stderr.close()
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
