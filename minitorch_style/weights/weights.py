"""Weights as numbers: parameters of one network with what it expects of its input. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.errors import WeightsError
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.layers import Affine, Binarize, Conv2d, ConvTranspose2d, PReLU
from minitorch_style.nn.registry import INPUT, Architecture

IMAGENET = InputNormalization(mean=(0.485, 0.456, 0.406), scale=(1 / 0.229, 1 / 0.224, 1 / 0.225))
LARGEST = 1e8  # of anything a weight file holds; losses take fourth powers of it, in single precision
LISTED = 40  # differences of one file that are listed
PRODUCT = "teacher_product."  # before a tap's name: the matrix in a file
PRODUCT_TOLERANCE = 1e-5  # of the largest entry or eigenvalue: what rounding to single precision may do


@dataclass(frozen=True)
class Weights:
    """Parameters of one network as a file holds them. `tap_scales` bring the features of a tap to a mean activation of
    1 where the parameters could not (1 for those not named); losses apply them.

    `teacher_products` hold, of a network that learnt from a teacher, a matrix Q (N, N) for each tap of N maps. With M the
    best linear map from its features to the teacher's and g the usual size of the teacher's mean Gram matrix, Q = MMᵀ/g:
    tr(QDQD) of a difference D of its own mean Gram matrices is the teacher's ‖difference‖² over g², about 1 between two
    unrelated pictures.
    """

    network: str
    parameters: Mapping[str, Float32]
    normalization: InputNormalization = IMAGENET
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    tap_scales: Mapping[str, float] = field(default_factory=dict)
    teacher_products: Mapping[str, Float32] = field(default_factory=dict)

    def named_products(self) -> dict[str, Float32]:
        """{name in a file: matrix} of the teacher's products."""
        return {
            PRODUCT + tap: np.ascontiguousarray(product, np.float32) for tap, product in self.teacher_products.items()
        }


def random_weights(architecture: Architecture, seed: int) -> Weights:
    """He initialisation (He et al. 2015) from `seed`: the same numbers on every machine. PReLU slopes are 1/4."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, Float32] = {}
    for node in architecture.nodes:
        for name, shape in node.parameter_shapes().items():
            if isinstance(node.layer, Conv2d | ConvTranspose2d) and name == "weight":
                value, deviation = np.empty(shape, np.float32), np.sqrt(2 / np.prod(shape[:3]))
                for line in value:  # not all at once in double
                    line[...] = rng.standard_normal(line.shape) * deviation
            elif isinstance(node.layer, PReLU):
                value = np.full(shape, 0.25)
            elif isinstance(node.layer, Binarize):  # 0 or 1, about the middle of a rectified normal value
                value = np.full(shape, {"threshold": 0.5, "low": 0.0, "high": 1.0}[name])
            else:
                value = np.full(shape, float(isinstance(node.layer, Affine) and name == "weight"))
            parameters[f"{node.name}.{name}"] = np.asarray(value, np.float32)
    source = {"source": f"He initialisation, seed {seed}"}
    return Weights(architecture.name, parameters, IMAGENET, source, trained=False)


def product_shapes(architecture: Architecture) -> dict[str, tuple[int, int]]:
    """{name in a file: (N, N)} of the teacher's products that a network may have; a decoder has none."""
    if INPUT not in architecture.nodes[0].inputs:
        return {}
    shapes = architecture.shapes((64, 64))  # maps are as many at every size
    return {PRODUCT + tap: (shapes[node][2], shapes[node][2]) for tap, node in architecture.taps.items()}


def products_among(arrays: Mapping[str, Float32]) -> dict[str, Float32]:
    """{tap: matrix} of the arrays in a file that are a teacher's products."""
    return {name.removeprefix(PRODUCT): array for name, array in arrays.items() if name.startswith(PRODUCT)}


def differences(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What distinguishes two sets of named shapes, a line each; no more than `LISTED` and how many are left."""
    lines = [f"missing {name} {expected[name]}" for name in expected if name not in found]
    lines += [f"extra {name:.80} {found[name]}" for name in found if name not in expected]
    lines += [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    return lines if len(lines) <= LISTED else [*lines[:LISTED], f"{len(lines) - LISTED} more"]


def not_finite(parameters: Mapping[str, Any]) -> str:
    """The names of arrays with values that are infinite or no numbers, as a text; empty if there are none."""
    return ", ".join(name for name, array in parameters.items() if not np.all(np.isfinite(array)))


def _require_product(tap: str, product: Float32) -> None:
    """Refuses a teacher's product that is none: MMᵀ is symmetric and positive semidefinite."""
    name, size = PRODUCT + tap, float(np.abs(product).max())
    if not size <= LARGEST:  # nor where it is not finite
        raise WeightsError(f"{name} holds values that are not finite numbers up to {LARGEST:.0e}")
    if not np.allclose(product, product.T, rtol=0, atol=PRODUCT_TOLERANCE * size):
        raise WeightsError(f"{name} is not symmetric")
    values = np.linalg.eigvalsh(product.astype(np.float64))
    if values[0] < -PRODUCT_TOLERANCE * max(values[-1], 0.0):
        raise WeightsError(f"{name} is not positive semidefinite")


def require_sound(weights: Weights) -> Weights:
    """`weights` as they came. WeightsError for numbers that no network can be computed with."""
    if bad := not_finite(weights.parameters):
        raise WeightsError(f"{bad} hold values that are not finite numbers")
    for name, array in weights.parameters.items():
        if array.size and max(array.max(), -array.min()) > LARGEST:
            raise WeightsError(f"{name} holds values beyond {LARGEST:.0e}")
    for tap, product in weights.teacher_products.items():
        _require_product(tap, product)
    normalization = weights.normalization
    if not all(abs(value) <= LARGEST for value in (*normalization.mean, *normalization.scale)):
        raise WeightsError(f"mean and scale should be finite numbers up to {LARGEST:.0e}, are {normalization}")
    if not all(abs(value) >= 1 / LARGEST for value in normalization.scale):
        raise WeightsError(f"scale should be at least {1 / LARGEST:.0e}, is {normalization.scale}")
    if bad := ", ".join(
        f"{tap:.80}" for tap, factor in weights.tap_scales.items() if not 1 / LARGEST <= factor <= LARGEST
    ):
        raise WeightsError(f"the scale of {bad} is no positive number from {1 / LARGEST:.0e} to {LARGEST:.0e}")
    return weights
