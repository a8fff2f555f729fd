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
    which = np.searchsorted(likeness.starts, match, side="right") - 1
    within = match - likeness.starts[which]
    cells = [_cells(painting) for painting in paintings]
    total = np.zeros((height, width, CELL, CELL, 3), np.float32)
    count = np.zeros((height, width, CELL, CELL, 1), np.float32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            i, j = np.arange(height) + down, np.arange(width) + across
            covered = np.einsum("ia,jb->ijab", _windows(i, down, height), _windows(j, across, width))
            cell = np.ix_(np.clip(i, 0, height - 1), np.clip(j, 0, width - 1))
            place = within[cell]
            for number, painting in enumerate(cells):
                own = which[cell] == number
                there = covered * own[..., None, None]
                y, x = np.divmod(np.where(own, place, 0), likeness.shapes[number][1])
                seen = painting[y - down + 1, x - across + 1]
                total += there[..., None] * seen
                count += there[..., None]
    total /= count
    return total.swapaxes(1, 2).reshape(CELL * height, CELL * width, 3)


def _cells(painting: Float32) -> Float32:
    """(rows + 2, columns + 2, CELL, CELL, 3): the cells of a painting with one more on each side, which repeat its border."""
    beyond = [(CELL, CELL + -size % CELL) for size in painting.shape[:2]]
    wide = np.pad(painting, (*beyond, (0, 0)), "edge")
    parts = wide.reshape(wide.shape[0] // CELL, CELL, wide.shape[1] // CELL, CELL, 3)
    return np.ascontiguousarray(parts.swapaxes(1, 2))


def _windows(cells: Places, off: int, count: int) -> Float32:
    """How many pixels of each of the `cells`, one of `count` or beyond, have a window that covers each pixel of the cell
    that lies so many cells before it: (cells, CELL)."""
    pixel, reach = np.arange(CELL), WINDOW // 2
    first, last = np.maximum(CELL * off, pixel - reach), np.minimum(CELL * off + CELL - 1, pixel + reach)
    there = (cells >= 0) & (cells < count)
    found: Float32 = there[:, None] * np.maximum(0, last - first + 1).astype(np.float32)
    return found
