"""The exceptions of the package. Each message says, in one line, what was expected, what came, and where."""

from __future__ import annotations


def printable(text: object) -> str:
    """`text` as a terminal may show it: control characters, what turns the direction of writing, and halves of
    surrogate pairs (names that are not UTF-8) are written out as Python would; line ends stay."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in str(text)
    )


def one_line(text: str) -> str:
    """`text` as it can be shown on any terminal: one line, without control characters and halves of characters, which
    names of files and damaged files may hold."""
    return printable(" ".join(text.split()))


def in_bytes(nbytes: float) -> str:
    """A number of bytes in words: 4.1 GB, 275 MB."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"


class StyleError(Exception):
    """Base of everything the package raises on purpose; the command line turns it into one line and exit code 2.
    Its message can be printed whatever names and values it quotes."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ShapeError(StyleError):
    """A size that the computation cannot have."""


class UnsupportedError(StyleError):
    """Valid input that this program has no way to handle."""


class SettingsError(StyleError):
    """A setting outside its range, or settings that exclude one another."""


class WeightsError(StyleError):
    """A weight file that is missing, damaged, or made for another network."""


class CheckpointError(WeightsError):
    """A foreign checkpoint that cannot be read or converted."""


class ResumeError(StyleError):
    """A run written down that cannot be gone on with: damaged, of another version, or made of other pictures."""


class DownloadError(StyleError):
    """A file that could not be fetched whole, or is not the one expected."""


class ImageError(StyleError):
    """A picture that cannot be read or written."""


class ClusterError(StyleError):
    """Other machines that cannot be reached, or cannot do this work."""


class WorkerLostError(ClusterError):
    """A machine has died, or cannot be reached any more, with its part of the work."""


class ScratchError(StyleError):
    """A folder for temporary files that is full, or cannot be written to."""


class DivergedError(StyleError):
    """The optimisation met a loss or gradient that is not a finite number."""


class TooLittleMemoryError(SettingsError):
    """A job needs `needed` bytes, of which `available` may be used."""

    def __init__(self, sentence: str, needed: int, available: int) -> None:
        super().__init__(sentence)
        self.needed, self.available = needed, available
