"""What the command line says, on streams that may be closed, full, gone, or know few characters.

Saying something is never the work: a stream that fails is left alone from then on, and the work goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from minitorch_style.errors import one_line

# For streams whose encoding lacks them (a Windows console, LANG=C).
PLAIN = {
    "×": "x",
    "→": "->",
    "–": "-",
    "—": "-",
    "…": "...",
    "«": '"',
    "»": '"',
    "²": "^2",
    "±": "+-",
    "≥": ">=",
    "≤": "<=",
}


def say(text: str) -> None:
    """One line for whoever watches, on stderr."""
    print(one_line(text), file=sys.stderr)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def encodable(text: str, encoding: str) -> str:
    """`text` in characters that `encoding` has."""

    def fitting(character: str) -> str:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            return PLAIN.get(character) or _escaped(character)
        return character

    return "".join(map(fitting, text))


class TolerantStream:
    """stdout or stderr, which takes whatever is written to it. `failure` is what ended it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream  # None: it was closed before the program began
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def isatty(self) -> bool:
        return self.stream is not None and self.failure is None and self.stream.isatty()

    def write(self, text: str) -> int:
        if self.stream is not None and self.failure is None:
            try:
                self._write(self.stream, text)
            except (OSError, ValueError) as problem:
                self._give_up(self.stream, problem)
        return len(text)

    def flush(self) -> None:
        if self.stream is not None and self.failure is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as problem:
                self._give_up(self.stream, problem)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(encodable(text, stream.encoding or "ascii"))

    def _give_up(self, stream: TextIO, problem: Exception) -> None:
        self.failure = problem
        with suppress(OSError, ValueError):
            if stream.fileno() <= 2:  # what is still buffered goes nowhere: Python would stumble over it at its end
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _fill_descriptors() -> None:
    """With one of the three standard streams closed, the next file to be opened would take its number, and whatever a
    library says on stderr would go into a picture."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


@contextmanager
def tolerant_streams() -> Iterator[TolerantStream]:
    """In this context sys.stdout and sys.stderr are tolerant; yields the first."""
    _fill_descriptors()
    before = sys.stdout, sys.stderr
    stdout, stderr = (TolerantStream(stream) for stream in before)
    sys.stdout, sys.stderr = stdout, stderr
    try:
        yield stdout
    finally:
        for stream in (stdout, stderr):
            stream.flush()
        sys.stdout, sys.stderr = before
