"""Renders examples/photo.jpg (a lit mountain lake) and examples/painting.jpg (brush strokes along a flow field).

    python tools/render_examples.py [FOLDER]

Both are ours from the first to the last pixel, so they can be committed and shown. Seeded: the same pictures every time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 768, 512


def noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of `cells` bumps along the longer side, in [−1, 1]."""
    grid = rng.uniform(-1, 1, (max(2, cells * shape[0] // max(shape)), max(2, cells * shape[1] // max(shape))))
    image = Image.fromarray(grid.astype(np.float32)).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)


def fractal(shape: tuple[int, int], octaves: tuple[int, ...], rng: np.random.Generator, ridged: bool) -> np.ndarray:
    total = np.zeros(shape)
    for octave, cells in enumerate(octaves):
        layer = noise(shape, cells, rng)
        total += (1 - 2 * np.abs(layer) if ridged else layer) * 0.5**octave
    return total


def landscape() -> Image.Image:
    """A height field seen from above a lake, drawn front to back, column by column, with sun, shadow, haze and water."""
    rng = np.random.default_rng(7)
    size = 1024
    ground = fractal((size, size), (5, 11, 23, 47, 95, 190), rng, ridged=True)
    z, x = np.mgrid[0:size, 0:size] / size
    valley = np.clip(np.abs(x - 0.5 - 0.08 * np.sin(7 * z)) * 3.2, 0, 1)
    height = (ground * 0.5 + 0.35) * (0.15 + valley) * np.clip(z * 2.2, 0.12, 1.25) * 250 - 24
    water = height < 0
    height = np.maximum(height, 0)
    sun = np.array([-0.62, 0.5, 0.35])
    slope_z, slope_x = np.gradient(height)
    normal = np.dstack([-slope_x, np.full_like(height, 1.6), -slope_z])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    light = np.clip(normal @ (sun / np.linalg.norm(sun)), 0, 1)
    shade = np.zeros_like(height)  # the height of the sun's rays' lower edge, swept away from the sun
    for column in range(size - 2, -1, -1):
        shade[:, column] = np.maximum(height[:, column + 1], shade[:, column + 1]) - 0.95
    light *= np.where(np.roll(shade[:, ::-1], 0, 1)[:, ::-1] > height + 1, 0.35, 1.0)

    grass, rock, snow = (np.array(c, float) for c in ((74, 96, 44), (118, 102, 88), (240, 240, 248)))
    steep = np.clip((1 - normal[..., 1]) * 3.2, 0, 1)[..., None]
    tint = 1 + 0.16 * fractal((size, size), (60, 120, 240), rng, ridged=False)[..., None]
    base = (grass * (1 - steep) + rock * steep) * tint
    cover = np.clip((height - 105 + 30 * noise((size, size), 40, rng)) / 18, 0, 1)[..., None] * (1 - 0.6 * steep)
    colour = (base * (1 - cover) + snow * cover) * (0.34 + 0.95 * light[..., None]) * np.array([1.06, 1.0, 0.9])

    rows = np.linspace(0, 1, HEIGHT)[:, None, None]
    sky = (1 - rows) * np.array([62, 112, 186]) + rows * np.array([255, 226, 178])
    sky = np.repeat(sky * np.clip(0.9 + rows * 0.6, 0, 1.2), WIDTH, axis=1)
    clouds = np.clip(fractal((HEIGHT, WIDTH), (4, 9, 18, 40), rng, ridged=False) - 0.05, 0, 0.6)[..., None]
    sky += clouds * (np.array([255, 244, 230]) - sky) * np.clip(1.6 - rows * 2, 0, 1)
    y, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
    sky += (np.exp(-np.hypot(xs - 0.2 * WIDTH, y - 0.2 * HEIGHT) / 60) * 150)[..., None] * np.array([1, 0.85, 0.55])

    picture, filled = sky.copy(), np.full(WIDTH, HEIGHT)
    horizon, eye, focal = 262, 46.0, 330.0
    angles = (np.arange(WIDTH) - WIDTH / 2) / WIDTH
    distance = 12.0
    while distance < 980:
        across = np.clip((size / 2 + angles * distance * 1.25).astype(int), 0, size - 1)
        deep = int(min(distance, size - 1))
        top = np.clip(horizon + (eye - height[deep, across]) / distance * focal, 0, HEIGHT).astype(int)
        haze = np.clip((distance - 120) / 1300, 0, 0.72)
        for column in np.nonzero(top < filled)[0]:
            first, last = top[column], filled[column]
            if water[deep, across[column]]:
                lines = np.arange(first, last)
                ripple = (3 * np.sin(lines * 1.9 + column * 0.05) * 40 / distance).astype(int)
                mirror = np.clip(2 * horizon + 8 - lines + ripple, 0, HEIGHT - 1)
                wave = 1 + 0.06 * np.sin(lines * 2.3 + 3 * np.sin(column * 0.03))[:, None]
                surface = picture[mirror, column] * 0.62 * wave + np.array([10, 26, 40])
            else:
                surface = colour[deep, across[column]]
            picture[first:last, column] = surface * (1 - haze) + np.array([206, 204, 210]) * haze
            filled[column] = first
        distance *= 1.0028
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.6))


def painting() -> Image.Image:
    """Thousands of bristled strokes, large ones first, along the streamlines of whirls over fields under a moon."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    u, v = np.ones_like(x), 0.25 * np.sin(x / 90)
    whirls = [(150, 120, 80, 2.4), (420, 170, 110, -2.6), (640, 90, 70, 2.2), (300, 60, 50, -1.8), (560, 250, 60, 1.6)]
    for cx, cy, radius, strength in whirls:
        fall = strength * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
        u, v = u - fall * (y - cy) / radius * 2, v + fall * (x - cx) / radius * 2
    ground = HEIGHT * 0.66 + 26 * np.sin(x / 110) + 14 * np.sin(x / 37 + 1)
    land = y > ground
    u, v = np.where(land, 1, u), np.where(land, 0.5 * np.cos(x / 55 + y / 40), v)
    length = np.hypot(u, v) + 1e-9
    u, v = u / length, v / length

    def mixed(stops: list[tuple[float, tuple[int, int, int]]], t: np.ndarray) -> np.ndarray:
        positions = [stop for stop, _ in stops]
        return np.dstack([np.interp(t, positions, [colour[c] for _, colour in stops]) for c in range(3)])

    swirl = 0.5 + 0.5 * np.sin(np.hypot(x - 420, y - 170) / 13 + x / 60)
    t = np.clip(y / HEIGHT * 1.3 + 0.25 * (swirl - 0.5) + 0.1 * noise((HEIGHT, WIDTH), 30, rng), 0, 1)
    colours = mixed(
        [(0, (14, 28, 92)), (0.35, (30, 84, 158)), (0.6, (92, 158, 190)), (0.85, (240, 200, 110)), (1, (232, 140, 64))],
        t,
    )
    for cx, cy, radius in ((640, 90, 44), (150, 120, 20), (300, 60, 14), (500, 40, 11), (60, 50, 12)):
        glow = np.exp(-((np.hypot(x - cx, y - cy) / radius) ** 2))[..., None]
        colours = colours * (1 - glow) + np.array([255, 226, 120]) * glow
    fields = mixed([(0, (58, 92, 44)), (0.4, (150, 152, 50)), (0.7, (206, 160, 48)), (1, (150, 70, 40))],
                   0.5 + 0.5 * np.sin((y - ground) / 17 + x / 70 + noise((HEIGHT, WIDTH), 12, rng)))  # fmt: skip
    colours = np.where(land[..., None], fields, colours)

    canvas = Image.fromarray(colours.astype(np.uint8)).filter(ImageFilter.GaussianBlur(8))
    draw = ImageDraw.Draw(canvas)
    for width, steps, count in ((11, 9, 2600), (7, 8, 5200), (4, 8, 9000)):
        for _ in range(count):
            px, py = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            colour = colours[int(py), int(px)] + rng.normal(0, 15) + rng.normal(0, 9, 3)
            points = []
            for _ in range(steps):
                row, column = int(np.clip(py, 0, HEIGHT - 1)), int(np.clip(px, 0, WIDTH - 1))
                points.append((px, py))
                px, py = px + 4.5 * u[row, column], py + 4.5 * v[row, column]
            for bristle in range(-width // 2, width // 2 + 1):  # each bristle its own shade: light on the upper ridge
                shade = colour * (1 - 0.28 * bristle / width) + rng.normal(0, 9)
                row, column = int(np.clip(points[0][1], 0, HEIGHT - 1)), int(np.clip(points[0][0], 0, WIDTH - 1))
                dx, dy = -v[row, column] * bristle, u[row, column] * bristle
                cut = rng.integers(0, 2)
                line = [(a + dx, b + dy) for a, b in points[cut : len(points) - rng.integers(0, 3)]]
                draw.line(line, fill=tuple(int(c) for c in np.clip(shade, 0, 255)), width=1 if width < 5 else 2)
    return canvas.filter(ImageFilter.GaussianBlur(0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    examples = Path(__file__).resolve().parent.parent / "examples"
    parser.add_argument("folder", nargs="?", type=Path, default=examples, help="where to (default: %(default)s)")
    folder = parser.parse_args().folder
    landscape().save(folder / "photo.jpg", quality=90)
    painting().save(folder / "painting.jpg", quality=90)


if __name__ == "__main__":
    main()
