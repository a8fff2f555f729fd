"""Torch7's binary .t7 files, the paper's own framework: numbers, strings, tables, tensors, and nn modules as tables.

Functions in a file are skipped over, never run; classes are only names. A network becomes a state dict whose keys are
positions as PyTorch's Sequential counts them, from 0: `0.weight`, `3.1.bias`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints.tensors import ElementType, Values, elements, view

KINDS = {
    "Double": ElementType("f8"), "Float": ElementType("f4"), "Cuda": ElementType("f4"), "Half": ElementType("f2"),
    "Long": ElementType("i8"), "Int": ElementType("i4"), "Short": ElementType("i2"), "Char": ElementType("i1"),
    "Byte": ElementType("u1"),
}  # fmt: skip
NIL, NUMBER, STRING, TABLE, OBJECT, BOOLEAN, FUNCTION, OLD_FUNCTION, NEW_FUNCTION = range(9)
MAX_DEPTH = 100
NAMES, SPARE = 4, 1 << 16  # how much longer than the file all names together may be
LEARNT = ("weight", "bias", "running_mean", "running_var")


@dataclass(slots=True)
class Module:
    """An object of a class that is no tensor: its class's name and its fields."""

    kind: str
    fields: dict[Any, Any]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0
        self.seen: dict[int, Any] = {}

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.data) - self.position:
            raise CheckpointError("an object reaches beyond the end of the file")
        self.position += count
        return memoryview(self.data)[self.position - count : self.position]

    def integers(self, count: int, size: int) -> list[int]:
        return list(struct.unpack(f"<{count}{'i' if size == 4 else 'q'}", self.take(count * size)))

    def integer(self) -> int:
        return self.integers(1, 4)[0]

    def text(self) -> str:
        return bytes(self.take(self.integer())).decode("latin-1")

    def value(self, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise CheckpointError(f"objects nested more than {MAX_DEPTH} deep")
        kind = self.integer()
        if kind == NIL:
            return None
        if kind == NUMBER:
            return struct.unpack("<d", self.take(8))[0]
        if kind == STRING:
            return self.text()
        if kind == BOOLEAN:
            return self.integer() == 1
        if kind not in (TABLE, OBJECT, FUNCTION, OLD_FUNCTION, NEW_FUNCTION):
            raise CheckpointError(f"an object of unknown type {kind}; not a binary .t7 file, or damaged")
        index = self.integer()
        if index in self.seen:
            return self.seen[index]
        if kind == TABLE:
            return self.table(index, depth)
        if kind == OBJECT:
            return self.object(index, depth)
        self.seen[index] = None
        self.take(self.integer())  # a function's code
        self.value(depth + 1)  # and what it had closed over
        return None

    def table(self, index: int, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        self.seen[index] = found
        count = self.integer()
        if count < 0:
            raise CheckpointError(f"a table of {count} entries")
        for _ in range(count):
            key, value = self.value(depth + 1), self.value(depth + 1)
            if not isinstance(key, str | float | bool):
                raise CheckpointError("a table key that is neither text nor number")
            found[key] = value
        return found

    def object(self, index: int, depth: int) -> Any:
        name = self.text()
        if name.startswith("V "):  # a version, then the class
            name = self.text()
        for kind, element in KINDS.items():
            if name == f"torch.{kind}Tensor":
                found = self.tensor(name, depth)
                self.seen[index] = found
                return found
            if name == f"torch.{kind}Storage":
                count = self.integers(1, 8)[0]
                if count < 0:
                    raise CheckpointError("a storage of negative size")
                found = elements(self.take(count * element.size), element, True, name)
                self.seen[index] = found
                return found
        module = Module(name, {})
        self.seen[index] = module
        fields = self.value(depth + 1)
        if not isinstance(fields, dict):
            raise CheckpointError(f"{name:.80}: an object whose fields are no table")
        module.fields = fields
        return module

    def tensor(self, name: str, depth: int) -> Values | None:
        dimensions = self.integer()
        if not 0 <= dimensions <= 32:
            raise CheckpointError(f"{name:.80}: {dimensions} dimensions")
        shape, strides = self.integers(dimensions, 8), self.integers(dimensions, 8)
        offset = self.integers(1, 8)[0] - 1  # Lua counts from 1
        storage = self.value(depth + 1)
        if dimensions == 0 or storage is None:
            return None
        if not isinstance(storage, np.ndarray):
            raise CheckpointError(f"{name}: its storage is none")
        return view(storage, offset, shape, strides, name)


def _array_part(fields: dict[Any, Any]) -> list[Any]:
    """The values under keys 1, 2, 3 …"""
    values: list[Any] = []
    while (key := float(len(values) + 1)) in fields:
        values.append(fields[key])
    return values


class _Collector:
    """Gathers arrays under their paths. A path is as long as all the keys above it: `left` bounds them all together."""

    def __init__(self, size: int) -> None:
        self.state: dict[str, Values] = {}
        self.left = NAMES * size + SPARE
        self.visited: set[int] = set()

    def below(self, path: str, key: object) -> str:
        name = str(int(key)) if isinstance(key, float) and key.is_integer() else str(key)
        self.left -= len(path) + len(name)
        if self.left < 0:
            raise CheckpointError("names far longer than the file")
        return path + name

    def collect(self, value: Any, path: str = "", depth: int = 0) -> None:
        """Adds the learnt arrays of a module, or the arrays of a bare table."""
        if depth > MAX_DEPTH or id(value) in self.visited:
            return
        self.visited.add(id(value))
        if isinstance(value, Module):
            fields = value.fields
            for name in LEARNT:
                array = fields.get(name)
                if isinstance(array, np.ndarray):
                    self.state[self.below(path, name)] = _as_convolution(value, array) if name == "weight" else array
            children = fields.get("modules")
            if isinstance(children, dict):
                for index, child in enumerate(_array_part(children)):
                    self.collect(child, self.below(path, index) + ".", depth + 1)
        elif isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, np.ndarray):
                    self.state[self.below(path, key)] = entry
                elif isinstance(entry, dict | Module):
                    self.collect(entry, self.below(path, key) + ".", depth + 1)


def _as_convolution(module: Module, weight: Values) -> Values:
    """SpatialConvolutionMM keeps (out, in·kh·kw); its fields tell the kernel."""
    sizes = [module.fields.get(name) for name in ("nInputPlane", "kH", "kW")]
    if weight.ndim != 2 or not all(isinstance(size, float) and size >= 1 for size in sizes):
        return weight
    shape = (weight.shape[0], *(int(size) for size in sizes))  # type: ignore[arg-type]
    if shape[1] * shape[2] * shape[3] != weight.shape[1]:
        raise CheckpointError(f"{module.kind:.80}: a weight {weight.shape} for {shape[1:]} inputs and kernel")
    return weight.reshape(shape)


def read_t7(data: bytes) -> dict[str, Values]:
    """{name: array} of a network or of a table of tensors. CheckpointError for what is neither."""
    found = _Collector(len(data))
    found.collect(_Reader(data).value())
    return found.state
