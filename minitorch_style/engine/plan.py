"""A plan: one network lowered, for one picture size and set of taps, to fused steps over buffers allocated once.

`run` takes pixels to features, `run_back` the features' gradients to the pixels' gradient. A plan computes nothing that
no tap needs, saves only what the backward pass reads, and lets maps and gradients share memory when they do not meet. It is
cheap to make: buffers are allocated and weights packed when it first runs. Pickled, it is what it was made of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.layout import Layout, survey
from minitorch_style.engine.lowering import Graph, lower
from minitorch_style.engine.steps import AffineStep, Step
from minitorch_style.errors import ShapeError
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Buffer, Gate, aligned
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.layers import Shape
from minitorch_style.nn.registry import INPUT, Architecture

PIXELS = "pixels"
Inject = Callable[[str, Buffer, Buffer], None]
# (position of a step, which input's gradient or None for forward, seconds) after each.
OnStep = Callable[[int, int | None, float], None]


@dataclass(frozen=True)
class _Forward:
    """One step, with its buffers."""

    step: Step
    inputs: list[Buffer]
    out: Buffer


@dataclass(frozen=True)
class _Begin:
    """A gradient is written for the first time: its margin is cleared, and a loss that taps it comes first. A `gate` is
    that of an output that no step reads, which would apply it."""

    gradient: Buffer
    tap: str | None
    features: Buffer
    gate: Gate | None


@dataclass(frozen=True)
class _Backward:
    """The gradient of input `which` of the step at `position`, after some gradients have begun."""

    begins: list[_Begin]
    position: int
    step: Step
    which: int
    inputs: list[Buffer]
    dy: Buffer
    dx: Buffer
    accumulate: bool
    gate: Gate | None


class Plan:
    """See the module. Attributes: `taps` (in network order), `size`, `kernels`, `steps`, `largest` (values of a layer's output at
    most), `nbytes` (of its buffers, indices and packed weights, known before any is allocated).

    With `since` it begins behind that node, through which all that follows must see the picture (`Architecture.necks`): the
    node's output for pictures of this size takes the place of pixels. The plan that gives it that output, and takes its
    gradient, may lie `over` it, in the same memory: neither runs while what the other has made is wanted.

    Raises ShapeError if the picture is too small for a layer, SettingsError for unknown taps, UnsupportedError if a
    forced algorithm cannot compute a layer it is named for.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Mapping[str, Float32],
        normalization: InputNormalization,
        size: tuple[int, int],
        taps: Iterable[str],
        kernels: KernelSet,
        gradient: bool = True,
        algorithms: Mapping[str, str] | None = None,
        since: str | None = None,
        over: Plan | None = None,
    ) -> None:
        self.architecture, self.size, self.kernels, self.gradient = architecture, size, kernels, gradient
        self.taps = architecture.require_taps(taps)
        nodes = architecture.until(self.taps)
        shapes = {PIXELS: (*size, 3), **architecture.shapes(size, nodes)}
        if since is not None:
            nodes = nodes[[node.name for node in nodes].index(since) + 1 :]
        names = {node.name for node in nodes}
        needed = {name: array for name, array in parameters.items() if name.rpartition(".")[0] in names}
        self._made_of = (architecture, needed, normalization, size, self.taps, kernels, gradient, algorithms,
                         since)  # fmt: skip
        self._tap_of = {architecture.taps[tap]: tap for tap in self.taps}
        tapped = frozenset(self._tap_of)
        self.largest = max(math.prod(shapes[node.name]) for node in nodes)
        scale = np.array(normalization.scale, np.float32)
        offset = -np.array(normalization.mean, np.float32) * scale
        first = [AffineStep(INPUT, (PIXELS,), kernels, scale, offset)] if since is None else []
        self.steps = lower(Graph(nodes, shapes, needed, kernels, gradient, tapped, algorithms or {}, [*first]))
        self._source = PIXELS if since is None else since
        self._values = survey(self._source, self.steps, shapes, tapped, kernels)
        self._layout = Layout(self._values, tapped, gradient, since)
        self._over, self._lent = over, 0
        if over is not None:
            over._lent = max(over._lent, self._layout.floats)
        self._memory: Float32 | None = None
        self._buffers: list[Buffer] | None = None
        self._forward: list[_Forward] = []
        self._backward: list[_Backward] = []

    def __reduce__(self) -> tuple[type[Plan], tuple[Any, ...]]:
        return Plan, self._made_of

    @property
    def working_bytes(self) -> int:
        """What it goes through, also in the memory of another."""
        return 4 * self._layout.floats + sum(step.nbytes for step in self.steps)

    @property
    def nbytes(self) -> int:
        floats = 0 if self._over is not None else max(self._layout.floats, self._layout.lasting + self._lent)
        return 4 * floats + sum(step.nbytes for step in self.steps)

    def _block(self) -> Float32:
        """The memory that its buffers lie in."""
        if self._over is not None:
            return self._over._block()[self._over._layout.lasting :]
        if self._memory is None:
            self._memory = aligned(max(self._layout.floats, self._layout.lasting + self._lent))
        return self._memory

    def _allocated(self) -> list[Buffer]:
        """All buffers; with them, when they are made, what `run` and `run_back` go through."""
        if self._buffers is None:
            self._buffers = self._layout.allocate(self._block())
            self._forward = [
                _Forward(step, [self._buffer(name) for name in step.inputs], self._buffer(step.output))
                for step in self.steps
            ]
            self._backward = list(self._back()) if self.gradient else []
        return self._buffers

    def _buffer(self, name: str, gradient: bool = False) -> Buffer:
        return self._allocated()[self._layout.number(name, gradient)]

    def _gate(self, name: str) -> Gate | None:
        maker = self._values[name].maker
        slope = self.steps[maker].gate_slope if maker >= 0 else None
        return None if slope is None else Gate(self._buffer(name), slope)

    def _back(self) -> Iterable[_Backward]:
        """The steps from the last to the first, and what each of them does for each of its inputs."""
        begun: set[str] = set()

        def begin(name: str, gate: Gate | None = None) -> list[_Begin]:
            if name in begun:
                return []
            begun.add(name)
            return [_Begin(self._buffer(name, True), self._tap_of.get(name), self._buffer(name), gate)]

        for position in reversed(range(len(self.steps))):
            step, forward = self.steps[position], self._forward[position]
            # An output whose gradient has not begun is the last of its branch: only a tap reads it.
            begins = begin(step.output, self._gate(step.output))
            for which, name in enumerate(step.inputs):
                accumulate = name in begun or name in self._tap_of
                begins += begin(name)
                last = self._values[name].readers[0] == position
                yield _Backward(
                    begins, position, step, which, forward.inputs, self._buffer(step.output, True),
                    self._buffer(name, True), accumulate, self._gate(name) if last else None,
                )  # fmt: skip
                begins = []

    def feature(self, tap: str) -> Buffer:
        """The activations at `tap`, of the last run, until `run_back` or the next run."""
        return self._buffer(self.architecture.taps[tap])

    def shape(self, tap: str) -> Shape:
        """(H', W', C) of the activations at `tap`."""
        return self._values[self.architecture.taps[tap]].shape

    def run(self, pixels: Float32, on_step: OnStep | None = None) -> None:
        """Computes the features of `pixels`, (H, W, 3) RGB in [0, 1]. ShapeError for another size."""
        if pixels.shape != (*self.size, 3):
            raise ShapeError(f"plan for {self.size[0]}×{self.size[1]} pixels in RGB, got an array {pixels.shape}")
        self.source.interior[...] = pixels
        self.forward(on_step)

    @property
    def source(self) -> Buffer:
        """What it begins with, to be written before `forward`."""
        return self._buffer(self._source)

    @property
    def source_gradient(self) -> Buffer:
        """The gradient there, from `backward` on until it runs again."""
        return self._buffer(self._source, True)

    def forward(self, on_step: OnStep | None = None) -> None:
        """Computes the features of what has been written to `source`."""
        self.source.clear_margin()
        for position, now in enumerate(self._forward):
            now.out.clear_margin()
            begun = time.perf_counter()
            now.step.forward(now.inputs, now.out)
            if on_step is not None:
                on_step(position, None, time.perf_counter() - begun)

    def run_back(self, inject: Inject, on_step: OnStep | None = None) -> Float32:
        """The pixels' gradient, (H, W, 3), see `backward`."""
        self.backward(inject, on_step)
        return self.source_gradient.interior.copy()

    def backward(self, inject: Inject, on_step: OnStep | None = None) -> None:
        """The gradient of what it begins with. For each tap, from the last to the first, `inject(tap, features, gradient)`
        is called to write the loss's gradient at that tap."""
        assert self._buffers is not None, "run before run_back"
        for now in self._backward:
            for start in now.begins:
                start.gradient.clear_margin()
                if start.tap is not None:
                    inject(start.tap, start.features, start.gradient)
                if start.gate is not None:
                    self.kernels.gate(start.gradient, start.gate)
            begun = time.perf_counter()
            now.step.backward(now.which, now.inputs, now.dy, now.dx, now.accumulate, now.gate)
            if on_step is not None:
                on_step(now.position, now.which, time.perf_counter() - begun)

    def describe(self) -> list[dict[str, object]]:
        """One record a step: what computes it, on which shapes, with how many bytes and operations."""
        return [
            {
                "step": step.output,
                "algorithm": step.label,
                "input": [self._values[name].shape for name in step.inputs],
                "output": self._values[step.output].shape,
                "bytes": 4 * Buffer.floats(self._values[step.output].shape, 0, 0) + step.nbytes,
                "gflop": 2e-9 * step.macs,
            }
            for step in self.steps
        ]
