"""Every kind of picture people have: read right, or refused with the reason in one line."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from minitorch_style.errors import ImageError
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.resize import resized
from minitorch_style.image.writing import save_picture


def gradient(width: int = 20, height: int = 12) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        np.dstack([x * 255 // (width - 1), y * 255 // (height - 1), np.full_like(x, 80)]).astype(np.uint8)
    )


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_plain_rgb(tmp_path: Path) -> None:
    picture = load_picture(saved(gradient(), tmp_path / "a.png"))
    assert picture.pixels.dtype == np.float32 and picture.size == (12, 20) and picture.alpha is None
    assert np.array_equal(to_bytes(picture.pixels), np.asarray(gradient()))


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (11, 19)), (6, (0, 11)), (8, (19, 0))])
def test_photos_stand_upright(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    """The stored top left pixel comes to where the camera's orientation says."""
    image = Image.new("RGB", (20, 12))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = load_picture(saved(image, tmp_path / "a.png", exif=exif))
    assert picture.size == ((12, 20) if orientation in (1, 3) else (20, 12))
    assert tuple(np.argwhere(picture.pixels[..., 0] > 0.5)[0]) == corner


def test_colour_profiles_are_converted(tmp_path: Path) -> None:
    """A picture whose profile says «linear light» gets brighter in sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    lab = ImageCms.profileToProfile(gradient(), ImageCms.createProfile("sRGB"), profile, outputMode="LAB")
    assert lab is not None
    picture = load_picture(saved(lab, tmp_path / "a.tif", icc_profile=profile.tobytes()))
    assert np.abs(to_bytes(picture.pixels).astype(int) - np.asarray(gradient())).mean() < 3


def test_a_broken_profile_is_noted_and_passed_over(tmp_path: Path) -> None:
    picture = load_picture(saved(gradient(), tmp_path / "a.png", icc_profile=b"no profile"))
    assert "colour profile" in picture.notes[0]
    assert np.array_equal(to_bytes(picture.pixels), np.asarray(gradient()))


def test_alpha_is_composited_and_kept(tmp_path: Path) -> None:
    image = gradient().convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(20) < 10, 0, 255).astype(np.uint8)[None].repeat(12, 0)))
    picture = load_picture(saved(image, tmp_path / "a.png"))
    assert np.all(picture.pixels[:, :10] == 1) and not np.all(picture.pixels[:, 10:] == 1)
    assert picture.alpha is not None and np.array_equal(picture.alpha[0], np.arange(20) >= 10)
    out = tmp_path / "out.png"
    save_picture(out, to_bytes(picture.pixels), picture.alpha)
    assert np.array_equal(np.asarray(Image.open(out).getchannel("A")), np.asarray(image.getchannel("A")))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "CMYK", "RGBA", "YCbCr"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    picture = load_picture(saved(gradient(48, 32).convert(mode), path))
    expected = np.asarray(gradient(48, 32).convert(mode).convert("RGB")).astype(int)
    assert picture.alpha is None
    assert np.abs(to_bytes(picture.pixels).astype(int) - expected).mean() < 4


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 1), 1)
    picture = load_picture(saved(image, tmp_path / "a.png", transparency=0))
    assert picture.alpha is not None and picture.alpha.sum() == 1


def test_sixteen_bits(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 240).reshape(12, 20).astype(np.uint16)
    picture = load_picture(saved(Image.fromarray(values), tmp_path / "a.png"))
    assert np.allclose(picture.pixels[..., 0], values / 65535, atol=1 / 255)


def test_animation_gives_its_first_frame_and_a_note(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    picture = load_picture(saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:]))
    assert np.allclose(picture.pixels[0, 0], [1, 0, 0]) and "first" in picture.notes[0]


@pytest.mark.parametrize(("width", "height"), [(1, 300), (300, 1), (7, 3)])
def test_any_aspect_ratio(tmp_path: Path, width: int, height: int) -> None:
    picture = load_picture(saved(Image.new("RGB", (width, height)), tmp_path / "a.png"), size=64)
    assert max(picture.size) == min(64, max(width, height)) and min(picture.size) >= 1


def test_size_reduces_and_never_enlarges(tmp_path: Path) -> None:
    path = saved(gradient(40, 24), tmp_path / "a.png")
    assert load_picture(path, 20).size == (12, 20)
    assert load_picture(path, 400).size == (24, 40)


def giant_header() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def truncated() -> bytes:
    data = BytesIO()
    gradient(200, 200).save(data, "JPEG")
    return data.getvalue()[: len(data.getvalue()) // 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"just some text\n", "not a picture"),
        (giant_header(), "million pixels"),
        (truncated(), "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"),
    ],
)
def test_what_is_refused_and_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        load_picture(path)


def test_missing_files_directories_and_float_pixels(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        load_picture(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a directory"):
        load_picture(tmp_path)
    with pytest.raises(ImageError, match="floating-point"):
        load_picture(saved(Image.new("F", (4, 4)), tmp_path / "a.tif"))


def test_resizing_keeps_the_mean(rng: np.random.Generator) -> None:
    pixels = rng.random((30, 40, 3), np.float32)
    assert resized(pixels, (15, 20)).shape == (15, 20, 3)
    assert np.allclose(resized(pixels, (15, 20)).mean((0, 1)), pixels.mean((0, 1)), atol=0.02)
