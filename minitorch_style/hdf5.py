"""HDF5 weight files ↔ named arrays, checked against a network; the only importer of h5py.

A file holds one dataset a parameter, named `node.parameter`, float32 or float16 (loaded as float32), or uint8: the signs
of a convolution's weights, eight to a byte, with attributes `shape` and `scale`, one number a filter. Attributes:

    format "minitorch_style weights", version 1, network, mean, scale, channel_order (RGB or BGR), trained, checksum,
    any number `tap_scale.TAP` (see `Weights`) and any number of texts `provenance.KEY`: source, licence, how it was made.

mean and scale are per channel, in RGB order, for pixels in [0, 1]; a file of channel order BGR has its first
convolution turned to RGB when it is loaded. The checksum is SHA-256 over names, shapes and stored values.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import WeightsError
from minitorch_style.kernels.buffers import Array
from minitorch_style.layers import Conv2d
from minitorch_style.networks import INPUT, Architecture
from minitorch_style.plan import Normalisation
from minitorch_style.weights import Weights, differences

KERAS_DEPTH = 6
KNOWN_FILTERS = {1, 2, 3}  # deflate, shuffle, checksum: HDF5 numbers its filters
FORMAT, VERSION = "minitorch_style weights", 1


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


def _shape(item: Any) -> tuple[int, ...]:
    """The shape of the parameter that a dataset holds."""
    return item.shape if item.dtype != np.uint8 else tuple(int(side) for side in item.attrs.get("shape", ()))


def _values(item: Any, path: Path, name: str) -> npt.NDArray[Any]:
    """A parameter as stored, bits unpacked to plus and minus their filter's scale."""
    if item.dtype != np.uint8:
        return np.asarray(item[()])
    shape, scale = _shape(item), np.asarray(item.attrs.get("scale", ()))
    count = math.prod(shape)
    kinds = (np.dtype(np.float32), np.dtype(np.float16))
    if scale.shape != shape[-1:] or scale.dtype not in kinds or item.shape != (-(-count // 8),):
        raise WeightsError(f"{path}: {name} holds {item.shape} bytes of signs and {scale.shape} scales for {shape}")
    signs = np.unpackbits(item[()], count=count).reshape(shape)
    return np.where(signs == 1, scale, -scale)


def save_weights(path: Path, weights: Weights, half: bool = False) -> None:
    """Writes a weight file, under a temporary name until it is whole. `half` stores float16."""
    import h5py

    with np.errstate(over="ignore"):  # told below, by name
        stored = {
            name: np.ascontiguousarray(array, np.float16 if half else np.float32)
            for name, array in weights.parameters.items()
        }
    if bad := [name for name, array in stored.items() if not np.all(np.isfinite(array))]:
        raise WeightsError(f"{path}: {', '.join(bad)} do not fit {'half' if half else 'single'} precision")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    os.close(handle)
    try:
        with h5py.File(temporary, "w", track_order=True) as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["network"], file.attrs["trained"] = weights.network, weights.trained
            file.attrs["mean"], file.attrs["scale"] = weights.normalisation.mean, weights.normalisation.scale
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
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _require_plain(item: Any, path: Path, name: str) -> None:
    """Refuses a dataset whose reading would lead elsewhere, need code we do not know, or give no floats."""
    import h5py

    creation = item.id.get_create_plist()
    layout = creation.get_layout()
    filters = {creation.get_filter(index)[0] for index in range(creation.get_nfilters())}
    if layout == h5py.h5d.VIRTUAL or creation.get_external_count() or not filters <= KNOWN_FILTERS:
        raise WeightsError(f"{path}: {name} lies in other files, or behind an unknown filter")
    if item.dtype.newbyteorder("=") not in [np.dtype(kind) for kind in (np.float32, np.float16, np.uint8)]:
        raise WeightsError(f"{path}: {name} is of type {item.dtype}, expected float32, float16 or packed bits")


def _datasets(file: Any, path: Path) -> dict[str, Any]:
    """The file's datasets by name; anything that could lead elsewhere or expand is refused before it is read."""
    import h5py

    found = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise WeightsError(f"{path}: {name} is a soft or external link; weight files hold plain datasets only")
        item = file[name]
        if not isinstance(item, h5py.Dataset):
            raise WeightsError(f"{path}: {name} is a group; weight files hold plain datasets only")
        _require_plain(item, path, name)
        found[name] = item
    return found


def _attribute(file: Any, path: Path, name: str) -> Any:
    if name not in file.attrs:
        raise WeightsError(f"{path}: no attribute {name}; not a weight file of this program, or damaged")
    return file.attrs[name]


def _triple(file: Any, path: Path, name: str) -> tuple[float, float, float]:
    values = np.asarray(_attribute(file, path, name), np.float64)
    if values.shape != (3,) or not np.all(np.isfinite(values)):
        raise WeightsError(f"{path}: {name} should be three finite numbers, is {values}")
    return float(values[0]), float(values[1]), float(values[2])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The HDF5 file at `path`; whatever h5py raises on a damaged one becomes a WeightsError."""
    import h5py

    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise WeightsError(f"{path}: not a readable HDF5 file ({error})") from error
    try:
        with file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged HDF5 file ({error})") from error


def load_weights(path: Path, architecture: Architecture) -> Weights:
    """Reads a weight file for `architecture`. WeightsError tells, with every difference, why a file does not fit."""
    with _opened(path) as file:
        return _read(file, path, architecture)


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5 at all."""
    try:
        with path.open("rb") as file:
            return file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


def network_of(path: Path) -> str:
    """The name of the network that a weight file says it is for."""
    with _opened(path) as file:
        if _attribute(file, path, "format") != FORMAT:
            raise WeightsError(f"{path}: not a weight file of this program")
        return str(_attribute(file, path, "network"))


def _read(file: Any, path: Path, architecture: Architecture) -> Weights:
    if _attribute(file, path, "format") != FORMAT:
        raise WeightsError(f"{path}: not a weight file of this program")
    if (version := int(_attribute(file, path, "version"))) != VERSION:
        raise WeightsError(f"{path}: format version {version}; this program reads version {VERSION}")
    network = str(_attribute(file, path, "network"))
    expected = architecture.parameter_shapes()
    datasets = _datasets(file, path)
    problems = differences(expected, {name: _shape(item) for name, item in datasets.items()})
    if problems:
        raise WeightsError(f"{path}: weights of {network!r} do not fit {architecture.name}: {'; '.join(problems)}")
    stored = {name: _values(datasets[name], path, name) for name in expected}
    if _checksum(stored) != _attribute(file, path, "checksum"):
        raise WeightsError(f"{path}: checksum does not match; the file is damaged")
    parameters = {name: np.ascontiguousarray(array, np.float32) for name, array in stored.items()}
    _require_finite(parameters, path)
    order = _attribute(file, path, "channel_order")
    if order == "BGR":
        _turn_to_rgb(parameters, architecture, path)
    elif order != "RGB":
        raise WeightsError(f"{path}: channel order {order!r}, expected RGB or BGR")
    provenance = {
        name.removeprefix("provenance."): str(value)
        for name, value in file.attrs.items()
        if name.startswith("provenance.")
    }
    normalisation = Normalisation(_triple(file, path, "mean"), _triple(file, path, "scale"))
    trained = bool(_attribute(file, path, "trained"))
    return Weights(network, parameters, normalisation, provenance, trained, _tap_scales(file, path))


def _tap_scales(file: Any, path: Path) -> dict[str, float]:
    scales = {
        name.removeprefix("tap_scale."): float(np.asarray(value, np.float64))
        for name, value in file.attrs.items()
        if name.startswith("tap_scale.")
    }
    if bad := [tap for tap, factor in scales.items() if not 0 < factor < np.inf]:
        raise WeightsError(f"{path}: the scale of {', '.join(bad)} is no positive number")
    return scales


def _require_finite(parameters: Mapping[str, Array], path: Path) -> None:
    if bad := [name for name, array in parameters.items() if not np.all(np.isfinite(array))]:
        raise WeightsError(f"{path}: {', '.join(bad)} hold values that are not finite numbers")


def _turn_to_rgb(parameters: dict[str, Array], architecture: Architecture, path: Path) -> None:
    for node in architecture.nodes:
        if INPUT in node.inputs:
            if not isinstance(node.layer, Conv2d):
                raise WeightsError(f"{path}: channel order BGR cannot be turned to RGB in {architecture.name}")
            name = f"{node.name}.weight"
            parameters[name] = np.ascontiguousarray(parameters[name][:, :, ::-1])


# {what a layer's groups are called: its name here}, for VGGs and for SqueezeNet as converted from Caffe, and what each
# network was trained to see: RGB means of 0 to 255.
KERAS_VGG = (re.compile(r"(?:^|/)block(\d)_(conv)(\d)(?:/|$)"), r"\2\1_\3", (123.68, 116.779, 103.939))
KERAS_SQUEEZENET = (re.compile(r"/(conv1|fire\d)(?:/(\w+))?/[\w/]+$"), r"\1.\2", (122.679, 116.669, 104.006))


def load_keras(path: Path, architecture: Architecture) -> Weights:
    """The weights of a VGG or SqueezeNet that Keras saved: groups blockB_convI, or fireN/LAYER, of a kernel (kh, kw, in,
    out) and a bias, for BGR of 0 to 255 less the mean. WeightsError as for `load_weights`; layers of a classifier are
    left out."""
    import h5py

    pattern, naming, mean = KERAS_SQUEEZENET if architecture.name == "squeezenet" else KERAS_VGG

    parameters: dict[str, Array] = {}
    expected = architecture.parameter_shapes()

    def groups(group: Any, name: str, depth: int) -> None:
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink) or depth > KERAS_DEPTH:
                raise WeightsError(f"{path}: {name}/{key} is a link, or nested too deep for a file of Keras's")
            item, full = group[key], f"{name}/{key}"
            if isinstance(item, h5py.Group):
                groups(item, full, depth + 1)
            elif found := pattern.search(full):
                _require_plain(item, path, full)
                layer = found.expand(naming).rstrip(".")
                target = f"{layer}.{'bias' if len(item.shape) == 1 else 'weight'}"
                if expected.get(target) != item.shape:
                    raise WeightsError(
                        f"{path}: {full} is {item.shape}, {architecture.name} has {expected.get(target)}"
                    )
                parameters[target] = np.ascontiguousarray(item[()], np.float32)

    with _opened(path) as file:
        groups(file, "", 0)
    if missing := [name for name in expected if name not in parameters]:
        raise WeightsError(f"{path}: no network of Keras's for {architecture.name}: {', '.join(missing)} are missing")
    _require_finite(parameters, path)
    _turn_to_rgb(parameters, architecture, path)
    red, green, blue = (value / 255 for value in mean)
    return Weights(architecture.name, parameters, Normalisation((red, green, blue), (255.0, 255.0, 255.0)))
