"""Weight files that NumPy alone reads, for boards without h5py: an .npz of the parameters and a JSON text about them."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import WeightsError
from minitorch_style.files import atomic_write
from minitorch_style.nn.architecture import InputNormalization
from minitorch_style.nn.registry import Architecture
from minitorch_style.weights.reading import reading, require_file
from minitorch_style.weights.weights import Weights, differences, product_shapes, products_among, require_sound

ABOUT = "about"
KINDS = (np.dtype(np.float16), np.dtype(np.float32))
MAX_ABOUT = 1 << 16  # characters
MAX_MEMBERS = 10_000
GROWTH, SPARE = 64, 1 << 20  # what is unpacked may take so many times the file


def save_npz(path: Path, weights: Weights) -> None:
    """Half precision, compressed, the teacher's products in single; there whole or not at all. WeightsError if it cannot be
    written."""
    about = {
        "network": weights.network,
        "mean": weights.normalization.mean,
        "scale": weights.normalization.scale,
        "provenance": dict(weights.provenance),
        "trained": weights.trained,
        "tap_scales": dict(weights.tap_scales),
    }
    arrays: dict[str, Any] = {name: array.astype(np.float16) for name, array in weights.parameters.items()}
    arrays |= weights.named_products()
    arrays[ABOUT] = np.array(json.dumps(about))
    content = BytesIO()
    np.savez_compressed(content, **arrays)
    with atomic_write(path, WeightsError) as file:
        file.write(content.getvalue())


class _Archive:
    """The arrays in an .npz, known by their headers before anything is unpacked."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.left = GROWTH * size + SPARE
        listed = archive.infolist()
        self.members = {member.filename.removesuffix(".npy"): member for member in listed}
        if len(listed) > MAX_MEMBERS or len(self.members) != len(listed):
            raise WeightsError(f"more than {MAX_MEMBERS} arrays, or two of one name")

    def _header(self, file: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise WeightsError(f"{name:.80} is an array of format {version}, expected (1, 0)")
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
        if fortran and len(shape) > 1:
            raise WeightsError(f"{name:.80} is stored by columns")
        return shape, kind

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter. WeightsError unless it holds float16 or float32."""
        with self.archive.open(self.members[name]) as file:
            shape, kind = self._header(file, name)
        if kind.newbyteorder("=") not in KINDS:
            raise WeightsError(f"{name:.80} is of type {kind!s:.80}, expected float16 or float32")
        return shape

    def array(self, name: str) -> npt.NDArray[Any]:
        """An array, no larger than its header says."""
        with self.archive.open(self.members[name]) as file:
            shape, kind = self._header(file, name)
            size = math.prod(shape) * kind.itemsize
            self.left -= size
            if self.left < 0:
                raise WeightsError(f"{name:.80}: {size} bytes are far more than this file can hold")
            content = file.read(size + 1)
        if len(content) != size:
            raise WeightsError(f"{name:.80} does not hold the {size} bytes of its shape {shape}")
        return np.frombuffer(content, kind).reshape(shape)

    def about(self) -> dict[str, Any]:
        """What the file says of itself."""
        if ABOUT not in self.members:
            raise WeightsError("not a weight file of this program")
        with self.archive.open(self.members[ABOUT]) as file:
            shape, kind = self._header(file, ABOUT)
        if shape != () or kind.kind != "U" or kind.itemsize > 4 * MAX_ABOUT:
            raise WeightsError(f"{ABOUT} is no text of up to {MAX_ABOUT} characters")
        about = json.loads(str(self.array(ABOUT)))
        if not isinstance(about, dict):
            raise WeightsError(f"{ABOUT} is no JSON object")
        return about


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with reading(path):
        require_file(path)
        try:
            file = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise WeightsError(f"not a weight file of this program, or damaged ({error})") from error
        with file:
            yield _Archive(file, path.stat().st_size)


def _text(about: Mapping[str, Any], name: str) -> str:
    if not isinstance(about.get(name), str):
        raise WeightsError(f"{name} is no text")
    return str(about[name])


def _triple(about: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    values = about.get(name)
    if not isinstance(values, list) or len(values) != 3 or not all(_is_number(value) for value in values):
        raise WeightsError(f"{name} should be three numbers, is {values!s:.80}")
    return float(values[0]), float(values[1]), float(values[2])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(about: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(about.get(name), dict):
        raise WeightsError(f"{name} is no JSON object")
    return dict(about[name])


def npz_network(path: Path) -> str:
    """The name of the network that an .npz says it is for."""
    with _opened(path) as file:
        return _text(file.about(), "network")


def load_npz(path: Path, architecture: Architecture) -> Weights:
    """Reads a file of `save_npz` for `architecture`; WeightsError if it does not fit or is damaged."""
    with _opened(path) as file:
        about = file.about()
        network = _text(about, "network")
        provenance, scales = _table(about, "provenance"), _table(about, "tap_scales")
        if not all(isinstance(text, str) for text in provenance.values()) or not isinstance(about.get("trained"), bool):
            raise WeightsError("provenance should hold texts, and trained be true or false")
        if not all(_is_number(factor) for factor in scales.values()):
            raise WeightsError("tap_scales should hold numbers")
        normalization = InputNormalization(_triple(about, "mean"), _triple(about, "scale"))
        products = {name: shape for name, shape in product_shapes(architecture).items() if name in file.members}
        expected = architecture.parameter_shapes() | products
        named = {name: file.shape(name) if name in expected else () for name in file.members if name != ABOUT}
        if problems := differences(expected, named):
            raise WeightsError(f"does not fit {architecture.name}: {'; '.join(problems)}")
        arrays = {name: file.array(name).astype(np.float32) for name in expected}
        parameters = {name: array for name, array in arrays.items() if name not in products}
        trained, taught = about["trained"], products_among(arrays)
        return require_sound(Weights(network, parameters, normalization, provenance, trained, scales, taught))
