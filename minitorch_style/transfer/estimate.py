"""An estimate of what a transfer will take: memory from the plans, time from this processor's own speed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.engine.tiles import TiledPlan
from minitorch_style.image.io import Room
from minitorch_style.kernels import threads
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.reference.ops import COLUMN_BYTES
from minitorch_style.optimizers import IN_PARTS
from minitorch_style.restroke.guide import scaled
from minitorch_style.restroke.strokes import steps_of
from minitorch_style.style.hypercolumns import CELL
from minitorch_style.style.padded import PADDING
from minitorch_style.transfer.settings import Settings

# Resident besides plans, measured: interpreter, NumPy, Pillow, h5py, and with numba its compiler, kernels and their scratch.
# Of that, the pages of the libraries' files: how many the kernel maps at a time is its own affair (from 110 to 170 MB were seen
# for the same run of numba on the same machine), and it drops them when memory is short.
LIBRARY_BYTES = {"numpy": 45_000_000, "native": 45_000_000, "numba": 170_000_000}
OWN_BYTES = {"numpy": 95_000_000, "native": 95_000_000, "numba": 130_000_000}
BASE_BYTES = {kernels: LIBRARY_BYTES[kernels] + OWN_BYTES[kernels] for kernels in OWN_BYTES}
LEAST_ROOM = 50_000_000  # small pictures are read under any limit: the refusal that follows knows what would fit
SEGMENTING_BYTES = 240_000_000  # the network that finds people, its weights read and at work, measured
# Multiply-adds each algorithm makes, as a multiple of the rate of a BLAS product: Winograd does four times fewer.
RELATIVE_SPEED = {"winograd": 2.0, "direct": 0.6, "im2col": 0.3, "im2col, native": 1.0}
# Bytes for each pixel value while an optimizer works, the photo's included: L-BFGS has 8 vectors beside its history (where it
# is, where it tries to go, the best; the gradient at two of them), L-BFGS-B 2·10 and its workspace, of 8 (measured).
OPTIMIZER_BYTES = {"lbfgs": 4 * 8, "lbfgsb": 8 * 42, "adam": 4 * 8, "sgd": 4 * 6}
PAIR_BYTES = 2 * 2  # of L-BFGS's history, for each pixel value
OPTIMIZER_SECONDS = {"lbfgs": 2e-8, "lbfgsb": 2e-7, "adam": 1e-8, "sgd": 1e-8}  # a pixel value and iteration, measured
MOVED_BYTES_A_SECOND = 5e9  # through memory, for what is not arithmetic
PICTURES_HERE = 5  # in floats, while the workers of a cluster compute
COLUMNS_HELD, COLUMNS_MOVED = (
    6,
    20,
)  # arrays as large as a picture's hypercolumns: held at once, read or written in a step
# Bytes that repainting holds for each pixel of the picture and of the paintings, beside what was read; pairs of patches
# compared, and pixels of patches averaged, in a second. Measured.
STROKES_BYTES = {"numpy": (300, 200), "native": (300, 200), "numba": (30.5, 16)}
BANDS_BYTES = 10_000_000  # what repainting makes on the way, whatever the size
ENLARGING_BYTES = 20  # for each pixel of a painting while it is made as large as it is to be shown
FINE_BYTES = 3  # for each pixel more where smaller patches follow, on a picture that is held besides; measured
PARTS = 8  # that the processor's speed is measured in
SAVING_SECONDS = 3e-7  # a pixel, of a painted PNG, which takes longest; measured
SEARCHED_A_SECOND = {"numpy": 8e8, "native": 8e8, "numba": 3.5e9}
VOTED_A_SECOND = {"numpy": 8e6, "native": 8e6, "numba": 6e7}


@dataclass(frozen=True)
class Estimate:
    """`nbytes` at the peak, `seconds` from start to end."""

    nbytes: int
    seconds: float


def _rate(kernels: KernelSet) -> float:
    """Floating-point operations a second of matrix products by BLAS: a few milliseconds of this processor's time. Where
    not BLAS itself is what computes, products are so small that it takes one thread for them: its others, once awake,
    would wait for more in a loop, and slow down what comes next for a tenth of a second."""
    side, share = (384, 1) if kernels.name == "numpy" else (64, threads())
    matrix, count = np.ones((side, side), np.float32), max(1, 3 * (384 // side) ** 3 // share)
    matrix @ matrix
    least, some = math.inf, -(-count // PARTS)
    for _ in range(PARTS):  # the best of them: in one or another this thread had to wait for other programs
        begun = time.perf_counter()
        for _ in range(some):
            matrix @ matrix
        least = min(least, (time.perf_counter() - begun) / some)
    return share * 2 * side**3 / least


def reading_room(network: Network, settings: Settings, available: int | None) -> Room:
    """What the reading of a picture may take, before anything is compiled or planned."""
    rooms = [] if available is None else [available]
    if settings.max_memory is not None:
        rooms.append(max(LEAST_ROOM, settings.max_memory - BASE_BYTES["numpy"] - network.nbytes))
    return Room(min(rooms, default=None), settings.allow_large)


def preparing_bytes(network: Network, settings: Settings, picture: int) -> int:
    """The peak before the work itself: while the largest picture is read, which takes `picture` bytes, or people are found
    in the photo."""
    return BASE_BYTES["numpy"] + network.nbytes + max(picture, SEGMENTING_BYTES if settings.region else 0)


def _numpy_temporaries(plan: TiledPlan) -> int:
    """What plain NumPy makes beside a plan's buffers at the largest map: it padded, its gradient padded and masked, and a
    band of im2col's matrix."""
    return 3 * 4 * max(part.largest for part in (plan.plan, plan.deep) if part is not None) + COLUMN_BYTES


def held(network: Network, plan: TiledPlan, settings: Settings, tiled: bool, history: int) -> int:
    """Bytes that going down a loss takes beside the network: the plan's buffers, what the optimizer keeps with a `history` of
    so many bytes, the photo's features; and of a picture that is computed in tiles a crop's pixels and gradient, and for an
    optimizer of whole arrays another picture and gradient."""
    tiles, values = plan.tiles, math.prod(plan.tiles.size) * 3
    layers = settings.content_layers or network.architecture.content_layers
    features = sum(math.prod(tiles.shape(layer)) for layer in layers if layer in tiles.taps)
    nbytes = plan.nbytes + values * OPTIMIZER_BYTES.get(settings.optimizer, 0) + history + 4 * features
    if tiled:
        crops = 2 * math.prod(tiles.crop) * 3
        whole = 0 if settings.optimizer == IN_PARTS else 2 * values
        nbytes += 4 * (crops + whole)
    if network.kernels.name == "numpy":
        nbytes += _numpy_temporaries(plan)
    return nbytes


def estimate(
    network: Network, plan: TiledPlan, held: int, paintings: Sequence[TiledPlan], settings: Settings
) -> Estimate:
    """For a plan of the content's size, with what going down a loss by it has `held`, and those for the paintings."""
    most = max(held, *(painting.nbytes for painting in paintings))
    rate = _rate(network.kernels)
    iteration = plan.passes * _pass_seconds(plan.plan, rate)
    if plan.deep is not None:
        iteration += 2 * _pass_seconds(plan.deep, rate)
    iteration += math.prod(plan.tiles.size) * 3 * OPTIMIZER_SECONDS.get(settings.optimizer, 0.0)
    return Estimate(BASE_BYTES[network.kernels.name] + network.nbytes + most, settings.iterations * iteration)


def _pass_seconds(plan: Plan, rate: float) -> float:
    """Forward, or back."""
    seconds = sum(2 * step.macs / (rate * RELATIVE_SPEED.get(step.algorithm, 1.0)) for step in plan.steps)
    return seconds + 1.5 * plan.working_bytes / MOVED_BYTES_A_SECOND


def elsewhere(
    whole: Estimate, network: Network, paintings: Sequence[TiledPlan], size: tuple[int, int], tiles: int
) -> Estimate:
    """What this process takes of a `whole` whose `tiles` others compute, one each at the best: the picture, the photo, what
    is sent and shown of them, and the paintings' features."""
    most = max(4 * PICTURES_HERE * 3 * math.prod(size), *(painting.nbytes for painting in paintings))
    return Estimate(BASE_BYTES[network.kernels.name] + network.nbytes + most, whole.seconds / tiles)


def held_by_worker(network: Network, plan: TiledPlan, held: int, workers: int) -> int:
    """What one of so many workers takes who share the tiles of a picture, of which all together have `held`."""
    tiles = len(plan.tiles.tiles)
    for_one = plan.nbytes + 4 * 2 * 3 * math.prod(plan.tiles.crop)
    of_tiles = (held - for_one) * -(-tiles // workers) / tiles
    return BASE_BYTES[network.kernels.name] + network.nbytes + for_one + round(of_tiles)


def of_plan(
    network: Network, size: tuple[int, int], taps: list[str], scales: int, steps: int, gradient: bool
) -> Estimate:
    """For a plan of `size` (height, width) that a network makes in `steps` at each of `scales`."""
    padded = size[0] + 2 * PADDING, size[1] + 2 * PADDING
    plan, shapes = network.plan(padded, taps, gradient), network.architecture.shapes(padded)
    channels = sum(shapes[network.architecture.taps[tap]][2] for tap in taps)
    columns = 4 * channels * size[0] * size[1] / CELL**2
    nbytes = BASE_BYTES[network.kernels.name] + network.nbytes + plan.nbytes + round(COLUMNS_HELD * columns)
    rate = _rate(network.kernels)
    seconds = sum(2 * step.macs / (rate * RELATIVE_SPEED.get(step.algorithm, 1.0)) for step in plan.steps)
    each = (3 if gradient else 1) * seconds + 3 * plan.nbytes / MOVED_BYTES_A_SECOND
    each += COLUMNS_MOVED * columns / MOVED_BYTES_A_SECOND
    return Estimate(nbytes, steps * each * sum(0.25**halving for halving in range(scales)))


def of_strokes(
    size: tuple[int, int],
    lent: float,
    held: float,
    rounds: tuple[int, ...],
    radius: int,
    kernels: str,
    fine: bool = False,
) -> Estimate:
    """For repainting a picture of `size` (height, width) from paintings of `lent` pixels together, while what
    was read takes `held` bytes, with so many rounds a level, and with smaller patches at last if something is `fine`."""
    pixels = size[0] * size[1]
    a_pixel, of_paintings = STROKES_BYTES[kernels]
    nbytes = BASE_BYTES[kernels] + BANDS_BYTES + round(held)
    nbytes += round((a_pixel + (FINE_BYTES if fine else 0)) * pixels + of_paintings * lent)
    seconds, finest = 0.0, len(rounds) - (2 if fine else 1)
    for level, count in enumerate(rounds):
        halvings = max(0, finest - level)
        here, theirs = (count / 4**halvings for count in (pixels, lent))
        step, keys = steps_of(scaled(size, halvings))
        searched = here / step**2 * theirs / keys**2 / SEARCHED_A_SECOND[kernels]
        seconds += count * (searched + here * (2 * radius + 1) ** 2 / VOTED_A_SECOND[kernels])
    return Estimate(nbytes, seconds)
