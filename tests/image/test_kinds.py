"""Photos as people have them, by kind: orientation whatever else EXIF holds, odd greys, profiles, pages, refusals."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from minitorch_style.errors import ImageError
from minitorch_style.image import io
from minitorch_style.image.io import USUAL, Picture, Room, load_picture, read_picture, to_bytes
from tests.image.make import SIZES, directory, grey_profile, jpeg, long, odd_value, png, short, tiff

PEAK = """
import sys
from pathlib import Path
from minitorch_style.image.io import load_picture
def peak():  # ru_maxrss would begin with what the parent had when it forked
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
load_picture("examples/photo.jpg", 64)
before = peak()
print(load_picture(sys.argv[1], int(sys.argv[2]) or None).reading_bytes, peak() - before)
"""
RAMP = np.linspace(0, 1, 20 * 12).reshape(12, 20)  # grey, from black to white
TAGS = {
    "Make": 0x010F, "XResolution": 0x011A, "ResolutionUnit": 0x0128, "Software": 0x0131, "YCbCrPositioning": 0x0213,
    "Copyright": 0x8298, "Exif": 0x8769, "GPS": 0x8825, "Interoperability": 0xA005, "MakerNote": 0x927C,
    "Width": 0x0100, "SubIFDs": 0x014A,
}  # fmt: skip


def read(data: bytes, size: int | None = None, room: Room = USUAL) -> Picture:
    return read_picture(BytesIO(data), "picture", size, room)


def corner() -> Image.Image:
    """Black, its top left quarter red."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16, 0] = 255
    return Image.fromarray(pixels)


def stands_upright(picture: Picture) -> bool:
    """Whether `corner` was turned as orientation 6 says: a quarter turn clockwise."""
    return picture.size == (32, 16) and bool(np.all(picture.pixels[2:14, 10:14, 0] > 0.8))


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_a_photo_is_turned_whatever_else_its_exif_data_hold(tag: int, kind: int) -> None:
    for count in (1, 3):
        exif = directory([short(0x0112, 6), (tag, kind, odd_value(kind) * count)])
        assert stands_upright(read(jpeg(corner(), exif)))


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize(
    "tag", [34675, 34853, 34665, 700, 33432, 330], ids=["ICC", "GPS", "Exif", "XMP", "text", "IFD"]
)
def test_a_tiff_is_turned_once_whatever_else_it_holds(tag: int, kind: int) -> None:
    picture = read(tiff(np.asarray(corner()), short(274, 6), (tag, kind, odd_value(kind))))
    assert stands_upright(picture)
    assert (tag == 34675) == any("colour profile" in note for note in picture.notes)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_a_compressed_tiff_is_turned_once(compression: str) -> None:
    exif, data = Image.Exif(), BytesIO()
    exif[0x0112] = 6
    corner().save(data, "TIFF", compression=compression, exif=exif)
    assert stands_upright(read(data.getvalue()))


@pytest.mark.parametrize(
    ("kind", "value", "turned"),
    [(3, struct.pack("<H", 6), True), (4, struct.pack("<I", 6), True), (1, b"\6", True), (2, b"6\0", True),
     (5, struct.pack("<II", 6, 1), True), (3, struct.pack("<HH", 6, 1), True), (3, struct.pack("<H", 9), False),
     (5, struct.pack("<II", 0, 0), False), (2, b"up\0", False), (12, struct.pack("<d", np.nan), False)],
)  # fmt: skip
def test_an_orientation_of_another_type(kind: int, value: bytes, turned: bool) -> None:
    assert stands_upright(read(jpeg(corner(), directory([(0x0112, kind, value)])))) == turned


def test_damaged_exif_data_cost_no_photo() -> None:
    for exif in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", directory([short(0x0112, 6)])[:14], b"garbage" * 9):
        assert read(jpeg(corner(), exif)).size == (16, 32)


def test_grey_of_sixteen_bits_of_which_fewer_are_used() -> None:
    for bits in (8, 10, 12):
        values = np.round(RAMP * (2**bits - 1)).astype(np.uint16)
        picture = read(tiff(values))
        assert np.abs(picture.pixels[..., 0] - RAMP).max() < 0.6 / 255 + 1 / 2**bits
        assert f"taken as {bits} bits" in picture.notes[0]
    picture = read(tiff(np.round(RAMP * 1000).astype(np.uint16), short(281, 1000)))  # MaxSampleValue says so
    assert np.abs(picture.pixels[..., 0] - RAMP).max() < 2 / 255 and not picture.notes


def test_grey_of_sixteen_bits_in_full() -> None:
    values = np.round(RAMP * 65535).astype(np.uint16)
    assert np.abs(read(tiff(values)).pixels[..., 0] - RAMP).max() < 0.6 / 255
    white_is_zero = read(tiff(values, photometric=0)).pixels[..., 0]
    assert np.abs(white_is_zero - (1 - RAMP)).max() < 0.6 / 255
    assert read(tiff(np.zeros((4, 4), np.uint16))).pixels.max() == 0


def test_grey_of_sixteen_bits_keeps_its_transparency() -> None:
    values = np.round(RAMP * 65535).astype(">u2")
    values[3, 4] = values[0, 0] = 777
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    picture = read(png(20, 12, 16, 0, lines, (b"tRNS", struct.pack(">H", 777))))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, values == 777) and np.all(picture.pixels[3, 4] == 1)


@pytest.mark.parametrize(
    ("values", "extra", "reason"),
    [
        (np.zeros((4, 4), np.int16), (short(339, 2),), "signed"),
        (np.zeros((4, 4), np.uint32), (), "32 bits"),
        (np.zeros((4, 4), np.float32), (short(339, 3),), "floating-point"),
        (np.zeros((4, 4, 3), np.float32), (short(339, 3, 3, 3),), "TIFF of a kind"),
    ],
)
def test_pixels_without_black_and_white_are_refused(values: np.ndarray, extra: tuple, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read(tiff(values, *extra))


def test_more_channels_than_colors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 5), np.uint8)
    assert np.array_equal(to_bytes(read(tiff(pixels, short(338, 0, 0))).pixels), pixels[..., :3])


def test_lab_without_a_profile() -> None:
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255  # white: L = 100, a = b = 0
    assert read(tiff(lab, photometric=8)).pixels.min() > 0.98


def test_a_broken_later_page_does_not_spoil_the_first() -> None:
    pixels = np.asarray(corner())
    whole = tiff(pixels)
    for following in (len(whole) - 5, len(whole) + 1000, 9):
        picture = read(tiff(pixels, following=following))
        assert np.array_equal(to_bytes(picture.pixels), pixels)
        assert "only the first" in picture.notes[0]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "I;16", "1"])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_grey_profiles_apply_to_every_grey(mode: str, file_format: str) -> None:
    """A profile that says «linear light»: a half becomes sRGB's 188."""
    grey = Image.new("L", (8, 8), 255 if mode == "1" else 128)
    image = Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)) if mode == "I;16" else grey.convert(mode)
    data = BytesIO()
    image.save(data, file_format, icc_profile=grey_profile())
    picture = read(data.getvalue())
    assert not picture.notes
    assert np.all(np.abs(to_bytes(picture.pixels).astype(int) - (255 if mode == "1" else 188)) <= 1)


def test_profiles_that_do_not_fit_are_noted() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for image, profile in ((corner(), grey_profile()), (corner().convert("CMYK"), srgb), (corner(), b"")):
        data = BytesIO()
        image.save(data, "TIFF", icc_profile=profile)
        picture = read(data.getvalue())
        assert np.abs(to_bytes(picture.pixels).astype(int) - np.asarray(image.convert("RGB"))).max() <= 1
        assert len(picture.notes) == (1 if profile else 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pip install pillow-heif"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"v/1\x01\x02\0\0\0", "OpenEXR.*tone-map"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "damaged PNG"),
        (b"II*\0\x08\0\0\0\0\0", "TIFF of a kind"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
    ],
)
def test_what_a_file_is_and_what_to_do(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read(content)


def test_refusals_are_one_line_without_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m\udcff.png"
    try:
        path.write_bytes(b"nothing")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(ImageError) as refusal:
        load_picture(path)
    assert str(refusal.value).isprintable() and "not a picture" in str(refusal.value)
    Image.new("RGB", (8, 8)).save(tmp_path / "b.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    (tmp_path / "b.gif").replace(path)
    assert load_picture(path).notes[0].isprintable()


def test_names_that_cannot_be(tmp_path: Path) -> None:
    for name in ("n" * 300, "zero\0byte"):
        with pytest.raises(ImageError):
            load_picture(tmp_path / name)


def damaged_tiff(compression: str) -> bytes:
    data = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        data, "TIFF", compression=compression
    )
    content = bytearray(data.getvalue())
    content[200:400] = os.urandom(200)
    return bytes(content)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_decoders_say_nothing_on_stderr(compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        read(damaged_tiff(compression))
    except ImageError as error:
        assert "\n" not in str(error)
    read(jpeg(corner(), directory([short(0x0112, 6, 6), long(0x8769, 5000)])[:40]))
    assert capfd.readouterr().err == ""
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_large_jpegs_are_decoded_small_and_look_the_same(rng: np.random.Generator) -> None:
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    data = BytesIO()
    small.resize((4000, 3000), Image.Resampling.BICUBIC).save(data, "JPEG", quality=95)
    picture = read(data.getvalue(), 200)
    assert picture.size == (150, 200) and picture.reading_bytes < 20_000_000
    expected = np.asarray(small.resize((200, 150), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(to_bytes(picture.pixels).astype(int) - expected).mean() < 2


@pytest.mark.parametrize(("bits", "kind"), [(16, 0), (16, 2), (8, 2), (8, 6), (1, 0)])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(bits: int, kind: int) -> None:
    """A few kB that would decode to hundreds of megabytes."""
    channels = {0: 1, 2: 3, 6: 4}[kind]
    data = png(12000, 9000, bits, kind, b"\0" * (1 + 12000 * bits * channels // 8) * 3)  # only the first lines
    with pytest.raises(ImageError, match=r"12000×9000 pixels take about .* to read, and 50 MB may be used"):
        read(data, 512, Room(50_000_000))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak can be read here")
@pytest.mark.parametrize("size", [256, None])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "I;16", "1", "CMYK"])
def test_reading_takes_what_it_tells(mode: str, size: int | None, tmp_path: Path) -> None:
    """The growth of a process's peak, against what was told from the header; of pictures that lie on their side."""
    image = Image.new("I;16" if mode == "I;16" else "RGB", (3000, 2000), 30000 if mode == "I;16" else (9, 99, 199))
    if mode in ("RGBA", "LA"):
        image.putalpha(100)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    (image if image.mode == mode else image.convert(mode)).save(path, exif=exif)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path), str(size or 0)], capture_output=True, text=True)
    told, taken = map(int, done.stdout.split())
    assert taken < 1.1 * told + 4_000_000 and told < 2 * taken + 10_000_000


def test_pillows_own_limit_is_not_ours() -> None:
    """200 megapixels, as phones make them: Pillow would refuse from 178.96 on. What it was set to is left."""
    before = Image.MAX_IMAGE_PIXELS
    width, height = 16_000, 12_500
    line = b"\0" * (1 + width // 8)
    assert read(png(width, height, 1, 0, line * height), 64).size == (50, 64)
    with pytest.raises(ImageError, match=r"200 million pixels$"):
        read(png(width, height + 1, 1, 0, line))
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_pixels_are_read_where_it_is_allowed_and_there_is_memory() -> None:
    width, height = 16_000, 12_501
    data = png(width, height, 1, 0, (b"\0" + b"\xff" * (width // 8)) * height)
    with pytest.raises(ImageError, match=r"16000×12501 is more than 200 million pixels; --allow-large reads it"):
        read(data, 64, Room(large=False))
    with pytest.raises(ImageError, match=r"take about .* to read, and 100 MB may be used"):
        read(data, 64, Room(100_000_000, large=True))
    picture = read(data, 64, Room(large=True))
    assert picture.size == (50, 64) and picture.pixels.min() == 1


def test_without_pillow_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "MAX_PIXELS", 5)
    monkeypatch.setattr(io, "PILLOW", False)
    data = b"P6 3 2 255\n" + bytes(18)
    with pytest.raises(ImageError, match=r"3×2 is more than .* million pixels; --allow-large"):
        read(data, room=Room(large=False))
    assert read(data, room=Room(large=True)).size == (2, 3)


@pytest.mark.shared_data
def test_every_odd_file_is_read_or_refused_in_a_line(shared: Path) -> None:
    refused = set()
    for folder in (shared / "odd", shared / "cases" / "pictures"):
        for path in sorted(folder.iterdir()):
            try:
                assert load_picture(path, 64).pixels.shape[2] == 3
            except ImageError as error:
                assert str(error).isprintable()
                refused.add(path.name)
    damaged = {
        "cut.jpg",
        "truncated.png",
        "avif_named.jpg",
        "html_named.jpg",
        "lfs.jpg",
        "grey.icc",
        "png_badcrc_text.png",
    }
    no_look = {"exr_hdr.exr", "tiff_grey_s16.tif", "tiff_rgb_f32.tif", "tiff_cielab.tiff", "bmp_rgba_bitfields.bmp"}
    assert refused - {"heic_photo.heic"} == damaged | no_look
