"""Targets as values, and an objective that only combines them."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.errors import SettingsError
from minitorch_style.style.objective import LossWeights, Objective
from minitorch_style.style.targets import ContentTargets, GramSum, StyleTargets
from minitorch_style.values import from_arrays, to_arrays
from tests import oracle

SIZE = (32, 40)


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def network(request: pytest.FixtureRequest) -> Network:
    return load_network("distilled", "random:2", request.param)


@pytest.mark.parametrize("balanced", [False, True])
def test_composed_of_targets_it_is_the_objective_of_the_pictures(
    network: Network, balanced: bool, rng: np.random.Generator
) -> None:
    """A film: one style, one plan, a content for each frame; the bits are those of an objective made anew."""
    frames, painting = rng.random((2, *SIZE, 3), np.float32), rng.random((24, 48, 3), np.float32)
    x = rng.random((*SIZE, 3), np.float32)
    weights = LossWeights.of(network.architecture, 1e-2, 2.0, variation=0.5)
    plan = network.plan(SIZE, weights.layers)
    style = StyleTargets.of(network, painting, list(weights.style_layers))
    for frame in frames:
        content = ContentTargets.of(network, frame, list(weights.content_layers), plan)
        composed = Objective.from_targets(plan, weights, content, style, balanced)
        anew = Objective(network, frame, painting, 1e-2, 2.0, tv_weight=0.5, balanced=balanced)
        (loss, gradient), (expected, expected_gradient) = composed(x), anew(x)
        assert loss == expected and np.array_equal(gradient, expected_gradient) and composed.terms == anew.terms


def test_balanced_weights_make_each_layer_count_by_itself(network: Network, rng: np.random.Generator) -> None:
    """At features of zero every balanced layer's loss would be its plain weight; the total variation counts a pixel."""
    photo, painting = rng.random((2, *SIZE, 3), np.float32)
    objective = Objective(network, photo, painting, content_weight=1.0, tv_weight=3.0, balanced=True)
    assert objective.content and objective.style
    for targets, weights in (
        (objective.content, objective.weights.content_layers),
        (objective.style, objective.weights.style_layers),
    ):
        for layer, weight in weights.items():
            assert weight * targets.norms[layer] == pytest.approx(1 / len(weights))
    taps = [*objective.content.features, *objective.style.grams]
    features = network.features(photo, taps)
    for layer, norm in objective.content.norms.items():
        assert norm == pytest.approx(0.5 * np.sum(features[layer].astype(float) ** 2), rel=1e-5)
    assert objective.weights.variation == 3.0 / (SIZE[0] * SIZE[1])


def test_targets_can_be_sent_and_saved(network: Network, rng: np.random.Generator) -> None:
    photo, painting = rng.random((2, *SIZE, 3), np.float32)
    style = StyleTargets.of(network, [painting, photo], ["conv1_1", "conv2_1"], [2, 1])
    content = ContentTargets.of(network, photo, ["conv2_2"])
    for value, name in ((style, "grams"), (content, "features")):
        file = io.BytesIO()
        np.savez(file, **to_arrays(value))
        file.seek(0)
        for found in (pickle.loads(pickle.dumps(value)), from_arrays(type(value), dict(np.load(file)))):
            assert found.scales == value.scales and found.norms == value.norms
            before, after = getattr(value, name), getattr(found, name)
            assert list(before) == list(after)
            assert all(np.array_equal(before[layer], after[layer]) for layer in before)
    with pytest.raises(AttributeError):
        style.grams = {}  # type: ignore[misc]


def test_a_gram_matrix_may_be_summed_elsewhere(network: Network, rng: np.random.Generator) -> None:
    photo, painting, x = rng.random((3, *SIZE, 3), np.float32)
    objective = Objective(network, photo, painting, content_weight=0)
    own = objective.grams(x)
    assert objective.style
    before = {layer: gram.total.copy() for layer, gram in own.items()}
    loss, gradient = objective(x)
    given_loss, given_gradient = objective(x, own)
    assert loss == given_loss and np.array_equal(gradient, given_gradient)
    assert all(np.array_equal(before[layer], own[layer].total) for layer in own), "what was given is left alone"
    # A part of a picture whose other part looks like the painting: the loss is that of the whole.
    other = {layer: GramSum(gram * 2000, 2000) for layer, gram in objective.style.grams.items()}
    summed = {layer: own[layer] + other[layer] for layer in own}
    whole, towards = objective(x, summed)
    expected = 0.0
    for layer, gram in objective.style.grams.items():
        mean = summed[layer].total / summed[layer].positions
        expected += np.sum((mean - gram) ** 2) / (4 * gram.shape[0] ** 2) / len(own)
    assert whole == pytest.approx(expected) and whole < loss
    step = 2e-3 * towards / np.abs(towards).max()
    ends = []
    for moved in (x + step, x - step):
        grams = objective.grams(moved.astype(np.float32))
        ends.append(objective(x, {layer: grams[layer] + other[layer] for layer in grams})[0])
    slope = 2 * float(np.sum(towards.astype(float) * step))
    assert ends[0] - ends[1] == pytest.approx(slope, rel=1e-2), "the gradient is this part's share of the whole loss"


def test_what_is_missing_is_named(network: Network, rng: np.random.Generator) -> None:
    photo, painting = rng.random((2, *SIZE, 3), np.float32)
    weights = LossWeights.of(network.architecture, 1e-2, 1.0, ["conv2_2"], ["conv1_1", "conv2_1"])
    style = StyleTargets.of(network, painting, ["conv1_1", "conv2_1"])
    content = ContentTargets.of(network, photo, ["conv2_2"])
    with pytest.raises(SettingsError, match="conv2_2"):
        Objective.from_targets(network.plan(SIZE, weights.layers), weights, None, style)
    with pytest.raises(SettingsError, match="conv2_1"):
        Objective.from_targets(network.plan(SIZE, ["conv1_1", "conv2_2"]), weights, content, style)


def test_a_blend_is_the_mean_of_gram_matrices(network: Network, rng: np.random.Generator) -> None:
    first, second = rng.random((16, 24, 3), np.float32), rng.random((32, 16, 3), np.float32)
    found = StyleTargets.of(network, [first, second], ["conv1_1"], [3, 1]).grams["conv1_1"]
    means = []
    for picture in (first, second):
        features = network.features(picture, ["conv1_1"])["conv1_1"]
        means.append(oracle.gram(features.astype(float)) / (features.shape[0] * features.shape[1]))
    assert oracle.relative_error(found, 0.75 * means[0] + 0.25 * means[1]) <= 1e-5


def test_a_teachers_products_come_along_where_they_are_asked_for(network: Network, rng: np.random.Generator) -> None:
    painting = rng.random((*SIZE, 3), np.float32)
    product = np.diag(np.arange(1, 9)).astype(np.float32)
    taught = replace(network, teacher_products={"conv1_1": product})
    layers = ["conv1_1", "conv2_1"]
    assert not StyleTargets.of(taught, painting, layers).products
    style = StyleTargets.of(taught, painting, layers, teacher=True)
    assert set(style.products) == {"conv1_1"}
    plain = StyleTargets.of(network, painting, layers)
    assert style.norms["conv2_1"] == plain.norms["conv2_1"] and style.norms["conv1_1"] != plain.norms["conv1_1"]
    written = from_arrays(StyleTargets, to_arrays(style))
    assert np.array_equal(written.products["conv1_1"], style.products["conv1_1"])
