"""Water on paper: an ink wash of mountains, a watercolor bouquet, and a composition of circles and lines."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tools.paintings.field import HEIGHT, WIDTH, Color, blurred, fractal, noise, to_image


def ink_wash() -> Image.Image:
    """Grey mountains that fade into mist, pines with a dry brush, a boat, a red seal."""
    rng = np.random.default_rng(41)
    scale = 2
    shape = (HEIGHT * scale, WIDTH * scale)
    y, _x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float) / scale
    fibre = noise(shape, 340, rng) * 0.5 + noise(shape, 130, rng) * 0.5
    ink = 0.03 + 0.02 * fractal(shape, 5, 3, rng)
    for layer in range(5):
        base = (0.42 + 0.105 * layer) * HEIGHT
        rough = fractal((8, shape[1]), 4 + 2 * layer, 6, rng)[0]
        ridge = base - (92 - 10 * layer) * np.abs(rough) ** 1.25 - 16
        below = y - ridge
        wash = np.exp(-np.clip(below, 0, None) / (40 + 14 * layer)) * (0.2 + 0.13 * layer)
        folds = np.clip(fractal(shape, 22, 3, rng) - 0.1, 0, 1) * np.exp(-np.clip(below, 0, None) / 60)
        edge = np.exp(-((below - 2) ** 2) / 8) * (0.14 + 0.1 * layer) * (fibre > -0.25)
        ink = np.where(
            below > 0,
            np.maximum(ink * 0.35, wash * (1 + 0.18 * fibre) + 0.35 * folds * (0.3 + 0.14 * layer)) + edge,
            ink,
        )
    strokes = Image.new("F", shape[::-1], 0.0)
    draw = ImageDraw.Draw(strokes)
    for _ in range(7):  # pines: a bent trunk, and shelves of needles that hang a little
        tx, ty = rng.uniform(0.05, 0.36) * shape[1], rng.uniform(0.86, 0.99) * shape[0]
        tall, lean = rng.uniform(170, 300), rng.uniform(-0.25, 0.35)
        trunk = [(tx + lean * tall * step / 7 + 9 * np.sin(1.7 * step), ty - tall * step / 7) for step in range(8)]
        for (ax, ay), (cx, cy), thick in zip(trunk, trunk[1:], range(13, 4, -1), strict=False):
            draw.line([(ax, ay), (cx, cy)], fill=0.88, width=thick)
        for px, py in trunk[3:]:
            for side in (-1, 1):
                reach = rng.uniform(0.16, 0.34) * tall
                for _ in range(46):
                    far = rng.uniform(0.1, 1) * reach
                    qx, qy = px + side * far, py + 0.12 * far - 10 * (1 - far / reach) * rng.random() + rng.normal(0, 4)
                    draw.line(
                        [(qx, qy), (qx + rng.normal(0, 9), qy - rng.uniform(4, 15))],
                        fill=float(rng.uniform(0.5, 0.95)),
                        width=3,
                    )
    bx, by = 0.72 * shape[1], 0.86 * shape[0]
    draw.chord((bx - 80, by - 24, bx + 80, by + 24), 0, 180, fill=0.8)
    draw.line([(bx - 8, by), (bx - 8, by - 62)], fill=0.9, width=6)
    draw.polygon([(bx - 30, by - 6), (bx - 8, by - 66), (bx + 14, by - 6)], fill=0.55)
    for _ in range(60):
        rx, ry = rng.uniform(0.45, 1) * shape[1], rng.uniform(0.84, 0.98) * shape[0]
        draw.line([(rx, ry), (rx + rng.uniform(20, 90), ry + rng.normal(0, 2))], fill=0.24, width=2)
    dry = blurred(np.asarray(strokes), 1.1) * (0.78 + 0.5 * np.clip(fibre, -0.6, 0.4))
    ink = np.clip(np.maximum(ink, dry), 0, 0.96)
    picture = (
        np.array([240, 234, 218]) * (1 + 0.02 * fibre)[..., None] * (1 - ink)[..., None]
        + np.array([26, 28, 34]) * ink[..., None]
    )
    canvas = to_image(picture)
    seal = ImageDraw.Draw(canvas)
    seal.rectangle((1330, 70, 1386, 142), fill=(176, 44, 36))
    for row in range(3):
        seal.line([(1340, 88 + 20 * row), (1376, 88 + 20 * row)], fill=(236, 214, 196), width=5)
    seal.line([(1358, 80), (1358, 134)], fill=(236, 214, 196), width=5)
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def watercolor() -> Image.Image:
    """Transparent washes that run into each other and dry with dark edges: a loose bouquet."""
    rng = np.random.default_rng(42)
    shape = (HEIGHT, WIDTH)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    light = np.ones((*shape, 3)) * np.array([0.985, 0.975, 0.95])  # what the paper sends back
    grain = noise(shape, 260, rng)

    def wash(
        cx: float, cy: float, radius: float, color: Color, strength: float, squash: float = 1.0, lean: float = 0.0
    ) -> None:
        nonlocal light
        u, v = (x - cx) * np.cos(lean) + (y - cy) * np.sin(lean), -(x - cx) * np.sin(lean) + (y - cy) * np.cos(lean)
        far = np.hypot(u, v / squash) / radius + 0.3 * fractal(shape, max(3, int(500 / radius)), 4, rng)
        inside = 1 / (1 + np.exp(np.clip((far - 1) * 34, -50, 50)))
        pooled = np.exp(-((far - 0.94) ** 2) / 0.0022) * 0.6 + 0.16 * (1 - far.clip(0, 1))
        amount = inside * (0.55 + 0.3 * fractal(shape, 7, 3, rng) + pooled + 0.1 * grain) * strength
        light = light * (1 - np.clip(amount, 0, 1)[..., None] * (1 - np.array(color) / 255))

    for cx, cy, radius, color in (
        (200, 160, 210, (150, 190, 214)),
        (560, 180, 230, (244, 210, 160)),
        (380, 430, 250, (176, 202, 160)),
    ):
        wash(cx, cy, radius, color, 0.6)
    for _ in range(34):
        angle, far = rng.uniform(0, 6.28), rng.uniform(60, 210)
        green = [(66, 122, 70), (110, 150, 60), (40, 96, 92)][rng.integers(3)]
        wash(
            370 + far * np.cos(angle) * 1.2,
            285 + far * np.sin(angle) * 0.8,
            rng.uniform(26, 54),
            green,
            0.75,
            0.36,
            angle + rng.normal(0, 0.4),
        )
    reds: list[Color] = [(214, 56, 84), (236, 120, 60), (150, 70, 160), (240, 180, 50), (230, 110, 150), (80, 92, 180)]
    for _ in range(17):
        angle, far = rng.uniform(0, 6.28), 170 * np.sqrt(rng.random())
        px, py = 370 + far * np.cos(angle) * 1.25, 240 + far * np.sin(angle) * 0.85
        color = reds[rng.integers(6)]
        for petal in range(5):
            turn = petal * 1.257 + rng.uniform(0, 0.5)
            wash(px + 20 * np.cos(turn), py + 20 * np.sin(turn), rng.uniform(17, 25), color, 0.62, 0.72, turn)
        wash(px, py, 9, (90, 60, 30), 0.8)
    wash(370, 505, 92, (110, 140, 176), 0.75, 0.75)
    for px, py in rng.uniform(0, 1, (70, 2)) * (WIDTH, HEIGHT):
        wash(px, py, rng.uniform(1.6, 4.5), reds[rng.integers(6)], 0.6)
    return to_image(255 * light * (1 + 0.015 * grain)[..., None])


def composition() -> Image.Image:
    """Circles, arcs, grids and wedges in tension on a warm ground."""
    rng = np.random.default_rng(43)
    scale = 2
    width, height = WIDTH * scale, HEIGHT * scale
    y, x = np.mgrid[0:height, 0:width].astype(float)
    ground = np.array([238, 226, 200]) * (1 + 0.05 * fractal((height, width), 4, 4, rng))[..., None]
    for cx, cy, radius, color in (
        (380, 330, 420, (244, 196, 120)),
        (1080, 700, 460, (150, 186, 200)),
        (900, 200, 300, (236, 170, 160)),
    ):
        glow = np.exp(-((np.hypot(x - cx, y - cy) / radius) ** 2))[..., None] * 0.75
        ground = ground * (1 - glow) + np.array(color) * glow
    canvas = to_image(ground)
    draw = ImageDraw.Draw(canvas, "RGBA")
    colors: list[Color] = [
        (196, 40, 44),
        (28, 66, 150),
        (244, 186, 36),
        (20, 20, 26),
        (36, 130, 100),
        (140, 60, 140),
        (240, 120, 50),
    ]
    for cx, cy, size in (
        (400, 320, 210),
        (1090, 730, 150),
        (840, 250, 90),
        (1250, 250, 70),
        (210, 800, 120),
        (660, 760, 60),
    ):
        order = rng.permutation(7)
        for ring in range(int(rng.integers(3, 6))):
            radius = size * (1 - 0.22 * ring)
            draw.ellipse(
                (cx - radius, cy - radius, cx + radius, cy + radius),
                fill=(*colors[order[ring]], 225),
                outline=(20, 20, 26),
                width=4,
            )
    for _ in range(26):
        px, py, angle, far = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 3.14), rng.uniform(120, 620)
        draw.line(
            [(px, py), (px + far * np.cos(angle), py + far * np.sin(angle))],
            fill=(*colors[3 if rng.random() < 0.7 else rng.integers(7)], 255),
            width=int(rng.integers(3, 12)),
        )
    for _ in range(13):
        px, py, size, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(50, 180), rng.uniform(0, 6.28)
        corners = [
            (px + size * np.cos(turn + a), py + size * np.sin(turn + a))
            for a in (0, rng.uniform(1.6, 2.6), rng.uniform(3.4, 4.4))
        ]
        draw.polygon(corners, fill=(*colors[rng.integers(7)], 175), outline=(20, 20, 26))
    for _ in range(9):
        px, py, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(60, 260)
        begin = rng.uniform(0, 360)
        draw.arc(
            (px - size, py - size, px + size, py + size),
            begin,
            begin + rng.uniform(70, 200),
            fill=(*colors[rng.integers(7)], 255),
            width=int(rng.integers(6, 22)),
        )
    for gx, gy in ((560, 560), (1180, 430)):
        for row in range(5):
            for column in range(6):
                box = (gx + 38 * column, gy + 30 * row, gx + 38 * column + 36, gy + 30 * row + 28)
                draw.rectangle(
                    box,
                    fill=(*colors[rng.integers(7)], 235) if (row + column) % 2 else (244, 238, 222, 235),
                    outline=(20, 20, 26),
                )
    brushed = (
        1
        + 0.045 * noise((height, width), 180, rng)
        + 0.035 * np.sin((x + 2 * y) / 9 + 5 * noise((height, width), 8, rng))
    )
    return to_image(np.asarray(canvas.convert("RGB"), float) * brushed[..., None]).resize(
        (WIDTH, HEIGHT), Image.Resampling.LANCZOS
    )
