"""File ↔ pixels; the only importer of Pillow. Pixels are (H, W, 3) RGB in [0, 1], float32, in the sRGB colour space."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minitorch_style import netpbm
from minitorch_style.errors import ImageError
from minitorch_style.kernels.buffers import Array

try:
    from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
    from PIL.PngImagePlugin import PngInfo

    PILLOW = True
except ImportError:  # a board with Python and NumPy alone
    PILLOW = False

Bytes = npt.NDArray[np.uint8]

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".ppm": "PPM",
}
WITH_ALPHA = ("PNG", "WEBP", "TIFF")
MAX_PIXELS = 200_000_000  # decoded, already 600 MB; nobody's camera makes more


@dataclass(frozen=True)
class Picture:
    """`pixels` with transparent parts laid over white; `alpha` (H, W) in [0, 1], or None where all is opaque.
    `notes` says, a sentence each, what reading the file has changed."""

    pixels: Array
    alpha: Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def load_picture(path: str | os.PathLike[str], size: int | None = None) -> Picture:
    """Reads a picture: upright (EXIF), in sRGB (ICC), its longest side reduced to `size` pixels, never enlarged.

    ImageError says in one line why a file cannot be used.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: is a directory, not a picture")
    if not PILLOW:
        return _plain_picture(path, size)
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is the limit here
            Image.init()  # lets Pillow know all the formats it was built with
            with Image.open(path, formats=[name for name in READABLE if name in Image.OPEN]) as image:
                return _decoded(image, path, size)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a picture in a format this program reads ({', '.join(READABLE)})") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise on damaged data
        raise ImageError(f"{path}: cannot be decoded ({error})") from error


def _plain_picture(path: Path, size: int | None) -> Picture:
    pixels = netpbm.read(path).astype(np.float32) / np.float32(255)
    longest = max(pixels.shape[:2])
    if size is not None and size < longest:
        factor = size / longest
        pixels = netpbm.resample(
            pixels, (max(1, round(pixels.shape[0] * factor)), max(1, round(pixels.shape[1] * factor)))
        )
    return Picture(pixels)


def _decoded(image: Image.Image, path: Path, size: int | None) -> Picture:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{path}: {image.width}×{image.height} is more than {MAX_PIXELS / 1e6:.0f} million pixels")
    notes = []
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(f"{path}: animated or of several pages; only the first is used")
        image.seek(0)
    if image.mode == "F":
        raise ImageError(f"{path}: floating-point pixels have no range to show; convert to 8 or 16 bits first")
    image.load()
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image) or image
    if upright.mode.startswith("I"):  # 16 bits, grey
        values = np.asarray(upright).astype(np.float64)
        grey = Image.fromarray(np.clip(values / 257 + 0.5, 0, 255).astype(np.uint8))
        return _finished(grey, None, tuple(notes), size)
    alpha = None
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        alpha = upright.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
    if profile:
        upright, problem = _to_srgb(upright, profile)
        if problem:
            notes.append(f"{path}: its colour profile cannot be used ({problem}); colours are taken as sRGB")
    return _finished(upright, alpha, tuple(notes), size)


def _to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, str | None]:
    """The picture in sRGB, or as it was with the reason."""
    mode = {"P": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}.get(image.mode, image.mode)
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image.convert(mode), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return image, str(error)
    assert converted is not None
    return converted, None


def _finished(image: Image.Image, alpha: Image.Image | None, notes: tuple[str, ...], size: int | None) -> Picture:
    """To RGB over white, reduced to `size`, as floats."""
    colours = image.convert("RGB")
    if alpha is not None:
        colours.paste((255, 255, 255), mask=ImageOps.invert(alpha))
    longest = max(colours.size)
    if size is not None and size < longest:
        shape = (max(1, round(colours.width * size / longest)), max(1, round(colours.height * size / longest)))
        colours = colours.resize(shape, Image.Resampling.LANCZOS)
        alpha = alpha.resize(shape, Image.Resampling.LANCZOS) if alpha is not None else None
    pixels = np.asarray(colours, np.float32) / np.float32(255)
    transparency = None if alpha is None else np.asarray(alpha, np.float32) / np.float32(255)
    return Picture(pixels, transparency, notes)


def resized(pixels: Array, size: tuple[int, int], how: str = "bicubic") -> Array:
    """(H, W, C) stretched to `size` (height, width), each channel in full precision, bicubic or bilinear; `pixels`
    themselves where they have that size."""
    if pixels.shape[:2] == size:
        return pixels
    if not PILLOW:
        return netpbm.resample(pixels, size)
    resampling = Image.Resampling[how.upper()]
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize(size[::-1], resampling))
        for c in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=2).astype(np.float32)


def to_bytes(pixels: Array) -> Bytes:
    """[0, 1] → 0 … 255, clipped and rounded."""
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def check_output(path: str | os.PathLike[str]) -> None:
    """ImageError unless a picture could be written to `path` now: known ending, writable folder, not a folder."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise ImageError(f"{path}: the name must end in {', '.join(WRITABLE)} to say what format to write")
    if not PILLOW and path.suffix.lower() != ".ppm":
        raise ImageError(f"{path}: without Pillow only .ppm can be written")
    if path.is_dir():
        raise ImageError(f"{path}: is a directory")
    if not path.parent.is_dir():
        raise ImageError(f"{path}: the folder {path.parent} does not exist")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name):
            pass
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror})") from error


def save_picture(
    path: str | os.PathLike[str], image: Bytes, alpha: Array | None = None, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes (H, W, 3) bytes, with alpha where the format has it, under a temporary name until whole. `metadata` goes
    into PNG text fields. The same input gives the same bytes. ImageError as for `check_output`."""
    check_output(path)
    path = Path(path)
    file_format = WRITABLE[path.suffix.lower()]
    if alpha is not None and file_format in WITH_ALPHA:
        image = np.dstack([image, to_bytes(alpha)])
    options: dict[str, object] = {}
    if file_format == "JPEG":
        options = {"quality": 95, "subsampling": 0}
    elif file_format == "WEBP":
        options = {"quality": 95}
    elif file_format == "PNG":
        info = PngInfo()
        for key, text in (metadata or {}).items():
            info.add_text(key, text)
        options = {"pnginfo": info}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            if file_format == "PPM":
                file.write(netpbm.encode(image))
            else:
                Image.fromarray(image).save(file, file_format, **options)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise ImageError(f"{path}: cannot be written ({error})") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
