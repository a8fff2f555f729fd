"""What a picture says it is, from its first bytes and before any decoder has seen it: format, width and height."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.util import find_spec
from typing import BinaryIO

from minitorch_style.errors import ImageError

MAX_PIXELS = 64_000_000  # decoded, 192 MB
MAX_SEGMENTS = 4096  # of a JPEG before its frame header
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
MAX_META = 100_000  # bytes in which a HEIC tells its sizes
# Start of frame: the segments of a JPEG that tell its size. C4, C8 and CC are tables.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Header:
    """`format` is JPEG, PNG, WEBP or HEIC."""

    format: str
    width: int
    height: int


def probe(file: BinaryIO) -> Header:
    """Reads the header. ImageError for anything but a JPEG, PNG, WebP or, where pillow-heif is installed, HEIC
    of at most MAX_PIXELS."""
    begin = file.read(32)
    found: Header | None = None
    if begin.startswith(b"\x89PNG\r\n\x1a\n") and begin[12:16] == b"IHDR" and len(begin) >= 24:
        found = Header("PNG", *struct.unpack(">II", begin[16:24]))
    elif begin.startswith(b"\xff\xd8\xff"):
        file.seek(2)
        found = _jpeg(file)
    elif begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
        found = _webp(begin)
    elif begin[4:8] == b"ftyp" and begin[8:12] in HEIC and find_spec("pillow_heif") is not None:
        found = _heic(begin + file.read(MAX_META))
    elif begin[4:8] == b"ftyp" and begin[8:12] in HEIC:
        raise ImageError(
            "this is a HEIC picture, which is not read here: on an iPhone set Settings, Camera, Formats to «Most "
            "Compatible», or save it as JPEG first"
        )
    if found is None:
        raise ImageError("this is not a JPEG, PNG or WebP picture")
    if found.width < 1 or found.height < 1:
        raise ImageError(f"a {found.format} of {found.width}×{found.height} pixels shows nothing")
    if found.width * found.height > MAX_PIXELS:
        raise ImageError(f"{found.width}×{found.height} is more than {MAX_PIXELS / 1e6:.0f} million pixels")
    return found


def _jpeg(file: BinaryIO) -> Header | None:
    for _ in range(MAX_SEGMENTS):
        head = file.read(2)
        while head[1:] == b"\xff":  # fill bytes
            head = head[1:] + file.read(1)
        if len(head) < 2 or head[0] != 0xFF:
            return None
        rest = file.read(7 if head[1] in FRAMES else 2)
        if head[1] in FRAMES:
            if len(rest) < 7:
                return None
            height, width = struct.unpack(">HH", rest[3:7])
            return Header("JPEG", width, height)
        length = int.from_bytes(rest, "big")
        if len(rest) < 2 or length < 2:
            return None
        file.seek(length - 2, 1)
    return None


def _heic(begin: bytes) -> Header | None:
    """The largest of the sizes that it tells ("ispe", ISO/IEC 23008-12): of the picture, its tiles and thumbnails."""
    at, sizes = begin.find(b"ispe"), []
    while 0 <= at <= len(begin) - 16:
        sizes.append(struct.unpack(">II", begin[at + 8 : at + 16]))
        at = begin.find(b"ispe", at + 4)
    return Header("HEIC", *max(sizes, key=lambda size: size[0] * size[1])) if sizes else None


def _webp(begin: bytes) -> Header | None:
    kind = begin[12:16]
    if len(begin) < 30:
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(begin[at : at + 3], "little") for at in (24, 27))
        return Header("WEBP", width, height)
    if kind == b"VP8L" and begin[20] == 0x2F:
        bits = int.from_bytes(begin[21:25], "little")
        return Header("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 " and begin[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", begin[26:30])
        return Header("WEBP", width & 0x3FFF, height & 0x3FFF)
    return None
