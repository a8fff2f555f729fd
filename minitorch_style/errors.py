"""The exceptions of the package. Each message says what was expected, what came, and where."""

from __future__ import annotations


class StyleError(Exception):
    """Base of everything the package raises on purpose; the command line turns it into one line and exit code 2."""


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


class DownloadError(StyleError):
    """A file that could not be fetched whole, or is not the one expected."""


class ImageError(StyleError):
    """A picture that cannot be read or written."""


class DivergedError(StyleError):
    """The optimisation met a loss or gradient that is not a finite number."""
