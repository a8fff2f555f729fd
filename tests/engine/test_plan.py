"""Plans: the same numbers from every kernel set, algorithm and number of threads; nothing computed or kept in vain."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.tiles import TiledPlan, Tiles
from minitorch_style.errors import ShapeError, UnsupportedError
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.layers import Conv2d
from minitorch_style.style.objective import Objective
from tests import oracle

MODELS = ["distilled", "enet", "vgg19-quarter"]
SIZE = (45, 38)


def with_lively_weights(name: str, kernels: str, negative_slopes: bool = False) -> Network:
    """Random weights, with biases and slopes that matter."""
    network = load_network(name, "random:3", kernels)
    rng = np.random.default_rng(4)
    parameters = dict(network.parameters)
    for key, value in parameters.items():
        if key.endswith("bias"):
            parameters[key] = rng.normal(0, 0.1, value.shape).astype(np.float32)
        elif value.ndim == 1:
            parameters[key] = rng.uniform(-0.5 if negative_slopes else 0.1, 0.5, value.shape).astype(np.float32)
    network.parameters = parameters
    return network


def pictures(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(rng.random((*SIZE, 3), np.float32) for _ in range(3))  # type: ignore[return-value]


@pytest.mark.jit
@pytest.mark.parametrize("negative_slopes", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_both_kernel_sets_agree(model: str, negative_slopes: bool, rng: np.random.Generator) -> None:
    content, style, x = pictures(rng)
    found = {}
    for kernels in ("numpy", "numba"):
        network = with_lively_weights(model, kernels, negative_slopes)
        found[kernels] = Objective(network, content, style, content_weight=1e-2)(x)
    (loss, gradient), (fast_loss, fast_gradient) = found["numpy"], found["numba"]
    assert fast_loss == pytest.approx(loss, rel=1e-4)
    assert oracle.relative_error(fast_gradient, gradient) <= 1e-3


@pytest.mark.jit
@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_forced_algorithms_agree(algorithm: str, rng: np.random.Generator) -> None:
    content, style, x = pictures(rng)
    network = with_lively_weights("distilled", "numba")
    reference = Objective(with_lively_weights("distilled", "numpy"), content, style)(x)
    suits = [node.name for node in network.architecture.nodes
             if isinstance(node.layer, Conv2d) and (algorithm == "direct" or node.layer.in_channels > 3)]  # fmt: skip
    objective = Objective(network, content, style, algorithms=dict.fromkeys(suits, algorithm))
    loss, gradient = objective(x)
    chosen = {
        step["algorithm"]
        for step in objective.plan.describe()
        if str(step["step"]) in {s.replace("conv", "relu") for s in suits}
    }
    assert chosen == {algorithm}
    assert loss == pytest.approx(reference[0], rel=1e-4)
    assert oracle.relative_error(gradient, reference[1]) <= 1e-3


@pytest.mark.jit
def test_a_forced_algorithm_that_cannot_compute_a_layer_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="winograd"):
        load_network("distilled", "random:0", "numba").plan(SIZE, ["conv1_1"], algorithms={"conv1_1": "winograd"})


@pytest.mark.parametrize("kernels", ["numpy", pytest.param("numba", marks=pytest.mark.jit)])
@pytest.mark.parametrize("model", MODELS)
def test_gradient_by_projection(model: str, kernels: str, rng: np.random.Generator) -> None:
    """Slope of the loss along the gradient, by differences, against the gradient's own length."""
    content, style, x = pictures(rng)
    objective = Objective(with_lively_weights(model, kernels), content, style, content_weight=1e-2)
    _, gradient = objective(x)
    v = gradient / np.sqrt(np.mean(np.square(gradient, dtype=np.float64)))
    step = 1e-4  # small against kinks, large against the noise of single precision
    slope = (objective((x + step * v).astype(np.float32))[0] - objective((x - step * v).astype(np.float32))[0]) / (
        2 * step
    )
    assert slope == pytest.approx(float(np.sum(gradient * v, dtype=np.float64)), rel=1e-2)


@pytest.mark.jit
def test_any_number_of_threads_gives_the_same_bits(rng: np.random.Generator) -> None:
    from minitorch_style.kernels.fast.threads import set_threads, threads

    content, style, x = pictures(rng)
    before, results = threads(), []
    try:
        for count in (1, 2, 4):
            set_threads(count)
            loss, gradient = Objective(with_lively_weights("vgg19-quarter", "numba"), content, style)(x)
            results.append((loss, gradient.tobytes()))
    finally:
        set_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.jit
def test_two_python_threads_may_compute_at_once(rng: np.random.Generator) -> None:
    from concurrent.futures import ThreadPoolExecutor

    content, style, x = pictures(rng)
    objectives = [Objective(with_lively_weights("distilled", "numba"), content, style) for _ in range(2)]
    expected = objectives[0](x)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            for loss, gradient in pool.map(lambda objective: objective(x), objectives):
                assert loss == expected[0]
                assert np.array_equal(gradient, expected[1])


def test_nothing_beyond_the_taps_is_computed() -> None:
    plan = load_network("vgg16", "random:0", "numpy").plan(SIZE, ["conv2_1"])
    assert [step["step"] for step in plan.describe()] == ["input", "relu1_1", "relu1_2", "pool1", "relu2_1"]


def test_a_forward_plan_needs_less_memory_than_one_with_gradient() -> None:
    network = load_network("distilled", "random:0", "numpy")
    taps = ["conv1_1", "conv5_1"]
    assert network.plan((64, 64), taps, gradient=False).nbytes < 0.6 * network.plan((64, 64), taps).nbytes


def test_memory_is_linear_in_pixels() -> None:
    network = load_network("distilled", "random:0", "numpy")
    small, large = (network.plan((side, side), network.architecture.style_layers).nbytes for side in (128, 512))
    assert large == pytest.approx(16 * small, rel=0.15)


def test_results_do_not_change_under_the_callers_hands(rng: np.random.Generator) -> None:
    """A gradient or feature once returned is the caller's: the next evaluation must not write into it."""
    size = (32, 32)
    content, style, x = (rng.random((*size, 3), np.float32) for _ in range(3))
    objective = Objective(load_network("distilled", "random:0", "numpy"), content, style)
    _, gradient = objective(x)
    copy = gradient.copy()
    objective(style)
    assert np.array_equal(gradient, copy)


def test_a_picture_of_another_size_is_refused() -> None:
    plan = load_network("distilled", "random:0", "numpy").plan((32, 40), ["conv1_1"])
    with pytest.raises(ShapeError, match="32×40"):
        plan.run(np.zeros((40, 32, 3), np.float32))


def test_features_are_the_taps_that_were_asked_for(rng: np.random.Generator) -> None:
    network = load_network("enet", "random:0", "numpy")
    features = network.features(rng.random((33, 50, 3), np.float32), ["1.0", "initial"])
    assert {name: value.shape for name, value in features.items()} == {"initial": (17, 25, 16), "1.0": (8, 12, 64)}
    assert all(value.dtype == np.float32 for value in features.values())


def test_kernel_sets_by_name() -> None:
    assert kernel_set("numpy").name == "numpy"
    compiler = find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
    assert kernel_set("auto").name == ("numba" if compiler else "numpy")


@pytest.mark.jit
def test_weights_are_packed_once_for_plans_of_all_sizes() -> None:
    network = load_network("distilled", "random:0", "numba")
    first, second = (network.plan((side, side), ["conv3_1"]) for side in (32, 48))
    first.run(np.zeros((32, 32, 3), np.float32))
    for one, other in zip(first.steps, second.steps, strict=True):
        if one.algorithm in ("direct", "winograd"):
            assert one.kernel.packed(back=False) is other.kernel.packed(back=False)  # type: ignore[attr-defined]


def test_a_plan_over_another_lies_beyond_what_that_begins_with(rng: np.random.Generator) -> None:
    """Tiles and what follows them take no more memory than the larger of the two, and the map between them."""
    network = load_network("distilled", "random:1", "numpy")
    size, seam, taps = (64, 96), "pool2", network.architecture.style_layers
    tiles = Tiles(network.architecture, size, taps, (1, 2), seam)
    both = TiledPlan(network, tiles)
    alone = network.plan(size, tiles.deep, since=seam), TiledPlan(network, tiles).plan.working_bytes
    assert max(alone[0].nbytes, alone[1]) <= both.nbytes < alone[0].nbytes + alone[1]
    assert both.deep is not None
    both.deep.source.interior[...] = expected = rng.random(both.deep.source.interior.shape, np.float32)
    both.plan.run(rng.random((*tiles.crop, 3), np.float32))
    np.testing.assert_array_equal(both.deep.source.interior, expected)
    both.deep.forward()
    both.deep.backward(lambda tap, features, gradient: gradient.interior.fill(1))
    expected = both.deep.source_gradient.interior.copy()
    both.plan.run(rng.random((*tiles.crop, 3), np.float32))
    both.plan.run_back(lambda tap, features, gradient: gradient.interior.fill(1))
    np.testing.assert_array_equal(both.deep.source_gradient.interior, expected)
