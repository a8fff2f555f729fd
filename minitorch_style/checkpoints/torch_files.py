"""PyTorch's own formats: the zip archive of 1.6 and later, and the stream of pickles before it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

from minitorch_style.checkpoints.pickles import Machine, StorageReference, TensorReference, storage_reference
from minitorch_style.checkpoints.tensors import Values, elements, view
from minitorch_style.errors import CheckpointError

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
Storage = Callable[[StorageReference], Values]


def read_zip(data: bytes) -> Any:
    """The value of an archive: members NAME/data.pkl, NAME/data/KEY, and NAME/byteorder if not little."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = {}
            for member in archive.infolist():
                if member.filename in members:
                    raise CheckpointError(f"the archive holds {member.filename:.80} twice")
                if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                    raise CheckpointError(f"the archive's {member.filename:.80} is compressed or encrypted")
                if member.file_size > len(data):
                    raise CheckpointError(f"the archive's {member.filename:.80} claims more bytes than the file has")
                members[member.filename] = member
            roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
            if len(roots) != 1:
                raise CheckpointError(f"a zip archive with {len(roots)} members data.pkl, not 1: no PyTorch checkpoint")
            root = roots[0]
            order = archive.read(members[root + "byteorder"]) if root + "byteorder" in members else b"little"
            if order not in (b"little", b"big"):
                raise CheckpointError("the archive's byte order is neither little nor big")
            storages: dict[str, Values] = {}

            def storage(reference: StorageReference) -> Values:
                name = f"{root}data/{reference.key}"
                if name not in members:
                    raise CheckpointError(f"the archive has no storage {reference.key:.80}")
                if reference.key not in storages:
                    raw = archive.read(members[name])
                    storages[reference.key] = _checked(
                        elements(raw, reference.kind, order == b"little", name), reference
                    )
                return _checked(storages[reference.key], reference)

            machine = Machine(lambda identity: storage_reference(identity)[0])
            return resolved(machine.load(BytesIO(archive.read(members[root + "data.pkl"]))), storage)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        struct.error,
        ValueError,
        OSError,
    ) as error:
        raise CheckpointError(f"a damaged zip archive ({error})") from error


def _checked(values: Values, reference: StorageReference) -> Values:
    if values.size != reference.count:
        raise CheckpointError(
            f"storage {reference.key:.80} holds {values.size} elements, the checkpoint says {reference.count}"
        )
    return values


def read_legacy(data: bytes) -> Any:
    """The value of a stream: magic number, protocol, system, value, storage keys, then each storage's bytes."""
    stream = BytesIO(data)
    references: dict[str, StorageReference] = {}

    def remembered(identity: Any) -> StorageReference:
        reference, part = storage_reference(identity)
        if part is not None:
            raise CheckpointError("storages that are views of others (PyTorch before 0.4) are not read")
        if references.setdefault(reference.key, reference) != reference:
            raise CheckpointError(f"storage {reference.key:.80} is described in two ways")
        return reference

    def plain(identity: Any) -> Any:
        raise CheckpointError("a storage where none belongs")

    if Machine(plain).load(stream) != LEGACY_MAGIC or Machine(plain).load(stream) != LEGACY_PROTOCOL:
        raise CheckpointError("no PyTorch checkpoint: the magic number or protocol version is another")
    system = Machine(plain).load(stream)
    little = system.get("little_endian") if isinstance(system, dict) else None
    if not isinstance(little, bool):
        raise CheckpointError("the checkpoint does not tell its byte order")
    value = Machine(remembered).load(stream)
    keys = Machine(plain).load(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(references):
        raise CheckpointError("the list of storages does not match those that the tensors name")
    storages: dict[str, Values] = {}
    view_of_file = memoryview(data)
    for key in keys:
        reference = references[key]
        start = stream.tell() + 8
        count = int.from_bytes(data[start - 8 : start], "little" if little else "big", signed=True)
        end = start + count * reference.kind.size
        if start > len(data) or count < 0 or end > len(data):
            raise CheckpointError(f"storage {key:.80} reaches beyond the end of the file")
        storages[key] = _checked(elements(view_of_file[start:end], reference.kind, little, f"storage {key}"), reference)
        stream.seek(end)
    return resolved(value, lambda reference: storages[reference.key])


def resolved(value: Any, storage: Storage) -> Any:
    """`value` with its tensors as arrays, two dictionaries deep: where state dicts are."""

    def at(item: Any, depth: int, where: str) -> Any:
        if isinstance(item, TensorReference):
            return view(storage(item.storage), item.offset, item.shape, item.strides, where)
        if isinstance(item, dict) and depth:
            return {key: at(entry, depth - 1, f"{key!s:.120}") for key, entry in item.items()}
        return item

    return at(value, 2, "the checkpoint")
