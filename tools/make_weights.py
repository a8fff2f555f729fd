"""Makes the bundled weight files: activations normalised to mean 1 over photographs, provenance written in.

    python -m tools.make_weights untrained --photos TAR --out weights/distilled.h5
    python -m tools.make_weights perceptual --photos TAR --run RUN --out weights/distilled-perceptual.h5

`untrained` is the seeded random stand-in for `distilled`; `perceptual` takes the student of tools/training/perceptual.
"""

from __future__ import annotations

import argparse
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from minitorch_style.hdf5 import save_weights
from minitorch_style.network import Network
from minitorch_style.networks import architecture
from minitorch_style.normalise import normalised
from minitorch_style.weights import IMAGENET, Weights, random_weights

PICTURES = 300


def photographs(path: Path, count: int) -> list[np.ndarray]:
    """The first `count` JPEGs of a tar, (H, W, 3) in [0, 1]."""
    pictures: list[np.ndarray] = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".jpg") and len(pictures) < count:
                data = archive.extractfile(member)
                assert data is not None
                pictures.append(
                    np.asarray(Image.open(BytesIO(data.read())).convert("RGB"), np.float32) / np.float32(255)
                )
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("untrained", "perceptual"))
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.what == "untrained":
        weights = random_weights(architecture("distilled"), 0)
        provenance = {"source": "He initialisation, seed 0: untrained, a stand-in until a trained network ships",
                      "licence": "MIT"}  # fmt: skip
    else:
        from tools.training.perceptual import student_weights

        parameters, steps = student_weights(options.run)
        weights = Weights("distilled-perceptual", parameters, IMAGENET)
        provenance = {
            "source": f"tools/training/perceptual.py, {steps} steps, seed 0: a 1/8-width VGG-16 up to conv5_1 fitted to "
            "the features and Gram matrices of a quarter-width VGG-19 (5SE.pth, MIT) and of VGG-19 up to conv3_1 "
            "(vgg_normalised_conv3_1.pth, Apache-2.0)",
            "data": "5,465 photographs (MS-COCO, PASCAL VOC, CCP) and crops of three paintings (Starry Night, Wheat Field "
            "with Cypresses, The Great Wave)",
            "licence": "MIT",
        }
    network = Network(architecture(weights.network), weights.parameters, weights.normalisation)
    scaled = normalised(network, photographs(options.photos, PICTURES))
    provenance["normalised"] = f"every channel to mean activation 1 over {PICTURES} of the photographs"
    save_weights(options.out, Weights(weights.network, scaled, weights.normalisation, provenance, weights.trained))


if __name__ == "__main__":
    main()
