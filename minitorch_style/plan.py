"""A plan: one network lowered, for one picture size and set of taps, to fused steps over buffers allocated once.

`run` takes pixels to features, `run_back` the features' gradients to the pixels' gradient. A plan computes nothing that
no tap needs, keeps only what the way back reads, and lets maps and gradients share memory when they do not meet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from minitorch_style.errors import ShapeError, UnsupportedError
from minitorch_style.kernels.buffers import Array, Buffer, Gate, aligned
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.layers import (
    Add,
    Affine,
    AvgPool2d,
    Binarize,
    Concat,
    Conv2d,
    ConvTranspose2d,
    MaxPool2d,
    MaxUnpool2d,
    PReLU,
    ReLU,
    Shape,
)
from minitorch_style.memory import Life, arrange
from minitorch_style.networks import INPUT, Architecture, Node
from minitorch_style.steps import (
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

PIXELS = "pixels"
Inject = Callable[[str, Buffer, Buffer], None]


@dataclass(frozen=True)
class Normalisation:
    """What a network was trained to see: (pixels − mean) · scale per RGB channel, pixels in [0, 1]."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


@dataclass
class _Value:
    """A feature map between steps."""

    shape: Shape
    margin: int = 0
    slack: int = 0
    grad_margin: int = 0
    grad_slack: int = 0
    gate_slope: Array | None = None  # of an activation fused into the step that makes this value
    kept: bool = False  # until the way back
    readers: list[int] = field(default_factory=list)  # positions of the steps that read it


class Plan:
    """See the module. Attributes: `taps` (in network order), `steps`, `nbytes` (of its buffers, indices and packed
    weights; allocated at the first run).

    Raises ShapeError if the picture is too small for a layer, SettingsError for unknown taps, UnsupportedError if a
    forced algorithm cannot compute a layer it is named for.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, Array],
        normalisation: Normalisation,
        size: tuple[int, int],
        taps: Iterable[str],
        kernels: KernelSet,
        gradient: bool = True,
        algorithms: Mapping[str, str] | None = None,
    ) -> None:
        self.architecture, self.size, self.kernels, self.gradient = architecture, size, kernels, gradient
        self.taps = architecture.require_taps(taps)
        self._tapped = {architecture.taps[tap] for tap in self.taps}
        nodes = architecture.until(self.taps)
        shapes = architecture.shapes(size, nodes)
        self._values = {name: _Value(shape) for name, shape in shapes.items()}
        self._values[PIXELS] = _Value((*size, 3))
        scale = np.array(normalisation.scale, np.float32)
        offset = -np.array(normalisation.mean, np.float32) * scale
        self.steps: list[Step] = [AffineStep(INPUT, (PIXELS,), kernels, scale, offset)]
        self._lower(nodes, shapes, parameters, algorithms or {})
        self._survey()
        self._assign()
        self._buffers: list[Buffer] | None = None

    def _lower(
        self,
        nodes: tuple[Node, ...],
        shapes: dict[str, Shape],
        parameters: Mapping[str, Array],
        algorithms: Mapping[str, str],
    ) -> None:
        """Appends a step for each node, or one for a convolution and what alone reads it."""
        readers: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            for name in node.inputs:
                readers[name].append(node)
        fused: set[str] = set()
        for node in nodes:
            if node.name in fused:
                continue
            layer, kernels = node.layer, self.kernels
            if isinstance(layer, Conv2d):
                fused.update(self._convolution(node, layer, readers, shapes, parameters, algorithms.get(node.name)))
            elif isinstance(layer, MaxPool2d):
                self.steps.append(MaxPoolStep(node.name, node.inputs, kernels, layer, shapes[node.name]))
            elif isinstance(layer, AvgPool2d):
                self.steps.append(AveragePoolStep(node.name, node.inputs, kernels, layer))
            elif isinstance(layer, ReLU | PReLU):
                slope = _slope(node, shapes[node.name][2], parameters)
                assert slope is not None
                self.steps.append(LeakyStep(node.name, node.inputs, kernels, slope))
            elif isinstance(layer, Affine):
                weight, bias = parameters[f"{node.name}.weight"], parameters[f"{node.name}.bias"]
                self.steps.append(AffineStep(node.name, node.inputs, kernels, weight, bias))
            elif isinstance(layer, Binarize):
                threshold, low, high = (parameters[f"{node.name}.{name}"] for name in ("threshold", "low", "high"))
                self.steps.append(BinarizeStep(node.name, node.inputs, kernels, threshold, low, high))
            elif isinstance(layer, ConvTranspose2d | MaxUnpool2d) and self.gradient:
                raise UnsupportedError(f"{node.name}: decoders have no gradient")
            elif isinstance(layer, ConvTranspose2d):
                self.steps.append(
                    TransposedStep(
                        node.name,
                        node.inputs,
                        kernels,
                        kernels.convolution(
                            layer.adjoint,
                            np.ascontiguousarray(parameters[f"{node.name}.weight"].transpose(0, 1, 3, 2)),
                            None,
                            None,
                            shapes[node.name],
                            True,
                            algorithms.get(node.name),
                        ),
                        parameters.get(f"{node.name}.bias"),
                        layer.macs(shapes[node.inputs[0]]),
                    )
                )
            elif isinstance(layer, MaxUnpool2d):
                pool = next(step for step in self.steps if step.output == node.inputs[1])
                assert isinstance(pool, MaxPoolStep)
                self.steps.append(UnpoolStep(node.name, node.inputs[:1], kernels, pool))
            elif isinstance(layer, Concat):
                self.steps.append(ConcatStep(node.name, node.inputs, kernels))
            elif isinstance(layer, Add):
                self.steps.append(AddStep(node.name, node.inputs, kernels))
            else:
                raise AssertionError(f"no step for {layer}")
        self._values = {PIXELS: self._values[PIXELS], **{step.output: self._values[step.output] for step in self.steps}}

    def _convolution(
        self,
        node: Node,
        layer: Conv2d,
        readers: Mapping[str, list[Node]],
        shapes: dict[str, Shape],
        parameters: Mapping[str, Array],
        algorithm: str | None,
    ) -> set[str]:
        """Appends a convolution's step, which does what alone reads its output as well: an activation, and behind either
        a pool. The names of the nodes that are done with it."""
        name, slope, done = node.name, None, set()

        def only_reader() -> Node | None:
            return readers[name][0] if len(readers[name]) == 1 and name not in self._tapped else None

        following = only_reader()
        if following is not None:
            slope = _slope(following, layer.out_channels, parameters)
            if slope is not None and np.all(slope >= 0):  # so that the output's sign tells the input's
                name = following.name
                done.add(name)
            else:
                slope = None
        reader = only_reader()
        pool = reader.layer if reader is not None and isinstance(reader.layer, MaxPool2d | AvgPool2d) else None
        if reader is not None and any(isinstance(other.layer, MaxUnpool2d) for other in readers[reader.name]):
            pool = None  # an unpooling asks for its index
        kernel = self.kernels.convolution(
            layer,
            parameters[f"{node.name}.weight"],
            parameters.get(f"{node.name}.bias"),
            slope,
            shapes[node.inputs[0]],
            self.gradient,
            algorithm,
            pool,
        )
        if reader is not None and kernel.pooled:
            name = reader.name
            done.add(name)
            slope = slope if isinstance(pool, MaxPool2d) else None
        self._values[name].gate_slope = slope
        self.steps.append(ConvolutionStep(name, node.inputs, kernel, layer.macs(shapes[node.inputs[0]])))
        return done

    def _survey(self) -> None:
        """Finds what each value needs around it, who reads it, and what must last until the way back."""
        for position, step in enumerate(self.steps):
            for name in step.inputs:
                value = self._values[name]
                value.readers.append(position)
                if isinstance(step, ConvolutionStep):
                    value.margin = max(value.margin, step.kernel.input_margin)
                    value.slack = max(value.slack, step.kernel.input_slack)
                if isinstance(step, TransposedStep):
                    value.margin = max(value.margin, step.adjoint.grad_margin)
                    value.slack = max(value.slack, step.adjoint.grad_slack)
                if isinstance(step, LeakyStep | BinarizeStep):
                    value.kept = True
            made = self._values[step.output]
            if isinstance(step, ConvolutionStep):
                made.grad_margin, made.grad_slack = step.kernel.grad_margin, step.kernel.grad_slack
            if step.output in self._tapped:
                made.slack = max(made.slack, self.kernels.tap_slack(made.shape[2]))
            made.kept |= step.output in self._tapped or made.gate_slope is not None

    def _assign(self) -> None:
        """Gives each value and each gradient its place in memory. Step i runs at time i + 1, and back at `back(i)`."""
        end = 2 * len(self.steps) + 1

        def back(position: int) -> int:
            return end - 1 - position

        maker = {PIXELS: -1, **{step.output: position for position, step in enumerate(self.steps)}}
        lives: list[Life] = []
        self._places: dict[tuple[str, bool], int] = {}
        self._geometries: list[tuple[Shape, int, int]] = []

        def place(name: str, gradient: bool, margin: int, slack: int, first: int, last: int) -> None:
            geometry = (self._values[name].shape, margin, slack)
            self._places[name, gradient] = len(lives)
            self._geometries.append(geometry)
            lives.append(Life(Buffer.floats(*geometry), first, last))

        for name, value in self._values.items():
            made, readers = maker[name], value.readers
            last = max(readers, default=made) + 1
            if self.gradient and value.kept:
                last = back(min(readers, default=made))
            elif name in self._tapped:
                last = end
            place(name, False, value.margin, value.slack, made + 1, last)
            if self.gradient:
                until = back(made) if made >= 0 else end
                place(name, True, value.grad_margin, value.grad_slack, back(max(readers, default=made)), until)
        self._offsets, self._floats = arrange(lives)

    @property
    def nbytes(self) -> int:
        return 4 * self._floats + sum(step.nbytes for step in self.steps)

    def _allocated(self) -> list[Buffer]:
        if self._buffers is None:
            memory = aligned(self._floats)
            placed = zip(self._geometries, self._offsets, strict=True)
            self._buffers = [Buffer(*geometry, memory[offset:]) for geometry, offset in placed]
        return self._buffers

    def _buffer(self, name: str) -> Buffer:
        return self._allocated()[self._places[name, False]]

    def _gradient(self, name: str) -> Buffer:
        return self._allocated()[self._places[name, True]]

    def _gate(self, name: str) -> Gate | None:
        slope = self._values[name].gate_slope
        return None if slope is None else Gate(self._buffer(name), slope)

    def feature(self, tap: str) -> Buffer:
        """The activations at `tap`, of the last run, until `run_back` or the next run."""
        return self._buffer(self.architecture.taps[tap])

    def run(self, pixels: Array) -> None:
        """Computes the features of `pixels`, (H, W, 3) RGB in [0, 1]."""
        if pixels.shape != (*self.size, 3):
            raise ShapeError(f"plan for {self.size[0]}×{self.size[1]} pixels in RGB, got an array {pixels.shape}")
        self._buffer(PIXELS).interior[...] = pixels
        for step in self.steps:
            out = self._buffer(step.output)
            out.clear_margin()
            step.forward([self._buffer(name) for name in step.inputs], out)

    def run_back(self, inject: Inject) -> Array:
        """The pixels' gradient, (H, W, 3). For each tap, from the last to the first, `inject(tap, features, gradient)`
        is called to write the loss's gradient at that tap."""
        tap_of = {self.architecture.taps[tap]: tap for tap in self.taps}
        begun: set[str] = set()

        def begin(name: str) -> bool:
            """Lets a tap write its gradient first; tells whether there is something to add to."""
            if name not in begun:
                begun.add(name)
                self._gradient(name).clear_margin()
                if name not in tap_of:
                    return False
                inject(tap_of[name], self._buffer(name), self._gradient(name))
            return True

        for position in reversed(range(len(self.steps))):
            step = self.steps[position]
            made = step.output
            if made not in begun:  # the last of its branch: only a tap reads it
                begin(made)
                gate = self._gate(made)
                if gate is not None:
                    self.kernels.gate(self._gradient(made), gate)
            for which, name in enumerate(step.inputs):
                accumulate = begin(name)
                gate = self._gate(name) if self._values[name].readers[0] == position else None
                step.backward(
                    which,
                    [self._buffer(input_name) for input_name in step.inputs],
                    self._gradient(made),
                    self._gradient(name),
                    accumulate,
                    gate,
                )
        return self._gradient(PIXELS).interior.copy()

    def describe(self) -> list[dict[str, object]]:
        """One record a step: what computes it, on which shapes, with how many bytes and operations."""
        return [
            {
                "step": step.output,
                "algorithm": step.algorithm,
                "input": [self._values[name].shape for name in step.inputs],
                "output": self._values[step.output].shape,
                "bytes": 4 * Buffer.floats(self._values[step.output].shape, 0, 0) + step.nbytes,
                "gflop": 2e-9 * step.macs,
            }
            for step in self.steps
        ]


def _slope(node: Node, channels: int, parameters: Mapping[str, Array]) -> Array | None:
    """The slopes of an activation: zeros for a ReLU, None for any other layer."""
    if isinstance(node.layer, ReLU):
        return np.zeros(channels, np.float32)
    if isinstance(node.layer, PReLU):
        return parameters[f"{node.name}.weight"]
    return None
