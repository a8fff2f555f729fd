"""File → pixels. Pixels are (H, W, 3) RGB in [0, 1], float32, in the sRGB colour space."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from minitorch_style.arrays import Float32, Pixels, Rgb8
from minitorch_style.errors import ImageError, StyleError, in_bytes, one_line
from minitorch_style.image import ppm as netpbm
from minitorch_style.image.decode import decoded, decoding_bytes, draft
from minitorch_style.image.quiet import no_native_messages, no_warnings
from minitorch_style.image.resize import PILLOW, floats, reduced_size, resized
from minitorch_style.image.signatures import advice, is_heic

if TYPE_CHECKING or PILLOW:
    from PIL import Image, UnidentifiedImageError

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "HEIF")
# Of the largest cameras; decoded, already 800 MB. More are a mistake or an attack, unless asked for.
MAX_PIXELS = 200_000_000
# In a folder of pictures.
READABLE_NAMES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".ppm",
    ".avif",
    ".jp2",
    ".heic",
    ".heif",
)
BAND = 64  # rows that are worked on at once
HEAD = 512  # bytes that tell what a file is


@dataclass(frozen=True)
class Room:
    """What the reading of a picture may take: so many bytes, or whatever there is for None. It may have more than MAX_PIXELS
    if `large`; False is for those who could allow it (the refusal says how), None for those who cannot."""

    nbytes: int | None = None
    large: bool | None = None

    def check(self, name: str, width: int, height: int) -> None:
        """ImageError for too many pixels."""
        if width * height > MAX_PIXELS and not self.large:
            hint = "" if self.large is None else "; --allow-large reads it all the same, where the memory is enough"
            raise ImageError(f"{name}: {width}×{height} is more than {MAX_PIXELS / 1e6:.0f} million pixels{hint}")


USUAL = Room()


@dataclass(frozen=True)
class Picture:
    """`values` (H, W, 3) are floats in [0, 1], or bytes as in most files; transparent parts are laid over white. `alpha`
    (H, W) is in [0, 1], or None where all is opaque. `notes` says, a sentence each, what reading the file has changed;
    `reading_bytes` is what it took at the peak.

        >>> picture = ms.load_picture("photo.jpg", 96)
        >>> picture.pixels.shape, picture.alpha
        ((64, 96, 3), None)
    """

    values: Pixels
    alpha: Float32 | None = None
    notes: tuple[str, ...] = ()
    reading_bytes: int = 0

    @property
    def pixels(self) -> Float32:
        """The values as floats in [0, 1]; of bytes they are made at each call, for they take four times the memory."""
        return floats(self.values)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.values.shape[0], self.values.shape[1]


def load_picture(path: str | os.PathLike[str], size: int | None = None, room: Room = USUAL) -> Picture:
    """Reads a picture: upright (EXIF), in sRGB (ICC), its longest side reduced to `size` pixels, never enlarged.

    ImageError says in one line why a file cannot be used, or that decoding it would take more than there is `room` for.

        >>> ms.load_picture("photo.jpg", size=384).pixels.shape
        (256, 384, 3)
    """
    try:
        if Path(path).is_dir():
            raise ImageError(f"{path}: is a directory, not a picture")
        with Path(path).open("rb") as file:
            return read_picture(file, os.fspath(path), size, room)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ImageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def read_picture(file: BinaryIO, name: str, size: int | None = None, room: Room = USUAL) -> Picture:
    """As `load_picture`, from an open file that can seek; `name` is what messages call it."""
    begin = file.tell()
    head = file.read(HEAD)
    file.seek(begin)
    if not head:
        raise ImageError(f"{name}: is empty")
    if not PILLOW:
        return _plain_picture(file.read(), name, size, room)
    with _decoding(f"{name}: cannot be decoded"):
        try:
            with _opened(file, head) as image:
                full = image.size
                draft(image, size)
                return _picture(image, full, name, size, room)
        except UnidentifiedImageError as error:
            raise ImageError(f"{name}: {advice(head, _formats())}") from error


def pixels_in(path: str | os.PathLike[str], size: int | None = None) -> int:
    """How many pixels `load_picture` would give, by the file's header; 0 where that does not tell."""
    if PILLOW:
        with suppress(ImageError, OSError, ValueError), Path(path).open("rb") as file, _decoding(f"{path}"):
            head = file.read(HEAD)
            file.seek(0)
            with _opened(file, head) as image:
                return math.prod(reduced_size((image.height, image.width), size))
    return 0


def picture_of_image(image: Image.Image, name: str, size: int | None = None, room: Room = USUAL) -> Picture:
    """As `load_picture`, of a picture that Pillow has opened; it stays as it is."""
    with _decoding(f"{name}: cannot be decoded"):
        return _picture(image, image.size, name, size, room)


@contextmanager
def _decoding(failed: str) -> Iterator[None]:
    """Turns whatever damaged data lead a decoder to raise into an ImageError: `failed` and the reason."""
    try:
        with no_warnings():
            yield
    except (StyleError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"{failed} ({str(error) or type(error).__name__})") from error


def _formats() -> tuple[str, ...]:
    """Those of READABLE that this Pillow reads."""
    return tuple(name for name in READABLE if name in Image.OPEN)


def read_texts(path: str | os.PathLike[str], room: Room = USUAL) -> dict[str, str]:
    """The text fields of a PNG file, for which it is decoded. ImageError if it is none, or not whole."""
    if not PILLOW:
        raise ImageError(f"{path}: without Pillow the texts of a PNG file cannot be read")
    with _decoding(f"{path}: not a PNG file whose texts can be read"):
        try:
            with _unlimited(), Image.open(path, formats=["PNG"]) as image:
                _check(image, image.size, os.fspath(path), None, room)
                image.load()
                return {str(name): str(text) for name, text in image.info.items() if isinstance(text, str)}
        except FileNotFoundError as error:
            raise ImageError(f"{path}: no such file") from error


@contextmanager
def _opened(file: BinaryIO, head: bytes) -> Iterator[Image.Image]:
    """A picture of which only the header is read."""
    Image.init()  # lets Pillow know all the formats it was built with
    if is_heic(head) and "HEIF" not in Image.OPEN:
        _learn_heic()
    with _unlimited(), Image.open(file, formats=_formats()) as image:
        yield image


@contextmanager
def _unlimited() -> Iterator[None]:
    """Without Pillow's own limit of pixels: ours is MAX_PIXELS, and what memory there is."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _learn_heic() -> None:
    """Adds HEIC to what Pillow reads, where that decoder is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def _check(image: Image.Image, full: tuple[int, int], name: str, size: int | None, room: Room) -> int:
    """How many bytes it takes to read a picture that is opened, of so many pixels in its file. ImageError if there is no room
    for it."""
    width, height = full
    room.check(name, width, height)
    needed = decoding_bytes(image, size)
    if room.nbytes is not None and needed > room.nbytes:
        raise ImageError(
            f"{name}: {width}×{height} pixels take about {in_bytes(needed)} to read, and {in_bytes(max(0, room.nbytes))} may "
            "be used; reduce the picture first"
        )
    return needed


def _picture(image: Image.Image, full: tuple[int, int], name: str, size: int | None, room: Room) -> Picture:
    needed = _check(image, full, name, size, room)
    try:
        with no_native_messages() if image.format == "TIFF" else nullcontext():
            found = decoded(image, size).reduced(size)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    notes = [*_pages(image), *found.notes]
    return Picture(
        np.array(found.image),
        None if found.alpha is None else floats(np.asarray(found.alpha)),
        tuple(one_line(f"{name}: {note}") for note in notes),
        needed,
    )


def _pages(image: Image.Image) -> list[str]:
    """A note if there is more than the first page. Asked after that is read: a later one may be damaged."""
    if image.format == "MPO":  # the others are the same photo again: smaller, or seen by the other eye
        return []
    try:
        several = getattr(image, "is_animated", False)
    except Exception:  # counting pages decodes headers of the later ones, which may be damaged in any way
        return ["animated or of several pages, of which some are damaged; only the first is used"]
    return ["animated or of several pages; only the first is used"] if several else []


def _plain_picture(data: bytes, name: str, size: int | None, room: Room) -> Picture:
    values = netpbm.decode(data, name)
    room.check(name, values.shape[1], values.shape[0])
    return Picture(resized(values, reduced_size((values.shape[0], values.shape[1]), size)))


def to_bytes(pixels: Float32) -> Rgb8:
    """[0, 1] → 0 … 255, clipped and rounded."""
    out = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), BAND):  # so that no second copy in floats is held
        out[top : top + BAND] = np.clip(pixels[top : top + BAND], 0, 1) * 255 + 0.5
    return out
