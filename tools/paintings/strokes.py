"""Paint laid on in touches: points, palette knife, dabs of a dry brush."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tools.paintings.field import DUSK, HEIGHT, NOON, WIDTH, blurred, noise, shaded, to_image, valley


def pointillism() -> Image.Image:
    """Dots of pure color, warm beside cold, over a river at noon."""
    rng = np.random.default_rng(11)
    seen = valley(rng, NOON, [(96, 140, 160), (110, 150, 92), (72, 120, 52), (52, 86, 40)], (255, 244, 190))
    canvas = to_image(0.35 * seen + 0.65 * np.array([238, 228, 204]))
    draw = ImageDraw.Draw(canvas)
    for radius, count in ((4.6, 9000), (3.4, 16000), (2.5, 22000)):
        for x, y in rng.uniform(0, 1, (count, 2)) * (WIDTH - 1, HEIGHT - 1):
            color = seen[int(y), int(x)] + rng.normal(0, 10, 3)
            mean = color.mean()
            pure = mean + (color - mean) * rng.choice([1.5, 2.3])  # the eye mixes; the palette does not
            if rng.random() < 0.14:
                pure = mean * 2 - pure  # a touch of the complement makes its neighbors sing
            size = radius * rng.uniform(0.75, 1.1)
            draw.ellipse((x - size, y - size, x + size, y + size), fill=shaded(pure, rng.normal(0.02, 0.1)))
    return canvas


def palette_knife() -> Image.Image:
    """Thick slabs of paint with lit edges: a harbor of dusk colors."""
    rng = np.random.default_rng(12)
    seen = valley(rng, DUSK, [(150, 86, 120), (92, 62, 110), (60, 46, 84), (36, 32, 60)], (255, 240, 190))
    canvas = to_image(seen).filter(ImageFilter.GaussianBlur(14))
    relief = Image.new("F", canvas.size, 0.0)
    draw, height = ImageDraw.Draw(canvas), ImageDraw.Draw(relief)
    turn = noise((HEIGHT, WIDTH), 5, rng)
    for long, wide, count in ((46, 15, 900), (30, 9, 1900), (17, 5, 2600)):
        for x, y in rng.uniform(0, 1, (count, 2)) * (WIDTH - 1, HEIGHT - 1):
            angle = (
                0.5 * turn[int(y), int(x)]
                + rng.normal(0, 0.22)
                + (1.2 if y > 0.5 * HEIGHT and rng.random() < 0.2 else 0)
            )
            along = np.array([np.cos(angle), np.sin(angle)]) * long * rng.uniform(0.6, 1.1) / 2
            across = np.array([-along[1], along[0]]) / np.hypot(*along) * wide * rng.uniform(0.6, 1.1) / 2
            corners = [
                (x, y) + s * along + t * across * rng.uniform(0.7, 1) for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            points = [(float(a), float(b)) for a, b in corners]
            draw.polygon(points, fill=shaded(seen[int(y), int(x)] * 1.06, rng.normal(0.03, 0.09), rng))
            height.polygon(points, fill=float(rng.uniform(0.2, 1)))
            height.line([points[2], points[3]], fill=1.5, width=2)
    thickness = np.asarray(relief) + 0.25 * noise((HEIGHT, WIDTH), 160, rng)
    down, right = np.gradient(blurred(thickness, 0.8))
    return to_image(np.asarray(canvas, float) * (1 - 0.22 * np.clip(down + right, -1, 1))[..., None])


def impression() -> Image.Image:
    """Short commas of a loaded brush: a garden with a pond, poppies and their reflections."""
    rng = np.random.default_rng(13)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    pond = y > 0.55 * HEIGHT + 18 * np.sin(x / 120)
    green = np.array([70, 116, 66]) * (1 + 0.35 * noise((HEIGHT, WIDTH), 10, rng))[..., None]
    willow = np.array([148, 166, 92]) * (1 + 0.3 * np.sin(x / 14 + 2 * noise((HEIGHT, WIDTH), 6, rng)))[..., None]
    bank = np.where((noise((HEIGHT, WIDTH), 5, rng) > 0.05)[..., None], willow, green)
    surface = bank[::-1] * 0.6 + np.array([74, 96, 150]) * 0.55
    seen = np.where(pond[..., None], surface, bank)
    canvas = to_image(seen).filter(ImageFilter.GaussianBlur(6))
    draw = ImageDraw.Draw(canvas)

    def comma(px: float, py: float, color: np.ndarray, long: float, upright: bool, wide: int) -> None:
        angle = rng.normal(1.45 if upright else 0.05, 0.3)
        for bristle in range(wide):
            dx, dy = np.cos(angle) * long, np.sin(angle) * long
            ox, oy = -np.sin(angle) * bristle, np.cos(angle) * bristle
            line = [(px + ox, py + oy), (px + dx * 0.6 + ox, py + dy * 0.6 + oy), (px + dx + ox + 1, py + dy + oy - 1)]
            draw.line(line, fill=shaded(color, rng.normal(0, 0.1), rng), width=2)

    for long, wide, count in ((16, 5, 5200), (11, 4, 8000), (8, 3, 7000)):
        for px, py in rng.uniform(0, 1, (count, 2)) * (WIDTH - 1, HEIGHT - 1):
            here = pond[int(py), int(px)]
            comma(px, py, seen[int(py), int(px)] * 1.05, long, not here, wide)
    flowers = [(214, 60, 54), (240, 168, 190), (250, 236, 220), (232, 190, 70), (150, 110, 190)]
    for _ in range(1500):
        px, py = rng.uniform(0, WIDTH), HEIGHT * (0.55 - abs(rng.normal(0, 0.11)))
        comma(px, py, np.array(flowers[rng.integers(5)]), rng.uniform(3, 6), False, 3)
    for _ in range(70):
        px, py = rng.uniform(0, WIDTH), rng.uniform(0.62, 0.98) * HEIGHT
        wide = 6 + 22 * (py / HEIGHT - 0.5)
        for _ in range(9):
            comma(px + rng.normal(0, wide), py + rng.normal(0, wide / 5), np.array([96, 148, 96]), wide * 0.9, False, 3)
        comma(px, py - 3, np.array(flowers[1 + rng.integers(2)]), 7, False, 5)
    return canvas.filter(ImageFilter.GaussianBlur(0.5))
