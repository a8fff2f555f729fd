"""PyTorch checkpoint → weight file, then the same picture through PyTorch and through the engine.

    python tools/convert_torch.py CHECKPOINT NETWORK OUT.h5

Known checkpoints, each recognised by its exact set of keys (classifier layers apart):

* torchvision's VGG-16 and VGG-19 (`features.N.weight`), with or without batch norm;
* VGG encoders whose first layer is a 1×1 convolution on RGB in [0, 1] (keys `0, 2, 5, …` or `conv0, conv11, …`): that
  layer becomes the input normalisation, and what it mixes of the channels goes into the first 3×3 convolution;
* the networks of tools/training, whose keys are the engine's node names.

Batch norm is folded. Above a relative difference of 1e-3 at any tap nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch.nn import functional

from minitorch_style.errors import CheckpointError, StyleError
from minitorch_style.kernels import kernel_set
from minitorch_style.layers import Add, Affine, Concat, Conv2d, MaxPool2d, PReLU, ReLU
from minitorch_style.network import Network
from minitorch_style.networks import INPUT, Architecture, architecture
from minitorch_style.plan import Normalisation
from minitorch_style.weights import IMAGENET, Weights, differences, save_weights

TOLERANCE = 1e-3
State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """The state dict in a checkpoint, wherever it hides; nothing in the file is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds; each means the same to the user
        raise CheckpointError(f"{path}: not a checkpoint that PyTorch reads safely ({error})") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no state dict (a mapping of names to tensors)")
    return dict(content)


def _convolutions(target: Architecture) -> list[str]:
    return [node.name for node in target.nodes if isinstance(node.layer, Conv2d)]


def _torchvision_names(target: Architecture, batch_norm: bool) -> dict[str, str]:
    """{engine's convolution: key in torchvision's `features`}; each layer of the Sequential counts one."""
    names, index = {}, 0
    for node in target.nodes:
        if isinstance(node.layer, Conv2d):
            names[node.name] = f"features.{index}"
            index += 2 if batch_norm else 1
        else:
            index += 1
    return names


def _folded(state: State, conv: str, norm: str | None, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of `conv` with the batch norm `norm` after it: w·γ/√(σ²+ε), (b − μ)·γ/√(σ²+ε) + β."""
    weight = state[f"{conv}.weight"].double()
    bias = state[f"{conv}.bias"].double() if f"{conv}.bias" in state else torch.zeros(weight.shape[0]).double()
    if norm is None:
        return weight, bias
    gain = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + eps)
    shift = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    return weight * gain[:, None, None, None], bias * gain + shift


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A convolution's (out, in, kh, kw) as the engine's (kh, kw, in, out); vectors as they are."""
    values = tensor.permute(2, 3, 1, 0) if tensor.dim() == 4 else tensor
    return np.ascontiguousarray(values.numpy(), np.float32)


def _with_input_convolution(
    state: State, source: Mapping[str, str], first: str, target: Architecture
) -> tuple[dict[str, np.ndarray], Normalisation]:
    """Takes in a 1×1 convolution M·x + b before the first layer: M·(x + M⁻¹b), so mean = −M⁻¹b, and M goes into the
    first convolution's weights. Exact at the borders too, where zeros are padded after it."""
    matrix, offset = state[f"{first}.weight"][:, :, 0, 0].double(), state[f"{first}.bias"].double()
    mean = -torch.linalg.solve(matrix, offset)
    parameters = {}
    for name, key in source.items():
        weight, bias = _folded(state, key, None, 0)
        if INPUT in target.node(name).inputs:
            weight = torch.einsum("oikl,ij->ojkl", weight, matrix)
        parameters[f"{name}.weight"], parameters[f"{name}.bias"] = _array(weight), _array(bias)
    red, green, blue = mean.tolist()
    return parameters, Normalisation((red, green, blue), (1.0, 1.0, 1.0))


def _from_own_training(state: State, target: Architecture) -> tuple[dict[str, np.ndarray], Normalisation]:
    """Keys are the engine's: NODE.weight …, the batch norm behind it NODE_norm.…, eps as in the network's paper."""
    eps = 1e-3 if target.name == "enet" else 1e-5
    parameters = {}
    for node in target.nodes:
        if isinstance(node.layer, Conv2d):
            norm = f"{node.name}_norm" if f"{node.name}_norm.weight" in state else None
            weight, bias = _folded(state, node.name, norm, eps)
            parameters[f"{node.name}.weight"] = _array(weight)
            if "bias" in node.parameter_shapes():
                parameters[f"{node.name}.bias"] = _array(bias)
        else:
            for name in node.parameter_shapes():
                parameters[f"{node.name}.{name}"] = _array(state[f"{node.name}.{name}"])
    return parameters, IMAGENET


def convert(state: State, target: Architecture) -> Weights:
    """The weights for `target`. CheckpointError with all differences when the checkpoint is for another network."""
    convolutions = _convolutions(target)
    keys = {key.rsplit(".", 1)[0] for key in state}
    batch_norm = any(key.endswith("running_mean") for key in state)
    schemes: list[tuple[dict[str, str], str | None]] = [
        (_torchvision_names(target, batch_norm), None),
        ({name: f"conv{name[4]}{name[6]}" for name in convolutions if name.startswith("conv")}, "conv0"),
        ({name: str(2 + k) for name, k in _reflected_names(target).items()}, "0"),
    ]
    for source, first in schemes:
        if source and set(source.values()) <= keys and (first is None or first in keys):
            if first is not None:
                parameters, normalisation = _with_input_convolution(state, source, first, target)
            else:
                parameters, normalisation = {}, IMAGENET
                for name, key in source.items():
                    norm = f"features.{int(key.split('.')[1]) + 1}" if batch_norm else None
                    weight, bias = _folded(state, key, norm, 1e-5)
                    parameters[f"{name}.weight"], parameters[f"{name}.bias"] = _array(weight), _array(bias)
            break
    else:
        if not set(convolutions) <= keys:
            missing = [name for name in convolutions if name not in keys]
            raise CheckpointError(
                f"no known checkpoint of {target.name}: keys begin {', '.join(sorted(keys)[:6])} …; "
                f"under the engine's own names {len(missing)} of {len(convolutions)} convolutions are missing"
            )
        parameters, normalisation = _from_own_training(state, target)
    problems = differences(target.parameter_shapes(), {name: array.shape for name, array in parameters.items()})
    if problems:
        raise CheckpointError(f"does not fit {target.name}: {'; '.join(problems)}")
    return Weights(target.name, parameters, normalisation)


def _reflected_names(target: Architecture) -> dict[str, int]:
    """Indices in a Sequential where each 3×3 convolution stands behind a reflection pad, less 2: pad, conv, relu."""
    names, index = {}, 0
    for node in target.nodes:
        if isinstance(node.layer, Conv2d):
            names[node.name] = index
            index += 3
        elif isinstance(node.layer, MaxPool2d):
            index += 1
    return names


def torch_graph(
    network: Weights | Network,
    target: Architecture,
    pixels: torch.Tensor,
    parameters: Mapping[str, torch.Tensor],
    taps: Iterable[str],
) -> dict[str, torch.Tensor]:
    """{tap: (1, C, H, W)} as PyTorch computes it, node by node, in the precision of `pixels`, (1, 3, H, W)."""
    mean, scale = (
        torch.tensor(values, dtype=pixels.dtype).view(1, 3, 1, 1)
        for values in (network.normalisation.mean, network.normalisation.scale)
    )
    values: dict[str, torch.Tensor] = {INPUT: (pixels - mean) * scale}
    for node in target.until(taps):
        layer, inputs = node.layer, [values[name] for name in node.inputs]
        weight: Any = parameters.get(f"{node.name}.weight")
        bias: Any = parameters.get(f"{node.name}.bias")
        if isinstance(layer, Conv2d):
            value = functional.conv2d(inputs[0], weight, bias, layer.stride, layer.padding, layer.dilation)
        elif isinstance(layer, ReLU):
            value = functional.relu(inputs[0])
        elif isinstance(layer, PReLU):
            value = functional.prelu(inputs[0], weight)
        elif isinstance(layer, MaxPool2d):
            value = functional.max_pool2d(
                inputs[0], layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode
            )
        elif isinstance(layer, Affine):
            value = inputs[0] * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)
        elif isinstance(layer, Concat):
            value = torch.cat(inputs, 1)
        elif isinstance(layer, Add):
            widest = max(x.shape[1] for x in inputs)
            value = torch.stack([functional.pad(x, (0, 0, 0, 0, 0, widest - x.shape[1])) for x in inputs]).sum(0)
        else:
            raise CheckpointError(f"{node.name}: no PyTorch counterpart for {layer}")
        values[node.name] = value
    return {tap: values[target.taps[tap]] for tap in taps}


def in_double(weights: Weights | Network, target: Architecture, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """{tap: (1, C, H, W)} of every tap from pixels (H, W, 3), in double precision."""
    arrays = {name: torch.from_numpy(array).double() for name, array in weights.parameters.items()}
    parameters = {name: a.permute(3, 2, 0, 1) if a.dim() == 4 else a for name, a in arrays.items()}
    return torch_graph(weights, target, pixels.double().permute(2, 0, 1)[None], parameters, list(target.taps))


def compare(weights: Weights, target: Architecture) -> dict[str, float]:
    """{tap: largest difference between PyTorch and engine, relative to the tap's largest value} on a random picture."""
    pixels = np.random.default_rng(0).random((96, 120, 3), np.float32)
    graph = in_double(weights, target, torch.from_numpy(pixels))
    expected = {tap: value[0].permute(1, 2, 0).numpy() for tap, value in graph.items()}
    network = Network(target, weights.parameters, weights.normalisation, kernel_set())
    found = network.features(pixels, list(target.taps))
    return {
        tap: float(np.abs(found[tap] - expected[tap]).max() / (np.abs(expected[tap]).max() or 1)) for tap in target.taps
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("network")
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", default="", help="where the checkpoint is from, kept in the file")
    parser.add_argument("--licence", default="", help="its licence, kept in the file")
    options = parser.parse_args()
    try:
        target = architecture(options.network)
        weights = convert(read_state(options.checkpoint), target)
        errors = compare(weights, target)
        for tap, error in errors.items():
            print(f"{tap:<10} {error:.2e}")
        if max(errors.values()) > TOLERANCE:
            raise CheckpointError(f"engine and PyTorch differ by more than {TOLERANCE}; nothing written")
        provenance = {"checkpoint": options.checkpoint.name, "source": options.source, "licence": options.licence}
        kept = {key: text for key, text in provenance.items() if text}
        save_weights(options.out, Weights(target.name, weights.parameters, weights.normalisation, kept))
    except StyleError as error:
        print(f"convert_torch: {error}", file=sys.stderr)
        return 2
    print(f"{options.out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
