"""The published counts, the names of the taps, and what an architecture refuses."""

from __future__ import annotations

import pytest

from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.nn.layers import AvgPool2d, MaxPool2d
from minitorch_style.nn.registry import NETWORKS, architecture
from minitorch_style.nn.vgg import vgg


@pytest.mark.parametrize(
    ("name", "with_norm", "count"),
    [
        ("vgg16", False, 14_714_688),
        ("vgg19", False, 20_024_384),
        ("segnet", True, 14_723_136),
        ("distilled", False, 230_568),
        ("distilled", True, 231_624),
        ("enet", True, 338_156),
    ],
)
def test_parameters_as_published(name: str, with_norm: bool, count: int) -> None:
    assert architecture(name).parameter_count(with_norm) == count


@pytest.mark.parametrize(
    ("name", "taps", "mega"),
    [("vgg16", ["conv5_1"], 18_836.62), ("distilled", ["conv5_1"], 306.71), ("enet", None, 406.31)],
)
def test_operations_at_256(name: str, taps: list[str] | None, mega: float) -> None:
    assert round(architecture(name).macs((256, 256), taps) / 1e6, 2) == mega


def test_reach_of_vgg16() -> None:
    """196 pixels: 13 convolutions of 3 and four pools, the strides growing from 1 to 16."""
    assert architecture("vgg16").receptive_field() == (196, 196)


def test_taps_are_the_papers_names() -> None:
    taps = list(architecture("vgg19").taps)
    assert taps[0] == "conv1_1" and taps[-1] == "conv5_4" and "conv4_2" in taps and len(taps) == 16
    assert architecture("vgg16").taps["conv4_2"] == "relu4_2"
    blocks = list(architecture("enet").taps)
    assert blocks == [
        "initial",
        *(f"1.{i}" for i in range(5)),
        *(f"2.{i}" for i in range(9)),
        *(f"3.{i}" for i in range(1, 9)),
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_any_size_down_to_its_least(name: str) -> None:
    network = architecture(name)
    least = 25 if name == "squeezenet" else 17  # its pools are three wide
    for size in ((32, 32), (33, 47), (64, least), (250, 251)):
        shapes = network.shapes(size)
        assert all(min(shape) >= 1 for shape in shapes.values())
    assert {*network.style_layers, *network.content_layers} <= set(network.taps)


def test_only_what_the_taps_need() -> None:
    nodes = architecture("vgg16").until(["conv2_1"])
    assert [node.name for node in nodes] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1"]


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="conv9_9; it has conv1_1"):
        architecture("vgg16").require_taps(["conv9_9"])
    with pytest.raises(SettingsError, match="no network 'vgg'"):
        architecture("vgg")
    with pytest.raises(SettingsError, match="conv5_9"):
        vgg("x", 16, last="conv5_9")
    with pytest.raises(ShapeError, match=r"pool2: MaxPool2d: expected .* in vgg16 at 3×40 pixels"):
        architecture("vgg16").shapes((3, 40))


def test_average_pooling_replaces_every_max() -> None:
    layers = [node.layer for node in architecture("enet").with_average_pooling().nodes]
    assert not any(isinstance(layer, MaxPool2d) for layer in layers)
    assert sum(isinstance(layer, AvgPool2d) for layer in layers) == 3
