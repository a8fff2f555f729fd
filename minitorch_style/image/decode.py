"""A picture that Pillow has opened → upright pixels in sRGB: which kinds there are, transparency, colour profiles.

Only the orientation is taken from EXIF, and nothing is ever written back to it: cameras fill the rest with odd types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from minitorch_style.errors import ImageError
from minitorch_style.image.resize import PILLOW, reduced_size

if TYPE_CHECKING or PILLOW:
    from PIL import Image, ImageChops, ImageCms, ImageOps

SHRINK_ABOVE = 4_000_000  # pixels; what is smaller is decoded as it is
GAP = 3  # a picture is brought down in whole steps to no less than this multiple of the size, the rest by Lanczos
CODEC_BYTES = {"WEBP": 12, "AVIF": 12, "GIF": 4, "JPEG2000": 4}  # a pixel, of decoders that hold frames of their own
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
ORIENTATION = 0x0112  # EXIF's tag, and TIFF's
WHITE_IS_ZERO, BITS, PHOTOMETRIC, MAX_SAMPLE, SAMPLE_FORMAT = 0, 258, 262, 281, 339  # of TIFF
SIGNED, COMPLEX = 2, (5, 6)
NARROW = (8, 10, 12)  # bits that are stored in 16


@dataclass(frozen=True)
class Decoded:
    """`image` in mode RGB, transparent parts over white; `alpha` in mode L or None; what reading has changed."""

    image: Image.Image
    alpha: Image.Image | None = None
    notes: list[str] = field(default_factory=list)

    def reduced(self, size: int | None) -> Decoded:
        """With its longest side reduced to `size`, never enlarged."""
        height, width = reduced_size((self.image.height, self.image.width), size)
        if (width, height) == self.image.size:
            return self
        image, alpha = (
            None if one is None else one.resize((width, height), Image.Resampling.LANCZOS)
            for one in (self.image, self.alpha)
        )
        assert image is not None
        return Decoded(image, alpha, self.notes)


def decoding_bytes(image: Image.Image, size: int | None) -> int:
    """What it will take at the peak to read a picture whose header is read, as pixels of `size`."""
    pixels, steps = image.width * image.height, _steps(image, size)
    own = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    beside = {"1": 1, "L": 0, "RGB": 0, "CMYK": 0, "YCbCr": 0, "RGBA": 4, "LA": 8}.get(image.mode, 4)  # to be reduced
    beside += CODEC_BYTES.get(image.format or "", 0)
    beside += 6 if image.info.get("progressive") else 0  # coefficients of the whole picture
    if any(turn != 1 for turn in _tag(image, ORIENTATION)):
        beside += 4  # a TIFF is turned by Pillow while it loads it
    height, width = reduced_size((image.height, image.width), size)
    # Turned and converted at full size; then as bytes, and those as an array.
    later = pixels // steps**2 * (4 + 4) + height * width * (3 + 3)
    return pixels * (own + beside) + later


def draft(image: Image.Image, size: int | None) -> None:
    """Has a large JPEG decoded at 1/2, 1/4 or 1/8 of its size, where that is enough for `size`: at that share of the
    memory and time."""
    if size is not None and image.width * image.height > SHRINK_ABOVE and max(image.size) > GAP * size:
        share = GAP * size / max(image.size)
        image.draft(None, (max(1, int(image.width * share)), max(1, int(image.height * share))))


def _steps(image: Image.Image, size: int | None) -> int:
    """How many pixels, down and across, may become one before the rest is done by Lanczos."""
    if size is None or image.width * image.height <= SHRINK_ABOVE or image.mode == "LAB":  # whose a and b have a sign
        return 1
    return max(1, max(image.size) // (GAP * size))


def decoded(image: Image.Image, size: int | None = None) -> Decoded:
    """An opened picture, loaded. It may come out larger than `size`, for `Decoded.reduced` to finish. ImageError for
    pixels of a kind that has no known look."""
    notes: list[str] = []
    _refuse_unknown_values(image)
    _load(image, notes)
    pixels, alpha = _plain(image, notes)
    if (steps := _steps(image, size)) > 1:
        pixels, alpha = pixels.reduce(steps), alpha and alpha.reduce(steps)
    if (turn := _turn(image, notes)) is not None:
        pixels, alpha = pixels.transpose(turn), alpha and alpha.transpose(turn)
    if pixels.mode == "RGBA":
        alpha = pixels.getchannel("A")
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    colors, problem = _in_srgb(pixels, image.info.get("icc_profile"))
    if problem:
        notes.append(f"its colour profile cannot be used ({problem}); colours are taken as sRGB")
    if alpha is not None:
        colors = colors.copy() if colors is image else colors
        colors.paste((255, 255, 255), mask=ImageOps.invert(alpha))
    return Decoded(colors, alpha, notes)


def _plain(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """The loaded pixels in a mode whose values can be averaged, and alpha where it is not one of its bands."""
    if image.mode.startswith("I"):
        return _grey16(image, notes)
    if image.mode != "RGBA" and (image.mode in WITH_ALPHA or "transparency" in image.info):
        return image.convert("RGBA"), None
    plain = {"1": "L", "P": "RGB"}.get(image.mode)
    return (image if plain is None else image.convert(plain)), None


def _refuse_unknown_values(image: Image.Image) -> None:
    """ImageError for numbers of which no file says what black and white are."""
    if image.mode == "F":
        raise ImageError("floating-point pixels have no range to show; convert to 8 or 16 bits first")
    formats = _tag(image, SAMPLE_FORMAT)
    if SIGNED in formats:
        raise ImageError("its pixels are signed numbers, which have no known black and white; convert to 8 or 16 bits")
    if any(kind in formats for kind in COMPLEX):
        raise ImageError("its pixels are complex numbers, which have no look")
    if image.mode.startswith("I") and max(_tag(image, BITS), default=16) > 16:
        raise ImageError("grey of 32 bits has no known white; convert to 8 or 16 bits first")


def _load(image: Image.Image, notes: list[str]) -> None:
    """Decodes the pixels. At the end of a TIFF Pillow looks through its EXIF and XMP data, turns the pixels by it, and
    fails where those are damaged, with the pixels in place; they are turned here then."""
    if not isinstance(image.info.get("xmp", b""), bytes):
        del image.info["xmp"]
    try:
        image.load()
    except Exception:
        if image.format != "TIFF" or getattr(image, "tile", True):
            raise
        notes.append("some of its EXIF data cannot be read")


def _tag(image: Image.Image, tag: int) -> tuple[int, ...]:
    """The whole numbers of a TIFF's tag; none for other files."""
    value = getattr(image, "tag_v2", {}).get(tag, ())
    return tuple(one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int))


def _turn(image: Image.Image, notes: list[str]) -> Image.Transpose | None:
    """What stands a picture upright, as its EXIF (or XMP) data say. A TIFF has been turned by Pillow when it loaded it."""
    tags = _tag(image, ORIENTATION)  # still there: Pillow came to no end with its EXIF data
    try:
        orientation = tags[0] if tags else image.getexif().get(ORIENTATION, 1)
    except Exception as error:  # whatever Pillow's reader of EXIF meets in damaged bytes: the pixels are not at fault
        notes.append(f"its EXIF data cannot be read ({type(error).__name__}); it is taken as upright")
        return None
    if isinstance(orientation, bytes) and len(orientation) == 1:  # written as a byte or as text, where EXIF has a short
        orientation = orientation[0]
    if isinstance(orientation, str) and orientation.isdecimal():
        orientation = int(orientation)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return next((turn for number, turn in turns.items() if number == orientation), None)


def _grey16(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """(grey of 8 bits, alpha) of 16-bit grey, of which one value may mean transparent."""
    values = np.asarray(image)
    alpha, transparent = None, image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = Image.fromarray(np.where(values == transparent, np.uint8(0), np.uint8(255)))
    least, most = int(values.min()), int(values.max())
    white = next(iter(_tag(image, MAX_SAMPLE)), 65535)
    bits = max(_tag(image, BITS), default=16)
    if bits < 16:
        white = 2**bits - 1
    elif white == 65535 and 0 < most < 1 << NARROW[-1]:  # as good as black, were it 16 bits
        bits = next(bits for bits in NARROW if most < 1 << bits)
        white = (1 << bits) - 1
        notes.append(f"its 16-bit values end at {most}: taken as {bits} bits")
    if least < 0 or not 0 < white <= 65535:
        raise ImageError(f"16-bit grey with values from {least} to {most} has no known black and white")
    grey = np.empty(values.shape, np.uint8)
    for row, line in zip(
        grey, values, strict=True
    ):  # line by line: a copy of all in floats would be four times the file
        np.clip(line * (255 / white) + 0.5, 0, 255, out=row, casting="unsafe")
    if WHITE_IS_ZERO in _tag(image, PHOTOMETRIC):
        np.subtract(255, grey, out=grey)
    return Image.fromarray(grey), alpha


def _in_srgb(image: Image.Image, profile: object) -> tuple[Image.Image, str | None]:
    """(the colours of a picture as sRGB in mode RGB, why its profile could not be used or None)."""
    problem = None
    if profile is not None:
        try:
            return _converted(image, profile), None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError) as error:
            problem = str(error)
    if image.mode == "LAB":  # its own space, profile or not
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _through(image, lab), None
    return (image if image.mode == "RGB" else image.convert("RGB")), problem


def _converted(image: Image.Image, profile: object) -> Image.Image:
    """In sRGB by an embedded profile. ValueError or Pillow's errors with the reason where the two do not go together."""
    if not isinstance(profile, bytes):
        raise TypeError(f"it is stored as {type(profile).__name__}")
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    bare = "RGB" if image.mode == "RGBA" else image.mode
    if space == "GRAY" and bare != "L":
        red, green, blue = image.convert("RGB").split()
        if bare != "RGB" or any(ImageChops.difference(red, other).getbbox() for other in (green, blue)):
            raise ValueError("it is for grey, and the picture has colours")
        return _through(red, source)
    if space == "RGB" and bare == "L":
        bare = "RGB"
    if bare != {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}.get(space):
        raise ValueError(f"it is for {space}, and the picture is {bare}")
    return _through(image if image.mode == bare else image.convert(bare), source)


def _through(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert done is not None
    return done
