"""A picture that is done gets written: what is refused, is refused before; what is accepted, is written whole."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import BmpImagePlugin, Image, ImageFile, TiffImagePlugin, TiffTags

from minitorch_style.errors import ImageError
from minitorch_style.image import writing
from minitorch_style.image.writing import LONGEST_SIDE, WRITABLE, check_format, check_output, encoded, save_picture


def ramp(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), np.full_like(x, 80)]).astype(
        np.uint8
    )


@pytest.mark.parametrize("suffix", sorted(WRITABLE))
def test_written_pictures_read_back(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    save_picture(out, ramp(48, 64), None, {"key": "värde"})
    assert np.abs(np.asarray(Image.open(out).convert("RGB")).astype(int) - ramp(48, 64)).mean() < 3
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if suffix == ".png":
        assert Image.open(out).info["key"] == "värde"


def edges() -> list[tuple[str, tuple[int, int]]]:
    """Sizes on both sides of every limit a format has, and long ones for formats that have none."""
    limited = [(name, longest + more) for name, longest in LONGEST_SIDE.items() for more in (-1, 0, 1, 17)]
    sides = [*limited, *((name, 70_000) for name in WRITABLE.values() if name not in LONGEST_SIDE)]
    return [(name, size) for name, side in dict.fromkeys(sides) for size in ((1, side), (side, 1))]


@pytest.mark.parametrize(("file_format", "size"), edges())
@pytest.mark.parametrize("alpha", [False, True])
def test_the_check_tells_exactly_what_the_encoder_does(
    tmp_path: Path, file_format: str, size: tuple[int, int], alpha: bool
) -> None:
    """Against Pillow alone, so that a limit typed in here by mistake does not pass."""
    out = tmp_path / next(f"out{suffix}" for suffix, name in WRITABLE.items() if name == file_format)
    plain = Image.new("RGB", size[::-1])
    try:
        plain.save(tmp_path / "theirs", file_format)
        possible = True
    except (OSError, ValueError):
        possible = False
    transparency = np.full(size, 0.5, np.float32) if alpha else None
    if possible:
        check_output(out, size, alpha)
        save_picture(out, np.asarray(plain), transparency)
        assert Image.open(out).size == size[::-1]
    else:
        for attempt in (
            lambda: check_output(out, size, alpha),
            lambda: save_picture(out, np.asarray(plain), transparency),
        ):
            with pytest.raises(ImageError, match=f"{size[1]}×{size[0]} pixels are too many for {file_format}"):
                attempt()
        assert not out.exists()


def test_a_bmp_ends_where_its_encoder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked without the pixels, which would be 4 GB."""
    monkeypatch.setattr(ImageFile, "_save", lambda *_: None)
    for width, height in ((30_000, 47_721), (30_000, 47_722), (29_999, 47_722), (29_999, 47_721), (1, 2**30 - 14)):
        for size in ((height, width), (width, height)):
            try:
                BmpImagePlugin._save(SimpleNamespace(mode="RGB", size=size[::-1], encoderinfo={}), BytesIO(), "")
                check_format(tmp_path / "a.bmp", size)
            except ValueError:
                with pytest.raises(ImageError, match="too many for BMP, which ends at 4 GB"):
                    check_format(tmp_path / "a.bmp", size)


def test_a_tiff_that_is_too_long_to_be_one_becomes_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.tif"
    save_picture(out, ramp(48, 64))
    assert out.read_bytes()[:4] == b"II*\0"
    monkeypatch.setattr(writing, "TIFF_TABLES", 2**32 - 48 * 64 * 3)
    save_picture(out, ramp(48, 64))
    assert out.read_bytes()[:4] == b"II+\0" and np.array_equal(np.asarray(Image.open(out)), ramp(48, 64))
    with Image.open(out) as big:
        assert big.tag_v2.tagtype[TiffImagePlugin.STRIPOFFSETS] == TiffTags.LONG8, "places beyond 4 GB need 64 bits"
    save_picture(out, ramp(48, 63))
    assert out.read_bytes()[:4] == b"II*\0"


@pytest.mark.parametrize("suffix", sorted(WRITABLE))
def test_a_full_disk_is_not_taken_for_an_encoder_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"old")

    def full(disk: Any, data: bytes) -> int:
        disk.problem = OSError(28, "No space left on device")
        raise disk.problem

    monkeypatch.setattr(writing._Disk, "write", full)
    with pytest.raises(ImageError, match=f"out{suffix}: cannot be written \\(No space left on device\\)"):
        save_picture(out, ramp(48, 64))
    assert out.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", sorted(WRITABLE))
@pytest.mark.parametrize("alpha", [False, True])
def test_the_bytes_on_the_disk_are_those_in_memory(tmp_path: Path, suffix: str, alpha: bool) -> None:
    """Written part by part, to a disk or to memory; so no picture has changed since it was made in memory first."""
    out, transparency = tmp_path / f"out{suffix}", np.full((300, 400), 0.5, np.float32) if alpha else None
    save_picture(out, ramp(300, 400), transparency, {"key": "value"})
    assert out.read_bytes() == encoded(WRITABLE[suffix], ramp(300, 400), transparency, {"key": "value"})


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_metadata_that_is_too_long_costs_no_picture(tmp_path: Path, suffix: str) -> None:
    save_picture(tmp_path / f"out{suffix}", ramp(4, 4), None, {"minitorch_style.weights": "x" * 100_000})
    assert Image.open(tmp_path / f"out{suffix}").size == (4, 4)


@pytest.mark.parametrize("text", ["caf\udce9.jpg", "\ud800", "a\nb", "日本", "x" * 100_000, ""])
def test_any_file_name_can_stand_in_the_metadata(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.png"
    save_picture(out, ramp(4, 4), None, {"minitorch_style.weights": text})
    picture = Image.open(out)
    picture.load()
    assert picture.info["minitorch_style.weights"] == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    "problem", [OSError("broken"), ValueError("broken"), SystemError("broken"), KeyError("broken")]
)
def test_whatever_the_encoder_raises_is_an_image_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise problem

    monkeypatch.setattr(Image.Image, "save", fail)
    for attempt in (lambda: check_output(out), lambda: save_picture(out, ramp(4, 4))):
        with pytest.raises(ImageError, match="broken"):
            attempt()
    assert out.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_outputs_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "dir.png").mkdir()
    for name, reason in {
        "out.xyz": "must end in",
        "none/out.png": "does not exist",
        "dir.png": "is a directory",
        "x" * 252 + ".png": "too long",
    }.items():
        with pytest.raises(ImageError, match=reason):
            check_output(tmp_path / name)
    check_output(tmp_path / "fine.png")
    check_output(tmp_path / ("x" * 251 + ".png"))
    assert [path.name for path in tmp_path.iterdir()] == ["dir.png"]
