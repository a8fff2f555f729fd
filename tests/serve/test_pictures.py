"""Uploads: what a picture says of itself, and what decoding it apart from the server gives."""

from __future__ import annotations

import io
import os
import signal
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch_style.errors import ImageError
from minitorch_style.image.io import load_picture
from minitorch_style.serve.decoder import Decoder
from minitorch_style.serve.folder import temporary_folder
from minitorch_style.serve.probe import Header, probe
from minitorch_style.serve.wall import wall


def picture(format: str, size: tuple[int, int] = (37, 23), **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"exif": b"Exif\0\0" + bytes(60_000)}),
     ("WEBP", {}), ("WEBP", {"lossless": True}), ("WEBP", {"exif": b"Exif\0\0" + bytes(99)})],
)  # fmt: skip
def test_the_header_tells_format_and_size(format: str, options: dict[str, object]) -> None:
    assert probe(io.BytesIO(picture(format, **options))) == Header(format, 37, 23)


def bomb(side: int) -> bytes:
    """A PNG header of side² pixels."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", side, side, 8, 2, 0, 0, 0) + bytes(99)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"", "not a JPEG"), (b"GIF89a" + bytes(99), "not a JPEG"), (b"\xff\xd8\xff", "not a JPEG"),
     (b"\xff\xd8" + b"\xff\xe0\0\2" * 9999, "not a JPEG"), (b"\xff\xd8\xff\xc0\0\x08\x08", "not a JPEG"),
     (b"RIFF\0\0\0\0WEBPVP8?" + bytes(40), "not a JPEG"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
     (bytes(4) + b"ftypavif" + bytes(40), "not a JPEG"), (bomb(100_000), "more than"), (bomb(0), "shows nothing")],
)  # fmt: skip
def test_whatever_else_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        probe(io.BytesIO(data))


def heic(size: tuple[int, int] = (74, 46)) -> bytes:
    """A HEIC with a thumbnail, as phones make them: orange left, blue right, and where it was taken."""
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (the heic extra)")
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = (230, 120, 20), (20, 60, 200)
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=90, exif=exif.tobytes())
    return stream.getvalue()


def test_a_heic_is_read_where_its_decoder_is_installed(tmp_path: Path) -> None:
    data = heic()
    header = probe(io.BytesIO(data))
    assert header.format == "HEIC" and header.width >= 74 and header.height >= 46  # whole blocks of the codec
    source, target = tmp_path / "photo.upload", tmp_path / "photo.tif"
    source.write_bytes(data)
    decoder = Decoder()
    try:
        told = decoder(source, target, 512)
        assert (told.width, told.height) == (74, 46)
        with Image.open(target) as image:
            left, right = np.asarray(image)[20, 10], np.asarray(image)[20, 60]
            assert np.abs(left.astype(int) - (230, 120, 20)).max() < 20
            assert np.abs(right.astype(int) - (20, 60, 200)).max() < 20
            assert 0x8825 not in image.getexif()
        for cut in (40, len(data) // 2, len(data) - 20):
            source.write_bytes(data[:cut])
            with pytest.raises(ImageError):
                decoder(source, target, 512)
    finally:
        decoder.end()


def test_a_heic_that_tells_of_too_many_pixels_is_not_decoded() -> None:
    data = heic()
    at = data.index(b"ispe")
    with pytest.raises(ImageError, match="million pixels"):
        probe(io.BytesIO(data[: at + 8] + struct.pack(">II", 60_000, 60_000) + data[at + 16 :]))


def test_without_its_decoder_a_heic_gets_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minitorch_style.serve.probe.find_spec", lambda name: None)
    with pytest.raises(ImageError, match="Most Compatible"):
        probe(io.BytesIO(bytes(4) + b"ftypheic" + bytes(40)))


def test_random_and_cut_headers_are_refused_or_read(rng: np.random.Generator) -> None:
    whole = [picture("PNG"), picture("JPEG"), picture("WEBP"), picture("WEBP", lossless=True)]
    for number in range(400):
        data = bytearray(whole[number % 4][: rng.integers(1, 200)])
        for _ in range(rng.integers(0, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            probe(io.BytesIO(bytes(data)))
        except ImageError:
            continue


def test_decoding_stands_a_photo_upright_and_drops_where_it_was_taken(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.tif"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010F] = "a maker"
    exif.get_ifd(0x8825)[1] = "N"
    Image.new("RGB", (40, 20)).save(source, exif=exif)
    decoder = Decoder()
    try:
        told = decoder(source, target, 10)
        assert (told.width, told.height) == (5, 10)
        source.write_bytes(picture("PNG")[:60])
        with pytest.raises(ImageError) as raised:
            decoder(source, target, 10)
        assert str(tmp_path) not in str(raised.value)
    finally:
        decoder.end()
    assert load_picture(target).size == (10, 5)
    assert b"a maker" not in target.read_bytes()
    assert 0x8825 not in Image.open(target).getexif()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no signal that makes a process hang")
def test_a_decoder_that_dies_or_hangs_is_replaced(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    good.write_bytes(picture("PNG"))
    decoder = Decoder()

    def stopped() -> int:
        """Makes the process hang; its number."""
        assert decoder.process._child is not None
        pid = decoder.process._child.process.pid or 0
        os.kill(pid, signal.SIGSTOP)
        return pid

    try:
        decoder(good, tmp_path / "a.tif", 64)
        threading.Timer(0.3, os.kill, (stopped(), signal.SIGKILL)).start()
        with pytest.raises(ImageError, match="cannot be read"):
            decoder(good, tmp_path / "b.tif", 64)
        decoder(good, tmp_path / "c.tif", 64)
        stopped()
        decoder.process.seconds = 0.3
        with pytest.raises(ImageError, match="takes more than"):
            decoder(good, tmp_path / "d.tif", 64)
        decoder.process.seconds = 60
        assert decoder(good, tmp_path / "e.tif", 64).width == 37
    finally:
        decoder.end()


def test_the_folder_is_gone_with_the_server_and_after_a_killed_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "minitorch_style-serve-left"
    left.mkdir()
    (left / "photo").write_bytes(b"x")
    with temporary_folder() as one, temporary_folder() as other:
        assert not left.exists()
        assert one.is_dir() and other.is_dir() and one != other
    assert not list(tmp_path.iterdir())


def test_the_wall_has_our_paintings_and_the_owners(tmp_path: Path) -> None:
    (tmp_path / "Aunt Ada.png").write_bytes(picture("PNG"))
    hung = list(wall(tmp_path).values())
    assert hung[0].title == "Aunt Ada"
    assert len(hung) >= 11 and all(one.about for one in hung[1:])
