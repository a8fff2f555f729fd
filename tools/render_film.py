"""Draws `docs/film.jpg`, a filmstrip, and `docs/film-loss.svg`, the loss over frames.

    python -m tools.render_film CLIP [--skip 40]

The strip shows the film, the film by the method gram, and that in strokes. The plot is of the first clip of the last
`python -m bench.realtime films`. Needs the extras `video` and `report`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.paper.plots import pyplot, svg
from bench.realtime import clip_of
from bench.record import RESULTS
from minitorch_style.arrays import Rgb8
from minitorch_style.files import write_text
from minitorch_style.image.io import to_bytes
from minitorch_style.image.resize import reduced_size, resized
from minitorch_style.image.writing import save_picture
from minitorch_style.video.film import METHODS, stylize_frames
from tools.render_live import strip

ROOT = Path(__file__).resolve().parent.parent
PAINTING = ROOT / "examples" / "painting.jpg"
SIZE, FRAMES = 256, 37
WIDTH = 168  # pixels of a picture in the strip
SHOWN = (0, 12, 24, 36)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument("--skip", type=int, default=0, help="frames at the beginning")
    options = parser.parse_args()
    frames = clip_of(options.clip, SIZE, FRAMES, options.skip)
    films = [frames, *(list(stylize_frames(frames, PAINTING, method=method)) for method in METHODS)]
    save_picture(ROOT / "docs" / "film.jpg", strip([[_small(film[i]) for film in films] for i in SHOWN]))
    rows = json.loads((RESULTS / "films.json").read_text())["rows"]
    write_text(
        ROOT / "docs" / "film-loss.svg",
        plot([row for row in rows if (row["clip"], row["size"]) == (rows[0]["clip"], rows[0]["size"])]),
    )


def _small(picture: Rgb8) -> Rgb8:
    return to_bytes(resized(picture / np.float32(255), reduced_size(picture.shape[:2], WIDTH)).clip(0, 1))


def plot(rows: list[dict[str, Any]]) -> str:
    """The loss of each frame over that of the first way, frame by frame."""
    figure, axis = pyplot.subplots(figsize=(6.4, 2.6), layout="constrained")
    for row in rows:
        axis.plot(np.array(row["losses"]) / np.array(rows[0]["losses"]), label=row["way"], marker=".")
    axis.set(xlabel="frame", ylabel="loss over that frame by frame", ylim=(0, None), title=f"{rows[0]['clip']}")
    axis.legend()
    return svg(figure)


if __name__ == "__main__":
    main()
