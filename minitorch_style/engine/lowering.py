"""A graph of layers lowered to fused steps, each type of layer by its row of the table `LOWERINGS`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.steps import (
    AddStep,
    AffineStep,
    AveragePoolStep,
    BinarizeStep,
    ConcatStep,
    ConvolutionStep,
    LeakyStep,
    MaxPoolStep,
    Step,
    TransposedStep,
    UnpoolStep,
)
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.api import KernelSet
from minitorch_style.nn import layers
from minitorch_style.nn.layers import Shape
from minitorch_style.nn.registry import Node


@dataclass
class Graph:
    """What is being lowered: `nodes` in order, the shape of each one's output, the numbers of all, and for whom. `tapped`
    nodes are read from outside, so that they must stay visible; `algorithms` forces one for named convolutions."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape]
    parameters: Mapping[str, Float32]
    kernels: KernelSet
    gradient: bool
    tapped: frozenset[str]
    algorithms: Mapping[str, str]
    steps: list[Step] = field(default_factory=list)  # made until now
    fused: set[str] = field(default_factory=set)  # nodes that an earlier node's step does as well

    @cached_property
    def readers(self) -> Mapping[str, list[Node]]:
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node)
        return found

    def only_reader(self, name: str) -> Node | None:
        """Who alone reads a node's output, so that one step may do both."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 and name not in self.tapped else None

    def parameter(self, node: Node, name: str) -> Float32:
        return self.parameters[f"{node.name}.{name}"]

    def bias(self, node: Node) -> Float32 | None:
        return self.parameters.get(f"{node.name}.bias")

    def macs(self, node: Node) -> int:
        return node.layer.macs(*(self.shapes[name] for name in node.inputs))

    def slope(self, node: Node) -> Float32 | None:
        """The slopes of an activation: zeros for a ReLU, None for any other layer."""
        if isinstance(node.layer, layers.ReLU):
            return np.zeros(self.shapes[node.name][2], np.float32)
        return self.parameter(node, "weight") if isinstance(node.layer, layers.PReLU) else None

    def without_gradient(self, node: Node) -> None:
        """UnsupportedError where one is wanted: a decoder's layers have none."""
        if self.gradient:
            raise UnsupportedError(f"{node.name}: decoders have no gradient")


def _convolution(graph: Graph, node: Node, layer: layers.Conv2d) -> Step:
    """A convolution and what alone reads its output: an activation, and behind either a pool."""
    name, slope = node.name, None
    following = graph.only_reader(name)
    if following is not None:
        slope = graph.slope(following)
        if slope is not None and np.all(slope >= 0):  # so that the output's sign tells the input's
            name = following.name
            graph.fused.add(name)
        else:
            slope = None
    reader = graph.only_reader(name)
    pool = (
        reader.layer if reader is not None and isinstance(reader.layer, layers.MaxPool2d | layers.AvgPool2d) else None
    )
    if reader is not None and any(isinstance(other.layer, layers.MaxUnpool2d) for other in graph.readers[reader.name]):
        pool = None  # an unpooling asks for its index
    kernel = graph.kernels.convolution(
        layer,
        graph.parameter(node, "weight"),
        graph.bias(node),
        slope,
        graph.shapes[node.inputs[0]],
        graph.gradient,
        graph.algorithms.get(node.name),
        pool,
    )
    if reader is not None and kernel.fused_pool is not None:
        name = reader.name
        graph.fused.add(name)
        slope = slope if kernel.fused_pool == "max" else None
    return ConvolutionStep(name, node.inputs, kernel, macs=graph.macs(node), gate_slope=slope)


def _transposed(graph: Graph, node: Node, layer: layers.ConvTranspose2d) -> Step:
    graph.without_gradient(node)
    weight = np.ascontiguousarray(graph.parameter(node, "weight").transpose(0, 1, 3, 2))
    shape, algorithm = graph.shapes[node.name], graph.algorithms.get(node.name)
    adjoint = graph.kernels.convolution(layer.adjoint, weight, None, None, shape, True, algorithm)
    return TransposedStep(node.name, node.inputs, graph.kernels, adjoint, graph.bias(node), macs=graph.macs(node))


def _unpool(graph: Graph, node: Node, layer: layers.MaxUnpool2d) -> Step:
    graph.without_gradient(node)
    pool = next(step for step in graph.steps if step.output == node.inputs[1])
    assert isinstance(pool, MaxPoolStep)
    return UnpoolStep(node.name, node.inputs[:1], graph.kernels, pool)


def _leaky(graph: Graph, node: Node, layer: layers.ReLU | layers.PReLU) -> Step:
    slope = graph.slope(node)
    assert slope is not None
    return LeakyStep(node.name, node.inputs, graph.kernels, slope)


def _max_pool(graph: Graph, node: Node, layer: layers.MaxPool2d) -> Step:
    return MaxPoolStep(node.name, node.inputs, graph.kernels, layer, graph.shapes[node.name])


def _average_pool(graph: Graph, node: Node, layer: layers.AvgPool2d) -> Step:
    return AveragePoolStep(node.name, node.inputs, graph.kernels, layer)


def _affine(graph: Graph, node: Node, layer: layers.Affine) -> Step:
    weight, bias = (graph.parameter(node, name) for name in ("weight", "bias"))
    return AffineStep(node.name, node.inputs, graph.kernels, weight, bias)


def _binarize(graph: Graph, node: Node, layer: layers.Binarize) -> Step:
    threshold, low, high = (graph.parameter(node, name) for name in ("threshold", "low", "high"))
    return BinarizeStep(node.name, node.inputs, graph.kernels, threshold, low, high)


def _concat(graph: Graph, node: Node, layer: layers.Concat) -> Step:
    return ConcatStep(node.name, node.inputs, graph.kernels)


def _add(graph: Graph, node: Node, layer: layers.Add) -> Step:
    return AddStep(node.name, node.inputs, graph.kernels)


# (graph, node, its layer) → the step that computes the node, and maybe later ones, which it adds to `graph.fused`.
Lowering = Callable[[Graph, Node, Any], Step]
LOWERINGS: dict[type, Lowering] = {
    layers.Conv2d: _convolution,
    layers.ConvTranspose2d: _transposed,
    layers.MaxPool2d: _max_pool,
    layers.AvgPool2d: _average_pool,
    layers.MaxUnpool2d: _unpool,
    layers.ReLU: _leaky,
    layers.PReLU: _leaky,
    layers.Affine: _affine,
    layers.Binarize: _binarize,
    layers.Concat: _concat,
    layers.Add: _add,
}


def lower(graph: Graph) -> list[Step]:
    """The steps that compute a graph, in order. UnsupportedError for a layer that has no row in the table, for a gradient
    where there is none, or a forced algorithm that cannot compute its layer."""
    for node in graph.nodes:
        if node.name in graph.fused:
            continue
        lowering = LOWERINGS.get(type(node.layer))
        if lowering is None:
            raise UnsupportedError(f"{node.name}: a plan cannot compute a layer {type(node.layer).__name__}")
        graph.steps.append(lowering(graph, node, node.layer))
    return graph.steps
