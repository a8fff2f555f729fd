"""Small files made byte by byte: EXIF, TIFF and PNG of kinds that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of TIFF's types, in bytes
VALUES = {  # 0/0, −1/0, NaN and infinity where a type has them
    5: struct.pack("<II", 0, 0),
    10: struct.pack("<ii", -1, 0),
    11: struct.pack("<f", float("nan")),
    12: struct.pack("<d", float("inf")),
}
Entry = tuple[int, int, bytes]  # tag, type, its values


def odd_value(kind: int) -> bytes:
    return VALUES.get(kind, b"\xff\x00A\x01\x05\x06\x07\x08"[: SIZES[kind]])


def short(tag: int, *values: int) -> Entry:
    return tag, 3, struct.pack(f"<{len(values)}H", *values)


def long(tag: int, *values: int) -> Entry:
    return tag, 4, struct.pack(f"<{len(values)}I", *values)


def directory(entries: list[Entry], following: int = 0) -> bytes:
    """A TIFF file of one directory and no pixels, which is also what EXIF is."""
    body, data, base = b"", b"", 8 + 2 + 12 * len(entries) + 4
    for tag, kind, value in sorted(entries):
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place, data = struct.pack("<I", base + len(data)), data + value
        body += struct.pack("<HHI", tag, kind, len(value) // SIZES[kind]) + place
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following) + data


def tiff(values: np.ndarray, *extra: Entry, photometric: int | None = None, following: int = 0) -> bytes:
    """An uncompressed TIFF of `values`, (H, W) or (H, W, C), with further tags."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    own = [
        long(256, values.shape[1]), long(257, values.shape[0]), short(258, *[8 * values.dtype.itemsize] * channels),
        short(259, 1), short(262, (1 if channels == 1 else 2) if photometric is None else photometric),
        long(273, 0), short(277, channels), long(278, values.shape[0]), long(279, len(raw)),
    ]  # fmt: skip
    given = {tag for tag, *_ in extra}
    entries = [entry for entry in own if entry[0] not in given] + list(extra)
    begin = len(directory(entries))
    entries = [long(273, begin) if entry[0] == 273 else entry for entry in entries]
    return directory(entries, following) + raw


def jpeg(image: Image.Image, exif: bytes) -> bytes:
    """A JPEG with this EXIF data, unchecked."""
    data = BytesIO()
    image.save(data, "JPEG", quality=95)
    payload = b"Exif\0\0" + exif
    return data.getvalue()[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data.getvalue()[2:]


def png(width: int, height: int, bits: int, kind: int, lines: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of lines that each begin with a filter byte; `kind` is its color type, `chunks` come before the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    middle = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")


def grey_profile(gamma: float = 1.0) -> bytes:
    """An ICC profile for grey, whose values are light to the power of 1/gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    text += bytes(-len(text) % 4)
    parts = {b"desc": text, b"wtpt": white, b"kTRC": curve}
    offset, table, data = 128 + 4 + 12 * len(parts), struct.pack(">I", len(parts)), b""
    for name, part in parts.items():
        table += name + struct.pack(">II", offset + len(data), len(part))
        data += part
    header = bytearray(128)
    header[0:4] = struct.pack(">I", offset + len(data))
    header[8:12], header[12:16], header[16:20], header[20:24] = b"\x02\x10\0\0", b"mntr", b"GRAY", b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + table + data
