"""minitorch_style weights: what weight files there are, what is in a file, and foreign checkpoints made ours."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from minitorch_style.checkpoints import read_checkpoint
from minitorch_style.convert import convert, fitting_networks
from minitorch_style.download import fetch
from minitorch_style.errors import WeightsError
from minitorch_style.hdf5 import is_hdf5, load_keras, load_weights, network_of, save_weights
from minitorch_style.images import load_picture
from minitorch_style.library import PUBLISHED, bundled, installed, user_directory
from minitorch_style.network import Network
from minitorch_style.networks import NETWORKS, architecture, stored_architecture
from minitorch_style.normalise import mean_activations, normalised
from minitorch_style.weights import Weights

HELP = "List, install, inspect, convert, verify and normalise weight files."
PICTURE_SIZE = 256


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
    normalise = actions.add_parser(
        "normalize", help="scale every channel to mean activation 1 over a folder of pictures"
    )
    normalise.add_argument("file", type=Path)
    normalise.add_argument("pictures", type=Path, metavar="FOLDER")
    for command in (conversion, normalise):
        command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.h5")
        command.add_argument("--half", action="store_true", help="store half precision: half the size")


def _list(as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for where, files in (("bundled", bundled()), ("installed", installed())):
        for name, path in files.items():
            found = load_weights(path, stored_architecture(name))
            size = path.stat().st_size
            rows.append({"network": name, "where": where, "bytes": size, "trained": found.trained, **found.provenance})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        trained = "" if row["trained"] else ", untrained"
        print(
            f"{row['network']}: {row['where']}, {row['bytes'] / 1e3:.0f} kB, {row.get('licence', 'no licence told')}{trained}"
        )
        print(f"  {row.get('source', 'no source told')}")


def _tensors(tensors: Mapping[str, Any]) -> None:
    for name, array in tensors.items():
        print(f"  {name} {'×'.join(map(str, array.shape)) or 'scalar'} {array.dtype}")


def _keras_fits(path: Path) -> list[str]:
    """The networks that an HDF5 file of Keras's holds."""
    fitting = []
    for name in NETWORKS:
        with suppress(WeightsError):
            load_keras(path, architecture(name))
            fitting.append(name)
    return fitting


def _info(path: Path) -> None:
    if is_hdf5(path):
        if fitting := _keras_fits(path):
            print(f"{path}: a VGG saved by Keras\nfits: {', '.join(fitting)}")
            return
        found = load_weights(path, stored_architecture(network_of(path)))
        print(f"{path}: weights of {found.network}{'' if found.trained else ' (untrained)'}")
        print(f"  mean {found.normalisation.mean}, scale {found.normalisation.scale}")
        for key, text in found.provenance.items():
            print(f"  {key}: {text}")
        _tensors(found.parameters)
        return
    state = read_checkpoint(path)
    print(f"{path}: a checkpoint of {len(state)} tensors")
    _tensors(state)
    fitting = fitting_networks(state)
    print(f"fits: {', '.join(fitting) if fitting else 'no network of this program'}")


def _stored(output: Path, weights: Weights, half: bool) -> None:
    if not output.parent.is_dir():
        raise WeightsError(f"{output}: the folder {output.parent} does not exist")
    save_weights(output, weights, half)
    load_weights(output, stored_architecture(weights.network))
    print(f"{output}: weights of {weights.network}, {output.stat().st_size / 1e6:.2f} MB")


def _convert(options: argparse.Namespace) -> None:
    target = architecture(options.network)
    keras = is_hdf5(options.file)
    found = load_keras(options.file, target) if keras else convert(read_checkpoint(options.file), target)
    given = {"checkpoint": options.file.name, "source": options.source, "licence": options.licence}
    provenance = {key: text for key, text in given.items() if text}
    _stored(options.output, Weights(found.network, found.parameters, found.normalisation, provenance), options.half)


def _install(name: str, quiet: bool) -> None:
    from tqdm import tqdm

    published, folder = PUBLISHED[name], user_directory()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / Path(published.url).name
    with tqdm(unit="B", unit_scale=True, desc=checkpoint.name, disable=quiet or not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        fetch(published.url, checkpoint, published.sha256, progress)
    found = convert(read_checkpoint(checkpoint), architecture(name))
    provenance = {"source": published.url, "licence": published.licence}
    weights = Weights(found.network, found.parameters, found.normalisation, provenance)
    _stored(folder / f"{name}.h5", weights, half=False)
    checkpoint.unlink()  # classifier and all, five to ten times as large as what is used


def _normalise(options: argparse.Namespace) -> None:
    target = architecture(network_of(options.file))
    found = load_weights(options.file, target)
    if not options.pictures.is_dir():
        raise WeightsError(f"{options.pictures}: is no folder of pictures")
    files = sorted(path for path in options.pictures.iterdir() if path.is_file())
    if not files:
        raise WeightsError(f"{options.pictures}: holds no pictures")
    network = Network(target, found.parameters, found.normalisation)
    means = mean_activations(network, (load_picture(path, PICTURE_SIZE).pixels for path in files))
    scaled, scales = normalised(target, found.parameters, means)
    provenance = {**found.provenance, "normalised": f"to mean activation 1 over {len(files)} pictures"}
    weights = replace(found, parameters=scaled, tap_scales=scales, provenance=provenance)
    _stored(options.output, weights, options.half)


def run(options: argparse.Namespace) -> int:
    if options.action == "list":
        _list(options.json)
    elif options.action == "info":
        _info(options.file)
    elif options.action == "verify":
        network = network_of(options.file)
        load_weights(options.file, stored_architecture(network))
        print(f"{options.file}: sound weights of {network}")
    elif options.action == "install":
        _install(options.name, options.quiet)
    elif options.action == "convert":
        _convert(options)
    else:
        _normalise(options)
    return 0
