"""Makes the bundled weight files from training runs: batch norm folded, activations normalised, provenance written in.

    python -m tools.make_weights RUN --data DIR --out weights

A run of tools.training.train gives MODEL.h5 and MODEL-decoder.h5, one of tools.training.perceptual
distilled-perceptual.h5. Activations get a mean of 1 over photographs of the training set. Half precision, and fewer
significant bits where --bits asks for them: what is lost in accuracy is measured and written into the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from minitorch_style.convert import convert
from minitorch_style.errors import StyleError
from minitorch_style.hdf5 import save_weights
from minitorch_style.kernels.buffers import Array
from minitorch_style.network import Network
from minitorch_style.networks import DECODERS, Architecture, architecture, decoder
from minitorch_style.normalise import mean_activations, normalised
from minitorch_style.segment import VIEW
from minitorch_style.weights import IMAGENET, Weights
from tools.training.data import read_split
from tools.training.evaluate import measure
from tools.training.perceptual import student_weights
from tools.training.runs import load_run, read_run

PICTURES = 300
PHOTOS = "5,465 photographs with person masks (MS-COCO 2017 val, PASCAL VOC 2012, CCP)"


def rounded(array: Array, bits: int) -> Array:
    """Each number to `bits` significant bits: what is left compresses well."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent).astype(np.float32)


def commit() -> str:
    """The commit this is made at."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()


def of(target: Architecture, parameters: dict[str, Array]) -> dict[str, Array]:
    return {name: parameters[name] for name in target.parameter_shapes()}


def segmentation(run: Path, data: Path) -> list[Weights]:
    """Encoder and decoder of a training run."""
    trained, state = load_run(run)
    encoder, behind = architecture(state["model"]), decoder(state["model"])
    whole = encoder.continued(behind)
    weights = convert({key: value.float().numpy() for key, value in state["network"].items()}, whole)
    parameters = weights.parameters
    pictures = [photo.pixels.astype(np.float32) / np.float32(255) for photo in read_split(data, "train")[:PICTURES]]
    means = mean_activations(Network(encoder, parameters, IMAGENET), pictures)
    scaled, scales = normalised(whole, parameters, means)
    found = measure(trained, read_split(data, "val"), VIEW)
    named = ("start", "init", "fit")  # files: what they are called, not where they lay
    options = {key: Path(value).name if key in named else value for key, value in state["options"].items()}
    provenance = {
        "source": "tools.training.train, trained for this package",
        "licence": "MIT",
        "data": PHOTOS,
        "splits": "5,465 to train, 1,000 to validate",
        "options": json.dumps(options),
        "run": f"{state['model']} seed {options['seed']} step {state['step']}",
        "commit": commit(),
        "accuracy": f"{found['accuracy']} % of the validation pixels, IoU of person {found['person_iou']} % (all background "
        f"{found['all_background']} %), in full precision",
        "normalised": f"to mean activation 1 over {PICTURES} training photographs",
    }
    return [
        Weights(encoder.name, of(encoder, scaled), IMAGENET, provenance, tap_scales=scales),
        Weights(behind.name, of(behind, scaled), IMAGENET, provenance),
    ]


def perceptual(run: Path, data: Path) -> list[Weights]:
    """The student of tools/training/perceptual."""
    parameters, steps = student_weights(run)
    target = architecture("distilled-perceptual")
    pictures = [photo.pixels.astype(np.float32) / np.float32(255) for photo in read_split(data, "train")[:PICTURES]]
    means = mean_activations(Network(target, parameters, IMAGENET), pictures)
    scaled, _ = normalised(target, parameters, means)
    provenance = {
        "source": f"tools/training/perceptual.py, {steps} steps, seed 0: a 1/8-width VGG-16 up to conv5_1 fitted to "
        "the features and Gram matrices of a quarter-width VGG-19 (5SE.pth, MIT) and of VGG-19 up to conv3_1 "
        "(vgg_normalised_conv3_1.pth, Apache-2.0)",
        "data": f"{PHOTOS} and crops of three paintings (Starry Night, Wheat Field with Cypresses, The Great Wave)",
        "licence": "MIT",
        "normalised": f"every channel to mean activation 1 over {PICTURES} of the photographs",
    }
    return [Weights(target.name, scaled, IMAGENET, provenance)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the run was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--bits", type=int, default=11, help="significant bits of the weights; 11 is half precision")
    parser.add_argument("--decoder-bits", type=int, help="those of the decoder (default: --bits)")
    options = parser.parse_args()
    try:
        known = read_run(options.run).get("model") in DECODERS
        made = segmentation(options.run, options.data) if known else perceptual(options.run, options.data)
        for weights in made:
            bits = options.decoder_bits if weights.network.endswith("-decoder") else options.bits
            parameters = {name: rounded(array, bits or options.bits) for name, array in weights.parameters.items()}
            path = options.out / f"{weights.network}.h5"
            save_weights(path, replace(weights, parameters=parameters), half=True)
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    except StyleError as error:
        print(f"make_weights: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
