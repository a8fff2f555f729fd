"""Random square crops of photographs and paintings, what a perceptual student looks at."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]
SIDES = (128, 192, 288, 432, 640)  # the shorter side: strokes and things at every size
PICTURES = (".jpg", ".jpeg", ".png")


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The pictures that files and folders name, sorted within a folder."""
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES) if path.is_dir() else [path]
    return found


def scaled(paths: Iterable[Path], sides: Iterable[int] = SIDES) -> list[list[Pixels]]:
    """Each picture upright, at every size not above its own."""
    pictures = []
    for path in paths:
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        sizes = []
        for side in sides:
            factor = min(1.0, side / min(picture.size))
            shape = (round(picture.width * factor), round(picture.height * factor))
            sizes.append(np.asarray(picture.resize(shape, Image.Resampling.LANCZOS)))
            if factor == 1.0:
                break
        pictures.append(sizes)
    return pictures


class Crops:
    """Crops of small photographs from a tar of JPEGs, of large ones and of paintings; shares tell how many of each."""

    def __init__(
        self, tar: Path, photos: list[Path], paintings: list[Path], photo_share: float, painting_share: float
    ) -> None:
        with tarfile.open(tar) as archive:
            self.small = [archive.extractfile(m).read() for m in archive if m.name.endswith(".jpg")]  # type: ignore[union-attr]
        self.photos, self.paintings = scaled(photos), scaled(paintings)
        self.photo_share, self.painting_share = photo_share, painting_share

    def batch(self, count: int, size: int, rng: np.random.Generator) -> torch.Tensor:
        """(count, 3, size, size) in [0, 1], turned over and in other light; paintings also turned and in other colors."""
        crops = []
        for _ in range(count):
            kind = rng.random()
            if kind < self.painting_share:
                sizes = self.paintings[rng.integers(len(self.paintings))]
                crop = square(sizes[rng.integers(len(sizes))], size, rng)
                if rng.random() < 0.3:  # few paintings must stand for many
                    crop = crop[..., rng.permutation(3)]
                crop = np.rot90(crop, rng.integers(4))
            elif kind < self.painting_share + self.photo_share:
                sizes = self.photos[rng.integers(len(self.photos))]
                crop = square(sizes[rng.integers(len(sizes))], size, rng)
            else:
                data = self.small[rng.integers(len(self.small))]
                crop = square(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), size, rng)
            crops.append(crop.astype(np.float32) / 255 * rng.uniform(0.7, 1.0) + rng.uniform(0, 0.1))
        return as_tensor(crops).clamp_(0, 1)


def square(pixels: Pixels, size: int, rng: np.random.Generator) -> Pixels:
    """A random crop, in half of the cases mirrored; a picture that is too small is continued by its mirror image."""
    short = [(0, max(0, size - side)) for side in pixels.shape[:2]]
    pixels = np.pad(pixels, [*short, (0, 0)], "symmetric")
    top, left = (rng.integers(side - size + 1) for side in pixels.shape[:2])
    crop = pixels[top : top + size, left : left + size]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def as_tensor(crops: list[npt.NDArray[np.float32]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
