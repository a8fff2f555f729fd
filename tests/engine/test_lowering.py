"""Layers become steps by a table; a new one is a class, its functions, a step and a row."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
import pytest

from minitorch_style.engine.lowering import LOWERINGS, Graph
from minitorch_style.engine.network import Network, load_network
from minitorch_style.engine.steps import Step
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.kernels.reference.backend import deliver
from minitorch_style.nn import layers
from minitorch_style.nn.architecture import Architecture, InputNormalization, Node
from minitorch_style.nn.layers import Conv2d, Shape
from tests import oracle

SIZE = (13, 17)


@dataclass(frozen=True)
class Square:
    """A toy: x², which asks for its input again on the way back."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def macs(self, *inputs: Shape) -> int:
        return inputs[0][0] * inputs[0][1] * inputs[0][2]

    @property
    def receptive_field(self) -> layers.ReceptiveField:
        return (1, 1), (1, 1)


def square(x: np.ndarray, out: np.ndarray) -> None:
    np.multiply(x, x, out=out)


def square_input_grad(dy: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
    np.multiply(dy, 2 * x, out=out)


@dataclass
class SquareStep(Step):
    _: KW_ONLY
    algorithm: str = "square"
    saves_inputs: bool = True

    def forward(self, inputs: list[Buffer], out: Buffer) -> None:
        square(inputs[0].interior, out.interior)

    def backward(
        self, which: int, inputs: list[Buffer], dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None
    ) -> None:
        deliver(lambda out: square_input_grad(dy.interior, inputs[0].interior, out), dx, accumulate, gate)


def lower_square(graph: Graph, node: Node, layer: Square) -> Step:
    return SquareStep(node.name, node.inputs, macs=graph.macs(node))


def network(kernels: str, rng: np.random.Generator) -> Network:
    """A convolution, the toy, another convolution; and a residual sum around the toy."""
    nodes = (
        Node("first", Conv2d(3, 8, 3, padding=1), ("input",)),
        Node("square", Square(), ("first",)),
        Node("sum", layers.Add(), ("square", "first")),
        Node("last", Conv2d(8, 4, 3, padding=1), ("sum",)),
    )
    toy = Architecture("toy", nodes, {"last": "last"}, ("last",), ("last",))
    parameters = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in toy.parameter_shapes().items()}
    return Network(toy, parameters, InputNormalization((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)), kernel_set(kernels))


@pytest.mark.parametrize("kernels", ["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def test_a_new_layer_takes_one_row(kernels: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    toy = network(kernels, rng)
    with pytest.raises(UnsupportedError, match="square: a plan cannot compute a layer Square"):
        toy.plan(SIZE, ["last"])
    monkeypatch.setitem(LOWERINGS, Square, lower_square)
    plan = toy.plan(SIZE, ["last"])
    assert [(step.output, step.macs) for step in plan.steps if step.algorithm == "square"] == [("square", 13 * 17 * 8)]
    x, towards = rng.random((*SIZE, 3), np.float32), rng.standard_normal((*SIZE, 4)).astype(np.float32)

    def forward(pixels: np.ndarray) -> np.ndarray:
        p = {name: array.astype(float) for name, array in toy.parameters.items()}
        first = oracle.conv2d(pixels - 0.5, p["first.weight"], p["first.bias"], (1, 1), (1, 1), (1, 1))
        return oracle.conv2d(first**2 + first, p["last.weight"], p["last.bias"], (1, 1), (1, 1), (1, 1))

    plan.run(x)
    assert oracle.relative_error(plan.feature("last").interior, forward(x.astype(float))) <= 1e-5

    def inject(tap: str, features: Buffer, gradient: Buffer) -> None:
        gradient.interior[...] = towards

    gradient = plan.run_back(inject)
    v, step = rng.standard_normal(x.shape), 1e-5
    slope = np.sum((forward(x + step * v) - forward(x - step * v)) * towards) / (2 * step)
    assert np.sum(gradient * v) == pytest.approx(slope, rel=1e-4)


def test_every_layer_has_its_row() -> None:
    """What nn.layers defines, a plan can compute."""
    kinds = {
        kind
        for kind in vars(layers).values()
        if isinstance(kind, type) and kind.__module__ == layers.__name__ and not kind.__name__.startswith("_")
    }
    assert kinds - {layers.Layer} == set(LOWERINGS)


def test_a_decoder_has_no_gradient() -> None:
    from minitorch_style.transfer.region import load_segmenter

    segmenter = load_segmenter("distilled")
    tap = next(reversed(segmenter.architecture.taps))
    segmenter.plan((32, 32), [tap], gradient=False)
    with pytest.raises(UnsupportedError, match="decoders have no gradient"):
        segmenter.plan((32, 32), [tap])


def test_what_a_step_does_as_well_is_a_field() -> None:
    plan = load_network("distilled", "random:0").plan((32, 32), ["conv3_1"])
    pooled = {step.output: step.fused_pool for step in plan.steps if step.fused_pool}
    for row, step in zip(plan.describe(), plan.steps, strict=True):
        assert row["algorithm"] == (f"{step.algorithm}, max pool" if step.output in pooled else step.algorithm)
        assert "pool" not in step.algorithm or step.algorithm == "max pool"
