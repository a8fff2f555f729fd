"""HDF5 files from strangers: whatever is taken out of one was looked at first; the only importer of h5py.

A small file can name one object a million times, lead into other files, ask for code, or unpack to any size, and HDF5
follows. Here every object is reached by one path, lies in the file, is whole, and takes memory in proportion to the file.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import WeightsError
from minitorch_style.weights.reading import reading, require_file, shortened

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # as HDF5 numbers its filters
PIPELINES = [
    [kind for kind, used in zip((SHUFFLE, DEFLATE, FLETCHER32), chosen, strict=True) if used]
    for chosen in product((False, True), repeat=3)
]
KINDS = tuple(np.dtype(kind) for kind in (np.float32, np.float16, np.uint8))
MAX_LINKS, MAX_CHUNKS, MAX_ATTRIBUTES, MAX_DEPTH = 10_000, 1 << 14, 1000, 6
HEAP = b"GCOL\x01\0\0\0"
MAX_TEXT = 1 << 16  # bytes of an attribute
GROWTH, SPARE = 64, 1 << 20  # what is unpacked may take so many times the file


class GuardedFile:
    """An HDF5 file that is open for reading."""

    def __init__(self, file: Any, size: int) -> None:
        self.file = file
        self.left = GROWTH * size + SPARE
        self._reached: set[int] = set()
        self._links = 0

    def datasets(self, depth: int) -> dict[str, Any]:
        """{name: dataset} of the root, and with `depth` of the groups below it, named group/name. Every one is plain:
        `_require_plain`. WeightsError for links and for objects that several names lead to."""
        return dict(self._below(self.file, "", depth))

    def _below(self, group: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        import h5py

        self._links += len(group)
        if self._links > MAX_LINKS:
            raise WeightsError(f"holds more than {MAX_LINKS} objects")
        for key in group:
            name = f"{path}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise WeightsError(f"{name:.120} is a link: soft or external links may lead anywhere")
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in self._reached:
                raise WeightsError(f"{name:.120} is another name of an object that was met before")
            self._reached.add(address)
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group) and depth > 0:
                yield from self._below(item, f"{name}/", depth - 1)
            else:
                raise WeightsError(f"{name:.120} is a group, nested too deep, or no dataset")

    def values(self, dataset: Any, name: str) -> npt.NDArray[Any]:
        """The numbers of a dataset: float32, float16 or uint8."""
        require_plain(dataset, name)
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        self.left -= size
        if self.left < 0:
            raise WeightsError(f"{name:.120}: {size} bytes are far more than this file can hold")
        if dataset.chunks is not None:
            _require_whole_chunks(dataset, name)
        elif size and dataset.id.get_storage_size() != size:
            raise WeightsError(f"{name:.120} was never written")
        return np.asarray(dataset[()])


def require_plain(dataset: Any, name: str) -> None:
    """Refuses a dataset whose reading would lead elsewhere, need code we do not know, or give no floats or bits."""
    import h5py

    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]
    if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count() or filters not in PIPELINES:
        raise WeightsError(f"{name:.120} lies in other files, or behind an unknown filter")
    if dataset.dtype.newbyteorder("=") not in KINDS:
        raise WeightsError(f"{name:.120} is of type {dataset.dtype!s:.80}, expected float32, float16 or packed bits")


def _require_whole_chunks(dataset: Any, name: str) -> None:
    """HDF5 unpacks a chunk whatever its size turns out to be, so each is tried here first, up to the size it should have."""
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(index)[0] for index in range(creation.get_nfilters())]
    bound = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if any(chunk > max(side, 1) for chunk, side in zip(dataset.chunks, dataset.shape, strict=True)):
        raise WeightsError(f"{name:.120}: chunks {dataset.chunks} for the shape {dataset.shape}")
    starts = [range(0, side, chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if math.prod(len(start) for start in starts) > MAX_CHUNKS:
        raise WeightsError(f"{name:.120}: in more than {MAX_CHUNKS} chunks")
    for offset in product(*starts):
        stored = dataset.id.get_chunk_info_by_coord(offset)
        applied = [kind for index, kind in enumerate(filters) if not stored.filter_mask >> index & 1]
        size = stored.size - (4 if FLETCHER32 in applied else 0)
        if stored.size > bound + bound // 8 + 64:
            raise WeightsError(f"{name:.120}: a chunk of {stored.size} bytes for {bound}")
        if DEFLATE in applied:
            packed = dataset.id.read_direct_chunk(offset)[1]
            size = len(zlib.decompressobj().decompress(packed, bound + 1))
        if size != bound:
            raise WeightsError(f"{name:.120}: a chunk does not unpack to {bound} bytes, or was never written")


def attribute(item: Any, name: str) -> Any:
    """An attribute of a file or dataset: a text, or a number or a row of them. WeightsError for others."""
    import h5py

    if name not in item.attrs:
        raise WeightsError(f"no attribute {name:.120}; not a weight file of this program, or damaged")
    stored = item.attrs.get_id(name)
    text = h5py.check_string_dtype(stored.dtype) is not None
    if len(stored.shape) > (0 if text else 1) or stored.get_storage_size() > MAX_TEXT:
        raise WeightsError(f"the attribute {name:.120} is too large")
    if not text and stored.dtype.kind not in "biuf":
        raise WeightsError(f"the attribute {name:.120} is neither text nor number")
    value = item.attrs[name]
    if text and len(value) > MAX_TEXT:
        raise WeightsError(f"the attribute {name:.120} is too large")
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def attributes(item: Any, prefix: str) -> dict[str, Any]:
    """{the rest of its name: value} of every attribute whose name begins with `prefix`."""
    if len(item.attrs) > MAX_ATTRIBUTES:
        raise WeightsError(f"more than {MAX_ATTRIBUTES} attributes")
    return {name.removeprefix(prefix): attribute(item, name) for name in item.attrs if name.startswith(prefix)}


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[GuardedFile]:
    """The HDF5 file at `path`, or the one that `content` will make there. Whatever h5py raises is a WeightsError."""
    import h5py

    with reading(path):
        if content is None:
            require_file(path)
        size = path.stat().st_size if content is None else len(content)
        _require_walkable_heaps(path, content)
        try:
            file = h5py.File(path if content is None else BytesIO(content), "r")
        except OSError as error:
            raise WeightsError(f"not a readable HDF5 file ({shortened(error)})") from error
        with file:
            if file.id.get_create_plist().get_sizes() != (8, 8):
                raise WeightsError("an HDF5 file with addresses of other than 8 bytes")
            yield GuardedFile(file, size)


def _require_walkable_heaps(path: Path, content: bytes | None) -> None:
    """HDF5 walks the objects of a global heap, where texts are, by the sizes they tell; one that tells 0 holds it for
    ever. An object is 2 bytes of index, 6 of other things, 8 of size, and its bytes up to a multiple of 8; index 0 is
    free room, whose size counts all of it."""
    data = content if content is not None else path.read_bytes()
    start, objects = data.find(HEAP), len(data) // 16
    while start >= 0:
        at, end = start + 16, start + int.from_bytes(data[start + 8 : start + 16], "little")
        if not at <= end <= len(data):
            raise WeightsError("a heap that reaches beyond the file")
        while end - at >= 16:
            index, size = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 8 : at + 16], "little")
            need = size if index == 0 else 16 + -(-size // 8) * 8
            objects -= 1
            if not 0 < need <= end - at or objects < 0:
                raise WeightsError("a heap whose objects do not fit into it")
            at += need
        start = data.find(HEAP, start + 4)


def image(fill: Any) -> bytes:
    """The bytes of an HDF5 file that `fill(file)` writes, made in memory: HDF5 itself may crash on a full disk."""
    import h5py

    with h5py.File("unnamed.h5", "w", driver="core", backing_store=False, track_order=True) as file:
        fill(file)
        file.flush()
        return bytes(file.id.get_file_image())
