"""The main job through the Python interface, on small pictures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minitorch_style as ms
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.optimizers import OPTIMIZERS
from minitorch_style.restroke.canvas import Canvas
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.memory import require_memory
from minitorch_style.transfer.settings import Settings

stylize, gram = partial(ms.stylize, method="gram"), partial(Settings, method="gram")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def network() -> ms.Network:
    return ms.load_network("distilled", "random:0")


@pytest.fixture
def photo(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.open(EXAMPLES / "photo.jpg").resize((48, 32)))


@pytest.fixture
def painting(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.open(EXAMPLES / "painting.jpg").resize((40, 40)))


def test_as_the_readme_shows(photo: np.ndarray, painting: np.ndarray, tmp_path: Path) -> None:
    result = stylize(photo, painting, model="distilled", weights="random:0", iterations=5)
    assert result.image.shape == photo.shape and result.image.dtype == np.uint8
    assert [iteration.number for iteration in result.history] == list(range(6))
    best = [iteration.best_loss for iteration in result.history]
    assert best == sorted(best, reverse=True) and best[-1] < 0.8 * best[0]
    result.save(tmp_path / "out.png")
    written = Image.open(tmp_path / "out.png")
    assert np.array_equal(np.asarray(written), result.image)
    assert written.info["minitorch_style.iterations"] == "5"


def test_the_same_arguments_give_the_same_picture(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    options = {"init": "random", "seed": 3, "iterations": 4}
    first, second = (stylize(photo, painting, network=network, **options).image for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, stylize(photo, painting, network=network, **{**options, "seed": 4}).image)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("init", ["content", "style"])
def test_the_callers_pictures_stay_as_they_are(network: ms.Network, optimizer: str, init: str) -> None:
    photo, painting = np.random.default_rng(0).random((2, 24, 32, 3), np.float32)
    before = photo.copy(), painting.copy()
    stylize(photo, painting, network=network, iterations=3, optimizer=optimizer, init=init)
    assert np.array_equal(photo, before[0]) and np.array_equal(painting, before[1])


@pytest.mark.parametrize("model", ["distilled", "enet", "vgg19-quarter"])
@pytest.mark.parametrize("side", [64, 128])
def test_balanced_weights_balance_alike_at_every_size_and_for_every_network(model: str, side: int) -> None:
    """Content and style gradients, at a picture between photo and painting, are in the same ratio (within a factor of
    4 of each other over sizes and networks), where equation 6 as printed varies a thousandfold."""
    ratio = gradient_ratio(model, side, balanced=True)
    assert 0.25 <= ratio / gradient_ratio("distilled", 96, balanced=True) <= 4


def gradient_ratio(model: str, side: int, balanced: bool) -> float:
    network = ms.load_network(model, "random:0", pooling="average")
    photo, painting = (ms.load_picture(EXAMPLES / name, side) for name in ("photo.jpg", "painting.jpg"))
    x = 0.8 * photo.pixels + 0.2 * painting.pixels[: photo.size[0], : photo.size[1]]
    norms = []
    for weights in ({"content_weight": 1.0, "style_weight": 0.0}, {"content_weight": 0.0, "style_weight": 1.0}):
        job = transfer.prepare(photo, painting, gram(balanced=balanced, **weights), network)
        _, gradient = transfer.objective_of(job)(x.astype(np.float32))
        norms.append(float(np.linalg.norm(gradient)))
    return norms[0] / norms[1]


def test_as_printed_the_balance_depends_on_size_and_network() -> None:
    ratios = [
        gradient_ratio(model, side, balanced=False)
        for model, side in (("distilled", 64), ("distilled", 128), ("enet", 64))
    ]
    assert max(ratios) / min(ratios) > 10


@pytest.mark.parametrize("init", ["content", "style", "random", "file"])
def test_starts(network: ms.Network, photo: np.ndarray, painting: np.ndarray, init: str, tmp_path: Path) -> None:
    if init == "file":
        init = str(tmp_path / "start.png")
        Image.new("RGB", (9, 9), (51, 102, 204)).save(init)
    job = transfer.prepare(photo, painting, gram(init=init), network)
    assert job.start.shape == photo.shape
    if init == "content":
        assert np.array_equal(job.start, job.content.pixels)
    if init.endswith("png"):
        assert np.allclose(job.start, [0.2, 0.4, 0.8], atol=1e-6)


def test_keeping_the_photos_colours(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    """The result's chroma is the photo's; only its luminance has moved (where nothing is clipped)."""
    result = stylize(photo, painting, network=network, iterations=5, preserve_color=True)
    difference = result.image.astype(int) - photo.astype(int)
    free = np.all((result.image > 1) & (result.image < 254), axis=2)
    assert np.abs(difference).max() > 5
    assert np.abs(difference - difference[..., :1])[free].max() <= 1


def test_transparency_returns(
    network: ms.Network, painting: np.ndarray, rng: np.random.Generator, tmp_path: Path
) -> None:
    alpha = rng.random((24, 24), np.float32)
    result = stylize(ms.Picture(rng.random((24, 24, 3), np.float32), alpha), painting, network=network, iterations=1)
    result.save(tmp_path / "out.png")
    assert np.allclose(np.asarray(Image.open(tmp_path / "out.png"))[..., 3] / 255, alpha, atol=1 / 255)


def test_an_interrupted_run_keeps_its_best(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    def interrupt(iteration: transfer.Iteration, picture: object) -> None:
        if iteration.number == 3:
            raise KeyboardInterrupt

    result = stylize(photo, painting, network=network, iterations=50, progress=interrupt)
    assert result.interrupted and len(result.history) == 4
    assert not np.array_equal(result.image, photo)


def test_a_run_that_breaks_off_within_a_step_has_the_picture_before_it(
    network: ms.Network, photo: np.ndarray, painting: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = transfer.run(transfer.prepare(photo, painting, Settings(iterations=1), network))
    shown: list[np.ndarray] = []

    def listen(event: Iterated) -> None:
        shown.append(event.picture())
        if event.iteration.number == running.job.iterations - 1:
            monkeypatch.setattr(Canvas, "_weights", interrupted)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    result = running.complete(listen)
    assert result.interrupted and np.array_equal(result.image, shown[-1])
    assert running.checkpoint() is None  # its memory may be half changed


def test_several_styles(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    alone = stylize(photo, painting, network=network, iterations=3)
    blend = stylize(photo, [painting, photo], network=network, iterations=3, style_blend=(1, 0))
    assert np.array_equal(alone.image, blend.image)
    with pytest.raises(SettingsError, match="2 styles need as many blend weights"):
        stylize(photo, [painting, photo], network=network, style_blend=(1,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"size": 8}, "size must be at least 16"),
        ({"style_size": 1}, "style_size must be at least 16"),
        ({"content_weight": -1}, "content_weight"),
        ({"style_weight": float("nan")}, "style_weight"),
        ({"content_weight": 0, "style_weight": 0}, "nothing to paint"),
        ({"style_layers": ()}, "names no layer"),
        ({"style_layers": ("conv7_7",)}, "no layer conv7_7"),
        ({"style_layer_weights": (1, 2)}, "expected 5 style_layer_weights, for conv1_1, .*; got 2"),
        ({"style_layer_weights": (1, 2), "method": "statistics"}, "expected 5 style_layer_weights"),
        ({"style_loss": "cosine"}, "gram, moments, w2"),
        ({"scale_step": 1.0}, "scale_step must be at least 1.1"),
        ({"init": "nowhere.png"}, "neither content"),
        ({"optimizer": "newton"}, "no optimizer"),
        ({"model": "vgg20"}, "no network"),
        ({"kernels": "cuda"}, "no kernel set"),
        ({"pooling": "min"}, "pooling 'min'"),
    ],
)
def test_settings_that_cannot_be(
    photo: np.ndarray, painting: np.ndarray, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        stylize(photo, painting, **{"model": "distilled", "weights": "random:0", **settings})


def test_pictures_that_cannot_be(network: ms.Network, painting: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="expected pixels"):
        stylize(np.zeros((5, 5, 2)), painting, network=network)
    with pytest.raises(ShapeError, match="in distilled at 4×30 pixels"):
        stylize(np.zeros((4, 30, 3), np.uint8), painting, network=network)
    with pytest.raises(SettingsError, match="no style"):
        stylize(painting, [], network=network)


def test_too_little_memory_is_said_with_the_size_that_fits() -> None:
    require_memory(10**9, 10**8, (800, 600), None)
    require_memory(10**9, 10**8, (800, 600), 2 * 10**9)
    with pytest.raises(SettingsError, match=r"about 4.1 GB, and 1.1 GB may be used; --size 384"):
        require_memory(4_100_000_000, 10**8, (800, 600), 1_100_000_000)
    with pytest.raises(SettingsError, match=r"275 MB may be used; no size of this model would fit"):
        require_memory(4 * 10**9, 3 * 10**8, (800, 600), 275_000_000)


def test_the_size_that_is_said_to_fit_does(network: ms.Network) -> None:
    photo = painting = np.zeros((256, 256, 3), np.uint8)
    least, needed = (
        transfer.prepare(photo[:side, :side], painting[:side, :side], gram(), network).estimate.nbytes
        for side in (64, 256)
    )
    limit = (3 * least + needed) // 4  # too little even for tiles and a short history
    with pytest.raises(SettingsError, match=r"--size \d+ or a smaller") as refusal:
        transfer.prepare(photo, painting, gram(max_memory=limit), network)
    side = int(str(refusal.value).split("--size ")[1].split()[0])
    assert side > 64
    transfer.prepare(photo[:side, :side], painting[:side, :side], gram(max_memory=limit), network)


def test_a_limit_of_memory_is_kept(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    needed = transfer.prepare(photo, painting, gram(), network).estimate.nbytes
    whole = transfer.prepare(photo, painting, gram(max_memory=needed), network)
    less = transfer.prepare(photo, painting, gram(max_memory=needed - 1), network)
    assert whole.estimate.nbytes == needed and less.estimate.nbytes < needed, "by tiles, or a shorter history"
    without = gram(optimizer="adam", tiles=1)  # has no history
    needed = transfer.prepare(photo, painting, without, network).estimate.nbytes
    with pytest.raises(SettingsError, match="may be used"):
        transfer.prepare(photo, painting, replace(without, max_memory=needed - 1), network)


def test_scales_carry_over_what_was_done(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    """Iterations go on counting; the finest scale begins below the photo's own loss, and ends lower than it began."""
    coarse = stylize(photo, painting, network, size=64, iterations=6, scales=2)
    plain = stylize(photo, painting, network, size=64, iterations=6)
    assert [step.number for step in coarse.history] == list(range(13)) and coarse.image.shape == plain.image.shape
    assert coarse.history[7].loss < plain.history[0].loss and coarse.history[-1].loss < coarse.history[7].loss
    assert coarse.history[-1].best_loss < plain.history[-1].best_loss, (
        "the same work at the finest scale, and some before"
    )


def test_scales_in_smaller_steps(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    job = transfer.prepare(photo, painting, gram(size=48, scales=3, scale_step=1.414, iterations=2), network)
    assert [stage.size for stage in job.stages] == [(16, 24), (23, 34), (32, 48)]  # type: ignore[attr-defined]
    result = transfer.run(job).complete()
    assert len(result.history) == 7 and result.image.shape == photo.shape


def test_every_style_loss_goes_down_and_paints_otherwise(
    network: ms.Network, photo: np.ndarray, painting: np.ndarray
) -> None:
    """By default it is that of Gram matrices; in tiles it is the same."""
    pictures = {}
    for name in (None, "gram", "moments", "w2"):
        result = stylize(photo, painting, network=network, style_loss=name, iterations=5)
        assert result.history[-1].best_loss < 0.9 * result.history[0].loss
        tiled = stylize(photo, painting, network=network, style_loss=name, iterations=5, tiles=2)
        assert tiled.history[0].loss == pytest.approx(result.history[0].loss, rel=1e-6)
        pictures[name] = result.image
    assert np.array_equal(pictures[None], pictures["gram"])
    assert len({pictures[name].tobytes() for name in pictures}) == 3


def test_layers_count_as_they_are_told(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    """Relative to each other; a layer of weight 0 might as well not be there."""
    painted = partial(stylize, photo, painting, network=network, iterations=4)
    even, plain = painted(style_layer_weights=(3, 3, 3, 3, 3)), painted()
    assert even.history[0].loss == pytest.approx(plain.history[0].loss, rel=1e-9)
    first = painted(style_layer_weights=(1, 0, 0, 0, 0)), painted(style_layers=("conv1_1",))
    assert first[0].history[0].loss == pytest.approx(first[1].history[0].loss, rel=1e-9)
    assert first[0].history[0].loss != pytest.approx(plain.history[0].loss, rel=1e-2)


def test_a_warm_starts_layers_count_likewise(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    told = gram(style_layer_weights=(5, 4, 3, 2, 1), warm_start="distilled", scales=1)
    job = transfer.prepare(photo, painting, told, ms.load_network("vgg19-quarter", "random:0"))
    assert [stage.layer_weights for stage in job.stages] == [(5, 4, 3, 2, 1)] * 2  # type: ignore[attr-defined]
    own = gram(style_layers=("conv1_1",), style_layer_weights=(2,), warm_start="distilled")
    job = transfer.prepare(photo, painting, own, ms.load_network("vgg19-quarter", "random:0"))
    assert [stage.layer_weights for stage in job.stages] == [None, (2,)]  # type: ignore[attr-defined]


def test_scales_that_leave_too_little(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        transfer.prepare(photo, painting, gram(size=64, scales=6), network)


def test_a_run_stopped_at_a_coarse_scale_gives_a_whole_picture(
    network: ms.Network, photo: np.ndarray, painting: np.ndarray
) -> None:
    stopped = stylize(photo, painting, network, lambda step, picture: step.number == 2, iterations=4, scales=2)
    assert stopped.interrupted and stopped.image.shape == photo.shape and len(stopped.history) == 3


def test_a_warm_start_is_painted_by_another_network(
    network: ms.Network, photo: np.ndarray, painting: np.ndarray
) -> None:
    """The starter works at every scale, the network at the last alone; it begins below the photo's own loss."""
    settings = {"size": 64, "iterations": 6, "style_layers": ("conv1_1", "conv2_1")}
    warm = stylize(photo, painting, network, warm_start="enet", scales=2, **settings)
    plain = stylize(photo, painting, network, **settings)
    assert [step.number for step in warm.history] == list(range(19)) and warm.image.shape == plain.image.shape
    assert warm.history[13].loss < plain.history[0].loss
    assert warm.history[-1].best_loss < warm.history[13].loss
    assert warm.metadata["minitorch_style.warm_start"] == "enet"


def test_a_warm_start_is_told_and_counted(network: ms.Network, photo: np.ndarray, painting: np.ndarray) -> None:
    plain, warm = (
        transfer.prepare(photo, painting, gram(size=64, scales=2, iterations=5, warm_start=name), network)
        for name in (None, "distilled-perceptual")
    )
    assert [stage.network.name for stage in warm.stages] == ["distilled-perceptual"] * 2 + [network.name]
    assert warm.stages[-1].size == warm.stages[1].size == photo.shape[:2]
    assert (plain.iterations, warm.iterations) == (10, 15)
    assert warm.estimate.nbytes > plain.estimate.nbytes > 0
    itself = transfer.prepare(photo, painting, gram(size=64, warm_start=network.name), network)
    assert len(itself.stages) == 1, "a network is no warm start for itself"
    with pytest.raises(SettingsError, match="nobody"):
        transfer.prepare(photo, painting, gram(size=64, warm_start="nobody"), network)


def test_a_run_stopped_during_its_warm_start_gives_what_was_painted(
    network: ms.Network, photo: np.ndarray, painting: np.ndarray
) -> None:
    stopped = stylize(
        photo, painting, network, lambda step, picture: step.number == 3, size=64, iterations=4, warm_start="enet"
    )
    assert stopped.interrupted and len(stopped.history) == 4
    assert np.any(stopped.image != photo)


def test_one_bit_activations_and_a_line_search_are_warned_of(photo: np.ndarray, painting: np.ndarray) -> None:
    network = ms.load_network("distilled-xnor")
    notes = {name: transfer.prepare(photo, painting, gram(optimizer=name), network).notes for name in ("lbfgs", "sgd")}
    assert any("--optimizer sgd" in note for note in notes["lbfgs"]) and not notes["sgd"]
