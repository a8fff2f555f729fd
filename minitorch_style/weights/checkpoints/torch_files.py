"""PyTorch's own formats: the zip archive of 1.6 and later, and the stream of pickles before it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints.pickles import Machine, StorageReference, TensorReference, storage_reference
from minitorch_style.weights.checkpoints.tensors import Values, elements, view
from minitorch_style.weights.reading import shortened

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
Storage = Callable[[StorageReference], Values]


def read_zip(data: bytes) -> Any:
    """The value of an archive: members NAME/data.pkl, NAME/data/KEY, and NAME/byteorder if not little."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return _archived(archive, len(data))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error) as error:
        raise CheckpointError(f"a damaged zip archive ({shortened(error)})") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """{name: member} of an archive of `size` bytes, each stored as it is, and all together not more than the file."""
    members: dict[str, zipfile.ZipInfo] = {}
    listed = archive.infolist()
    if any("/code/__torch__" in member.filename for member in listed):
        raise CheckpointError("a TorchScript archive, which is a program: save the model's state_dict() instead")
    for member in listed:
        if member.filename in members:
            raise CheckpointError(f"the archive holds {member.filename:.80} twice")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise CheckpointError(f"the archive's {member.filename:.80} is compressed or encrypted")
        members[member.filename] = member
    if sum(member.file_size for member in listed) > size:
        raise CheckpointError("the archive's members claim more bytes than the file has")
    return members


def _archived(archive: zipfile.ZipFile, size: int) -> Any:
    members = _members(archive, size)
    roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(f"a zip archive with {len(roots)} members data.pkl, not 1: no PyTorch checkpoint")
    root = roots[0]
    order = archive.read(members[root + "byteorder"]) if root + "byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise CheckpointError("the archive's byte order is neither little nor big")
    storages: dict[str, Values] = {}
    references = References()

    def storage(reference: StorageReference) -> Values:
        key = reference.key
        if key not in storages:
            name = f"{root}data/{key}"
            if name not in members:
                raise CheckpointError(f"the archive has no storage {key}")
            found = elements(archive.read(members[name]), reference.kind, order == b"little", f"storage {key}")
            storages[key] = _checked(found, reference)
        return storages[key]

    machine = Machine(lambda identity: references.add(storage_reference(identity)[0]), size)
    return resolved(machine.load(BytesIO(archive.read(members[root + "data.pkl"]))), storage)


class References(dict[str, StorageReference]):
    """The storages that a pickle mentions, by key."""

    def add(self, reference: StorageReference) -> StorageReference:
        """The one known by this key. CheckpointError if it was described otherwise before."""
        known = self.setdefault(reference.key, reference)
        if known != reference:
            raise CheckpointError(f"storage {reference.key} is described in two ways")
        return known


def _checked(values: Values, reference: StorageReference) -> Values:
    if values.size != reference.count:
        raise CheckpointError(
            f"storage {reference.key} holds {values.size} elements, the checkpoint says {reference.count}"
        )
    return values


def read_legacy(data: bytes) -> Any:
    """The value of a stream: magic number, protocol, system, value, storage keys, then each storage's bytes."""
    stream = BytesIO(data)
    references = References()

    def remembered(identity: Any) -> StorageReference:
        reference, part = storage_reference(identity)
        if part is not None:
            raise CheckpointError("storages that are views of others (PyTorch before 0.4) are not read")
        return references.add(reference)

    def plain(identity: Any) -> Any:
        raise CheckpointError("a storage where none belongs")

    def load(persistent: Callable[[Any], Any]) -> Any:
        return Machine(persistent, len(data)).load(stream)

    if load(plain) != LEGACY_MAGIC or load(plain) != LEGACY_PROTOCOL:
        raise CheckpointError("no PyTorch checkpoint: the magic number or protocol version is another")
    system = load(plain)
    little = system.get("little_endian") if isinstance(system, dict) else None
    if not isinstance(little, bool):
        raise CheckpointError("the checkpoint does not tell its byte order")
    value, keys = load(remembered), load(plain)
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or sorted(keys) != sorted(references)
    ):
        raise CheckpointError("the list of storages does not match those that the tensors name")
    storages: dict[str, Values] = {}
    view_of_file = memoryview(data)
    for key in keys:
        reference = references[key]
        start = stream.tell() + 8
        count = int.from_bytes(data[start - 8 : start], "little" if little else "big", signed=True)
        end = start + count * reference.kind.size
        if start > len(data) or count < 0 or end > len(data):
            raise CheckpointError(f"storage {key} reaches beyond the end of the file")
        storages[key] = _checked(elements(view_of_file[start:end], reference.kind, little, f"storage {key}"), reference)
        stream.seek(end)
    return resolved(value, lambda reference: storages[reference.key])


def resolved(value: Any, storage: Storage) -> Any:
    """`value` with its tensors as arrays, two dictionaries deep: where state dicts are. What the pickle holds once and
    mentions often is made once."""
    made: dict[tuple[int, int], Any] = {}

    def at(item: Any, depth: int, where: object) -> Any:
        if isinstance(item, TensorReference):
            key = id(item), 0
            if key not in made:
                made[key] = view(storage(item.storage), item.offset, item.shape, item.strides, where)
            return made[key]
        if isinstance(item, dict) and depth:
            key = id(item), depth
            if key not in made:
                made[key] = {name: at(entry, depth - 1, name) for name, entry in item.items()}
            return made[key]
        return item

    return at(value, 2, "the checkpoint")
