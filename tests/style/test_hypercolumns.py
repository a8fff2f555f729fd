"""Hypercolumns of small random networks: what they hold, and their gradient."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.nn.registry import architecture
from minitorch_style.style.hypercolumns import Hypercolumns, cells, hypercolumn_taps
from minitorch_style.style.padded import PaddedPlan, strides
from tests import oracle


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("distilled-perceptual", "random:3", "numpy", pooling="average")


def test_taps_come_from_the_architecture() -> None:
    vgg16 = tuple(f"conv{b}_{i}" for b, count in ((1, 2), (2, 2), (3, 3), (4, 3)) for i in range(1, count + 1))
    assert hypercolumn_taps(architecture("distilled-perceptual")) == vgg16
    quarter = hypercolumn_taps(architecture("vgg19-quarter"))
    assert quarter[-4:] == ("conv3_4", "conv4_1", "conv4_2", "conv4_3")
    assert strides(architecture("vgg19"))["conv5_1"] == 16
    assert hypercolumn_taps(architecture("vgg19-conv3_1"))[-1] == "conv3_1"


def test_features_are_those_of_the_mirrored_picture(network: Network, rng: np.random.Generator) -> None:
    x = rng.random((24, 40, 3), np.float32)
    plan = PaddedPlan(network, (24, 40), ["conv1_1", "conv4_1"], gradient=False)
    plan.run(x)
    whole = network.features(np.pad(x, ((16, 16), (16, 16), (0, 0)), mode="reflect"), plan.taps)
    assert np.array_equal(plan.feature("conv1_1").interior, whole["conv1_1"][16:-16, 16:-16])
    assert np.array_equal(plan.feature("conv4_1").interior, whole["conv4_1"][2:-2, 2:-2])


def test_a_hypercolumn_is_every_tap_at_its_place(network: Network, rng: np.random.Generator) -> None:
    x, taps = rng.random((32, 48, 3), np.float32), ["conv1_2", "conv3_1", "conv4_1"]
    columns = Hypercolumns(network, (32, 48), taps, scales={"conv3_1": 2.0}, gradient=False)
    values = columns.run(x)
    assert values.shape == (8, 12, 8 + 32 + 64) == columns.shape
    seen = PaddedPlan(network, (32, 48), taps, gradient=False)
    seen.run(x)
    assert np.allclose(values[..., columns.channels("conv3_1")], 2 * seen.feature("conv3_1").interior, atol=1e-6)
    fine = values[..., columns.channels("conv1_2")]
    assert oracle.relative_error(fine.mean(axis=(0, 1)), seen.feature("conv1_2").interior.mean(axis=(0, 1))) <= 0.03


@pytest.mark.parametrize("size", [(32, 48), (21, 30), (4, 32), (1, 9)])
def test_the_gradient_flows_to_the_pixels(network: Network, size: tuple[int, int], rng: np.random.Generator) -> None:
    """⟨dy, ∂h/∂v⟩ by differences, with what another loss adds at one of the taps and at one beside them."""
    taps, also = ("conv1_1", "conv2_2", "conv4_1"), ("conv5_1", "conv2_2")
    columns = Hypercolumns(network, size, taps, also, {"conv2_2": 0.5})
    x = rng.random((*size, 3), np.float32)
    dy = rng.standard_normal(columns.shape).astype(np.float32)
    columns.run(x)
    more = {tap: rng.standard_normal(columns.plan.feature(tap).shape).astype(np.float32) for tap in also}

    def value(pixels: np.ndarray) -> float:
        total = float(np.vdot(dy, columns.run(pixels.astype(np.float32))))
        return total + sum(float(np.vdot(more[tap], columns.plan.feature(tap).interior)) for tap in also)

    def add(tap: str, features: Buffer, gradient: Buffer) -> None:
        if tap in more:
            target = gradient.interior
            target += more[tap]

    value(x)
    gradient = columns.run_back(dy, add)
    direction = gradient / np.abs(gradient).max()
    step = 1e-3
    slope = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert slope == pytest.approx(float(np.vdot(gradient, direction)), rel=0.01)


def test_cells_of_tiny_pictures() -> None:
    assert cells((3, 9)) == (1, 2)
