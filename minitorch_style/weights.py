"""HDF5 weight files ↔ named arrays, checked against a network; the only importer of h5py.

A file holds one dataset a parameter, named `node.parameter`, float32 or float16 (loaded as float32), and attributes:

    format "minitorch_style weights", version 1, network, mean, scale, channel_order (RGB or BGR), trained, checksum,
    and any number of texts `provenance.KEY`: source, licence, how it was made.

mean and scale are per channel, in RGB order, for pixels in [0, 1]; a file of channel order BGR has its first
convolution turned to RGB when it is loaded. The checksum is SHA-256 over names, shapes and stored values.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.kernels.buffers import Array
from minitorch_style.layers import Affine, Conv2d, PReLU
from minitorch_style.networks import INPUT, Architecture
from minitorch_style.plan import Normalisation

FORMAT, VERSION = "minitorch_style weights", 1
IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), scale=(1 / 0.229, 1 / 0.224, 1 / 0.225))


@dataclass(frozen=True)
class Weights:
    """Parameters of one network as a file holds them."""

    network: str
    parameters: Mapping[str, Array]
    normalisation: Normalisation = IMAGENET
    provenance: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True


def bundled_directory() -> Path:
    """Where the weight files lie that come with the package: inside it when installed, beside it in a checkout."""
    here = Path(__file__).parent
    return here / "bundled" if (here / "bundled").is_dir() else here.parent / "weights"


def bundled() -> dict[str, Path]:
    """{network name: file} of the weights that come with the package."""
    return {path.stem: path for path in sorted(bundled_directory().glob("*.h5"))}


def user_directory() -> Path:
    """Where installed weights lie: MINITORCH_STYLE_DATA, else the place for an application's data on this system."""
    if named := os.environ.get("MINITORCH_STYLE_DATA"):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "minitorch_style"


def installed() -> dict[str, Path]:
    """{network name: file} of the weights that `weights install` has put into the user's directory."""
    try:
        return {path.stem: path for path in sorted(user_directory().glob("*.h5"))}
    except RuntimeError:  # no home directory
        return {}


@dataclass(frozen=True)
class Published:
    """A checkpoint that can be installed: where it is, its SHA-256 or the published beginning of it, its licence."""

    url: str
    sha256: str
    licence: str


# torchvision puts the first eight digits of a file's SHA-256 into its name and checks no more; the whole one is used
# where it could be confirmed.
PUBLISHED = {
    "vgg16": Published(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "BSD-3-Clause (torchvision), ImageNet",
    ),
    "vgg19": Published(
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d", "BSD-3-Clause (torchvision), ImageNet"
    ),
}


def random_weights(architecture: Architecture, seed: int) -> Weights:
    """He initialisation (He et al. 2015) from `seed`: the same numbers on every machine. PReLU slopes are 1/4."""
    rng = np.random.default_rng(seed)
    parameters: dict[str, Array] = {}
    for node in architecture.nodes:
        for name, shape in node.parameter_shapes().items():
            if isinstance(node.layer, Conv2d) and name == "weight":
                value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:3]))
            elif isinstance(node.layer, PReLU):
                value = np.full(shape, 0.25)
            else:
                value = np.full(shape, float(isinstance(node.layer, Affine) and name == "weight"))
            parameters[f"{node.name}.{name}"] = value.astype(np.float32)
    source = {"source": f"He initialisation, seed {seed}"}
    return Weights(architecture.name, parameters, IMAGENET, source, trained=False)


def differences(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """All that distinguishes two sets of named shapes, a line each."""
    lines = [f"missing {name} {expected[name]}" for name in expected if name not in found]
    lines += [f"extra {name} {found[name]}" for name in found if name not in expected]
    lines += [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    return lines


def _checksum(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


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
            for name, array in stored.items():
                file.create_dataset(name, data=array, track_times=False)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
        creation = item.id.get_create_plist()
        layout = creation.get_layout()
        if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or creation.get_external_count():
            raise WeightsError(f"{path}: {name} is not stored contiguously in the file itself")
        if item.dtype.newbyteorder("=") not in (np.dtype(np.float32), np.dtype(np.float16)):
            raise WeightsError(f"{path}: {name} is of type {item.dtype}, expected float32 or float16")
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


def is_weight_file(path: Path) -> bool:
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
    problems = differences(expected, {name: item.shape for name, item in datasets.items()})
    if problems:
        raise WeightsError(f"{path}: weights of {network!r} do not fit {architecture.name}: {'; '.join(problems)}")
    stored = {name: datasets[name][()] for name in expected}
    if _checksum(stored) != _attribute(file, path, "checksum"):
        raise WeightsError(f"{path}: checksum does not match; the file is damaged")
    parameters = {name: np.ascontiguousarray(array, np.float32) for name, array in stored.items()}
    if bad := [name for name, array in parameters.items() if not np.all(np.isfinite(array))]:
        raise WeightsError(f"{path}: {', '.join(bad)} hold values that are not finite numbers")
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
    return Weights(network, parameters, normalisation, provenance, bool(_attribute(file, path, "trained")))


def _turn_to_rgb(parameters: dict[str, Array], architecture: Architecture, path: Path) -> None:
    for node in architecture.nodes:
        if INPUT in node.inputs:
            if not isinstance(node.layer, Conv2d):
                raise WeightsError(f"{path}: channel order BGR cannot be turned to RGB in {architecture.name}")
            name = f"{node.name}.weight"
            parameters[name] = np.ascontiguousarray(parameters[name][:, :, ::-1])


def find_weights(architecture: Architecture, weights: str | os.PathLike[str] | None) -> Weights:
    """The weights for a network: a file, `random:SEED`, or for None those that come with the package or are installed."""
    if weights is None:
        available = {**installed(), **bundled()}
        if architecture.name not in available:
            fetch = f"`minitorch_style weights install {architecture.name}` fetches them, or "
            raise WeightsError(
                f"no weights for {architecture.name} here (only for {', '.join(available)}); "
                f"{fetch if architecture.name in PUBLISHED else ''}convert a checkpoint with `minitorch_style weights convert FILE --network {architecture.name} -o OUT.h5` "
                "and name it with --weights, or use --weights random:SEED"
            )
        return load_weights(available[architecture.name], architecture)
    text = os.fspath(weights)
    if text.startswith("random:"):
        seed = text.removeprefix("random:")
        if not seed.isdecimal():
            raise SettingsError(f"random weights need a whole number as seed: random:0, not {text}")
        return random_weights(architecture, int(seed))
    return load_weights(Path(text), architecture)
