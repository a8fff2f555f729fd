"""python -m minitorch_style, and the installed command."""

from __future__ import annotations

import sys
from typing import NoReturn


def program() -> NoReturn:
    """Runs the command that the program was called with, and ends it with its exit code."""
    try:
        from minitorch_style.cli import main
        from minitorch_style.cli.signals import Signals

        signals = Signals()
        signals.install()
        code = main(signals=signals)
        signals.ignore()
        # Where KeyboardInterrupt has come through an `exec`, as in Numba's compiler, Python would end itself by the signal;
        # it looks at the last one.
        exec("pass")
    except KeyboardInterrupt:  # while all this was loaded
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    program()
