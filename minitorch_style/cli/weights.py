"""minitorch_style weights: what weight files there are, what is in a file, and foreign checkpoints made ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.normalize import mean_activations, normalized
from minitorch_style.errors import CheckpointError, ImageError, StyleError, WeightsError, printable
from minitorch_style.files import atomic_write, check_writable, require_apart
from minitorch_style.image.io import load_picture
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import NETWORKS, Architecture, architecture, stored_architecture
from minitorch_style.style.objective import Objective
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.checkpoints.keras import keras_networks, load_keras
from minitorch_style.weights.convert import convert, fitting_networks
from minitorch_style.weights.download import fetch
from minitorch_style.weights.hdf5 import is_hdf5, is_ours, load_weights, network_of, to_bytes
from minitorch_style.weights.reading import reading
from minitorch_style.weights.store import PUBLISHED, bundled, installed, load_stored, stored_network, user_directory
from minitorch_style.weights.weights import Weights

HELP = "List, install, inspect, convert, verify and normalise weight files."
PICTURE_SIZE = 256
TRIAL_SIZE = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the weights that come with the package or are installed")
    listing.add_argument("--json", action="store_true", help="as JSON on stdout")
    info = actions.add_parser("info", help="what a weight file or checkpoint holds, and which networks it fits")
    info.add_argument("file", type=Path)
    verify = actions.add_parser("verify", help="check a weight file: names, shapes, types, checksum, finite values")
    verify.add_argument("file", type=Path)
    install = actions.add_parser(
        "install", help="fetch published weights into your data directory, then --model finds them"
    )
    install.add_argument("name", choices=list(PUBLISHED), metavar="NAME", help=f"one of {', '.join(PUBLISHED)}")
    install.add_argument("--quiet", action="store_true", help="no progress bar")
    conversion = actions.add_parser(
        "convert", help="PyTorch, safetensors or Keras VGG file → weight file, without PyTorch"
    )
    conversion.add_argument("file", type=Path)
    conversion.add_argument("--network", required=True, choices=list(NETWORKS), metavar="NAME")
    conversion.add_argument("--source", default="", help="where it is from, kept in the file")
    conversion.add_argument("--licence", default="", help="its licence, kept in the file")
    normalize = actions.add_parser(
        "normalize", help="scale every channel to mean activation 1 over a folder of pictures"
    )
    normalize.add_argument("file", type=Path)
    normalize.add_argument("pictures", type=Path, metavar="FOLDER")
    for command in (conversion, normalize):
        command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5")
        command.add_argument("--half", action="store_true", help="store half precision: half the size")


def _list(as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for where, files in (("bundled", bundled()), ("installed", installed())):
        for name, path in files.items():
            row: dict[str, Any] = {"network": name, "where": where, "path": str(path)}
            try:
                found = load_stored(path, stored_architecture(name))
            except StyleError as error:  # one bad file does not hide the others
                rows.append({**row, "error": str(error)})
                continue
            rows.append({**row, "bytes": path.stat().st_size, "trained": found.trained, **found.provenance})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        if "error" in row:
            print(f"{row['network']}: {row['where']}, cannot be used ({row['error']})")
            continue
        trained = "" if row["trained"] else ", untrained"
        licence = printable(row.get("licence", "licence unknown"))
        print(f"{row['network']}: {row['where']}, {row['bytes'] / 1e3:.0f} kB, {licence}{trained}")
        print(f"  {printable(row.get('source', 'source unknown'))}")


def _tensors(tensors: Mapping[str, Any]) -> None:
    for name, array in tensors.items():
        print(f"  {printable(name):.200} {'×'.join(map(str, array.shape)) or 'scalar'} {array.dtype}")


def _info(path: Path) -> None:
    shown = printable(path)
    if path.suffix == ".npz" or (is_hdf5(path) and is_ours(path)):
        found = load_stored(path, stored_architecture(stored_network(path)))
        print(f"{shown}: weights of {found.network}{'' if found.trained else ' (untrained)'}")
        print(f"  mean {found.normalization.mean}, scale {found.normalization.scale}")
        for key, text in found.provenance.items():
            print(f"  {printable(key)}: {printable(text)}")
        _tensors(found.parameters)
        return
    if is_hdf5(path):
        if not (fitting := keras_networks(path)):
            raise WeightsError(f"{path}: an HDF5 file that holds no network of this program")
        print(f"{shown}: weights saved by Keras")
    else:
        state = read_checkpoint(path)
        print(f"{shown}: a checkpoint of {len(state)} tensors")
        _tensors(state)
        fitting = fitting_networks(state)
    print(f"fits: {', '.join(fitting) if fitting else 'no network of this program'}")


def _verified(path: Path) -> Weights:
    """The weights in a file, with which a whole painter's loss was computed once."""
    found = load_stored(path, stored_architecture(stored_network(path)))
    _require_computable(path, found)
    return found


def _require_computable(path: Path, weights: Weights) -> None:
    """WeightsError if the loss of a small picture, at all taps, or its gradient is no finite number."""
    if weights.network not in NETWORKS:  # a decoder goes on from another network's features
        return
    target = architecture(weights.network)
    network = Network(
        target, weights.parameters, weights.normalization, kernel_set("numpy"), tap_scales=weights.tap_scales
    )
    rng = np.random.default_rng(0)
    photo, painting, start = (rng.random((TRIAL_SIZE, TRIAL_SIZE, 3), np.float32) for _ in range(3))
    taps = list(target.taps)
    for balanced in (True, False):
        with np.errstate(all="ignore"):
            objective = Objective(network, photo, painting, content_layers=taps, style_layers=taps, balanced=balanced)
            loss, gradient = objective(start)
        if not np.isfinite(loss) or not np.isfinite(gradient).all():
            raise WeightsError(f"{path}: the numbers are too large: a picture's loss with them is no finite number")
        if not gradient.any():
            raise WeightsError(f"{path}: the numbers are too small: a picture's loss with them has no gradient")


def _stored(output: Path, weights: Weights, half: bool) -> None:
    """Writes a weight file that would pass `verify`, or none."""
    content = to_bytes(output, weights, half)
    _require_computable(output, load_weights(output, stored_architecture(weights.network), content))
    with atomic_write(output, WeightsError) as file:
        file.write(content)
    print(f"{printable(output)}: weights of {weights.network}, {len(content) / 1e6:.2f} MB")


def _check_output(output: Path, source: Path) -> None:
    """WeightsError if the file could not be written, or would replace the one that is read."""
    check_writable(output, WeightsError)
    require_apart([output], [source], WeightsError)


def _convert(options: argparse.Namespace) -> None:
    path: Path = options.file
    _check_output(options.output, path)
    target = architecture(options.network)
    keras = is_hdf5(path)
    if keras and is_ours(path):
        raise WeightsError(f"{path}: is a weight file of this program already, of {network_of(path):.80}")
    found = load_keras(path, target) if keras else _converted(path, target)
    given = {"checkpoint": printable(path.name), "source": options.source, "licence": options.licence}
    provenance = {key: text for key, text in given.items() if text}
    _stored(options.output, Weights(found.network, found.parameters, found.normalization, provenance), options.half)


def _converted(path: Path, target: Architecture) -> Weights:
    state = read_checkpoint(path)
    with reading(path, CheckpointError):
        return convert(state, target)


def _install(name: str, quiet: bool) -> None:
    from tqdm import tqdm

    published, folder = PUBLISHED[name], user_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be made ({error.strerror})") from error
    checkpoint = folder / Path(published.url).name
    with tqdm(unit="B", unit_scale=True, desc=checkpoint.name, disable=quiet or not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        fetch(published.url, checkpoint, published.sha256, progress)
    found = _converted(checkpoint, architecture(name))
    provenance = {"source": published.url, "licence": published.licence}
    weights = Weights(found.network, found.parameters, found.normalization, provenance)
    _stored(folder / f"{name}.h5", weights, half=False)
    checkpoint.unlink(missing_ok=True)  # classifier and all, five to ten times as large as what is used


def _pictures(folder: Path, read: list[Path]) -> Iterator[Float32]:
    """The pixels of every picture in a folder; `read` gets their names. Hidden files are passed over, others that are no
    pictures with a note."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise WeightsError(f"{folder}: is no folder of pictures ({error.strerror})") from error
    for path in files:
        try:
            pixels = load_picture(path, PICTURE_SIZE).pixels
        except ImageError as error:
            print(f"note: left out: {error}", file=sys.stderr)
            continue
        read.append(path)
        yield pixels


def _normalize(options: argparse.Namespace) -> None:
    _check_output(options.output, options.file)
    target = architecture(stored_network(options.file))
    found = load_stored(options.file, target)
    network = Network(target, found.parameters, found.normalization)
    read: list[Path] = []
    means = mean_activations(network, _pictures(options.pictures, read))
    if not read:
        raise WeightsError(f"{options.pictures}: holds no pictures")
    scaled, scales = normalized(target, found.parameters, means)
    provenance = {**found.provenance, "normalised": f"to mean activation 1 over {len(read)} pictures"}
    weights = replace(found, parameters=scaled, tap_scales=scales, provenance=provenance)
    _stored(options.output, weights, options.half)


def run(options: argparse.Namespace) -> int:
    if options.action == "list":
        _list(options.json)
    elif options.action == "info":
        _info(options.file)
    elif options.action == "verify":
        print(f"{printable(options.file)}: sound weights of {_verified(options.file).network}")
    elif options.action == "install":
        _install(options.name, options.quiet)
    elif options.action == "convert":
        _convert(options)
    else:
        _normalize(options)
    return 0
