"""The loaders: the people tar, a tiny COCO made here, broken files of both kinds, crops that stay with their masks."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.training import data, pack
from tools.training.data import (
    DataError,
    Photo,
    Window,
    batches,
    chosen_for,
    make_batch,
    random_window,
    read_split,
    whole,
)


def encoded(array: np.ndarray, file_format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, file_format)
    return stream.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def pair(rng: np.random.Generator, shape: tuple[int, int] = (40, 60)) -> dict[str, bytes]:
    mask = np.zeros(shape, np.uint8)
    mask[10:30, 20:40] = 1
    mask[:2] = data.IGNORE
    return {"jpg": encoded(rng.integers(0, 256, (*shape, 3), np.uint8), "JPEG"), "png": encoded(mask, "PNG")}


def people(folder: Path, count: int = 3, **changed: bytes) -> Path:
    rng = np.random.default_rng(0)
    files = {f"coco-{index}.{suffix}": content for index in range(count) for suffix, content in pair(rng).items()}
    files.update({name.replace("_", "."): content for name, content in changed.items()})
    for split in ("train", "val"):
        write_tar(folder / f"people-{split}.tar", files)
    return folder


def test_pairs_of_a_tar(tmp_path: Path) -> None:
    photos = read_split(people(tmp_path), "train")
    assert [photo.name for photo in photos] == ["coco-0", "coco-1", "coco-2"]
    assert photos[0].source == "coco" and photos[0].pixels.shape == (40, 60, 3)
    assert np.bincount(photos[0].mask.ravel()).tolist() == [40 * 60 - 400 - 120, 400, 120]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a-1.jpg": b"no picture", "a-1.png": encoded(np.zeros((2, 2), np.uint8), "PNG")},
            r"a-1\.jpg: not a readable",
        ),
        ({"a-1.jpg": pair(np.random.default_rng(0))["jpg"]}, r"a-1 has no \.png"),
        ({"a-1.png": pair(np.random.default_rng(0))["png"]}, r"a-1 has no \.jpg"),
        ({}, "holds no photographs"),
        (
            {"a-1.jpg": pair(np.random.default_rng(0))["jpg"], "a-1.png": encoded(np.zeros((2, 2), np.uint8), "PNG")},
            r"a mask of \(2, 2\) for a photograph of \(40, 60\)",
        ),
        (
            {
                "a-1.jpg": pair(np.random.default_rng(0))["jpg"],
                "a-1.png": encoded(np.full((40, 60), 7, np.uint8), "PNG"),
            },
            "a mask holds 0, 1 and 2, this one 7",
        ),
        (
            {
                "a-1.jpg": pair(np.random.default_rng(0))["jpg"][:-40] + b"",
                "a-1.png": pair(np.random.default_rng(0))["png"][:60],
            },
            "not a readable picture",
        ),
    ],
)
def test_broken_tars(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    write_tar(tmp_path / "people-train.tar", files)
    with pytest.raises(DataError, match=message):
        read_split(tmp_path, "train")


def test_no_data_and_no_tar(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither people-val\.tar nor annotations/instances_val2017\.json"):
        read_split(tmp_path, "val")
    (tmp_path / "people-train.tar").write_bytes(b"not a tar")
    with pytest.raises(DataError, match=r"people-train\.tar"):
        read_split(tmp_path, "train")


def tiny_coco(folder: Path) -> dict:
    """Two pictures: one with a person, a person in a crowd region and a dog, one with nobody."""
    square = [[10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]]
    crowd = {"size": [50, 80], "counts": [0, 50 * 40, 50 * 40]}  # columns 0 to 39
    dog = [[60.0, 5.0, 70.0, 5.0, 70.0, 15.0, 60.0, 15.0]]
    document = {
        "images": [
            {"id": 1, "file_name": "one.jpg", "width": 80, "height": 50},
            {"id": 2, "file_name": "two.jpg", "width": 400, "height": 300},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": square},
            {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": crowd},
            {"id": 3, "image_id": 1, "category_id": 18, "iscrowd": 0, "segmentation": dog},
        ],
    }
    (folder / "annotations").mkdir()
    (folder / "train2017").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(document))
    rng = np.random.default_rng(0)
    for entry in document["images"]:
        pixels = rng.integers(0, 256, (entry["height"], entry["width"], 3), np.uint8)
        Image.fromarray(pixels).save(folder / "train2017" / entry["file_name"])
    return document


def test_coco(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    tiny_coco(tmp_path)
    one, two = read_split(tmp_path, "train")
    assert one.pixels.shape == (50, 80, 3) and two.pixels.shape == (144, 192, 3) and not two.mask.any()
    assert one.mask[20, 20] == 1, "a person inside a crowd region counts"
    assert one.mask[45, 5] == data.IGNORE and one.mask[10, 65] == 0, "crowds are ignored, dogs are background"


def test_broken_coco(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    document = tiny_coco(tmp_path)
    instances = tmp_path / "annotations" / "instances_train2017.json"
    (tmp_path / "train2017" / "one.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a readable picture"):
        read_split(tmp_path, "train")
    (tmp_path / "train2017" / "one.jpg").unlink()
    with pytest.raises(DataError, match=r"one\.jpg"):
        read_split(tmp_path, "train")
    instances.write_text(json.dumps({**document, "categories": [{"id": 18, "name": "dog"}]}))
    with pytest.raises(DataError, match="no category person"):
        read_split(tmp_path, "train")
    instances.write_text("{")
    with pytest.raises(DataError, match="not a COCO instances file"):
        read_split(tmp_path, "train")


def test_crops_of_picture_mask_and_teacher_agree() -> None:
    """A picture that is its own mask and its own teacher's map: after any crop they are still the same, up to edges."""
    mask = np.kron(np.array([[0, 1, 0], [1, 1, 0]], np.uint8), np.ones((48, 48), np.uint8))
    maps = {"seen": mask[::2, ::2].astype(np.float16)}
    photo = Photo("a", "a", np.repeat(mask[..., None] * 255, 3, axis=2).astype(np.uint8), mask, maps)
    for seed in range(20):
        window = random_window(mask.shape, np.random.default_rng(seed))
        pixels = window.of(photo.pixels, (32, 32), Image.Resampling.BILINEAR)[..., 0] > 127
        masks = window.of(photo.mask, (32, 32), Image.Resampling.NEAREST)
        seen = window.of(maps["seen"].astype(np.float32), (32, 32), Image.Resampling.BILINEAR)
        assert (pixels != masks).mean() < 0.1 and (np.abs(seen - masks) > 0.5).mean() < 0.1
    assert Window(0, 0, 1, 1, True).of(mask, mask.shape, Image.Resampling.NEAREST).tolist() == mask[:, ::-1].tolist()


def test_batches_are_the_same_wherever_they_begin(tmp_path: Path) -> None:
    photos = read_split(people(tmp_path, 7), "train")
    first = list(batches(photos, 32, 2, seed=1, epoch=4))
    later = list(batches(photos, 32, 2, seed=1, epoch=4, start=1))
    assert len(first) == 3 and len(later) == 2
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first[1:], later, strict=True))
    other = next(iter(batches(photos, 32, 2, seed=1, epoch=5)))
    assert not np.array_equal(other.pixels, first[0].pixels)
    batch = make_batch(photos[:2], 32, np.random.default_rng(0))
    assert batch.pixels.shape == (2, 3, 32, 32) and batch.pixels.min() >= 0 and batch.pixels.max() <= 1
    assert set(np.unique(batch.masks)) <= {0, 1, 2}


def test_some_pictures_without_people_are_left_out() -> None:
    blank, person = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    pixels = np.zeros((8, 8, 3), np.uint8)
    photos = [Photo(str(index), "a", pixels, person if index < 4 else blank) for index in range(14)]
    seen = [chosen_for(photos, 0.3, np.random.default_rng(seed)) for seed in range(20)]
    assert all({0, 1, 2, 3} < set(chosen) and len(chosen) == 4 + 3 for chosen in seen)
    assert {index for chosen in seen for index in chosen} == set(range(14)), "in the end, all are seen"
    assert sorted(chosen_for(photos, 1.0, np.random.default_rng(0))) == list(range(14))


def test_whole_pictures_have_sides_that_five_pools_divide() -> None:
    rng = np.random.default_rng(0)
    for shape in ((192, 128), (31, 192), (20, 20)):
        photo = Photo("a", "a", rng.integers(0, 256, (*shape, 3), np.uint8), np.zeros(shape, np.uint8))
        seen = whole(photo, 128).shape
        assert seen[0:2] == (1, 3) and seen[2] % 32 == seen[3] % 32 == 0 and min(seen[2:]) >= 32


def test_a_packed_copy_is_read_like_its_original(tmp_path: Path) -> None:
    photos = read_split(people(tmp_path, 4), "train")
    assert pack.main([str(tmp_path), str(tmp_path / "packed"), "--longest", "30"]) == 0
    packed = read_split(tmp_path / "packed", "train")
    assert [photo.name for photo in packed] == [photo.name for photo in photos]
    assert all(photo.mask.shape == (20, 30) for photo in packed)
    assert np.array_equal(packed[0].mask, photos[0].mask[1::2, 1::2])
    assert pack.main([str(tmp_path / "nothing"), str(tmp_path / "packed")]) == 2
