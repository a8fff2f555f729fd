"""Film files: frames out of them and into them, by PyAV, whose only importer this is. A few frames in memory at a time.

Frames come upright, whatever the file's rotation flag, and with their time stamps, even or not. The packets of the sound
are handed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ImageError, SettingsError, UnsupportedError
from minitorch_style.files import PathLike, check_readable

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".gif": "gif",
    ".webp": "webp",
}
CODECS = {".webm": "libvpx-vp9", ".gif": "gif", ".webp": "libwebp_anim", ".avi": "mpeg4"}  # the others: H.264
CODEC, CRF = "libx264", 18
SILENT = (".gif", ".webp")
BEHIND = 1  # seconds by which the sound of a frame may come after it in a file
BT709, LIMITED = 1, 1  # what films are written in, as FFmpeg numbers it


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UnsupportedError("films need PyAV: pip install 'minitorch-style[video]'") from error
    return av


@dataclass(frozen=True)
class Frame:
    """`pixels` (H, W, 3) uint8; shown at second `time` of the film, for about `duration` seconds."""

    pixels: Rgb8
    time: Fraction
    duration: Fraction


class Reader:
    """A film file, opened: its first video stream, and `sound`, the first of sound, or None. ImageError for what is none.
    `begin` is the second, by the file's own clock, at which the film begins; `size` (height, width) is that of its
    frames upright; `seconds` its length and `count` its number of frames, both None where the file does not say."""

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        check_readable(path, ImageError, "film")
        if self.path.stat().st_size == 0:
            raise ImageError(f"{path}: is empty")
        self._open()
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        av = _av()
        try:
            self._container = av.open(str(self.path))
        except (av.FFmpegError, ValueError) as error:
            raise ImageError(f"{self.path}: no film that can be read ({error})") from error
        streams = self._container.streams
        # Not the cover of a sound file.
        pictures = [stream for stream in streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
        if not pictures:
            raise ImageError(f"{self.path}: has {'sound, but ' if streams.audio else ''}no pictures")
        self._stream = pictures[0]
        self._stream.thread_type = "AUTO"
        self.sound = streams.audio[0] if streams.audio else None

    def _describe(self) -> None:
        container = self._container
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.seconds: Fraction | None = None
        if self._stream.duration:
            self.seconds = self._stream.duration * self._stream.time_base
        elif container.duration:
            self.seconds = Fraction(container.duration, 1_000_000)
        self.count = self._stream.frames or (round(self.seconds * self.rate) if self.seconds else None)
        first = next(self._pictures(lambda packet: None), None)
        if first is None:
            raise ImageError(f"{self.path}: not one frame can be decoded")
        self._quarters = round(first.rotation / 90) % 4
        begins = [self._time(first) or Fraction(0)]
        if self.sound is not None and self.sound.start_time is not None:
            begins.append(self.sound.start_time * Fraction(self.sound.time_base))
        self.begin = max(Fraction(0), min(begins))  # of sound and pictures; a recording may begin at any time
        shape = first.height, first.width
        self.size = shape[::-1] if self._quarters % 2 else shape
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self.aspect = 1 / aspect if self._quarters % 2 and aspect else aspect or Fraction(1)
        container.close()
        self._open()  # at the beginning again, whether the format can seek or not

    def _time(self, frame: Any) -> Fraction | None:
        return None if frame.pts is None else frame.pts * Fraction(frame.time_base)

    @property
    def time_base(self) -> Fraction:
        return Fraction(self._stream.time_base)

    def _pictures(self, sound: Callable[[Any], None]) -> Iterator[Any]:
        """Decoded frames, until the end or a place from which nothing can be read."""
        av = _av()
        streams = [stream for stream in (self._stream, self.sound) if stream is not None]
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.stream is self._stream or packet.stream.index == self._stream.index:
                    yield from packet.decode()
                elif packet.dts is not None:
                    sound(packet)
            except av.InvalidDataError:  # a damaged packet: the next may be whole
                continue
            except av.FFmpegError:  # a file that ends too early
                return

    def frames(
        self,
        size: tuple[int, int] | None = None,
        start: Fraction = Fraction(0),
        end: Fraction | None = None,
        sound: Callable[[Any], None] = lambda packet: None,
    ) -> Iterator[Frame]:
        """Those shown from second `start` to before second `end`, at `size` (height, width); times begin at the film's
        beginning. `sound` is given every packet of sound on the way. Times rise strictly: a frame that is not later than
        the one before is put a tick after it."""
        height, width = size or self.size
        target = (width, height) if self._quarters % 2 else (height, width)
        tick, step = self.time_base, 1 / self.rate
        before: Fraction | None = None
        self._seek(start)
        for frame in self._pictures(sound):
            stamp = self._time(frame)
            time = (stamp - self.begin) if stamp is not None else (before + step if before is not None else Fraction(0))
            if before is not None and time <= before:
                time = before + tick
            before = time
            if end is not None and time >= end + BEHIND:
                return
            if time >= start and (end is None or time < end):
                duration = frame.duration * tick if frame.duration else step
                yield Frame(self._pixels(frame, target), time, duration)

    def _seek(self, start: Fraction) -> None:
        """To the last key frame that is a little before second `start`; to the beginning where it is not known how, or a
        frame found there has no time or comes too late."""
        aim = start - BEHIND
        if aim <= 0:
            return
        ticks = int((aim + self.begin) / self.time_base)
        with suppress(_av().FFmpegError):  # a format that cannot
            self._container.seek(ticks, stream=self._stream)
            first = next(self._pictures(lambda packet: None), None)
            stamp = None if first is None else self._time(first)
            if stamp is not None and stamp - self.begin <= aim:
                self._container.seek(ticks, stream=self._stream)
                return
        self._container.close()
        self._open()

    def _pixels(self, frame: Any, size: tuple[int, int]) -> Rgb8:
        picture = frame.to_ndarray(format="rgb24", height=size[0], width=size[1], interpolation="AREA")
        return np.ascontiguousarray(np.rot90(picture, self._quarters))

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


def container_of(path: PathLike) -> str:
    """What a film called so is written as. SettingsError for an ending that is none of CONTAINERS."""
    ending = Path(path).suffix.lower()
    if ending not in CONTAINERS:
        raise SettingsError(f"{path}: the name must end in {', '.join(CONTAINERS)}, or be a folder")
    return CONTAINERS[ending]


class Writer:
    """A film of frames of `size` (height, width, both even but for GIF and WebP) written into an open file; `path` tells the
    container. Times are counted in `time_base`. `sound` is the stream whose packets it will be given."""

    def __init__(
        self,
        file: BinaryIO,
        path: PathLike,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction,
        sound: Any = None,
        codec: str | None = None,
        crf: int | None = None,
        aspect: Fraction = Fraction(1),
        metadata: dict[str, str] | None = None,
    ) -> None:
        av, self._av = _av(), _av()
        ending = Path(path).suffix.lower()
        codec = codec or CODECS.get(ending, CODEC)
        self.path, self._base = path, _fitting(ending, time_base)
        self._last: int | None = None
        options = _options(codec, crf)
        # Without bitexact, Matroska numbers each film at random.
        self._container = av.open(file, "w", format=container_of(path), container_options={"fflags": "+bitexact"})
        try:
            stream = self._container.add_stream(codec, rate=rate.limit_denominator(65535), options=options)
            stream.height, stream.width = size
            stream.pix_fmt = _pixel_format(av, codec)
            context = stream.codec_context
            context.time_base = self._base
            if stream.pix_fmt.startswith("yuv"):
                context.colorspace = context.color_primaries = context.color_trc = BT709
                context.color_range = LIMITED
            if aspect != 1:
                context.sample_aspect_ratio = aspect
            self._stream = stream
            self._sound: Any = None
            if sound is not None:
                self._sound = self._container.add_stream_from_template(sound)
            self._container.metadata.update(metadata or {})
            self._container.start_encoding()
        except (av.FFmpegError, ValueError, LookupError) as error:
            self._abandon()
            carried = f" and sound in {sound.codec_context.name}" if sound is not None else ""
            raise SettingsError(
                f"{path}: cannot be written with pictures in {codec}{carried} ({error}); .mkv holds nearly all"
            ) from error

    def _abandon(self) -> None:
        """Closes without a word: the file is going to be thrown away."""
        try:
            self._container.close()
        except (self._av.FFmpegError, ValueError, OSError):
            return

    def write(self, frame: Frame) -> None:
        """The next frame. Its time becomes the nearest that the file can express, at least a tick after the one before."""
        picture = self._av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
        ticks = round(frame.time / self._base)
        ticks = ticks if self._last is None else max(ticks, self._last + 1)
        self._last = ticks
        picture = self._converted(picture)
        picture.pts, picture.time_base = ticks, self._base
        picture.duration = max(1, round(frame.duration / self._base))
        self._container.mux(self._stream.encode(picture))

    def _converted(self, picture: Any) -> Any:
        wanted = self._stream.pix_fmt
        if wanted == "pal8":
            return self._in_palette(picture)
        if not wanted.startswith("yuv"):
            return picture.reformat(format=wanted)
        made = picture.reformat(format=wanted, dst_colorspace=BT709, dst_color_range=LIMITED)
        made.colorspace, made.color_range = BT709, LIMITED
        return made

    def _in_palette(self, picture: Any) -> Any:
        """In the 256 colors that are best for this frame."""
        graph = self._av.filter.Graph()
        source = graph.add_buffer(width=picture.width, height=picture.height, format="rgb24", time_base=self._base)
        split = graph.add("split")
        colors = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(colors, 1, 0)
        colors.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        picture.pts = 0
        graph.push(picture)
        graph.push(None)
        return graph.pull()

    def sound(self, packet: Any, start: Fraction = Fraction(0), end: Fraction | None = None) -> None:
        """A packet of sound as it came, moved `start` seconds ahead; left out if it is not between start and end."""
        base = Fraction(packet.time_base)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if self._sound is None or (start and stamp * base < start) or (end is not None and stamp * base >= end):
            return
        shift = round(start / base)
        packet.dts = packet.dts - shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.stream = self._sound
        self._container.mux(packet)

    def close(self) -> None:
        """Writes what is held back. The file is complete then."""
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except self._av.FFmpegError as error:
            raise ImageError(f"{self.path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()


def _fitting(ending: str, time_base: Fraction) -> Fraction:
    """The time base of a film with this ending that loses least of times in `time_base`."""
    if ending == ".gif":
        return Fraction(1, 100)
    if ending == ".webp":
        return Fraction(1, 1000)
    return time_base


def _options(codec: str, crf: int | None) -> dict[str, str]:
    if codec == "libx264":  # whose macroblock tree gives other bytes of the same frames at each run
        return {"crf": str(CRF if crf is None else crf), "x264-params": "mbtree=0"}
    if codec == "libx265":
        return {"crf": str(CRF if crf is None else crf)}
    if codec in ("libvpx-vp9", "libsvtav1", "libaom-av1"):
        return {"crf": str(30 if crf is None else crf), "b": "0"}
    if crf is not None:
        raise SettingsError(f"crf has no effect with {codec}")
    return {"mpeg4": {"qscale": "3"}, "libwebp_anim": {"quality": "90"}, "gif": {}}.get(codec, {})


def _pixel_format(av: Any, codec: str) -> str:
    """yuv420p wherever the encoder has it: what every player shows."""
    try:
        known = [form.name for form in av.Codec(codec, "w").video_formats or ()]
    except ValueError as error:
        raise SettingsError(f"no video encoder {codec!r} here (libx264, libx265, libvpx-vp9, mpeg4 …)") from error
    if codec == "gif":
        return "pal8"
    return "yuv420p" if "yuv420p" in known or not known else str(known[0])
