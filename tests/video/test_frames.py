"""Film files in and out: times, turns, sound, and what is no film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="needs PyAV (the video extra)")

from minitorch_style.errors import ImageError, SettingsError
from minitorch_style.video.folders import FolderReader, FolderWriter, WebpReader
from minitorch_style.video.frames import Frame, Reader, Writer
from tests.video import films


def copy(source: Path, target: Path, sound: bool = True, **how: object) -> None:
    """The film unpainted, through reader and writer."""
    reader = Reader(source)
    heard: list[object] = []
    with target.open("wb") as file:
        stream = reader.sound if sound else None
        with Writer(file, target, reader.size, reader.rate, reader.time_base, stream, **how) as writer:  # type: ignore[arg-type]
            for frame in reader.frames(sound=heard.append):
                writer.write(frame)
            for packet in heard:
                writer.sound(packet)
    reader.close()


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_packet_by_packet(tmp_path: Path, ending: str) -> None:
    films.write(tmp_path / "in.mp4", films.pan(12), films.EVEN, sound=True)
    copy(tmp_path / "in.mp4", tmp_path / f"out{ending}")
    before, after = films.packets(tmp_path / "in.mp4"), films.packets(tmp_path / f"out{ending}")
    assert len(before) > 2
    assert [data for _, data in after] == [data for _, data in before]
    begins = [films.times(tmp_path / name)[0] for name in ("in.mp4", f"out{ending}")]  # Matroska has no times before 0
    for (old, _), (new, _) in zip(before, after, strict=True):
        assert abs((new - begins[1]) - (old - begins[0])) <= 1


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, ending: str) -> None:
    """Noisy, and more than the encoder looks ahead: so x264 by default wrote another film each time."""
    rng, pixels = np.random.default_rng(0), films.pan(60, 1, 144, 176)
    noisy = [np.clip(one + rng.integers(-20, 20, one.shape), 0, 255).astype(np.uint8) for one in pixels]
    made = set()
    for _ in range(3):
        path, rate = tmp_path / f"out{ending}", Fraction(30)
        with path.open("wb") as file, Writer(file, path, (144, 176), rate, 1 / rate) as writer:
            for number, one in enumerate(noisy):
                writer.write(Frame(one, number / rate, 1 / rate))
        made.add(path.read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("stamps", [films.EVEN, films.UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webp"])
def test_time_stamps_are_kept(tmp_path: Path, stamps: list[int], ending: str) -> None:
    films.write(tmp_path / "in.mp4", films.pan(len(stamps)), stamps)
    assert films.times(tmp_path / "in.mp4") == stamps
    copy(tmp_path / "in.mp4", tmp_path / f"out{ending}")
    if ending == ".webp":
        pytest.importorskip("PIL", reason="needs Pillow")
        found = [round(1000 * frame.time) for frame in WebpReader(tmp_path / "out.webp").frames()]
        assert found == stamps
    else:
        assert films.times(tmp_path / f"out{ending}") == stamps


def test_gif_keeps_times_and_colors(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 200, 230, 300]
    frames = films.pan(len(stamps))
    films.write(tmp_path / "in.mp4", frames, stamps)
    copy(tmp_path / "in.mp4", tmp_path / "out.gif")
    assert films.times(tmp_path / "out.gif") == stamps
    with Reader(tmp_path / "out.gif") as reader:
        for frame, expected in zip(reader.frames(), frames, strict=True):
            assert np.abs(frame.pixels.astype(int) - expected).mean() < 12


def test_colors_survive(tmp_path: Path) -> None:
    frames = [np.broadcast_to(np.uint8([200, 40, 90]), (32, 48, 3)).copy() for _ in range(3)]
    films.write(tmp_path / "in.mp4", frames, films.EVEN)
    copy(tmp_path / "in.mp4", tmp_path / "out.mp4")
    with Reader(tmp_path / "out.mp4") as reader:
        for frame in reader.frames():
            assert np.abs(frame.pixels.astype(int) - frames[0]).max() <= 6


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotation_flag_turns_the_frames(tmp_path: Path, rotation: int) -> None:
    """The flag counts counterclockwise, as av_display_rotation_get does."""
    frame = films.texture(3)
    films.write(tmp_path / "in.mp4", [frame] * 3, films.EVEN, rotation=rotation)
    with Reader(tmp_path / "in.mp4") as reader:
        found = next(reader.frames())
        assert found.pixels.shape[:2] == reader.size
        upright = np.rot90(frame, rotation // 90)
        assert np.abs(found.pixels.astype(int) - upright).mean() < 8
        small = next(iter(reader.frames((10, 20)))).pixels
        assert small.shape == (10, 20, 3)


def test_start_and_end(tmp_path: Path) -> None:
    films.write(tmp_path / "in.mp4", films.pan(12), films.EVEN)
    with Reader(tmp_path / "in.mp4") as reader:
        found = [frame.time for frame in reader.frames(start=Fraction(1, 10), end=Fraction(1, 5))]
    assert found == [Fraction(120, 1000), Fraction(160, 1000)]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_start_is_sought(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frames and sound as by decoding all that is before, of which little is decoded."""
    path, pictures, decoded = tmp_path / f"in{ending}", Reader._pictures, 0
    films.write(path, films.pan(120, 1), [40 * number for number in range(120)], sound=True, keys=10)

    def counted(self: Reader, sound: Callable[[Any], None]) -> Iterator[Any]:
        nonlocal decoded
        for frame in pictures(self, sound):
            decoded += 1
            yield frame

    def read() -> tuple[list[tuple[Fraction, bytes]], list[bytes], int]:
        nonlocal decoded
        heard: list[Any] = []
        with Reader(path) as reader:
            decoded = 0
            frames = list(reader.frames(start=Fraction(4), end=Fraction(9, 2), sound=heard.append))
        late = [bytes(packet) for packet in heard if packet.pts * packet.time_base >= 4]
        return [(frame.time, frame.pixels.tobytes()) for frame in frames], late, decoded

    monkeypatch.setattr(Reader, "_pictures", counted)
    sought = read()
    monkeypatch.setattr(Reader, "_seek", lambda self, start: None)
    plain = read()
    assert sought[:2] == plain[:2]
    assert len(sought[0]) == 13 and sought[1]
    assert plain[2] == 120 and sought[2] <= 60


def test_a_film_that_cannot_be_sought_is_read_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films.write(tmp_path / "in.mp4", films.pan(60, 1), [40 * number for number in range(60)], keys=10)
    with Reader(tmp_path / "in.mp4") as reader:
        monkeypatch.setattr(Reader, "_time", lambda self, frame: None)  # no time stamps at all
        assert [frame.time for frame in reader.frames(start=Fraction(2))] == [
            Fraction(40 * n, 1000) for n in range(50, 60)
        ]


def test_what_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no film " * 400)
    whole = tmp_path / "whole.mp4"
    films.write(whole, films.pan(12), films.EVEN, sound=True)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:300])
    with films.av.open(str(tmp_path / "sound.mp4"), "w") as container, films.av.open(str(whole)) as source:
        stream = container.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    for name, said in [
        ("empty.mp4", "is empty"),
        ("text.mp4", "no film"),
        ("cut.mp4", "no film"),
        ("none.mp4", "no such film"),
        ("sound.mp4", "no pictures"),
    ]:
        with pytest.raises(ImageError, match=said):
            Reader(tmp_path / name)


def test_a_webp_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "in.webp").write_bytes(b"RIFF\x00\x00\x00\x00WEBPnonsense")
    with pytest.raises(ImageError, match="no WebP"):
        WebpReader(tmp_path / "in.webp")


def test_a_film_that_ends_too_early_gives_what_there_is(tmp_path: Path) -> None:
    films.write(tmp_path / "in.mkv", films.pan(12), films.EVEN)
    data = (tmp_path / "in.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    with Reader(tmp_path / "cut.mkv") as reader:
        assert 0 < len(list(reader.frames())) < 12


def test_codecs_that_cannot_be(tmp_path: Path) -> None:
    for path, codec in [("out.webm", "libx264"), ("out.mp4", "nonsense")]:
        with (tmp_path / path).open("wb") as file, pytest.raises(SettingsError, match=codec):
            Writer(file, tmp_path / path, (32, 32), Fraction(25), Fraction(1, 25), codec=codec)


def test_folders(tmp_path: Path) -> None:
    frames = films.pan(11)
    writer = FolderWriter(tmp_path / "film")
    for number, frame in enumerate(frames):
        writer.write(Frame(frame, Fraction(number, 25), Fraction(1, 25)))
    for path in (tmp_path / "film").iterdir():  # 1.png … 11.png: by number, not by letter
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    found = list(FolderReader(tmp_path / "film", Fraction(10)).frames())
    assert [frame.time for frame in found] == [Fraction(number, 10) for number in range(11)]
    assert all(np.array_equal(one.pixels, frame) for one, frame in zip(found, frames, strict=True))
    with pytest.raises(SettingsError, match="not empty"):
        FolderWriter(tmp_path / "film")
