"""Where the values of a plan and their gradients lie: what each needs around it, and when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minitorch_style.arrays import Float32
from minitorch_style.engine.allocation import Lifetime, arrange
from minitorch_style.engine.steps import BARE, Border, Step
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import LINE, Buffer
from minitorch_style.nn.layers import Shape


@dataclass
class Value:
    """A feature map between steps, made by step number `maker` (−1: from outside)."""

    shape: Shape
    maker: int
    border: Border = BARE
    grad_border: Border = BARE
    saved: bool = False  # for the backward pass
    readers: list[int] = field(default_factory=list)  # positions of the steps that read it


def survey(
    source: str, steps: list[Step], shapes: Mapping[str, Shape], tapped: frozenset[str], kernels: KernelSet
) -> dict[str, Value]:
    """{name: value} for `source`, that the first step reads, and for what each step makes."""
    values = {source: Value(shapes[source], -1)}
    for position, step in enumerate(steps):
        for name in step.inputs:
            value = values[name]
            value.readers.append(position)
            value.border = value.border.joined(step.input_border)
            value.saved |= step.saves_inputs
        made = Value(shapes[step.output], position, grad_border=step.grad_border)
        made.saved = step.gate_slope is not None
        if step.output in tapped:
            made.saved, made.border = True, Border(0, kernels.tap_slack(made.shape[2]))
        values[step.output] = made
    return values


class Layout:
    """Each value's place in one block of memory of `floats`, and its gradient's. Step i runs at time i + 1, and back at
    `back(i)`; what is never needed at one time may overlap. Nothing is allocated.

    A `source` that others write, and whose gradient they read, between the plan's runs is at the bottom, and so is the
    gradient: beyond the first `lasting` floats all is free then."""

    def __init__(self, values: Mapping[str, Value], tapped: frozenset[str], gradient: bool, source: str | None) -> None:
        self._places: dict[tuple[str, bool], int] = {}
        self._geometries: list[tuple[Shape, int, int]] = []
        lifetimes: list[Lifetime] = []
        end = 2 * (len(values) - 1) + 1

        def back(position: int) -> int:
            return end - 1 - position

        def place(name: str, of_gradient: bool, border: Border, first: int, last: int) -> None:
            geometry = (values[name].shape, *border)
            self._places[name, of_gradient] = len(lifetimes)
            self._geometries.append(geometry)
            lifetimes.append(Lifetime(Buffer.floats(*geometry), first, last))

        for name, value in values.items():
            made, readers = value.maker, value.readers
            last = max(readers, default=made) + 1
            if gradient and value.saved:
                last = back(min(readers, default=made))
            elif name in tapped:
                last = end
            place(name, False, value.border, made + 1, last)
            if gradient:
                until = back(made) if made >= 0 else end
                place(name, True, value.grad_border, back(max(readers, default=made)), until)
        lasting = [number for (name, _), number in self._places.items() if name == source]
        self._offsets, self.floats = arrange(lifetimes, lasting)
        until = max((self._offsets[number] + lifetimes[number].floats for number in lasting), default=0)
        self.lasting = -(-until // LINE) * LINE

    def allocate(self, memory: Float32) -> list[Buffer]:
        """The buffers, in a block of memory; `number` tells which is which."""
        placed = zip(self._geometries, self._offsets, strict=True)
        return [Buffer(*geometry, memory[offset:]) for geometry, offset in placed]

    def number(self, name: str, gradient: bool) -> int:
        return self._places[name, gradient]
