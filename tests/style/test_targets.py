"""Targets as values, and an objective that only combines them."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.errors import SettingsError
from minitorch_style.style.moments import FeatureSums, Moments
from minitorch_style.style.objective import LossWeights, Objective, shared_by
from minitorch_style.style.targets import ContentTargets, StyleTargets
from minitorch_style.style.wasserstein import STYLE_LOSSES
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
    own = objective.sums(x)
    assert objective.style
    before = {layer: gram.gram.copy() for layer, gram in own.items()}
    loss, gradient = objective(x)
    given_loss, given_gradient = objective(x, own)
    assert loss == given_loss and np.array_equal(gradient, given_gradient)
    assert all(np.array_equal(before[layer], own[layer].gram) for layer in own), "what was given is left alone"
    # A part of a picture whose other part looks like the painting: the loss is that of the whole.
    other = {layer: FeatureSums(gram * 2000, np.zeros(0), 2000) for layer, gram in objective.style.grams.items()}
    summed = {layer: own[layer] + other[layer] for layer in own}
    whole, towards = objective(x, summed)
    expected = 0.0
    for layer, gram in objective.style.grams.items():
        mean = summed[layer].gram / summed[layer].positions
        expected += np.sum((mean - gram) ** 2) / (4 * gram.shape[0] ** 2) / len(own)
    assert whole == pytest.approx(expected) and whole < loss
    step = 2e-3 * towards / np.abs(towards).max()
    ends = []
    for moved in (x + step, x - step):
        grams = objective.sums(moved.astype(np.float32))
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


def of_features(features: np.ndarray) -> Moments:
    flat = features.reshape(-1, features.shape[-1]).astype(float)
    return Moments(flat.T @ flat / len(flat), flat.mean(axis=0))


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_the_loss_is_that_of_the_features(name: str, network: Network, rng: np.random.Generator) -> None:
    """Its value by the loss's own definition; its gradient against differences along itself."""
    painting, x = rng.random((24, 48, 3), np.float32), rng.random((*SIZE, 3), np.float32)
    shares = {"conv1_1": 0.75, "conv2_1": 0.25}
    weights = LossWeights.of(network.architecture, 0.0, 2.0, style_layers=shares)
    style = StyleTargets.of(network, painting, list(shares), style_loss=name)
    objective = Objective.from_targets(network.plan(SIZE, weights.layers), weights, None, style)
    loss, gradient = objective(x)
    expected = 0.0
    for layer, share in shares.items():
        own, aim = (of_features(network.features(picture, [layer])[layer]) for picture in (x, painting))
        factor = network.tap_scales.get(layer, 1.0) ** 4 if name == "gram" else 1.0
        expected += 2.0 * share * factor * STYLE_LOSSES[name](aim)(own, 1)[0]
    assert loss == pytest.approx(expected, rel=1e-4)
    step = np.float32(1e-3) * gradient / np.abs(gradient).max()
    slope = 2 * float(np.sum(gradient.astype(float) * step))
    assert objective(x + step)[0] - objective(x - step)[0] == pytest.approx(slope, rel=2e-2)
    assert StyleTargets.of(network, painting, list(shares)).means == {}, "the Gram loss asks for none"


@pytest.mark.parametrize("name", ["moments", "w2"])
def test_targets_with_means_are_values_too(name: str, network: Network, rng: np.random.Generator) -> None:
    paintings = [rng.random((16, 24, 3), np.float32), rng.random((32, 16, 3), np.float32)]
    first, second = (StyleTargets.of(network, one, ["conv2_1"], style_loss=name) for one in paintings)
    both = StyleTargets.of(network, paintings, ["conv2_1"], [3, 1], style_loss=name)
    means = [network.features(one, ["conv2_1"])["conv2_1"].mean(axis=(0, 1)) for one in paintings]
    np.testing.assert_allclose(both.means["conv2_1"], 0.75 * means[0] + 0.25 * means[1], rtol=1e-5)
    fading = first.after(second, 0.75)
    for found, expected in ((fading.means, both.means), (fading.grams, both.grams)):
        np.testing.assert_allclose(found["conv2_1"], expected["conv2_1"], rtol=1e-12)
    again = from_arrays(StyleTargets, to_arrays(both))
    assert again.style_loss == name and again.norms == both.norms == pickle.loads(pickle.dumps(both)).norms
    assert fading.norms["conv2_1"] == pytest.approx(both.norms["conv2_1"])


def test_what_a_teacher_sees_is_compared_by_every_loss(network: Network, rng: np.random.Generator) -> None:
    """Twice its features are no other loss where that is relative; channels that it does not see do not count."""
    painting, x = rng.random((2, *SIZE, 3), np.float32)
    seen = np.zeros((8, 8), np.float32)
    seen[:3, :3] = 4 * np.eye(3)
    taught = replace(network, teacher_products={"conv1_1": seen})
    features = {key: network.features(one, ["conv1_1"])["conv1_1"] for key, one in (("x", x), ("painting", painting))}
    style = StyleTargets.of(taught, painting, ["conv1_1"], teacher=True, style_loss="moments")
    sums = FeatureSums(of_features(features["x"]).second, of_features(features["x"]).mean, 1)
    aim, own = (of_features(features[key][..., :3]) for key in ("painting", "x"))
    assert style.loss("conv1_1", sums)[0] == pytest.approx(STYLE_LOSSES["moments"](aim)(own, 1)[0], rel=1e-4)


def test_shares_of_layers() -> None:
    assert shared_by(["a", "b"], (3, 1)) == {"a": 0.75, "b": 0.25}
    assert shared_by(["a", "b"]) == {"a": 0.5, "b": 0.5}
    with pytest.raises(SettingsError, match="expected 2 style_layer_weights, for a, b; got 1"):
        shared_by(["a", "b"], (1,))
    with pytest.raises(SettingsError, match="gram, moments, w2"):
        StyleTargets.of(load_network("distilled", "random:2", "numpy"), [], [], style_loss="cosine")
