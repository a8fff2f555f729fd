"""A smaller copy of a training set, to be carried to another machine: one tar a split, pictures at most 160 pixels long.

    python -m tools.training.pack DATA OUT [--longest 160]

Reads what tools.training.train reads (the people tars or MS-COCO) and writes people-train.tar and people-val.tar, which it
reads as well; the 5,465 training photographs take less than 50 MB.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from pathlib import Path

from PIL import Image

from minitorch_style.errors import StyleError
from minitorch_style.files import atomic_write
from tools.training.data import WHOLE, Photo, read_split

QUALITY = 85


def _encoded(picture: Image.Image, file_format: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def pack(photos: list[Photo], path: Path, longest: int) -> None:
    """Writes the photographs to a tar, whole or not at all."""
    with atomic_write(path) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for photo in photos:
            rows, columns = photo.mask.shape
            factor = min(1.0, longest / max(rows, columns))
            size = (max(1, round(rows * factor)), max(1, round(columns * factor)))
            pixels = Image.fromarray(WHOLE.of(photo.pixels, size, Image.Resampling.LANCZOS))
            mask = Image.fromarray(WHOLE.of(photo.mask, size, Image.Resampling.NEAREST))
            name = photo.name if photo.name.startswith(f"{photo.source}-") else f"{photo.source}-{photo.name}"
            files = {"jpg": _encoded(pixels, "JPEG", quality=QUALITY), "png": _encoded(mask, "PNG")}
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"{name}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--longest", type=int, default=160, help="pixels of the longest side (default 160)")
    options = parser.parse_args(argv)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for split in ("train", "val"):
            path = options.out / f"people-{split}.tar"
            pack(read_split(options.data, split), path, options.longest)
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    except StyleError as error:
        print(f"pack: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
