"""The plan without gradients: each place of the picture takes what the painting shows where it is most like it, and what
overlapping places take is averaged. A tenth of a second where the others take some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network
from minitorch_style.image.resize import resized
from minitorch_style.kernels.api import Places
from minitorch_style.plans.events import Step
from minitorch_style.plans.kept import Kept, Nothing
from minitorch_style.plans.likeness import Likeness
from minitorch_style.plans.pictures import Pictures
from minitorch_style.plans.reached import Reached
from minitorch_style.style.hypercolumns import CELL, Hypercolumns
from minitorch_style.values import Arrays

ROUNDS = 2  # at each scale
WINDOW = 9  # pixels along the side of the part of the painting that each pixel brings along


def voting(
    network: Network,
    photo: Pixels,
    paintings: Sequence[Float32],
    shares: Sequence[float] | None = None,
    *,
    size: int = 256,
    scales: int = 3,
    alpha: float = 0.5,
    stroke_size: float = 1.0,
    masks: Sequence[Float32 | None] | None = None,
    after: Step | None = None,
    state: Arrays | None = None,
    kept: Kept | None = None,
) -> Iterator[Step]:
    """A plan of `size` pixels along its longer side, sides a multiple of four. Arguments and errors as for `neighbours`."""
    pictures = Pictures(photo, paintings, shares, size, scales, stroke_size, CELL, masks)
    reached, kept = Reached.by(after, state, scales), kept or Nothing()

    def run() -> Iterator[Step]:
        x = reached.picture
        for scale in range(reached.scales, scales):
            content, shown = pictures.at(scale)
            sizes = tuple(painting.shape for painting in shown)
            likeness = kept.get(
                ("likeness", scale), sizes, partial(Likeness, network, shown, pictures.shares, masks=pictures.masks)
            )
            columns = Hypercolumns(network, content.shape[:2], likeness.taps, (), likeness.scales, gradient=False)
            done = reached.steps if scale == reached.scales else 0
            for number in range(done + 1, ROUNDS + 1):
                guide = content
                if x is not None:
                    guide = np.float32(alpha) * resized(x, content.shape[:2]) + np.float32(1 - alpha) * content
                x = vote(shown, likeness, likeness.match(columns.run(guide)))
                after_it = Reached(scale + 1, 0, x) if number == ROUNDS else Reached(scale, number, x)
                yield Step(scale + 1, scales, number, ROUNDS, None, x, after_it.state())

    return run()


def vote(paintings: Sequence[Float32], likeness: Likeness, match: Places) -> Float32:
    """(CELL·H, CELL·W, 3): the plain average of all windows that cover a pixel, where `match` (H, W) says at which place of
    which painting the windows of a cell's pixels lie.

    All pixels of a cell are matched with the same shift, so windows of one cell show a pixel the same, and only how many
    of them cover it must be known.
    """
    height, width = match.shape
    rows, columns = np.arange(CELL * height), np.arange(CELL * width)
    which = np.searchsorted(likeness.starts, match, side="right") - 1
    within = match - likeness.starts[which]
    total = np.zeros((len(rows), len(columns), 3), np.float32)
    count = np.zeros((len(rows), len(columns), 1), np.float32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            i, j = rows // CELL + down, columns // CELL + across
            covered = np.multiply.outer(_windows(rows, i, height), _windows(columns, j, width))
            cell = np.ix_(np.clip(i, 0, height - 1), np.clip(j, 0, width - 1))
            for number, painting in enumerate(paintings):
                there = covered if len(paintings) == 1 else np.where(which[cell] == number, covered, 0)
                place = within[cell]
                y = CELL * (place // likeness.shapes[number][1]) + (rows - CELL * i)[:, None]
                x = CELL * (place % likeness.shapes[number][1]) + (columns - CELL * j)[None]
                seen = painting[np.clip(y, 0, painting.shape[0] - 1), np.clip(x, 0, painting.shape[1] - 1)]
                total += there[..., None] * seen
                count += there[..., None]
    total /= count
    return total


def _windows(pixels: Places, cell: Places, cells: int) -> Float32:
    """How many pixels of `cell` have a window that covers the pixel; none for cells beyond the picture."""
    reach = WINDOW // 2
    first, last = np.maximum(CELL * cell, pixels - reach), np.minimum(CELL * cell + CELL - 1, pixels + reach)
    return np.where((cell >= 0) & (cell < cells), np.maximum(0, last - first + 1), 0).astype(np.float32)
