"""An architecture: layers put together as a graph, with the names by which the paper taps it. Holds no numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.layers import AvgPool2d, Layer, MaxPool2d, Shape

INPUT = "input"


@dataclass(frozen=True)
class Node:
    """One layer of the graph. `inputs` name earlier nodes, or `INPUT` for the normalised pixels.

    `batch_norm` says that training put a batch norm behind the layer, which conversion has folded into it.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    batch_norm: bool = False

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} once the batch norm is folded in, which leaves a bias even where the layer had none."""
        shapes = self.layer.parameter_shapes()
        if self.batch_norm:
            shapes["bias"] = shapes["weight"][-1:]
        return shapes


@dataclass(frozen=True)
class Architecture:
    """`nodes` in an order in which each follows its inputs; `taps` maps the paper's names to nodes.

    `style_layers` and `content_layers` are the taps that style transfer reads unless told otherwise.
    """

    name: str
    nodes: tuple[Node, ...]
    taps: dict[str, str]
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        return self._by_name[name]

    def require_taps(self, taps: Iterable[str]) -> tuple[str, ...]:
        """`taps` without repetitions, in network order. SettingsError names those that do not exist."""
        wanted = set(taps)
        if unknown := sorted(wanted - set(self.taps)):
            raise SettingsError(f"{self.name}: no layer {', '.join(unknown)}; it has {', '.join(self.taps)}")
        return tuple(tap for tap in self.taps if tap in wanted)

    def until(self, taps: Iterable[str]) -> tuple[Node, ...]:
        """The nodes that these taps need, in order."""
        needed = {self.taps[tap] for tap in self.require_taps(taps)}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return tuple(node for node in self.nodes if node.name in needed)

    def shapes(self, size: tuple[int, int], nodes: tuple[Node, ...] | None = None) -> dict[str, Shape]:
        """{node name: (H, W, C)} for a picture of `size` (height, width). ShapeError names the node that cannot work."""
        shapes: dict[str, Shape] = {INPUT: (*size, 3)}
        for node in self.nodes if nodes is None else nodes:
            try:
                shapes[node.name] = node.layer.output_shape(*(shapes[name] for name in node.inputs))
            except ShapeError as error:
                raise ShapeError(f"{node.name}: {error} — in {self.name} at {size[0]}×{size[1]} pixels") from error
        return shapes

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """{"node.parameter": shape}, batch norm folded: what a weight file holds."""
        return {f"{node.name}.{name}": shape for node in self.nodes for name, shape in node.parameter_shapes().items()}

    def parameter_count(self, with_batch_norm: bool = True) -> int:
        """Parameters of the layers as published; `with_batch_norm` counts its scale and shift, as publications do."""
        total = sum(prod(shape) for node in self.nodes for shape in node.layer.parameter_shapes().values())
        if with_batch_norm:
            total += sum(2 * node.layer.parameter_shapes()["weight"][-1] for node in self.nodes if node.batch_norm)
        return total

    def macs(self, size: tuple[int, int], taps: Iterable[str] | None = None) -> int:
        """Multiply-accumulate operations of a forward pass, up to `taps` or through the whole network."""
        nodes = self.nodes if taps is None else self.until(taps)
        shapes = self.shapes(size, nodes)
        return sum(node.layer.macs(*(shapes[name] for name in node.inputs)) for node in nodes)

    def reach(self) -> tuple[int, int]:
        """(height, width) of the input window that one value of the last node depends on."""
        seen = {INPUT: ((1, 1), (1, 1))}
        for node in self.nodes:
            window, stride = node.layer.reach
            before = [seen[name] for name in node.inputs]
            widest = tuple(max(reach[axis] for reach, _ in before) for axis in (0, 1))
            jump = before[0][1]
            seen[node.name] = (
                (widest[0] + (window[0] - 1) * jump[0], widest[1] + (window[1] - 1) * jump[1]),
                (jump[0] * stride[0], jump[1] * stride[1]),
            )
        return seen[self.nodes[-1].name][0]

    def continued(self, decoder: Architecture) -> Architecture:
        """This encoder and the decoder that continues it as one graph, with the taps of both."""
        return replace(self, nodes=self.nodes + decoder.nodes, taps={**self.taps, **decoder.taps})

    def with_average_pooling(self) -> Architecture:
        """Average in place of max pooling, which Gatys et al. found to give a smoother gradient."""

        def swap(layer: Layer) -> Layer:
            if isinstance(layer, MaxPool2d):
                return AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
            return layer

        return replace(self, nodes=tuple(replace(node, layer=swap(node.layer)) for node in self.nodes))
