"""A network with its numbers, and how to load one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from minitorch_style.arrays import Float32
from minitorch_style.engine.plan import Plan
from minitorch_style.errors import SettingsError
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.api import KernelSet
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.layers import AvgPool2d
from minitorch_style.nn.registry import Architecture, architecture
from minitorch_style.weights.store import find_weights, network_for

POOLINGS = ("max", "average")


@dataclass
class Network:
    """An architecture, its parameters {"node.parameter": array}, and what it expects of its input.

    `provenance` tells where the numbers are from; `trained` is False for seeded random ones. `tap_scales` and
    `teacher_products` are those of `Weights`: features come unscaled, losses apply them. `weights` is what `load_network`
    was given: a file, `random:SEED`, or None for those that come with the package.

        >>> network = ms.load_network("distilled")
        >>> features = network.features(ms.load_picture("photo.jpg", 64).pixels, ["conv1_1", "conv3_1"])
        >>> features["conv3_1"].shape
        (10, 16, 32)
    """

    architecture: Architecture
    parameters: Mapping[str, Float32]
    normalization: InputNormalization
    kernels: KernelSet = field(default_factory=kernel_set)
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    tap_scales: Mapping[str, float] = field(default_factory=dict)
    teacher_products: Mapping[str, Float32] = field(default_factory=dict)
    weights: str | None = "in memory"

    @property
    def pooling(self) -> str:
        """One of POOLINGS."""
        return "average" if any(isinstance(node.layer, AvgPool2d) for node in self.architecture.nodes) else "max"

    @property
    def name(self) -> str:
        return self.architecture.name

    @property
    def nbytes(self) -> int:
        """Of all parameters."""
        return sum(array.nbytes for array in self.parameters.values())

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
        since: str | None = None,
        over: Plan | None = None,
    ) -> Plan:
        """The plan for pictures of `size` (height, width); `algorithms` forces one for named convolutions, `since` is the
        node that it begins behind, `over` the plan in whose memory it lies."""
        return Plan(self.architecture, self.parameters, self.normalization, size, taps, self.kernels, gradient,
                    algorithms, since, over)  # fmt: skip

    def features(self, pixels: Float32, taps: Iterable[str]) -> dict[str, Float32]:
        """{tap: (H', W', C) float32} of `pixels`, (H, W, 3) RGB in [0, 1]. ShapeError, SettingsError as for Plan."""
        plan = self.plan((pixels.shape[0], pixels.shape[1]), taps, gradient=False)
        plan.run(pixels)
        return {tap: plan.feature(tap).interior.copy() for tap in plan.taps}


def load_network(
    name: str | None,
    weights: str | os.PathLike[str] | None = None,
    kernels: str = "auto",
    pooling: str = "max",
) -> Network:
    """The network `name` (see `minitorch_style networks`) with weights from an HDF5 file, from `random:SEED` (He
    initialisation), or by default those that come with the package. Without a name it is the network that the file is
    for.

    `kernels`: auto, numba or numpy. `pooling`: average replaces every max-pool, as Gatys et al. prefer.
    Raises SettingsError for unknown names, WeightsError for files that do not fit, UnsupportedError for kernels that
    cannot run here.

        >>> ms.load_network("distilled").trained
        True
        >>> ms.load_network("distilled", weights="random:7").trained
        False
    """
    if pooling not in POOLINGS:
        raise SettingsError(f"pooling {pooling!r}; there are {' and '.join(POOLINGS)}")
    layers = architecture(network_for(weights) if name is None else name)
    found = find_weights(layers, weights)
    if pooling == "average":
        layers = layers.with_average_pooling()
    return Network(
        layers,
        found.parameters,
        found.normalization,
        kernel_set(kernels),
        found.provenance,
        found.trained,
        found.tap_scales,
        found.teacher_products,
        None if weights is None else os.fspath(weights),
    )
