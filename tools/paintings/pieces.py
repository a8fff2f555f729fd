"""Pictures put together from pieces: stained glass, mosaic, cut paper, cubist planes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tools.paintings.field import DUSK, HEIGHT, WIDTH, Color, blurred, fractal, noise, shaded, to_image, valley


def _cells(seeds: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) number of the nearest seed, and how much farther the second nearest is."""
    first = np.full(y.shape, np.inf)
    second, owner = first.copy(), np.zeros(y.shape, int)
    for number, (sx, sy) in enumerate(seeds):
        far = np.hypot(x - sx, y - sy)
        nearer = far < first
        second = np.where(nearer, first, np.minimum(second, far))
        owner, first = np.where(nearer, number, owner), np.where(nearer, far, first)
    return owner, second - first


def stained_glass() -> Image.Image:
    """A rose window's rays in lead and lit glass."""
    rng = np.random.default_rng(31)
    scale = 2
    y, x = np.mgrid[0 : HEIGHT * scale, 0 : WIDTH * scale].astype(float) / scale
    seeds, colors = [], []
    wheel: list[Color] = [
        (206, 36, 44),
        (24, 72, 168),
        (238, 176, 32),
        (28, 128, 84),
        (120, 44, 140),
        (230, 104, 30),
        (64, 156, 200),
    ]
    cx, cy = 0.5 * WIDTH, 0.5 * HEIGHT
    for ring, radius in enumerate((0, 46, 92, 142, 196, 256, 324, 396, 470)):
        count = max(1, 8 * ring if ring < 4 else 12 + 4 * ring)
        for k in range(count):
            angle = 2 * np.pi * (k + 0.5 * (ring % 2)) / count
            seeds.append(
                (cx + radius * np.cos(angle) * 1.05 + rng.normal(0, 3), cy + radius * np.sin(angle) + rng.normal(0, 3))
            )
            colors.append(wheel[(ring + (k % 2) * 2) % 7] if ring else (250, 236, 170))
    owner, gap = _cells(np.array(seeds), y, x)
    tint = np.array([shaded(color, rng.normal(0.05, 0.18), rng) for color in colors], float)[owner]
    glass = 1 + 0.22 * fractal(y.shape, 14, 4, rng) + 0.1 * noise(y.shape, 120, rng)
    glow = 1.25 - 0.55 * np.hypot((x - cx) / WIDTH, (y - cy) / HEIGHT)
    lit = tint * (glass * glow * np.clip(0.72 + gap / 28, 0, 1.1))[..., None]
    lead = np.clip((gap - 2.6) / 1.2, 0, 1)[..., None]
    return to_image(lit * lead + np.array([18, 17, 20]) * (1 - lead)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def mosaic() -> Image.Image:
    """Small stones laid in rows along the forms: a sun over a sea with two fish."""
    rng = np.random.default_rng(32)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    sun = np.hypot(x - 0.3 * WIDTH, y - 0.34 * HEIGHT)
    seen = np.where(((np.arctan2(y - 0.34 * HEIGHT, x - 0.3 * WIDTH) * 16 / np.pi) % 2 < 1)[..., None],
                    np.array([226, 186, 110.0]), np.array([206, 150, 84.0]))  # fmt: skip
    seen = np.where((sun < 80)[..., None], np.array([214, 96, 40.0]), seen)
    seen = np.where((sun < 58)[..., None], np.array([240, 196, 70.0]), seen)
    sea = y - 0.62 * HEIGHT - 16 * np.sin(x / 52)
    seen = np.where(
        (sea > 0)[..., None],
        np.where((sea // 26 % 2 < 1)[..., None], np.array([36, 104, 132.0]), np.array([70, 158, 164.0])),
        seen,
    )
    form = np.where(sea > 0, sea, sun)
    for fx, fy, size, color in ((520, 350, 1.25, (196, 84, 60)), (250, 446, 0.9, (224, 206, 170))):
        u, v = (x - fx) / size, (y - fy) / size
        body = (u / 92) ** 2 + (v / 40) ** 2
        tail = (u > 70) & (u < 136) & (np.abs(v) < (u - 62) * 0.62)
        seen = np.where((body < 1.22)[..., None] | tail[..., None], np.array([40, 32, 40.0]), seen)
        scales = np.where(((u // 18 + v // 12) % 2 < 1)[..., None], np.array(color, float), np.array(color) * 0.72)
        seen = np.where((body < 0.9)[..., None] | (tail & (u > 78))[..., None], scales, seen)
        seen = np.where((np.hypot(u + 56, v + 8) < 9)[..., None], np.array([250, 246, 230.0]), seen)
        form = np.where(body < 1.22, 40 * np.sqrt(body), form)
    down, right = np.gradient(blurred(form, 5))
    turn = np.arctan2(down, right) + np.pi / 2
    scale = 2
    canvas = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), (74, 66, 60))
    draw = ImageDraw.Draw(canvas)
    side = 8.6
    for row in range(int(HEIGHT / side) + 2):
        for column in range(int(WIDTH / side) + 2):
            px = np.clip((column + 0.5 * (row % 2)) * side + rng.normal(0, 0.7), 0, WIDTH - 1)
            py = np.clip(row * side + rng.normal(0, 0.7), 0, HEIGHT - 1)
            angle = turn[int(py), int(px)]
            along = np.array([np.cos(angle), np.sin(angle)]) * side * 0.5
            across = np.array([-along[1], along[0]]) * rng.uniform(0.8, 0.95)
            corners = [
                (np.array([px, py]) + s * along * 0.92 + t * across) * scale
                for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            stone = shaded(seen[int(py), int(px)], rng.normal(0, 0.13), rng)
            draw.polygon([(float(a), float(b)) for a, b in corners], fill=stone)
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def cut_paper() -> Image.Image:
    """Leaves, seaweed and blossoms cut from painted sheets, pasted on blocks of color."""
    rng = np.random.default_rng(33)
    scale = 2
    blocks: list[Color] = [
        (238, 232, 216),
        (22, 84, 158),
        (240, 190, 50),
        (226, 86, 54),
        (16, 122, 96),
        (238, 150, 170),
        (36, 40, 88),
    ]
    canvas = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), blocks[0])
    draw = ImageDraw.Draw(canvas)
    columns, rows = 4, 3
    wide, tall = WIDTH * scale / columns, HEIGHT * scale / rows
    ground: dict[tuple[int, int], int] = {}
    for row in range(rows):
        for column in range(columns):
            taken = {ground.get((row - 1, column)), ground.get((row, column - 1))}
            ground[row, column] = int(rng.choice([number for number in range(7) if number not in taken]))
            box = (column * wide, row * tall, (column + 1) * wide + 2, (row + 1) * tall + 2)
            draw.rectangle(box, fill=blocks[ground[row, column]])
    for (row, column), under in ground.items():
        cx, cy = (column + 0.5) * wide + rng.normal(0, 10), (row + 0.5) * tall + rng.normal(0, 10)
        color = blocks[int(rng.choice([number for number in range(7) if number != under]))]
        t = np.linspace(0, 2 * np.pi, 360)
        lobes = int(rng.choice([5, 7, 9, 11]))
        if (row + column) % 3 == 0:  # a blossom
            radius = 0.3 * wide * (0.8 + 0.3 * np.cos(lobes * t)) * (1 + 0.06 * np.sin(3 * t + rng.uniform(0, 6)))
            points = np.stack([cx + radius * np.cos(t), cy + radius * np.sin(t)], 1)
        else:  # seaweed: a spine with rounded fingers on both sides
            lean, radius = rng.uniform(-0.5, 0.5), 0.43 * tall
            spread = 0.07 * wide + 0.28 * wide * np.abs(np.sin(lobes * t / 2)) ** 0.7 * np.abs(np.sin(t)) ** 0.4
            px, py = np.sign(np.sin(t)) * spread, -np.cos(t) * radius
            points = np.stack(
                [cx + px * np.cos(lean) - py * np.sin(lean), cy + px * np.sin(lean) + py * np.cos(lean)], 1
            )
        draw.polygon([(float(a), float(b)) for a, b in points], fill=color)
        if (row + column) % 3 == 0:
            draw.ellipse((cx - 26, cy - 26, cx + 26, cy + 26), fill=blocks[under])
    grain = (
        1
        + 0.035 * noise((HEIGHT * scale, WIDTH * scale), 24, rng)
        + 0.03 * noise((HEIGHT * scale, WIDTH * scale), 300, rng)
    )
    sheet = np.asarray(canvas, float) * grain[..., None]
    return to_image(sheet).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def cubist_planes() -> Image.Image:
    """A valley broken into planes, each with a light of its own, in ochre, slate and olive."""
    rng = np.random.default_rng(34)
    seen = np.asarray(
        to_image(valley(rng, DUSK, [(150, 120, 90), (112, 110, 96), (84, 92, 80), (52, 56, 60)], (250, 232, 190))),
        float,
    )
    palette = np.array(
        [
            (196, 156, 96),
            (128, 104, 72),
            (92, 104, 110),
            (58, 66, 74),
            (150, 150, 120),
            (222, 206, 170),
            (104, 84, 60),
            (176, 110, 70.0),
        ]
    )
    planes = [np.array([(0.0, 0.0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)])]
    for _ in range(190):
        areas = np.array([_area(plane) for plane in planes])
        plane = planes.pop(int(rng.choice(len(planes), p=areas**1.3 / np.sum(areas**1.3))))
        planes += _split(plane, rng)
    scale = 2
    canvas = np.zeros((HEIGHT * scale, WIDTH * scale, 3))
    y, x = np.mgrid[0 : HEIGHT * scale, 0 : WIDTH * scale].astype(float) / scale
    texture = 1 + 0.06 * noise(y.shape, 200, rng) + 0.05 * noise(y.shape, 60, rng)
    for plane in planes:
        mask = Image.new("1", (WIDTH * scale, HEIGHT * scale))
        outline = [(float(a) * scale, float(b) * scale) for a, b in plane]
        ImageDraw.Draw(mask).polygon(outline, fill=1)
        inside = np.asarray(mask)
        cx, cy = plane.mean(0)
        wanted = seen[int(np.clip(cy, 0, HEIGHT - 1)), int(np.clip(cx, 0, WIDTH - 1))]
        near = palette[np.argsort(np.linalg.norm(palette - wanted, axis=1))[rng.integers(0, 2)]]
        color = 0.62 * near + 0.38 * wanted
        angle = rng.uniform(0, 2 * np.pi)
        slope = ((x[inside] - cx) * np.cos(angle) + (y[inside] - cy) * np.sin(angle)) / (
            0.5 * np.sqrt(_area(plane)) + 12
        )
        canvas[inside] = color * ((1 + 0.3 * np.clip(slope, -1, 1)) * texture[inside])[:, None]
    picture = to_image(canvas)
    draw = ImageDraw.Draw(picture)
    for plane in planes:
        if rng.random() < 0.6:
            start = int(rng.integers(len(plane)))
            edge = [tuple(float(v) * scale for v in plane[(start + k) % len(plane)]) for k in range(2)]
            draw.line(edge, fill=(40, 34, 32), width=int(rng.integers(2, 5)))  # type: ignore[arg-type]
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _area(plane: np.ndarray) -> float:
    x, y = plane.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _split(plane: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """A convex polygon cut in two, from a point on one of its longest edges to one on another."""
    lengths = np.linalg.norm(np.roll(plane, -1, 0) - plane, axis=1)
    first, second = sorted(
        np.argsort(lengths)[::-1][:2]
        if len(plane) == 3 or rng.random() < 0.7
        else rng.choice(len(plane), 2, replace=False)
    )
    a, b = (
        plane[edge] + (plane[(edge + 1) % len(plane)] - plane[edge]) * rng.uniform(0.3, 0.7) for edge in (first, second)
    )
    one = [a, *plane[first + 1 : second + 1], b]
    other = [b, *plane[second + 1 :], *plane[: first + 1], a]
    return [np.array(one), np.array(other)]
