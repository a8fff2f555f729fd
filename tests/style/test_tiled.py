"""Tiles against the whole picture: the same loss and gradient, whatever the sizes, the network and its pools."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.tiles import TiledPlan, Tiles, fitting, within
from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.nn.registry import NETWORKS
from minitorch_style.style.objective import LossWeights, Objective
from minitorch_style.style.targets import ContentTargets, StyleTargets
from minitorch_style.style.tiled import TiledObjective, alone

SMALL = ("distilled", "distilled-perceptual", "enet")  # all others are slow at sizes of several tiles


def both(
    network: Network,
    size: tuple[int, int],
    counts: tuple[int, int],
    balanced: bool = True,
    style_loss: str = "gram",
    seam: str | None = None,
) -> tuple[Objective, TiledObjective, np.ndarray]:
    """The objective of a whole picture, and that in tiles, and where to ask them."""
    rng = np.random.default_rng(3)
    photo, x = rng.random((2, *size, 3), np.float32)
    painting = rng.random((70, 81, 3), np.float32)
    weights = LossWeights.of(network.architecture, 1e-2, 1.0, variation=0.1)
    whole = network.plan(size, weights.layers)
    style = StyleTargets.of(network, painting, list(weights.style_layers), style_loss=style_loss)
    content = ContentTargets.of(network, photo, list(weights.content_layers), whole)
    team = alone(network, Tiles(network.architecture, size, weights.layers, counts, seam))
    untiled = Objective.from_targets(whole, weights, content, style, balanced)
    return untiled, TiledObjective(team, network, weights, photo, style, balanced), x


def check(
    network: Network,
    size: tuple[int, int],
    counts: tuple[int, int],
    style_loss: str = "gram",
    seam: str | None = None,
) -> TiledObjective:
    untiled, tiled, x = both(network, size, counts, style_loss=style_loss, seam=seam)
    loss, gradient = untiled(x)
    found, slope = tiled(x)
    assert found == pytest.approx(loss, rel=1e-6)
    for name in ("content", "style", "variation"):
        assert getattr(tiled.terms, name) == pytest.approx(getattr(untiled.terms, name), rel=2e-6)
    assert np.abs(slope - gradient).max() <= 1e-5 * np.abs(gradient).max()
    return tiled


@pytest.mark.parametrize("pooling", ("max", "average"))
@pytest.mark.parametrize("model", SMALL)
def test_tiles_are_the_whole_picture(model: str, pooling: str) -> None:
    network = load_network(model, "random:0", "numpy", pooling)
    assert len(check(network, (277, 391), (2, 3)).space.tiles.tiles) == 6


@pytest.mark.parametrize("size", ((33, 47), (128, 128), (200, 33), (255, 241), (176, 321)))
def test_any_size(size: tuple[int, int]) -> None:
    """Below one tile, with less left for the last tile than a stride, odd and even."""
    check(load_network("distilled", "random:1", "numpy"), size, (3, 4))


@pytest.mark.parametrize("style_loss", ("moments", "w2"))
def test_losses_that_compare_means(style_loss: str) -> None:
    for seam in (None, "pool2"):
        check(load_network("distilled", "random:1", "numpy"), (176, 321), (2, 3), style_loss, seam)


@pytest.mark.jit
@pytest.mark.parametrize("pooling", ("max", "average"))
def test_compiled_kernels(pooling: str) -> None:
    check(load_network("distilled", "random:0", "numba", pooling), (277, 391), (2, 3))


@pytest.mark.jit
@pytest.mark.parametrize("seam", ("pool1", "pool2", "pool3", "pool4"))
def test_compiled_features_at_a_seam_have_the_bits_of_the_whole(seam: str) -> None:
    """Or a max-pool might find another of two like values the largest."""
    network, size = load_network("distilled", "random:0", "numba", "max"), (150, 610)
    taps = network.architecture.style_layers
    x = np.random.default_rng(0).random((*size, 3), np.float32)
    whole, plan = network.features(x, taps), TiledPlan(network, Tiles(network.architecture, size, taps, (1, 4), seam))
    assert plan.tiles.crop[1] < 400
    for tile in plan.run(x):
        for tap in set(taps) & set(plan.tiles.tiled):
            features = plan.feature(tap, tile)
            if features is not None:
                np.testing.assert_array_equal(features.interior, whole[tap][tuple(plan.tiles.own(tap, tile))])


@pytest.mark.parametrize("size", ((129, 98), (47, 33)))
@pytest.mark.parametrize("pooling", ("max", "average"))
@pytest.mark.parametrize("model", SMALL)
def test_only_what_lies_above_a_seam_in_tiles(model: str, pooling: str, size: tuple[int, int]) -> None:
    network = load_network(model, "random:0", "numpy", pooling)
    taps = {*network.architecture.style_layers, *network.architecture.content_layers}
    seams = network.architecture.necks(taps)
    assert len(seams) >= 2
    for seam in seams:
        check(network, size, (3, 2), seam=seam)


@pytest.mark.jit
@pytest.mark.parametrize("pooling", ("max", "average"))
def test_compiled_kernels_at_a_seam(pooling: str) -> None:
    check(load_network("distilled", "random:0", "numba", pooling), (277, 391), (2, 3), seam="pool2")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ("max", "average"))
@pytest.mark.parametrize("model", sorted(set(NETWORKS) - set(SMALL)))
def test_every_network(model: str, pooling: str) -> None:
    check(load_network(model, "random:0", "numpy", pooling), (209, 243), (2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ("max", "average"))
@pytest.mark.parametrize("model", sorted(set(NETWORKS) - set(SMALL)))
def test_every_network_at_a_seam(model: str, pooling: str) -> None:
    network = load_network(model, "random:0", "numpy", pooling)
    seam = network.architecture.necks(network.architecture.style_layers)[1]
    assert math.prod(check(network, (144, 171), (2, 2), seam=seam).space.tiles.crop) < 144 * 171


def test_a_tile_costs_less_than_the_whole() -> None:
    """Or these tests would compare the whole picture with itself."""
    network = load_network("distilled", "random:0", "numpy")
    whole, tiled, _ = both(network, (391, 402), (5, 5))
    assert TiledPlan(network, tiled.space.tiles).nbytes < 0.5 * whole.plan.nbytes
    assert max(tiled.space.tiles.crop) < 250


def test_the_halo_is_needed() -> None:
    """One pixel less and the features of a tile differ: the receptive field is not only large enough."""
    network = load_network("distilled", "random:0", "numpy")
    field = network.architecture.fields(network.architecture.until(["conv5_1"]))["relu5_1"]
    x = np.random.default_rng(0).random((192, 192, 3), np.float32)
    plan = network.plan((192, 192), ["conv5_1"])
    plan.run(x)
    before, position = plan.feature("conv5_1").interior[6, 6].copy(), 6 * field.stride[0]
    first, last = position - field.before[0], position + field.after[0]
    outside = x.copy()
    outside[:first] = outside[last + 1 :] = 0
    outside[:, :first] = outside[:, last + 1 :] = 0
    plan.run(outside)
    np.testing.assert_allclose(plan.feature("conv5_1").interior[6, 6], before, rtol=1e-5, atol=1e-6)
    for row in (first, last):
        changed = x.copy()
        changed[row] += 10
        plan.run(changed)
        assert not np.allclose(plan.feature("conv5_1").interior[6, 6], before, rtol=1e-7)


def test_fitting_takes_the_fewest_tiles() -> None:
    network = load_network("distilled", "random:0", "numpy")

    def made(room: int | None) -> TiledPlan:
        return fitting(network, (400, 600), ["conv5_1"], within(room))

    whole = made(None)
    assert whole.tiles.counts == (1, 1) and whole.tiles.crop == (400, 600)
    assert made(whole.nbytes).tiles.counts == (1, 1)
    halved, least = made(whole.nbytes - 1), made(0)
    assert halved.tiles.counts == (1, 2) and least.nbytes < halved.nbytes < whole.nbytes
    assert least.nbytes < made(halved.nbytes - 1).nbytes < halved.nbytes


def test_a_painting_in_tiles_has_the_same_targets() -> None:
    network = load_network("distilled", "random:0", "numpy")
    painting = np.random.default_rng(0).random((301, 333, 3), np.float32)
    whole = StyleTargets.of(network, painting, ["conv1_1", "conv5_1"])
    parts = StyleTargets.of(network, painting, ["conv1_1", "conv5_1"], room=20_000_000)
    for layer, gram in whole.grams.items():
        np.testing.assert_allclose(parts.grams[layer], gram, rtol=1e-6)


def test_targets_of_another_size_are_refused() -> None:
    network = load_network("distilled", "random:0", "numpy")
    weights = LossWeights.of(network.architecture, 1.0, 0.0)
    team = alone(network, Tiles(network.architecture, (64, 64), weights.layers))
    with pytest.raises(SettingsError, match="no target"):
        TiledObjective(team, network, weights, None, None)
    with pytest.raises(ShapeError, match=r"expected an array \(64, 64, 3\)"):
        TiledObjective(team, network, weights, np.zeros((64, 65, 3), np.float32), None)
