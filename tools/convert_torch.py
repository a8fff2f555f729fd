"""A PyTorch checkpoint → weight file, then the same picture through PyTorch and through the engine.

    python tools/convert_torch.py CHECKPOINT NETWORK OUT.h5

Reading and converting are the package's own (`minitorch_style weights convert` does them without PyTorch); this adds the
comparison. Above a relative difference of 1e-3 at any tap nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from minitorch_style.engine.network import Network
from minitorch_style.errors import CheckpointError, StyleError
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import Architecture, architecture
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.convert import convert
from minitorch_style.weights.hdf5 import save_weights
from minitorch_style.weights.weights import Weights
from tools.torch_network import TorchNetwork

TOLERANCE = 1e-3


def compare(weights: Weights, target: Architecture) -> dict[str, float]:
    """{tap: largest difference between PyTorch and engine, relative to the tap's largest value} on a random picture."""
    pixels = np.random.default_rng(0).random((96, 120, 3), np.float32)
    picture = torch.from_numpy(pixels).double().permute(2, 0, 1)[None]
    features = TorchNetwork.of(weights, target).double()(picture, target.taps)
    expected = {tap: value[0].permute(1, 2, 0).numpy() for tap, value in features.items()}
    network = Network(target, weights.parameters, weights.normalization, kernel_set())
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
        save_weights(options.out, Weights(target.name, weights.parameters, weights.normalization, kept))
    except StyleError as error:
        print(f"convert_torch: {error}", file=sys.stderr)
        return 2
    print(f"{options.out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
