"""Prints: a woodblock wave, an engraving hatched by its tones, a linocut night."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tools.paintings.field import HEIGHT, WIDTH, fractal, noise, to_image

PAPER = np.array([236, 224, 196.0])


def woodblock_wave() -> Image.Image:
    """Flat blues with carved outlines: waves that roll from the left, foam like fingers, a far mountain."""
    rng = np.random.default_rng(21)
    scale = 2
    width, height = WIDTH * scale, HEIGHT * scale
    y, x = np.mgrid[0:height, 0:width].astype(float) / scale
    grain = 5 * np.sin(y / 1.7 + 5 * noise((height, width), 6, rng)) + 3 * noise((height, width), 200, rng)
    picture = PAPER + grain[..., None] * 0.5 - np.clip(y / HEIGHT - 0.35, 0, 1)[..., None] * np.array([30, 26, 14])
    peak = np.abs(x - 0.63 * WIDTH) * 0.52 + 0.36 * HEIGHT
    picture = np.where((y > peak)[..., None], np.array([70, 88, 128]) + grain[..., None], picture)
    snow = (y > peak) & (y < 0.455 * HEIGHT + 7 * np.sin(x / 7) + 5 * np.sin(x / 3.1))
    picture = np.where(snow[..., None], np.array([242, 238, 226]), picture)
    blues = np.array([(222, 224, 210), (150, 182, 200), (74, 122, 168), (38, 76, 132), (22, 44, 92.0)])
    for layer in range(5):
        phase, size = 1.7 * layer, 92 - 9 * layer
        crest = (0.50 + 0.105 * layer) * HEIGHT - size * np.clip(np.sin(x / (96 - 5 * layer) + phase), -0.4, 1) ** 3
        crest += 6 * np.sin(x / 17 + 2 * layer)
        body = y > crest
        depth = (y - crest) / 26 + 0.5 * np.sin((x + 1.4 * y) / 23 + layer)  # bands that follow the swell
        band = np.clip(np.floor(depth) % 4 + 1, 1, 4).astype(int)
        picture = np.where(body[..., None], blues[band] + 0.6 * grain[..., None], picture)
        edge = (np.abs(depth - np.round(depth)) < 0.055) & body
        picture = np.where(edge[..., None], np.array([18, 32, 66]), picture)
        foam = body & (y < crest + 9 + 6 * np.sin(x / 4.2 + layer) + 5 * np.sin(x / 2.3))
        picture = np.where(foam[..., None], np.array([244, 240, 228]), picture)
        rim = (np.abs(y - crest) < 1.3) | (foam & (y > crest + 7 + 6 * np.sin(x / 4.2 + layer) + 5 * np.sin(x / 2.3)))
        picture = np.where(rim[..., None], np.array([18, 32, 66]), picture)
    canvas = to_image(picture)
    draw = ImageDraw.Draw(canvas)
    for px, py in rng.uniform(0, 1, (420, 2)) * (width, 0.75 * height):
        if rng.random() < np.exp(-px / (0.5 * width)):
            size = rng.uniform(1.5, 5)
            draw.ellipse((px - size, py - size, px + size, py + size), fill=(244, 240, 228), outline=(60, 84, 120))
    draw.rectangle((width - 96, 60, width - 52, 168), fill=(178, 52, 40))
    for row in range(4):
        draw.line([(width - 88, 76 + 24 * row), (width - 60, 72 + 24 * row)], fill=(240, 226, 200), width=5)
        draw.line([(width - 74, 70 + 24 * row), (width - 74, 86 + 24 * row)], fill=(240, 226, 200), width=4)
    return canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def engraving() -> Image.Image:
    """Sepia lines, swelling where it is dark, crossed where it is darkest: spheres, a column and their shadows."""
    rng = np.random.default_rng(22)
    scale = 2
    width, height = WIDTH * scale, HEIGHT * scale
    y, x = np.mgrid[0:height, 0:width].astype(float) / scale
    tone = 0.72 - 0.3 * y / HEIGHT + 0.14 * fractal((height, width), 4, 4, rng)  # light: 1 is paper
    turn = 0.15 * fractal((height, width), 3, 3, rng)  # the lines bend with the form
    ground = y > 0.62 * HEIGHT
    tone = np.where(ground, 0.78 - 0.5 * (y / HEIGHT - 0.62) + 0.06 * noise((height, width), 60, rng), tone)
    turn = np.where(ground, 1.45 + 0.05 * np.sin(x / 60), turn)
    for cx, cy, radius in ((200, 330, 108), (430, 372, 76), (566, 300, 120), (336, 196, 54), (90, 430, 44)):
        shadow = np.exp(
            -(((x - cx - radius * 0.6) / (1.5 * radius)) ** 2 + ((y - cy - radius * 0.9) / (0.26 * radius)) ** 2)
        )
        tone = tone - 0.55 * shadow * ground
        dx, dy = (x - cx) / radius, (y - cy) / radius
        inside = dx**2 + dy**2 < 1
        dz = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
        light = np.clip(-0.58 * dx - 0.55 * dy + 0.6 * dz, 0, 1) + 0.16 * np.clip(dx, 0, 1) ** 2
        tone = np.where(inside, 0.06 + 0.94 * light, tone)
        turn = np.where(inside, np.arctan2(dy, dx) * 0.35 + 0.9 * dx, turn)
    ink = np.zeros((height, width))
    for angle, darker in ((0.35, 1.0), (-0.75, 0.62), (1.35, 0.36)):
        bent = angle + turn
        phase = (x * np.sin(angle) + y * np.cos(angle)) / 1.55 + 9 * np.sin(bent)
        thick = np.clip((darker - tone) / darker, 0, 1)
        ink = np.maximum(ink, np.clip((np.cos(phase) - 1 + 2.1 * thick) * 3, 0, 1))
    paper = np.array([240, 228, 204]) + 5 * noise((height, width), 120, rng)[..., None]
    picture = paper * (1 - ink[..., None]) + np.array([52, 34, 26]) * ink[..., None]
    return to_image(picture).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def linocut() -> Image.Image:
    """Black, cream and one red: a town under a carved night sky."""
    rng = np.random.default_rng(23)
    scale = 2
    width, height = WIDTH * scale, HEIGHT * scale
    y, x = np.mgrid[0:height, 0:width].astype(float) / scale
    moon = np.hypot(x - 0.7 * WIDTH, y - 0.24 * HEIGHT)
    wobble = 9 * fractal((height, width), 5, 3, rng)
    rings = np.sin((moon + wobble) / 4.2)
    carved = rings > 0.15 + 0.5 * np.clip(moon / WIDTH, 0, 0.9) + 0.35 * noise((height, width), 40, rng)
    picture = np.where(carved[..., None], PAPER, np.array([22, 20, 24.0]))
    picture = np.where((moon < 46)[..., None], np.array([196, 52, 38.0]), picture)
    picture = np.where(((moon > 46) & (moon < 53))[..., None], PAPER, picture)
    canvas = to_image(picture)
    draw = ImageDraw.Draw(canvas)
    black, cream, red = (22, 20, 24), (236, 224, 196), (196, 52, 38)
    left = -20.0
    while left < width:
        wide, top = rng.uniform(90, 190), rng.uniform(0.46, 0.66) * height
        roof = top - wide * rng.uniform(0.4, 0.75)
        gable = [(left - 10, top), (left + wide / 2, roof), (left + wide + 10, top)]
        draw.polygon(gable, fill=red if rng.random() < 0.4 else black, outline=cream, width=5)
        for step in range(1, 7):
            a = left - 10 + step * wide / 14
            draw.line([(a, top - 4), (left + wide / 2, roof + 8)], fill=cream, width=2)
        draw.rectangle((left, top, left + wide, height), fill=black, outline=cream, width=5)
        for row in range(int((height - top) / 74)):
            for column in range(int(wide / 52)):
                a, b = left + 16 + 52 * column, top + 18 + 74 * row
                draw.rectangle((a, b, a + 26, b + 40), fill=cream if rng.random() < 0.6 else red)
                draw.line([(a + 13, b), (a + 13, b + 40)], fill=black, width=4)
                draw.line([(a, b + 20), (a + 26, b + 20)], fill=black, width=4)
        left += wide + rng.uniform(4, 18)
    chips = noise((height, width), 240, rng) > 0.82
    result = np.where(chips[..., None] & (np.asarray(canvas).sum(2) < 120)[..., None], PAPER, np.asarray(canvas, float))
    return to_image(result).filter(ImageFilter.GaussianBlur(0.8)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
