"""Tiny films for tests, made by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.arrays import Rgb8
from minitorch_style.video import people

av = pytest.importorskip("av", reason="needs PyAV (the video extra)")

EVEN = [number * 40 for number in range(12)]  # milliseconds
STEP = 2  # pixels a frame, of a pan
QUICK = {"kernels": "numpy", "iterations": 12}  # settings
UNEVEN = [0, 40, 80, 200, 233, 300, 500, 540]


def texture(seed: int, height: int = 48, width: int = 64) -> Rgb8:
    """Smooth random blobs, the same for the same seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 8 + 2, width // 8 + 2, 3))
    rows, columns = np.arange(height) / 8, np.arange(width) / 8
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    a, b = coarse[top][:, left], coarse[top][:, left + 1]
    c, d = coarse[top + 1][:, left], coarse[top + 1][:, left + 1]
    mixed = (a * (1 - right) + b * right) * (1 - down) + (c * (1 - right) + d * right) * down
    return (255 * mixed).astype(np.uint8)


def pan(frames: int, step: int = 2, height: int = 48, width: int = 64) -> list[Rgb8]:
    """A camera that moves `step` pixels to the right each frame: everything moves as far to the left."""
    wide = texture(1, height, width + step * frames)
    return [np.ascontiguousarray(wide[:, step * i : step * i + width]) for i in range(frames)]


def write(
    path: Path, frames: list[Rgb8], times: list[int], sound: bool = False, rotation: int = 0, keys: int = 250
) -> None:
    """An .mp4 or .mkv of `frames` at `times` in milliseconds, lossless but for the colors' conversion; every `keys`-th is a
    key frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast", "g": str(keys)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        speech = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        for time, frame in zip(times, frames, strict=False):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if speech is not None:
            tone = np.sin(np.arange(times[-1] * 8) * 0.3).astype(np.float32)[None]
            wave = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            wave.sample_rate, wave.pts, wave.time_base = 8000, 0, Fraction(1, 8000)
            container.mux(speech.encode(wave))
            container.mux(speech.encode(None))


def times(path: Path) -> list[int]:
    """Milliseconds at which the frames are shown."""
    with av.open(str(path)) as container:
        return [round(1000 * float(frame.pts * frame.time_base)) for frame in container.decode(video=0)]


def packets(path: Path) -> list[tuple[int, bytes]]:
    """(milliseconds, bytes) of each packet of sound."""
    with av.open(str(path)) as container:
        found = container.demux(audio=0)
        return [(round(1000 * float(p.pts * p.time_base)), bytes(p)) for p in found if p.pts is not None and p.size]


def painting() -> Rgb8:
    return texture(7, 64, 64)[::-1].copy()


def known_warping_error(pictures: list[Rgb8], step: int = STEP, apart: int = 1) -> float:
    """Mean squared difference of the frames of a pan that are so many `apart`, moved by what is known of it."""
    floats, moved = [picture.astype(np.float64) / 255 for picture in pictures], step * apart
    pairs = zip(floats, floats[apart:], strict=False)
    return float(np.mean([np.mean((now[:, :-moved] - before[:, moved:]) ** 2) for before, now in pairs]))


def people_in_the_left_half(monkeypatch: pytest.MonkeyPatch, noise: float = 0.2) -> list[str]:
    """A finder of people that sees them in the left half, with noise of its own at each frame; which kernels it was to use."""
    rng, used = np.random.default_rng(0), []

    def found(photo: np.ndarray, segmenter: object, plan: object = None) -> np.ndarray:
        likely = np.zeros(photo.shape[:2], np.float32)
        likely[:, : photo.shape[1] // 2] = 1
        return np.clip(likely + rng.normal(0, noise, likely.shape), 0, 1).astype(np.float32)

    monkeypatch.setattr(people, "load_segmenter", lambda name, kernels: used.append(kernels))
    monkeypatch.setattr(people, "finder_plan", lambda segmenter, size: None)
    monkeypatch.setattr(people, "person_probability", found)
    return used
