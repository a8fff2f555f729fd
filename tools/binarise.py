"""Networks of one bit from trained ones: weight files whose filters take a bit a weight.

    python -m tools.binarise weights/distilled.h5 distilled-xnor --data DIR --out weights

Scales and biases are fitted over photographs of the training set in DIR; see minitorch_style/binarise.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from minitorch_style.errors import StyleError
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.hdf5 import load_weights, network_of, save_weights
from tools.binarization import binarized
from tools.training.data import read_split

PICTURES = 24


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("network", help="distilled-bwn, distilled-xnor, perceptual-bwn, perceptual-xnor or segnet-bwn")
    parser.add_argument("--data", type=Path, required=True, help="folder with people-train.tar or MS-COCO 2017")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        full = load_weights(options.weights, architecture(network_of(options.weights)))
        pictures = [
            photo.pixels.astype(np.float32) / np.float32(255) for photo in read_split(options.data, "train")[:PICTURES]
        ]
        made = binarized(full, architecture(options.network), pictures)
        provenance = {
            **full.provenance,
            "source": f"{full.network}, its filters binarised by tools/binarise.py: {full.provenance.get('source', '')}",
        }
        path = options.out / f"{made.network}.h5"
        save_weights(path, replace(made, provenance=provenance))
    except StyleError as error:
        print(f"binarise: {error}", file=sys.stderr)
        return 2
    print(
        f"{path}: {path.stat().st_size / 1e3:.0f} kB, {options.weights.name} {options.weights.stat().st_size / 1e3:.0f} kB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
