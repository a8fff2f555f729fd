"""An architecture: layers put together as a graph, with the names by which the paper taps it. Holds no numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import NamedTuple

from minitorch_style.errors import SettingsError, ShapeError
from minitorch_style.nn.layers import Affine, AvgPool2d, Binarize, Layer, MaxPool2d, Pair, PReLU, ReLU, Shape

INPUT = "input"
ELEMENTWISE = Affine, Binarize, PReLU, ReLU


@dataclass(frozen=True)
class InputNormalization:
    """What a network was trained to see: (pixels − mean) · scale per RGB channel, pixels in [0, 1]."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


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


class Field(NamedTuple):
    """Receptive field, per axis: the value at position p sees the pixels from p·`stride` − `before` to p·`stride` + `after`
    (Araujo, Norris & Sim 2019)."""

    before: Pair
    after: Pair
    stride: Pair


def _further(inputs: list[Pair], far: Pair, stride: Pair) -> Pair:
    """Pixels on one side that a layer sees which sees so `far` into its inputs, as they see pixels."""
    down, across = (max(pixels[axis] for pixels in inputs) + far[axis] * stride[axis] for axis in (0, 1))
    return down, across


@dataclass(frozen=True)
class Architecture:
    """`nodes` in an order in which each follows its inputs; `taps` maps the paper's names to nodes.

    `style_layers` and `content_layers` are the taps that style transfer reads by default.
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

    def necks(self, taps: Iterable[str]) -> tuple[str, ...]:
        """Nodes through which alone all that follows sees the picture, as far as these taps need it: of each size of maps the
        first that is smaller than the picture, that no tap reads and whose readers are no mere activations."""
        nodes, tapped = self.until(taps), {self.taps[tap] for tap in taps}
        fields, found = self.fields(nodes), dict[Pair, str]()
        for position, node in enumerate(nodes[:-1]):
            later = nodes[position + 1 :]
            known = {node.name, *(other.name for other in later)}
            readers = [other for other in later if node.name in other.inputs]
            if (
                all(known.issuperset(other.inputs) for other in later)
                and node.name not in tapped
                and not any(isinstance(reader.layer, ELEMENTWISE) for reader in readers)
                and (stride := fields[node.name].stride) > (1, 1)
            ):
                found.setdefault(stride, node.name)
        return tuple(found.values())

    def shapes(self, size: tuple[int, int], nodes: tuple[Node, ...] | None = None) -> dict[str, Shape]:
        """{node name: (H, W, C)} for a picture of `size` (height, width). ShapeError names the node that cannot work."""
        shapes: dict[str, Shape] = {INPUT: (*size, 3)}
        for node in self.nodes if nodes is None else nodes:
            try:
                shapes[node.name] = node.layer.output_shape(*(shapes[name] for name in node.inputs))
            except ShapeError as error:
                raise ShapeError(
                    f"{node.name}: {error} — in {self.name} at {size[0]}×{size[1]} pixels (height × width)"
                ) from error
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

    def receptive_field(self) -> tuple[int, int]:
        """(height, width) of the input window that one value of the last node depends on."""
        before, after, _ = self.fields(self.nodes)[self.nodes[-1].name]
        return before[0] + after[0] + 1, before[1] + after[1] + 1

    def fields(self, nodes: tuple[Node, ...]) -> dict[str, Field]:
        """{node name: its receptive field}. UnsupportedError for a decoder's layers."""
        fields: dict[str, Field] = {INPUT: Field((0, 0), (0, 0), (1, 1))}
        for node in nodes:
            window, step = node.layer.receptive_field
            before = node.layer.padding
            after = window[0] - 1 - before[0], window[1] - 1 - before[1]
            inputs = [fields[name] for name in node.inputs]
            stride = inputs[0].stride
            fields[node.name] = Field(
                _further([field.before for field in inputs], before, stride),
                _further([field.after for field in inputs], after, stride),
                (stride[0] * step[0], stride[1] * step[1]),
            )
        return fields

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
