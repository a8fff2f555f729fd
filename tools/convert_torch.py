"""A PyTorch checkpoint → weight file, then the same picture through PyTorch and through the engine.

    python tools/convert_torch.py CHECKPOINT NETWORK OUT.h5

Reading and converting are the package's own (`minitorch_style weights convert` does them without PyTorch); this adds the
comparison. Above a relative difference of 1e-3 at any tap nothing is written.
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

from minitorch_style.checkpoints import read_checkpoint
from minitorch_style.convert import convert
from minitorch_style.errors import CheckpointError, StyleError
from minitorch_style.hdf5 import save_weights
from minitorch_style.kernels import kernel_set
from minitorch_style.layers import (
    Add,
    Affine,
    Binarize,
    Concat,
    Conv2d,
    ConvTranspose2d,
    MaxPool2d,
    MaxUnpool2d,
    PReLU,
    ReLU,
)
from minitorch_style.network import Network
from minitorch_style.networks import INPUT, Architecture, architecture
from minitorch_style.weights import Weights

TOLERANCE = 1e-3


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
    places: dict[str, torch.Tensor] = {}
    nodes = target.until(taps)
    undone = {node.inputs[1] for node in nodes if isinstance(node.layer, MaxUnpool2d)}
    for node in nodes:
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
            pool = functional.max_pool2d_with_indices if node.name in undone else functional.max_pool2d
            value = pool(inputs[0], layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)
            if node.name in undone:
                value, places[node.name] = value
        elif isinstance(layer, MaxUnpool2d):
            value = functional.max_unpool2d(inputs[0], places[node.inputs[1]], 2)
        elif isinstance(layer, ConvTranspose2d):
            value = functional.conv_transpose2d(
                inputs[0], weight.transpose(0, 1), bias, layer.stride, layer.padding, layer.output_padding
            )
        elif isinstance(layer, Affine):
            value = inputs[0] * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)
        elif isinstance(layer, Binarize):
            threshold, low, high = (
                parameters[f"{node.name}.{name}"].view(1, -1, 1, 1) for name in ("threshold", "low", "high")
            )
            value = torch.where(inputs[0] > threshold, high, low)
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
        weights = convert(read_checkpoint(options.checkpoint), target)
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
