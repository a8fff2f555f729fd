"""Makes the bundled weight files from training runs: batch norm folded, activations normalised, provenance written in.

    python -m tools.make_weights RUN --data DIR --out weights

A run of tools.training.train gives MODEL.h5 and MODEL-decoder.h5, a student RUN/STUDENT of tools.training.perceptual
STUDENT.h5, with what --vgg, --paintings and --photos tell of its teacher. Activations get a mean of 1 over photographs of
the training set. Half precision, and coarser where --bits asks for it: the accuracy written into the file is that before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.normalize import mean_activations, normalized
from minitorch_style.errors import StyleError
from minitorch_style.nn.registry import DECODERS, Architecture, architecture, decoder
from minitorch_style.transfer.region import VIEW
from minitorch_style.weights.convert import convert
from minitorch_style.weights.hdf5 import save_weights
from minitorch_style.weights.weights import IMAGENET, Weights
from tools.torch_network import TorchNetwork
from tools.training.crops import Crops, pictures_in
from tools.training.data import read_split
from tools.training.evaluate import measure
from tools.training.measure import COUNT, SIZE, STEPS, fitted
from tools.training.runs import load_run, read_run
from tools.training.students import COUNTERPARTS, parameters_of
from tools.training.teachers import vgg19

PICTURES = 300
PHOTOS = "5,465 photographs with person masks (MS-COCO 2017 val, PASCAL VOC 2012, CCP)"


def rounded(weight: Float32, bits: int) -> Float32:
    """The weights of a convolution (kh, kw, in, out), those of each filter to multiples of 2**-bits of the power of two
    below their deviation: what is left compresses well. At 5 bits the error is 0.6 % of the deviation; as many
    significant bits for each number, small ones too, would take 2 bits more a weight for it."""
    deviation = weight.std((0, 1, 2), dtype=np.float64)
    step = np.exp2(np.floor(np.log2(np.where(deviation > 0, deviation, 1.0))) - bits)
    return (np.round(weight / step) * step).astype(np.float32)


def commit() -> str:
    """The commit this is made at."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()


def of(target: Architecture, parameters: dict[str, Float32]) -> dict[str, Float32]:
    return {name: parameters[name] for name in target.parameter_shapes()}


def segmentation(run: Path, data: Path, licence: str) -> list[Weights]:
    """Encoder and decoder of a training run; `licence` is the encoder's."""
    trained, state = load_run(run)
    encoder, behind = architecture(state["model"]), decoder(state["model"])
    whole = encoder.continued(behind)
    weights = convert({key: value.float().numpy() for key, value in state["network"].items()}, whole)
    parameters = weights.parameters
    pictures = [photo.pixels.astype(np.float32) / np.float32(255) for photo in read_split(data, "train")[:PICTURES]]
    means = mean_activations(Network(encoder, parameters, IMAGENET), pictures)
    scaled, scales = normalized(whole, parameters, means)
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
        Weights(encoder.name, of(encoder, scaled), IMAGENET, {**provenance, "licence": licence}, tap_scales=scales),
        Weights(behind.name, of(behind, scaled), IMAGENET, provenance),
    ]


def perceptual(
    run: Path, data: Path, vgg: Path, photos: list[Path], painted: list[Path], paintings: list[Path]
) -> list[Weights]:
    """A student of tools.training.perceptual, with its teacher's products."""
    state = read_run(run)
    name = state["model"]
    target = architecture(name).with_average_pooling()
    parameters = parameters_of(state["network"], target)
    pictures = [photo.pixels.astype(np.float32) / np.float32(255) for photo in read_split(data, "train")[:PICTURES]]
    means = mean_activations(Network(target, parameters, IMAGENET), pictures)
    scaled, _ = normalized(target, parameters, means)
    network = TorchNetwork.of(Weights(name, scaled), target)
    counterparts, rng = COUNTERPARTS[name], np.random.default_rng(0)
    crops = Crops(data / "people-train.tar", photos, paintings, 0.15 * bool(photos), 0.45 * bool(paintings))
    maps = fitted(network, counterparts, vgg19(vgg), (crops.batch(COUNT, SIZE, rng) for _ in range(STEPS)))
    products = {counterparts[tap]: found.product() for tap, found in maps.items()}
    provenance = {
        "source": f"tools.training.perceptual, {state['step']} steps from {state['began']}: fitted to the features and Gram "
        "matrices of VGG-19 up to conv5_1, average-pooled",
        "teacher": "VGG-19 by K. Simonyan and A. Zisserman, CC BY 4.0",
        "data": f"{PHOTOS}, {len(photos)} more photographs, {len(paintings)} paintings in the public domain, {len(painted)} "
        "pictures painted by such a network",
        "licence": "MIT",
        "commit": commit(),
        "normalised": f"every channel to mean activation 1 over {PICTURES} of the photographs",
        "products": f"from {STEPS * COUNT} crops of {SIZE} pixels of the same photographs and paintings",
    }
    return [Weights(name, scaled, IMAGENET, provenance, teacher_products=products)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder that the run was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--bits", type=int, help="of a weight below its filter's deviation (default: half precision)")
    parser.add_argument("--decoder-bits", type=int, help="those of the decoder (default: --bits)")
    parser.add_argument("--licence", default="MIT", help="of an encoder that holds somebody's convolutions, and whose")
    parser.add_argument("--vgg", type=Path, help="VGG-19 as Keras saved it, a perceptual student's teacher")
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="large photographs that it learnt from")
    parser.add_argument(
        "--painted", type=Path, nargs="+", default=[], help="pictures by a student, likewise (told, not read)"
    )
    parser.add_argument("--paintings", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    try:
        if read_run(options.run).get("model") in DECODERS:
            made = segmentation(options.run, options.data, options.licence)
        elif options.vgg is None:
            parser.error("--vgg is needed for a student of tools.training.perceptual")
        else:
            shown = [pictures_in(paths) for paths in (options.photos, options.painted, options.paintings)]
            made = perceptual(options.run, options.data, options.vgg, *shown)
        for weights in made:
            behind = weights.network.endswith("-decoder") and options.decoder_bits is not None
            bits = options.decoder_bits if behind else options.bits
            parameters = {
                name: rounded(array, bits) if bits is not None and array.ndim == 4 else array
                for name, array in weights.parameters.items()
            }
            path = options.out / f"{weights.network}.h5"
            save_weights(path, replace(weights, parameters=parameters), half=True)
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    except StyleError as error:
        print(f"make_weights: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
