"""HDF5 weight files ↔ named arrays, checked against a network.

A file holds one dataset a parameter, named `node.parameter`, float32 or float16 (loaded as float32), or uint8: the signs
of a convolution's weights, eight to a byte, with attributes `shape` and `scale`, one number a filter. Attributes:

    format "minitorch_style weights", version 1, network, mean, scale, channel_order (RGB or BGR), trained, checksum,
    any number `tap_scale.TAP` (see `Weights`) and any number of texts `provenance.KEY`: source, licence, how it was made.

Datasets `teacher_product.TAP`, N×N for a tap of N maps and never halved, are the file's `teacher_products` (see `Weights`).

mean and scale are per channel, in RGB order, for pixels in [0, 1]; a file of channel order BGR has its first
convolution turned to RGB when it is loaded. The checksum is SHA-256 over names, shapes and stored values, products
included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import WeightsError
from minitorch_style.files import atomic_write
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.layers import Conv2d
from minitorch_style.nn.registry import INPUT, Architecture
from minitorch_style.weights.guarded import GuardedFile, attribute, attributes, image, opened, require_plain
from minitorch_style.weights.reading import reading, require_file
from minitorch_style.weights.weights import (
    Weights,
    differences,
    not_finite,
    product_shapes,
    products_among,
    require_sound,
)

FORMAT, VERSION = "minitorch_style weights", 1
MAX_SIDES = 8  # of a parameter of bits


def _checksum(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _is_binary(array: npt.NDArray[Any]) -> bool:
    """Whether each filter of a convolution has but one size of weight."""
    if array.ndim != 4 or not array.all():
        return False
    return bool(np.all(np.abs(array) == np.abs(array[:1, :1, :1])))


def _shape(item: Any, name: str) -> tuple[int, ...]:
    """The shape of the parameter that a dataset holds."""
    if item.dtype != np.uint8:
        return tuple(item.shape)
    if "shape" not in item.attrs:
        return ()
    sides = np.asarray(attribute(item, "shape"))
    if sides.dtype.kind not in "iu" or sides.size > MAX_SIDES:
        raise WeightsError(f"{name}: the attribute shape is no row of whole numbers")
    return tuple(int(side) for side in np.atleast_1d(sides))


def _values(file: GuardedFile, item: Any, name: str) -> npt.NDArray[Any]:
    """A parameter as stored, bits unpacked to plus and minus their filter's scale."""
    if item.dtype != np.uint8:
        return file.values(item, name)
    shape = _shape(item, name)
    scale = np.asarray(attribute(item, "scale")) if "scale" in item.attrs else np.zeros(0)
    count = math.prod(shape)
    kinds = (np.dtype(np.float32), np.dtype(np.float16))
    if scale.shape != shape[-1:] or scale.dtype not in kinds or item.shape != (-(-count // 8),):
        raise WeightsError(f"{name} holds {item.shape} bytes of signs and {scale.shape} scales for {shape}")
    signs = np.unpackbits(file.values(item, name), count=count).reshape(shape)
    return np.where(signs == 1, scale, -scale)


def save_weights(path: Path, weights: Weights, half: bool = False) -> None:
    """Writes a weight file, which is there whole or not at all. `half` stores float16. WeightsError if the numbers do
    not fit, or if it cannot be written."""
    with atomic_write(path, WeightsError) as file:
        file.write(to_bytes(path, weights, half))


def to_bytes(path: Path, weights: Weights, half: bool = False) -> bytes:
    """The weight file for `path`, which names it in messages."""
    with np.errstate(over="ignore"):  # reported below, by name
        stored = {
            name: np.ascontiguousarray(array, np.float16 if half else np.float32)
            for name, array in weights.parameters.items()
        } | weights.named_products()
    if bad := not_finite(stored):
        raise WeightsError(f"{path}: {bad} do not fit {'half' if half else 'single'} precision")

    def fill(file: Any) -> None:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["network"], file.attrs["trained"] = weights.network, weights.trained
        file.attrs["mean"], file.attrs["scale"] = weights.normalization.mean, weights.normalization.scale
        file.attrs["channel_order"] = "RGB"
        file.attrs["checksum"] = _checksum(stored)
        for key, text in weights.provenance.items():
            file.attrs[f"provenance.{key}"] = text
        for tap, factor in weights.tap_scales.items():
            file.attrs[f"tap_scale.{tap}"] = factor
        for name, array in stored.items():
            if _is_binary(array):
                dataset = file.create_dataset(name, data=np.packbits(~np.signbit(array)), track_times=False)
                dataset.attrs["shape"], dataset.attrs["scale"] = array.shape, np.abs(array[0, 0, 0])
                continue
            packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if half else {}
            file.create_dataset(name, data=array, track_times=False, **packed)

    return image(fill)


def load_weights(path: Path, architecture: Architecture, content: bytes | None = None) -> Weights:
    """Reads a weight file for `architecture`, or `content` that is to become it. WeightsError tells, with every
    difference, why a file does not fit."""
    with opened(path, content) as file:
        return _read(file, architecture)


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5 at all."""
    with reading(path):
        require_file(path)
        with path.open("rb") as file:
            return file.read(8) == b"\x89HDF\r\n\x1a\n"


def network_of(path: Path) -> str:
    """The name of the network that a weight file says it is for."""
    with opened(path) as file:
        return _network(file)


def is_ours(path: Path) -> bool:
    """Whether an HDF5 file says that it is a weight file of this program."""
    with opened(path) as file:
        return "format" in file.file.attrs and _text(file, "format") == FORMAT


def _text(file: GuardedFile, name: str) -> str:
    value = attribute(file.file, name)
    if not isinstance(value, str):
        raise WeightsError(f"the attribute {name} is no text")
    return value


def _network(file: GuardedFile) -> str:
    if "format" not in file.file.attrs or _text(file, "format") != FORMAT:
        raise WeightsError("not a weight file of this program")
    if (version := attribute(file.file, "version")) != VERSION:
        raise WeightsError(f"format version {version!s:.40}; this program reads version {VERSION}")
    return _text(file, "network")


def _read(file: GuardedFile, architecture: Architecture) -> Weights:
    network = _network(file)
    expected = architecture.parameter_shapes()
    datasets = file.datasets(depth=0)
    for name, item in datasets.items():
        require_plain(item, name)
    products = {name: shape for name, shape in product_shapes(architecture).items() if name in datasets}
    expected |= products
    problems = differences(expected, {name: _shape(item, name) for name, item in datasets.items()})
    if problems:
        raise WeightsError(f"weights of {network!r:.80} do not fit {architecture.name}: {'; '.join(problems)}")
    stored = {name: _values(file, datasets[name], name) for name in expected}
    if _checksum(stored) != _text(file, "checksum"):
        raise WeightsError("checksum does not match; the file is damaged")
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in stored.items()}
    taught = products_among(arrays)
    parameters = {name: array for name, array in arrays.items() if name not in products}
    order = _text(file, "channel_order")
    if order == "BGR":
        turn_to_rgb(parameters, architecture)
    elif order != "RGB":
        raise WeightsError(f"channel order {order!r:.40}, expected RGB or BGR")
    provenance = {name: str(value) for name, value in attributes(file.file, "provenance.").items()}
    normalization = InputNormalization(_triple(file, "mean"), _triple(file, "scale"))
    trained = bool(attribute(file.file, "trained"))
    scales = {tap: float(value) for tap, value in attributes(file.file, "tap_scale.").items()}
    return require_sound(Weights(network, parameters, normalization, provenance, trained, scales, taught))


def _triple(file: GuardedFile, name: str) -> tuple[float, float, float]:
    values = np.asarray(attribute(file.file, name))
    if values.shape != (3,) or values.dtype.kind not in "iuf":
        raise WeightsError(f"{name} should be three finite numbers, is {values!s:.80}")
    return float(values[0]), float(values[1]), float(values[2])


def turn_to_rgb(parameters: dict[str, Float32], architecture: Architecture) -> None:
    """Turns the first convolution of a network that was trained to see BGR. WeightsError if there is none."""
    for node in architecture.nodes:
        if INPUT in node.inputs:
            if not isinstance(node.layer, Conv2d):
                raise WeightsError(f"channel order BGR cannot be turned to RGB in {architecture.name}")
            name = f"{node.name}.weight"
            parameters[name] = np.ascontiguousarray(parameters[name][:, :, ::-1])
