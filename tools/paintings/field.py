"""What the painters share: smooth noise, palettes, and a landscape to look at while painting."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

Color = tuple[int, int, int]
WIDTH, HEIGHT = 720, 540


def noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) smooth noise of `cells` bumps along the longer side, in about [−1, 1]."""
    grid = rng.uniform(-1, 1, tuple(max(2, cells * side // max(shape) + 1) for side in shape)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize(shape[::-1], Image.Resampling.BICUBIC))


def fractal(shape: tuple[int, int], cells: int, octaves: int, rng: np.random.Generator) -> np.ndarray:
    """Noise in octaves, each twice as fine and half as strong."""
    return np.sum([noise(shape, cells << octave, rng) / (1 << octave) for octave in range(octaves)], axis=0)


def blurred(values: np.ndarray, deviation: float) -> np.ndarray:
    """(H, W) smoothed by a Gaussian."""
    smooth: np.ndarray = ndimage.gaussian_filter(values, deviation)
    return smooth


def gradient(stops: list[tuple[float, Color]], t: np.ndarray) -> np.ndarray:
    """(…, 3) colors between the stops, as floats 0 … 255."""
    places = [place for place, _ in stops]
    return np.stack([np.interp(t, places, [color[c] for _, color in stops]) for c in range(3)], axis=-1)


def shaded(color: np.ndarray | Color, by: float, rng: np.random.Generator | None = None) -> Color:
    """A color made lighter (by > 0) or darker, with a little chance of its own."""
    values = np.asarray(color, float) * (1 + by)
    if rng is not None:
        values = values + rng.normal(0, 7, 3)
    red, green, blue = np.clip(values, 0, 255).astype(int)
    return int(red), int(green), int(blue)


def to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def valley(rng: np.random.Generator, sky: list[tuple[float, Color]], hills: list[Color], sun: Color) -> np.ndarray:
    """(H, W, 3): a sun over ranges of hills, each nearer one darker, and a river that mirrors the sky."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    horizon = 0.46 * HEIGHT
    picture = gradient(sky, np.clip(y / (0.62 * HEIGHT) + 0.06 * fractal((HEIGHT, WIDTH), 3, 4, rng), 0, 1))
    disc = np.hypot(x - 0.68 * WIDTH, y - 0.24 * HEIGHT)
    picture += (np.asarray(sun, float) - picture) * np.clip(1.15 - disc / 44, 0, 1)[..., None] ** 0.5
    for depth, color in enumerate(hills):
        base = horizon + depth * 0.13 * HEIGHT
        line = base - (26 + 12 * depth) * fractal((8, WIDTH), 3 + depth, 4, rng)[0]
        light = 1 + 0.16 * fractal((HEIGHT, WIDTH), 9, 3, rng) - 0.22 * (y - line) / HEIGHT
        picture = np.where((y > line)[..., None], np.asarray(color, float) * light[..., None], picture)
    bend = 0.5 * WIDTH + 0.16 * WIDTH * np.sin((y - horizon) / 66)
    width = 4 + 0.5 * np.clip(y - horizon, 0, None)
    water = (y > horizon + 34) & (np.abs(x - bend) < width)
    mirror = gradient(sky, np.clip(1 - (y - horizon) / HEIGHT + 0.1 * np.sin(y / 3 + 4 * np.sin(x / 40)), 0, 1))
    return np.where(water[..., None], 0.9 * mirror, picture)


DUSK: list[tuple[float, Color]] = [
    (0, (44, 52, 120)),
    (0.45, (186, 96, 130)),
    (0.8, (250, 170, 96)),
    (1, (255, 226, 150)),
]
NOON: list[tuple[float, Color]] = [(0, (58, 126, 196)), (0.6, (140, 194, 224)), (1, (240, 238, 214))]
