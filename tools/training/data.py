"""Photographs with person masks: read from the people tars, a packed copy of them, or MS-COCO; cropped for training.

A mask is 0 for background, 1 for a person, `IGNORE` for what no measure counts. Sizes are (height, width).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from minitorch_style.errors import StyleError

IGNORE = 2
MULTIPLE = 32  # five pools undo themselves only for such sizes

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class DataError(StyleError):
    """Training data that cannot be read."""


@dataclass(frozen=True)
class Photo:
    """Pixels (H, W, 3), mask (H, W); `maps` may hold what a teacher sees in it, {name: (h, w) of any size}."""

    name: str
    source: str
    pixels: Bytes
    mask: Bytes
    maps: Mapping[str, npt.NDArray[np.float16]] = field(default_factory=dict)


def _picture(name: str, data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: not a readable picture ({error})") from error
    return picture


def _photo(name: str, source: str, pixels: Image.Image, mask: Bytes) -> Photo:
    array = np.asarray(pixels.convert("RGB"))
    if mask.ndim != 2 or mask.shape != array.shape[:2]:
        raise DataError(f"{name}: a mask of {mask.shape} for a photograph of {array.shape[:2]} pixels")
    if mask.max(initial=0) > IGNORE:
        raise DataError(f"{name}: a mask holds 0, 1 and {IGNORE}, this one {mask.max()}")
    return Photo(name, source, array, mask)


def read_tar(path: Path) -> list[Photo]:
    """Pairs NAME.jpg and NAME.png (palette or grey), the source being what stands before the first dash of the name."""
    members: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    stem, _, suffix = member.name.rpartition(".")
                    opened = archive.extractfile(member)
                    assert opened is not None
                    members.setdefault(stem, {})[suffix] = opened.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise DataError(f"{path}: {error}") from error
    photos = []
    for name, files in members.items():
        if missing := {"jpg", "png"} - set(files):
            raise DataError(f"{path}: {name} has no .{' and no .'.join(sorted(missing))}")
        mask = np.asarray(_picture(f"{name}.png", files["png"]))
        photos.append(_photo(name, name.split("-")[0], _picture(f"{name}.jpg", files["jpg"]), mask))
    if not photos:
        raise DataError(f"{path}: holds no photographs")
    return photos


def read_coco(images: Path, instances: Path, longest: int = 192) -> list[Photo]:
    """MS-COCO: every image of the JSON file, shrunk to `longest` pixels; category `person`, crowd regions ignored."""
    from pycocotools.coco import COCO  # the only user of the train extra's pycocotools

    try:
        coco = COCO(str(instances))
        people = coco.getCatIds(catNms=["person"])
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise DataError(f"{instances}: not a COCO instances file ({error})") from error
    if not people:
        raise DataError(f"{instances}: has no category person")
    photos = []
    for entry in coco.loadImgs(sorted(coco.getImgIds())):
        path = images / entry["file_name"]
        try:
            picture = _picture(path.name, path.read_bytes()).convert("RGB")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from error
        if picture.size != (entry["width"], entry["height"]):
            expected = f"{entry['width']}×{entry['height']}"
            raise DataError(f"{path}: {picture.width}×{picture.height} pixels, the annotations say {expected}")
        mask = np.zeros((picture.height, picture.width), np.uint8)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=entry["id"], catIds=people))
        for annotation in sorted(annotations, key=lambda one: -one["iscrowd"]):  # a person in a crowd region counts
            mask[coco.annToMask(annotation) > 0] = IGNORE if annotation["iscrowd"] else 1
        factor = min(1.0, longest / max(picture.size))
        shape = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        small = np.asarray(Image.fromarray(mask).resize(shape, Image.Resampling.NEAREST))
        photos.append(_photo(path.stem, "coco", picture.resize(shape, Image.Resampling.LANCZOS), small))
    if not photos:
        raise DataError(f"{instances}: names no images")
    return photos


def read_split(data: Path, split: str) -> list[Photo]:
    """The photographs of `split` ("train" or "val") in a folder that holds people-SPLIT.tar or MS-COCO 2017."""
    tar = data / f"people-{split}.tar"
    if tar.exists():
        return read_tar(tar)
    instances = data / "annotations" / f"instances_{split}2017.json"
    if instances.exists():
        return read_coco(data / f"{split}2017", instances)
    raise DataError(f"{data}: neither {tar.name} nor annotations/{instances.name} is there")


@dataclass(frozen=True)
class Window:
    """A part of a photograph, in fractions of its sides, perhaps mirrored."""

    top: float
    left: float
    height: float
    width: float
    mirrored: bool

    def of(self, array: npt.NDArray[Any], size: tuple[int, int], resampling: Image.Resampling) -> npt.NDArray[Any]:
        """This part of (H, W) or (H, W, 3) uint8 or float32, resized to `size`."""
        rows, columns = array.shape[:2]
        top, left = self.top * rows, self.left * columns
        box = (left, top, left + self.width * columns, top + self.height * rows)
        part = np.asarray(Image.fromarray(array).resize((size[1], size[0]), resampling, box))
        return part[:, ::-1] if self.mirrored else part


WHOLE = Window(0, 0, 1, 1, False)


def random_window(shape: tuple[int, int], rng: np.random.Generator) -> Window:
    """30–100 % of the picture's area at an aspect between 3:4 and 4:3, anywhere; mirrored half of the time."""
    for _ in range(10):
        area = rng.uniform(0.3, 1.0) * shape[0] * shape[1]
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        height, width = np.sqrt(area / aspect) / shape[0], np.sqrt(area * aspect) / shape[1]
        if height <= 1 and width <= 1:
            break
    else:
        height = width = 1.0
    return Window(rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width, rng.random() < 0.5)


def recoloured(pixels: Floats, rng: np.random.Generator) -> Floats:
    """Brightness, contrast and saturation changed by up to 30 %, the last with a tenth of the pictures going grey."""
    grey = pixels.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(0.7, 1.3)
    pixels = grey + saturation * (pixels - grey)
    mean = pixels.mean()
    return np.clip(mean + rng.uniform(0.7, 1.3) * (pixels - mean) + mean * rng.uniform(-0.3, 0.3), 0, 1)


@dataclass(frozen=True)
class Batch:
    """Pixels (N, 3, size, size) in [0, 1], masks (N, size, size) int64, a teacher's maps {name: (N, h, w)}."""

    pixels: Floats
    masks: npt.NDArray[np.int64]
    maps: dict[str, Floats]


def make_batch(photos: list[Photo], size: int, rng: np.random.Generator) -> Batch:
    """One random crop of each; a teacher's map keeps its scale relative to the crop."""
    pixels, masks = [], []
    maps: dict[str, list[Floats]] = {name: [] for name in photos[0].maps}
    for photo in photos:
        window = random_window(photo.mask.shape, rng)  # type: ignore[arg-type]
        crop = window.of(photo.pixels, (size, size), Image.Resampling.BILINEAR).astype(np.float32) / 255
        pixels.append(recoloured(crop, rng))
        masks.append(window.of(photo.mask, (size, size), Image.Resampling.NEAREST))
        for name, values in photo.maps.items():
            maps[name].append(window.of(values.astype(np.float32), (size, size), Image.Resampling.BILINEAR))
    return Batch(
        np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2), np.float32),
        np.stack(masks).astype(np.int64),
        {name: np.stack(values) for name, values in maps.items()},
    )


def chosen_for(photos: list[Photo], share: float, rng: np.random.Generator) -> list[int]:
    """The numbers of all photographs with people, and of a `share` of those without, chosen at random; shuffled."""
    people = [index for index, photo in enumerate(photos) if np.any(photo.mask == 1)]
    others = sorted(set(range(len(photos))) - set(people))
    kept = rng.permutation(others)[: round(share * len(others))].astype(int)
    return [int(index) for index in rng.permutation([*people, *kept])]


def batches(
    photos: list[Photo], size: int, batch: int, seed: int, epoch: int, start: int = 0, share: float = 1.0
) -> Iterator[Batch]:
    """The batches of one epoch from number `start` on: what they hold depends on seed, epoch and number alone, so that a
    resumed run sees what an uninterrupted one would. The next one is made while the caller works."""
    order = chosen_for(photos, share, np.random.default_rng([seed, epoch]))

    def make(number: int) -> Batch:
        chosen = [photos[index] for index in order[number * batch : (number + 1) * batch]]
        return make_batch(chosen, size, np.random.default_rng([seed, epoch, number]))

    with ThreadPoolExecutor(1) as pool:
        count = batches_per_epoch(len(order), batch)
        coming = [pool.submit(make, number) for number in range(start, min(start + 2, count))]
        for number in range(start, count):
            if number + 2 < count:
                coming.append(pool.submit(make, number + 2))
            yield coming.pop(0).result()


def batches_per_epoch(photos: int, batch: int) -> int:
    """Whole batches only, as batch norm needs more than a picture or two; a tiny set is one batch."""
    return max(1, photos // batch)


def whole(photo: Photo, size: int) -> Floats:
    """The whole photograph as (1, 3, H, W) in [0, 1], about size² pixels, its sides multiples of 32."""
    rows, columns = photo.mask.shape
    factor = size / np.sqrt(rows * columns)
    shape = tuple(max(1, round(side * factor / MULTIPLE)) * MULTIPLE for side in (rows, columns))
    pixels = WHOLE.of(photo.pixels, shape, Image.Resampling.BILINEAR).astype(np.float32) / 255  # type: ignore[arg-type]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
