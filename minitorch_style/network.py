"""A network with its numbers, and how to load one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from minitorch_style.errors import SettingsError
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.buffers import Array
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.library import find_weights
from minitorch_style.networks import Architecture, architecture
from minitorch_style.plan import Normalisation, Plan

POOLINGS = ("max", "average")


@dataclass
class Network:
    """An architecture, its parameters {"node.parameter": array}, and what it expects of its input.

    `provenance` tells where the numbers are from; `trained` is False for seeded random ones. `tap_scales` are those of
    `Weights`: features come unscaled, losses apply them.
    """

    architecture: Architecture
    parameters: Mapping[str, Array]
    normalisation: Normalisation
    kernels: KernelSet = field(default_factory=kernel_set)
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    tap_scales: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.architecture.name

    def until(self, taps: Iterable[str]) -> Network:
        """The same network, that holds only what these taps are computed from."""
        nodes = {node.name for node in self.architecture.until(taps)}
        needed = {name: array for name, array in self.parameters.items() if name.rpartition(".")[0] in nodes}
        return replace(self, parameters=needed)

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


def load_network(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    kernels: str = "auto",
    pooling: str = "max",
) -> Network:
    """The network `name` (see `minitorch_style networks`) with weights from an HDF5 file, from `random:SEED` (He
    initialisation), or by default those that come with the package.

    `kernels`: auto, numba or numpy. `pooling`: average replaces every max-pool, as Gatys et al. prefer.
    Raises SettingsError for unknown names, WeightsError for files that do not fit, UnsupportedError for kernels that
    cannot run here.
    """
    if pooling not in POOLINGS:
        raise SettingsError(f"pooling {pooling!r}; there are {' and '.join(POOLINGS)}")
    layers = architecture(name)
    found = find_weights(layers, weights)
    if pooling == "average":
        layers = layers.with_average_pooling()
    return Network(
        layers,
        found.parameters,
        found.normalisation,
        kernel_set(kernels),
        found.provenance,
        found.trained,
        found.tap_scales,
    )
