"""Pixels → file: `check_output` refuses before the work whatever `save_picture` could not do after it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.errors import ImageError
from minitorch_style.files import atomic_write, check_writable
from minitorch_style.image import ppm as netpbm
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import PILLOW

if PILLOW:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo
    from PIL.TiffImagePlugin import ROWSPERSTRIP, STRIPOFFSETS, ImageFileDirectory_v2
    from PIL.TiffTags import LONG8

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
WITH_EXIF = ("JPEG", "WEBP")
IMAGE_DESCRIPTION = 0x010E  # of EXIF, which takes ASCII
LONGEST_EXIF = 65_000  # bytes; with more a JPEG goes without it
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # pixels; libjpeg's JPEG_MAX_DIMENSION, libwebp's WEBP_MAX_DIMENSION
BMP_HEADER = 54  # bytes, of a file that counts its own in 32 bits
TIFF_TABLES = 1 << 20  # bytes before the pixels at most; where all cannot be counted in 32 bits it becomes a BigTIFF
STRIP_ROWS = 16  # of a BigTIFF
OPTIONS: Mapping[str, Mapping[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}


def has_alpha(path: str | os.PathLike[str]) -> bool:
    """Whether a picture written to `path` keeps its transparency."""
    return WRITABLE.get(Path(path).suffix.lower()) in WITH_ALPHA


def check_output(path: str | os.PathLike[str], size: tuple[int, int] | None = None, alpha: bool = False) -> None:
    """ImageError unless a picture of `size` (height, width), with `alpha` or without, could be written to `path` now:
    a known ending, a size that the format can hold, an encoder that is there, a name and a folder that take a file.
    Without a size all but that is checked."""
    check_format(path, size, alpha)
    check_writable(path, ImageError)


def check_format(path: str | os.PathLike[str], size: tuple[int, int] | None = None, alpha: bool = False) -> None:
    """The part of `check_output` that looks at no disk: for pictures that another machine will write."""
    path = Path(path)
    file_format = WRITABLE.get(path.suffix.lower())
    if file_format is None:
        raise ImageError(f"{path}: the name must end in {', '.join(WRITABLE)} to say what format to write")
    if not PILLOW and file_format != "PPM":
        raise ImageError(f"{path}: without Pillow only .ppm can be written")
    longest = LONGEST_SIDE.get(file_format)
    if size is not None and longest is not None and max(size) > longest:
        raise ImageError(
            f"{path}: {size[1]}×{size[0]} pixels are too many for {file_format}, which ends at {longest:,} a side; "
            ".png, .tif and .bmp hold more"
        )
    if size is not None and file_format == "BMP" and BMP_HEADER + _bmp_bytes(size) >= 1 << 32:
        raise ImageError(
            f"{path}: {size[1]}×{size[0]} pixels are too many for BMP, which ends at 4 GB; .png and .tif hold more"
        )
    try:
        encoded(file_format, np.zeros((1, 1, 4 if alpha and has_alpha(path) else 3), np.uint8))
    except ImageError as problem:
        raise ImageError(f"{path}: {problem}") from problem


def save_picture(
    path: str | os.PathLike[str], image: Rgb8, alpha: Float32 | None = None, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes (H, W, 3) bytes, or (H, W) grey, with alpha where the format has it. `metadata` goes into PNG text fields, or EXIF;
    characters that no text can hold (parts of file names that are not UTF-8) are written as escapes. The same input
    gives the same bytes. Whatever goes wrong is an ImageError, and leaves what was at `path`; see `atomic_write`."""
    path = Path(path)
    check_output(path, image.shape[:2], alpha is not None)
    with atomic_write(path, ImageError) as file:
        disk = _Disk(file)
        try:
            _encode(disk, WRITABLE[path.suffix.lower()], image, alpha, metadata, None)
        except ImageError as problem:
            raise disk.problem or ImageError(f"{path}: {problem}") from problem


class _Disk:
    """A file for encoders, which knows afterwards whether an error was the disk's. It shows no descriptor, past which they
    would write."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.flush, self._file = file.seek, file.tell, file.flush, file
        self.problem: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as problem:
            self.problem = problem
            raise


def _of_many_bytes() -> ImageFileDirectory_v2:
    """Tags of a BigTIFF: strips of few rows, and their places in 64 bits. By itself Pillow makes a single one here too, whose
    length it writes in 32."""
    tags = ImageFileDirectory_v2()
    tags[ROWSPERSTRIP] = STRIP_ROWS
    tags.tagtype[STRIPOFFSETS], tags[STRIPOFFSETS] = LONG8, 0
    return tags


def _bmp_bytes(size: tuple[int, int]) -> int:
    """Of the pixels: rows are filled up to whole words."""
    return size[0] * (-(-3 * size[1] // 4) * 4)


def encoded(
    file_format: str,
    image: npt.NDArray[np.uint8],
    alpha: Float32 | None = None,
    metadata: Mapping[str, str] | None = None,
    quality: int | None = None,
) -> bytes:
    """The bytes of a file of a format in `WRITABLE`; arguments and errors as for `save_picture`. `quality` (1 to 100) is of
    JPEG and WebP, which carry the metadata as JSON in the EXIF field ImageDescription."""
    stream = BytesIO()
    _encode(stream, file_format, image, alpha, metadata, quality)
    return stream.getvalue()


def _encode(
    file: BytesIO | _Disk,
    file_format: str,
    image: npt.NDArray[np.uint8],
    alpha: Float32 | None,
    metadata: Mapping[str, str] | None,
    quality: int | None,
) -> None:
    """Writes what `encoded` gives, part by part where the format is made so: there is no second copy of all of it."""
    if alpha is not None and file_format in WITH_ALPHA and image.ndim == 3 and image.shape[2] == 3:
        image = np.dstack([image, to_bytes(alpha)])
    texts = {key: text.encode("utf-8", "backslashreplace").decode("utf-8") for key, text in (metadata or {}).items()}
    try:
        if file_format == "PPM":
            netpbm.write(file, image if image.ndim == 3 else np.dstack([image] * 3))
            return
        options = dict(OPTIONS.get(file_format, {}))
        if file_format == "PNG":
            options["pnginfo"] = info = PngInfo()
            for key, text in texts.items():
                info.add_text(key, text)
        elif texts and file_format in WITH_EXIF:
            options["exif"] = exif = Image.Exif()
            exif[IMAGE_DESCRIPTION] = json.dumps(texts)
            if len(exif.tobytes()) > LONGEST_EXIF:
                del options["exif"]
        elif file_format == "TIFF" and image.nbytes + TIFF_TABLES >= 1 << 32:
            options.update(big_tiff=True, tiffinfo=_of_many_bytes())
        if quality is not None:
            options["quality"] = quality
        Image.fromarray(image).save(file, file_format, **options)  # type: ignore[arg-type]
    except Exception as problem:  # encoders raise whatever they like; the picture's owner hears of one kind
        raise ImageError(f"cannot be written as {file_format} ({str(problem) or type(problem).__name__})") from problem
