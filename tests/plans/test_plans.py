"""The three ways to a plan and the knob that moves through them, at small sizes with a small random network."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network, load_network
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.plans.events import Step, last
from minitorch_style.plans.likeness import Likeness
from minitorch_style.plans.neighbours import neighbours
from minitorch_style.plans.pictures import at_scale, fitted
from minitorch_style.plans.statistics import statistics
from minitorch_style.plans.strength import by_strength
from minitorch_style.plans.voting import vote, voting
from minitorch_style.style.hypercolumns import Hypercolumns, hypercolumn_taps

Make = Callable[..., Iterator[Step]]
WAYS: list[tuple[Make, dict[str, Any]]] = [
    (neighbours, {"steps": 3}),
    (statistics, {"steps": 3}),
    (voting, {}),
]


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("distilled-perceptual", "random:3", "numpy", pooling="average")


def stripes(size: tuple[int, int], color: tuple[float, float, float], period: int) -> Float32:
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(size[1]) / period)
    return np.broadcast_to(wave[:, None] * np.array(color), (*size, 3)).astype(np.float32)


@pytest.fixture
def photo(rng: np.random.Generator) -> Float32:
    return rng.random((60, 80, 3), np.float32)


@pytest.fixture
def painting() -> Float32:
    return stripes((50, 40), (1.0, 0.6, 0.1), 7)


@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_events_lead_to_a_picture(
    make: Make, settings: dict[str, Any], network: Network, photo: Float32, painting: Float32
) -> None:
    steps = list(make(network, photo, [painting], size=48, scales=2, **settings))
    assert [(step.scale, step.number) for step in steps] == [
        (scale, number) for scale in (1, 2) for number in range(1, steps[0].steps + 1)
    ]
    assert steps[0].picture.shape[:2] == fitted(photo.shape, 24, 4 if make is voting else 1)
    assert steps[-1].picture.shape == (36, 48, 3) and steps[-1].picture.dtype == np.float32
    assert steps[-1].done == 1 and all(a.done < b.done for a, b in itertools.pairwise(steps))
    for step in steps:
        assert step.picture.min() >= 0 and step.picture.max() <= 1
        assert (step.loss is None) == (make is voting)
    kept = steps[0].picture.copy()
    list(make(network, photo, [painting], size=48, scales=2, **settings))
    assert np.array_equal(steps[0].picture, kept), "a picture that was given away was written over"


def test_places_are_compared_as_the_teacher_sees_them(
    network: Network, photo: Float32, painting: Float32, rng: np.random.Generator
) -> None:
    """Against the cosine of features mapped to the teacher's many maps, each tap of variance 1, place by place."""
    taps = hypercolumn_taps(network.architecture)
    own = {tap: network.plan((64, 64), [tap], gradient=False).shape(tap)[2] for tap in taps}
    maps = {tap: rng.standard_normal((count, 3 * count)) for tap, count in own.items()}
    products = {tap: (m @ m.T).astype(np.float32) for tap, m in maps.items()}
    likeness = Likeness(replace(network, teacher_products=products), [painting], [1.0], teacher=True)

    def seen(picture: Float32) -> np.ndarray:
        columns = Hypercolumns(network, picture.shape[:2], taps, gradient=False)
        values = columns.run(picture).astype(np.float64)
        return np.concatenate([values[..., columns.channels(tap)] @ maps[tap] for tap in taps], axis=-1)

    stop = np.cumsum([3 * own[tap] for tap in taps])
    parts = [slice(last - 3 * own[tap], last) for tap, last in zip(taps, stop, strict=True)]
    columns = Hypercolumns(network, painting.shape[:2], taps, gradient=False)
    columns.run(painting)
    spread = []
    for tap in taps:
        features = columns.plan.feature(tap).interior.astype(np.float64) @ maps[tap]
        spread.append(np.sqrt(features.var(axis=(0, 1)).sum()))

    def directions(picture: Float32) -> np.ndarray:
        values = seen(picture)
        for part, one in zip(parts, spread, strict=True):
            values[..., part] /= one
        values -= values.mean(axis=(0, 1))
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    cosine = directions(photo) @ directions(painting).reshape(-1, stop[-1]).T
    columns = Hypercolumns(network, photo.shape[:2], likeness.taps, (), likeness.scales, gradient=False)
    match = likeness.match(columns.run(photo))
    chosen = np.take_along_axis(cosine, match[..., None], axis=2)[..., 0]
    assert np.all(chosen >= cosine.max(axis=2) - 1e-4)
    plain = Likeness(network, [painting], [1.0]).match(columns.run(photo))
    assert np.mean(plain != match) > 0.1, "which differs from how the network itself sees them"


@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_the_same_input_gives_the_same_bits(
    make: Make, settings: dict[str, Any], network: Network, photo: Float32, painting: Float32
) -> None:
    first, second = (last(make(network, photo, [painting], size=32, scales=2, **settings)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_a_plan_goes_on_to_the_same_bits(
    make: Make, settings: dict[str, Any], network: Network, photo: Float32, painting: Float32
) -> None:
    steps = list(make(network, photo, [painting], size=32, scales=2, **settings))
    middle = next(step for step in steps if step.number == step.steps)
    rest = list(make(network, photo, [painting], size=32, scales=2, after=middle, **settings))
    assert len(rest) == len(steps) // 2 and np.array_equal(rest[-1].picture, steps[-1].picture)
    with pytest.raises(SettingsError, match="goes on from the last step"):
        make(network, photo, [painting], size=32, scales=2, after=steps[0], **settings)
    with pytest.raises(SettingsError, match="goes on from the last step"):
        make(network, photo, [painting], size=32, scales=3, after=middle, **settings)


@pytest.mark.parametrize("make", [neighbours, statistics])
def test_the_loss_falls(make: Make, network: Network, photo: Float32, painting: Float32) -> None:
    losses = [step.loss for step in make(network, photo, [painting], size=32, scales=1, steps=12)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_colors_come_from_the_painting(make: Make, settings: dict[str, Any]) -> None:
    """The photo is grey, the painting has no blue; seen by the network that is bundled."""
    network = load_network("distilled-perceptual", kernels="numpy", pooling="average")
    grey = stripes((32, 32), (1.0, 1.0, 1.0), 21)
    orange = stripes((40, 40), (1.0, 0.6, 0.0), 8)
    if "steps" in settings:
        settings = {"steps": 80}  # how soon the colors come is a matter of the network
    picture = last(make(network, grey, [orange], size=32, scales=2, **settings))
    red, blue = picture[..., 0].mean(), picture[..., 2].mean()
    assert red - blue > 0.1


@pytest.mark.parametrize("shape", [(16, 90, 3), (70, 9, 3), (2, 2, 3), (1, 40, 3), (33, 47, 3)])
@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_any_shape_of_photo_and_painting(
    make: Make, settings: dict[str, Any], shape: tuple[int, int, int], network: Network, rng: np.random.Generator
) -> None:
    picture = rng.random(shape, np.float32)
    other = rng.random((20, 30, 3), np.float32)
    settings = {"steps": 1} if "steps" in settings else {}
    for photo, painting in ((picture, other), (other, picture)):
        found = last(make(network, photo, [painting], size=32, scales=2, **settings))
        assert np.isfinite(found).all() and max(found.shape) == 32


@pytest.mark.parametrize("flat", [0.0, 1.0])
@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_pictures_of_one_color(make: Make, settings: dict[str, Any], flat: float, network: Network) -> None:
    wall, other = np.full((32, 32, 3), flat, np.float32), stripes((32, 32), (1, 0.5, 0.2), 6)
    for photo, painting in ((wall, other), (other, wall), (wall, wall)):
        assert np.isfinite(last(make(network, photo, [painting], size=32, scales=1, **settings))).all()


def test_shares_are_places_of_each_painting(network: Network, photo: Float32) -> None:
    paintings = [stripes((32, 32), (1, 0.2, 0.1), 5), stripes((32, 48), (0.1, 0.3, 1), 9)]
    likeness = Likeness(network, paintings, [0.25, 0.75])

    columns = Hypercolumns(network, (60, 80), likeness.taps, (), likeness.scales, gradient=False)
    match = likeness.match(columns.run(photo))
    assert np.mean(match < likeness.starts[1]) == pytest.approx(0.25, abs=0.01)
    assert match.min() >= 0 and match.max() < len(likeness.keys)


@pytest.mark.parametrize(("make", "settings"), WAYS)
def test_a_share_of_nothing_is_no_painting(
    make: Make, settings: dict[str, Any], network: Network, photo: Float32, painting: Float32
) -> None:
    other = stripes((32, 32), (0, 0, 1), 5)
    alone = last(make(network, photo, [painting], size=32, scales=1, **settings))
    shared = last(make(network, photo, [painting, other], [1, 0], size=32, scales=1, **settings))
    assert np.allclose(alone, shared, atol=1e-3)


@pytest.mark.parametrize("make", [neighbours, statistics, voting, by_strength])
def test_what_cannot_be_is_refused_at_once(make: Make, network: Network, photo: Float32) -> None:
    with pytest.raises(SettingsError, match="0 shares"):
        make(network, photo, [])
    with pytest.raises(SettingsError, match="2 shares of at least 0"):
        make(network, photo, [photo, photo], [1, -1])
    with pytest.raises(SettingsError, match="stroke size 0"):
        make(network, photo, [photo], stroke_size=0)
    with pytest.raises(ShapeError, match="height, width, 3"):
        make(network, photo[..., 0], [photo])


def test_style_loss_is_one_of_three(network: Network, photo: Float32) -> None:
    with pytest.raises(SettingsError, match="gram, moments, w2"):
        statistics(network, photo, [photo], style_loss="cosine")
    for name in ("gram", "moments"):
        assert np.isfinite(last(statistics(network, photo, [photo], size=32, scales=1, steps=2, style_loss=name))).all()


def test_layers_of_statistics_count_as_they_are_told(network: Network, photo: Float32, painting: Float32) -> None:
    """By default half as much from one to the next deeper."""

    def made(weights: tuple[float, ...] | None) -> Float32:
        few = {"size": 32, "scales": 1, "steps": 3}
        return last(statistics(network, photo, [painting], style_layer_weights=weights, **few))

    assert np.array_equal(made(None), made((16, 8, 4, 2, 1)))
    assert not np.allclose(made(None), made((1, 1, 1, 1, 9)), atol=1e-3)
    with pytest.raises(SettingsError, match="expected 5 style_layer_weights"):
        statistics(network, photo, [photo], style_layer_weights=(1.0,))


def test_votes_are_averages_of_windows(network: Network, rng: np.random.Generator) -> None:
    """By definition: each pixel's window of the painting, pasted where the pixel is; the mean of all that cover a pixel."""
    paintings = [rng.random((16, 20, 3), np.float32), rng.random((12, 8, 3), np.float32)]
    likeness = Likeness(network, paintings, [0.5, 0.5])
    match = rng.integers(0, len(likeness.keys), (3, 4))
    total, count = np.zeros((12, 16, 3)), np.zeros((12, 16, 1))
    for y in range(12):
        for x in range(16):
            key = match[y // 4, x // 4]
            number = int(key >= likeness.starts[1])
            columns = likeness.shapes[number][1]
            i, j = divmod(int(key - likeness.starts[number]), columns)
            painting = paintings[number]
            for a in range(-4, 5):
                for b in range(-4, 5):
                    if 0 <= y + a < 12 and 0 <= x + b < 16:
                        row = min(max(4 * i + y % 4 + a, 0), painting.shape[0] - 1)
                        column = min(max(4 * j + x % 4 + b, 0), painting.shape[1] - 1)
                        total[y + a, x + b] += painting[row, column]
                        count[y + a, x + b] += 1
    assert np.allclose(vote(paintings, likeness, match), total / count, atol=1e-5)


def test_strength_0_is_the_photo(network: Network, photo: Float32, painting: Float32) -> None:
    found = last(by_strength(network, photo, [painting], strength=0, size=48))
    assert np.array_equal(found, at_scale(photo, 48))
    with pytest.raises(SettingsError, match="0 to 1"):
        by_strength(network, photo, [painting], strength=1.2)


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.shared_data
def test_each_tenth_of_strength_is_a_visible_step(shared: Path) -> None:
    """Farther from the photo with each up to the default, and never less than a hundredth of the range from one tenth to
    the next."""
    from minitorch_style.image.io import load_picture

    network = load_network("distilled-perceptual", pooling="average")
    photo = load_picture(shared / "pictures" / "content_tubingen.jpg", 128).pixels
    painting = load_picture(shared / "pictures" / "style_van_gogh_starry_night_1889.jpg", 128).pixels
    pictures = [last(by_strength(network, photo, [painting], strength=n / 10, size=96, steps=15)) for n in range(11)]
    distance = [float(np.abs(picture - pictures[0]).mean()) for picture in pictures]
    assert all(near < far for near, far in itertools.pairwise(distance[:7]))
    assert min(float(np.abs(a - b).mean()) for a, b in itertools.pairwise(pictures)) > 0.01
    assert distance[6] > 0.1


@pytest.mark.jit
def test_the_same_bits_with_any_number_of_threads(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from minitorch_style.engine.network import load_network\n"
        "from minitorch_style.plans.events import last\n"
        "from minitorch_style.plans.neighbours import neighbours\n"
        "rng = np.random.default_rng(1)\n"
        "photo, painting = rng.random((48, 64, 3), np.float32), rng.random((40, 64, 3), np.float32)\n"
        "network = load_network('distilled-perceptual', 'random:3', 'numba', 'average')\n"
        "np.save(sys.argv[1], last(neighbours(network, photo, [painting], size=64, scales=2, steps=4)))\n"
    )
    for count in ("1", "2"):
        names = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        settings = {**os.environ, **dict.fromkeys(names, count)}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / f"{count}.npy")], check=True, env=settings)
    assert np.array_equal(np.load(tmp_path / "1.npy"), np.load(tmp_path / "2.npy"))
