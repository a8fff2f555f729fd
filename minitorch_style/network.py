"""A network with its numbers: what `load_network` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.networks import Architecture
from minitorch_style.plan import Normalisation, Plan


@dataclass
class Network:
    """An architecture, its parameters {"node.parameter": array}, and what it expects of its input.

    `provenance` tells where the numbers are from; `trained` is False for seeded random ones.
    """

    architecture: Architecture
    parameters: Mapping[str, Array]
    normalisation: Normalisation
    kernels: KernelSet = field(default_factory=kernel_set)
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True

    @property
    def name(self) -> str:
        return self.architecture.name

    def plan(
        self,
        size: tuple[int, int],
        taps: Iterable[str],
        gradient: bool = True,
        algorithms: Mapping[str, str] | None = None,
    ) -> Plan:
        """The plan for pictures of `size` (height, width); `algorithms` forces one for named convolutions."""
        return Plan(
            self.architecture, self.parameters, self.normalisation, size, taps, self.kernels, gradient, algorithms
        )

    def features(self, pixels: Array, taps: Iterable[str]) -> dict[str, Array]:
        """{tap: (H', W', C) float32} of `pixels`, (H, W, 3) RGB in [0, 1]. ShapeError, SettingsError as for Plan."""
        plan = self.plan((pixels.shape[0], pixels.shape[1]), taps, gradient=False)
        plan.run(pixels)
        return {tap: plan.feature(tap).interior.copy() for tap in plan.taps}
