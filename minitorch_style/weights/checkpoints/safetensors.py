"""safetensors: a JSON header of dtypes, shapes and offsets, then the bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from math import prod
from typing import Any

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints.tensors import BFLOAT16, ElementType, Values, elements, view
from minitorch_style.weights.reading import shortened

KINDS = {
    "F64": ElementType("f8"), "F32": ElementType("f4"), "F16": ElementType("f2"), "BF16": BFLOAT16,
    "I64": ElementType("i8"), "I32": ElementType("i4"), "I16": ElementType("i2"), "I8": ElementType("i1"),
    "U64": ElementType("u8"), "U32": ElementType("u4"), "U16": ElementType("u2"), "U8": ElementType("u1"),
    "BOOL": ElementType("?"),
}  # fmt: skip
MAX_HEADER = 100_000_000  # bytes; the limit of the format's own library
BYTES_A_BRACKET, SPARE = 8, 64  # a tensor's entry has three, in some sixty bytes


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CheckpointError("the header names something twice")
    return found


def _strides(shape: list[int]) -> list[int]:
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def read_safetensors(data: bytes) -> dict[str, Values]:
    """{name: array}; CheckpointError where header and bytes do not belong together."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise CheckpointError("the header is longer than the file")
    brackets = data.count(b"{", 8, 8 + length) + data.count(b"[", 8, 8 + length)
    if (
        length > MAX_HEADER or brackets > length // BYTES_A_BRACKET + SPARE
    ):  # Python's objects are larger than their JSON
        raise CheckpointError("the header is no list of tensors")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is not JSON ({shortened(error)})") from error
    if not isinstance(header, dict):
        raise CheckpointError("the header is no JSON object")
    body = memoryview(data)[8 + length :]
    header.pop("__metadata__", None)
    tensors: dict[str, Values] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        where = f"{name:.120}"
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise CheckpointError(f"{where}: expected dtype, shape and data_offsets")
        kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(kind, str) or kind not in KINDS:
            raise CheckpointError(f"{where}: unknown dtype {kind!s:.40}")
        if not _whole(shape) or not _whole(offsets) or len(offsets) != 2:
            raise CheckpointError(f"{where}: shape and offsets must be whole numbers of at least 0")
        begin, end = offsets
        if not begin <= end <= len(body) or prod(shape) * KINDS[kind].size != end - begin:
            raise CheckpointError(f"{where}: {prod(shape)} elements do not fill the bytes {begin} to {end}")
        spans.append((begin, end))
        storage = elements(body[begin:end], KINDS[kind], True, where)
        tensors[name] = view(storage, 0, shape, _strides(shape), where)
    spans.sort()
    if any(first[1] > second[0] for first, second in pairwise(spans)):
        raise CheckpointError("tensors overlap one another")
    return tensors


def _whole(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= 32
        and all(type(value) is int and 0 <= value < 2**62 for value in values)
    )
