"""Uploads are decoded in a process of their own, which may fail, swell or hang without harm to the server.

What comes out is a TIFF without metadata: upright, in sRGB, no larger than the server paints. EXIF, GPS included, is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from minitorch_style.errors import ImageError, StyleError
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.writing import save_picture
from minitorch_style.serve.child import Answerer, Silent

MEMORY = 1_500_000_000  # bytes that a picture may take beyond what the process has when it is ready
SECONDS = 30.0  # that a picture may take


@dataclass(frozen=True)
class Decoded:
    """Size in pixels, and what reading has changed, a sentence each."""

    width: int
    height: int
    notes: tuple[str, ...]


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def decode(pipe: Connection) -> None:
    """The process: (upload, output, longest side) in, `Decoded`, a sentence, or why it cannot be
    written, out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which then ends this
    _limit_memory()
    while True:
        try:
            source, target, longest = pipe.recv()
        except (EOFError, OSError):
            return
        answer: Decoded | str | OSError
        try:
            picture = load_picture(source, longest)
            try:
                save_picture(target, to_bytes(picture.pixels), picture.alpha)
            except ImageError as error:
                raise OSError(str(error).removeprefix(f"{target}: ")) from error
            notes = tuple(note.removeprefix(f"{source}: ") for note in picture.notes)
            answer = Decoded(picture.size[1], picture.size[0], notes)
        except OSError as error:
            answer = error
        except StyleError as error:
            answer = str(error).removeprefix(f"{source}: ")
        except MemoryError:
            answer = "this picture takes too much memory to be read"
        pipe.send(answer)


class Decoder:
    """One picture at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.process = Answerer(decode, seconds)

    def __call__(self, source: Path, target: Path, longest: int) -> Decoded:
        """Blocks. ImageError with a sentence for people, OSError if the picture cannot be written."""
        try:
            answer = self.process.ask((str(source), str(target), longest))
        except Silent:
            raise ImageError(f"this picture takes more than {self.process.seconds:.0f} s to be read") from None
        except (EOFError, OSError) as error:
            raise ImageError("this picture cannot be read: it broke the program that decodes it") from error
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, str):
            raise ImageError(answer)
        assert isinstance(answer, Decoded)
        return answer

    def end(self) -> None:
        self.process.end()
