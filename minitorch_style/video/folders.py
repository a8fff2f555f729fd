"""Films as folders of numbered pictures, and animated WebP read: what needs no film library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ImageError, SettingsError, ShapeError
from minitorch_style.files import PathLike, check_readable
from minitorch_style.image.animation import animation
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.resize import resized
from minitorch_style.image.writing import WRITABLE, save_picture
from minitorch_style.video.frames import Frame

RATE = Fraction(25)


def is_folder(path: PathLike) -> bool:
    """Whether a film is to be read from, or written to, a folder of that name."""
    return Path(path).is_dir() or not Path(path).suffix


class FolderReader:
    """The pictures of a folder in the order of their numbers, as a film of `rate` frames a second. All must have the size of
    the first."""

    def __init__(self, path: PathLike, rate: Fraction | None = None) -> None:
        self.path, self.rate, self.sound = Path(path), rate or RATE, None
        pictures = [one for one in self.path.iterdir() if one.suffix.lower() in WRITABLE and re.search(r"\d", one.stem)]
        self.pictures = sorted(pictures, key=_number)
        if not self.pictures:
            raise ImageError(f"{path}: no numbered pictures ({', '.join(WRITABLE)}) in this folder")
        self.size = load_picture(self.pictures[0]).size
        self.count = len(self.pictures)
        self.seconds = self.count / self.rate
        self.time_base, self.aspect = 1 / self.rate, Fraction(1)
        self.begin = Fraction(0)

    def frames(
        self, size: tuple[int, int] | None = None, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> Iterator[Frame]:
        """As `frames.Reader.frames`."""
        for number, path in enumerate(self.pictures):
            time = number / self.rate
            if time < start:
                continue
            if end is not None and time >= end:
                return
            pixels = load_picture(path).pixels
            if pixels.shape[:2] != self.size:
                raise ShapeError(
                    f"{path}: is {pixels.shape[1]}×{pixels.shape[0]}, the first picture {self.size[1]}×{self.size[0]}"
                )
            yield Frame(to_bytes(resized(pixels, size or self.size)), time, 1 / self.rate)

    def close(self) -> None:
        """Nothing is open between frames."""


class WebpReader:
    """An animated WebP as a film, of two passes: the first finds out its length."""

    def __init__(self, path: PathLike) -> None:
        self.path, self.sound = Path(path), None
        check_readable(path, ImageError, "film")
        self.size, durations = (0, 0), []
        for pixels, milliseconds in animation(self.path):
            self.size = pixels.shape[0], pixels.shape[1]
            durations.append(milliseconds)
        self.count, self.seconds = len(durations), Fraction(sum(durations), 1000)
        self.rate = self.count / self.seconds
        self.time_base, self.aspect, self.begin = Fraction(1, 1000), Fraction(1), Fraction(0)

    def frames(
        self, size: tuple[int, int] | None = None, start: Fraction = Fraction(0), end: Fraction | None = None
    ) -> Iterator[Frame]:
        """As `frames.Reader.frames`."""
        time = Fraction(0)
        for pixels, milliseconds in animation(self.path):
            if end is not None and time >= end:
                return
            duration = Fraction(milliseconds, 1000)
            if time >= start:
                floats = pixels.astype(np.float32) / np.float32(255)
                yield Frame(to_bytes(resized(floats, size or self.size)), time, duration)
            time += duration

    def close(self) -> None:
        """Nothing is open but while frames are read."""


def _number(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)][-1:], path.name


class FolderWriter:
    """Frames as 000001.png, 000002.png … in a folder, which is made, or is empty unless a run is `going_on` there."""

    def __init__(self, path: PathLike, going_on: bool = False) -> None:
        self.path, self.number = Path(path), 0
        try:
            self.path.mkdir(exist_ok=True)
            if not going_on and any(self.path.iterdir()):
                raise SettingsError(f"{path}: this folder is not empty")
        except OSError as error:
            raise ImageError(f"{path}: cannot be made a folder ({error.strerror})") from error

    def write(self, frame: Frame) -> None:
        self.number += 1
        pixels: Rgb8 = np.ascontiguousarray(frame.pixels)
        save_picture(self.path / f"{self.number:06d}.png", pixels)
