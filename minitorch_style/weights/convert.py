"""State dict → weights of a network: explicit tables of names, batch norm folded, shapes strict in both directions.

Known are, each by its exact names (layers of a classifier or decoder apart):

* torchvision's VGG-16 and VGG-19, with or without batch norm: `features.N.weight`;
* VGG encoders behind a 1×1 convolution on RGB in [0, 1], keys `0, 2, 5, …` or `conv0, conv11, …`: that layer becomes the
  input normalization, and what it mixes of the channels goes into the first 3×3 convolution;
* networks of our own training code: the engine's node names, a batch norm behind NODE named NODE_norm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import CheckpointError, WeightsError
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.layers import Affine, Conv2d, ConvTranspose2d, MaxPool2d
from minitorch_style.nn.registry import INPUT, NETWORKS, Architecture, architecture
from minitorch_style.weights.weights import IMAGENET, Weights, differences, require_sound

# What a checkpoint may hold besides the network, and is left out: classifiers and decoders, PyTorch's batch counters, maps
# that only training used, and the layers of a VGG beyond the last one wanted.
LEFT_OUT = re.compile(
    r"classifier\.|decoder\.|.*\.num_batches_tracked$|conv\d\d_aux\.|features\.\d+\.|conv\d\d\.|conv\d_\d(_norm)?\.|\d+\."
)

State = Mapping[str, npt.NDArray[Any]]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scheme:
    """How a family of checkpoints names things: {convolution: key}, {convolution: key of the batch norm behind it}, and
    the key of a 1×1 convolution before the network."""

    name: str
    convolutions: Mapping[str, str]
    norms: Mapping[str, str] = field(default_factory=dict)
    before: str | None = None

    def matches(self, state: State) -> bool:
        needed = {f"{key}.weight" for key in (*self.convolutions.values(), *self.norms.values())}
        needed |= {f"{key}.running_mean" for key in self.norms.values()}
        if self.before is not None:
            needed.add(f"{self.before}.weight")
        return needed <= set(state)

    def keys(self) -> set[str]:
        """The layers that this scheme reads."""
        return {*self.convolutions.values(), *self.norms.values(), *([self.before] if self.before else [])}


def schemes(target: Architecture) -> list[Scheme]:
    """Every scheme by which a checkpoint could hold this network."""
    convolutions = [node for node in target.nodes if isinstance(node.layer, Conv2d | ConvTranspose2d)]
    own_norms = {node.name: f"{node.name}_norm" for node in convolutions if node.batch_norm}
    own = {node.name: node.name for node in convolutions}
    found = [Scheme("our training code", own, own_norms), Scheme("our training code, no batch norm", own)]
    if all(name.startswith("conv") for name in own):  # a VGG
        # Places in a Sequential: convolution, ReLU; with a batch norm between; with a padding layer before.
        plain, normed, padded = (_positions(target, places) for places in (2, 3, 3))
        features = {name: f"features.{index}" for name, index in normed.items()}
        norms = {name: f"features.{index + 1}" for name, index in normed.items()}
        found += [
            Scheme("torchvision with batch norm", features, norms),
            Scheme("torchvision", {name: f"features.{index}" for name, index in plain.items()}),
            Scheme("a VGG behind conv0", {name: f"conv{name[4]}{name[6]}" for name in own}, before="conv0"),
            Scheme("a VGG behind layer 0", {name: str(index + 2) for name, index in padded.items()}, before="0"),
        ]
    return found


def _positions(target: Architecture, places: int) -> dict[str, int]:
    """{convolution: its index} in a Sequential where a convolution with what belongs to it takes so many places, and a
    pool one."""
    names, index = {}, 0
    for node in target.nodes:
        if isinstance(node.layer, Conv2d):
            names[node.name] = index
            index += places
        elif isinstance(node.layer, MaxPool2d):
            index += 1
    return names


def _folded(state: State, conv: str, norm: str | None, eps: float, turned: bool = False) -> tuple[Doubles, Doubles]:
    """Weight (out, in, kh, kw) and bias with the batch norm after it: w·γ/√(σ²+ε), (b − μ)·γ/√(σ²+ε) + β. `turned`:
    the checkpoint has it as (in, out, kh, kw), a transposed convolution."""
    weight = state[f"{conv}.weight"].astype(np.float64)
    if weight.ndim != 4:
        raise CheckpointError(f"{conv}.weight: expected (out, in, kh, kw), got {weight.shape}")
    if turned:
        weight = weight.transpose(1, 0, 2, 3)
    bias = state[f"{conv}.bias"].astype(np.float64) if f"{conv}.bias" in state else np.zeros(weight.shape[0])
    if norm is None:
        return weight, bias
    gain, shift = _norm(state, norm, eps)
    if gain.shape != bias.shape or shift.shape != bias.shape:
        raise CheckpointError(f"{norm}: a batch norm of {gain.shape} behind a convolution of {weight.shape}")
    return weight * gain[:, None, None, None], bias * gain + shift


def _norm(state: State, norm: str, eps: float) -> tuple[Doubles, Doubles]:
    """Scale and shift that a batch norm applies at inference."""
    parts = {}
    for name in ("weight", "bias", "running_mean", "running_var"):
        if f"{norm}.{name}" not in state:
            raise CheckpointError(f"missing {norm}.{name}")
        parts[name] = state[f"{norm}.{name}"].astype(np.float64)
    gain = parts["weight"] / np.sqrt(parts["running_var"] + eps)
    return gain, parts["bias"] - parts["running_mean"] * gain


def _input_convolution(state: State, key: str) -> tuple[Doubles, InputNormalization]:
    """A 1×1 convolution M·x + b before the first layer as (M, normalization): M·(x + M⁻¹b), so mean = −M⁻¹b. Exact at
    the borders too, where zeros are padded after it."""
    weight, bias = _folded(state, key, None, 0)
    if weight.shape != (3, 3, 1, 1) or bias.shape != (3,):
        raise CheckpointError(f"{key}: expected a 1×1 convolution of 3 channels, got {weight.shape}")
    matrix = weight[:, :, 0, 0]
    try:
        red, green, blue = (float(value) for value in -np.linalg.solve(matrix, bias))
    except np.linalg.LinAlgError as error:
        raise CheckpointError(f"{key}: the input convolution cannot be undone ({error})") from error
    return matrix, InputNormalization((red, green, blue), (1.0, 1.0, 1.0))


def _engine_layout(weight: Doubles) -> Float32:
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0), np.float32)


def _misfits(state: State, found: Scheme, target: Architecture) -> list[str]:
    """Kernels whose shape is not the target's, known before anything is computed from them."""
    lines = []
    for node in target.nodes:
        if isinstance(node.layer, Conv2d | ConvTranspose2d):
            key = f"{found.convolutions[node.name]}.weight"
            height, width, inputs, outputs = node.parameter_shapes()["weight"]
            maps = (inputs, outputs) if isinstance(node.layer, ConvTranspose2d) else (outputs, inputs)
            if state[key].shape != (*maps, height, width):
                lines.append(f"{key} is {state[key].shape}, expected {(*maps, height, width)}")
    return lines


def convert(state: State, target: Architecture) -> Weights:
    """The weights for `target`. CheckpointError with what is missing, extra or of another shape."""
    with np.errstate(all="ignore"):  # numbers that are not finite are refused, below
        return _converted(state, target)


def _converted(state: State, target: Architecture) -> Weights:
    found = next((scheme for scheme in schemes(target) if scheme.matches(state)), None)
    if found is None:
        own = [f"{node.name}.weight" for node in target.nodes if isinstance(node.layer, Conv2d)]
        missing = [name for name in own if name not in state]
        begin = ", ".join(f"{key:.80}" for key in list(state)[:5])
        raise CheckpointError(
            f"no known checkpoint of {target.name}: it holds {begin} …; under the engine's own names "
            f"{len(missing)} of {len(own)} convolutions are missing ({', '.join(missing[:4])} …)"
        )
    own_layers = {name.rsplit(".", 1)[0] for name in target.parameter_shapes()}
    known = found.keys() | own_layers
    extra = [key for key in state if key.rsplit(".", 1)[0] not in known and not LEFT_OUT.match(key)]
    if extra:
        listed = ", ".join(f"{key:.80} {state[key].shape}" for key in extra[:8])
        raise CheckpointError(f"holds what {target.name} does not have: {listed}{' …' if len(extra) > 8 else ''}")
    if misfits := _misfits(state, found, target):
        raise CheckpointError(f"does not fit {target.name}: {'; '.join(misfits)}")
    matrix, normalization = (None, IMAGENET) if found.before is None else _input_convolution(state, found.before)
    eps = 1e-3 if target.name == "enet" else 1e-5  # as in the networks' publications
    parameters: dict[str, Float32] = {}
    for node in target.nodes:
        shapes = node.parameter_shapes()
        if isinstance(node.layer, Conv2d | ConvTranspose2d):
            turned = isinstance(node.layer, ConvTranspose2d)
            weight, bias = _folded(state, found.convolutions[node.name], found.norms.get(node.name), eps, turned)
            if matrix is not None and INPUT in node.inputs:
                if weight.shape[1] != 3:
                    raise CheckpointError(f"{node.name}: expected 3 input channels, got {weight.shape[1]}")
                weight = np.einsum("oikl,ij->ojkl", weight, matrix)
            parameters[f"{node.name}.weight"] = _engine_layout(weight)
            if "bias" in shapes:
                parameters[f"{node.name}.bias"] = bias.astype(np.float32)
            continue
        if isinstance(node.layer, Affine) and f"{node.name}.running_mean" in state:  # trained as a batch norm
            gain, shift = _norm(state, node.name, eps)
            parameters[f"{node.name}.weight"], parameters[f"{node.name}.bias"] = (
                values.astype(np.float32) for values in (gain, shift)
            )
            continue
        for name in shapes:
            key = f"{node.name}.{name}"
            if key not in state:
                raise CheckpointError(f"missing {key} {shapes[name]}")
            parameters[key] = state[key].astype(np.float32)
    expected = target.parameter_shapes()
    problems = differences(expected, {name: array.shape for name, array in parameters.items()})
    if problems:
        raise CheckpointError(f"does not fit {target.name}: {'; '.join(problems)}")
    return require_sound(Weights(target.name, parameters, normalization))


def fitting_networks(state: State) -> list[str]:
    """The names of all networks that a state dict can be converted to."""
    fitting = []
    for name in NETWORKS:
        try:
            convert(state, architecture(name))
        except WeightsError:
            continue
        fitting.append(name)
    return fitting
