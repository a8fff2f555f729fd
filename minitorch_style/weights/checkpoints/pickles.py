"""A pickle reader that can build plain data and PyTorch's tensors, and nothing else: nothing is imported or called.

The bytes are cut into opcodes by the standard library's `pickletools`, which executes nothing, and each is interpreted
here. Globals become inert names; only the few in `ALLOWED` may appear, and what «calling» one of them means is written
below. Everything else is a CheckpointError that names it.

A pickle is a program: a few bytes can fetch a large value from its memo again and again. What is built is therefore
counted, roughly, in bytes, and may be no more than `GROWTH` times the file; everything that is hashed, compared or
written out is text or number of bounded length before it is.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints.tensors import BFLOAT16, ElementType
from minitorch_style.weights.reading import shortened

STORAGES = {
    "DoubleStorage": ElementType("f8"),
    "FloatStorage": ElementType("f4"),
    "HalfStorage": ElementType("f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": ElementType("i8"),
    "IntStorage": ElementType("i4"),
    "ShortStorage": ElementType("i2"),
    "CharStorage": ElementType("i1"),
    "ByteStorage": ElementType("u1"),
    "BoolStorage": ElementType("?"),
}
ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    *(("torch", name) for name in STORAGES),
}
# What an operation leaves behind, in bytes, about; those that are not named leave little more than their own argument.
COSTS = {
    **dict.fromkeys(
        ("EMPTY_DICT", "DICT", "EMPTY_LIST", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BINPERSID"), 64
    ),
    **dict.fromkeys(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"), 64),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL"), 64),
    "REDUCE": 256,  # a tensor, and the array that it becomes
}
ENTRY = 64  # one of a dictionary
GROWTH, SPARE = 32, 1 << 16
MAX_BITS = 128  # of a number; PyTorch's magic number has 77
MAX_KEY_BITS = 60
MAX_KEY = 128  # characters of a storage's key, which is part of a member's name


@dataclass(frozen=True, slots=True)
class Name:
    """A global that the pickle mentions; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class StorageReference:
    """What a pickle says of a storage: its elements' type, its key in the file, how many elements it has."""

    kind: ElementType
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorReference:
    """A tensor as a pickle describes it; offset, shape and strides are not yet checked."""

    storage: StorageReference
    offset: Any
    shape: Any
    strides: Any


class _Mark:
    """The stack's own marker; no pickle can make one another way."""


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bytes)


def _refuse(what: str) -> CheckpointError:
    return CheckpointError(f"the pickle holds {what}, which no plain checkpoint needs; it is not read")


class Machine:
    """Interprets one pickle of a stream of `size` bytes. `persistent` turns a persistent id into what it stands for."""

    def __init__(self, persistent: Callable[[Any], Any], size: int) -> None:
        self.persistent, self.size = persistent, size
        self.left = GROWTH * size + SPARE
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def load(self, stream: BytesIO) -> Any:
        """The value of the next pickle; the stream then stands behind it."""
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "STOP":
                    return self._pop()
                self._spend(COSTS.get(opcode.name, 0))
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError) as error:
            raise CheckpointError(f"a damaged pickle ({shortened(error)})") from error
        raise CheckpointError("a pickle without an end")

    def _spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise CheckpointError("the pickle builds far more than a file of its size can hold; it is not read")

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _Mark:
            raise CheckpointError("a damaged pickle (nothing on its stack)")
        return self.stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _Mark:
                values = self.stack[position + 1 :]
                del self.stack[position:]
                return values
        raise CheckpointError("a damaged pickle (no mark on its stack)")

    def _top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise CheckpointError(f"a damaged pickle (expected a {kind.__name__} on its stack)")
        return self.stack[-1]

    def _set_items(self, flat: list[Any]) -> None:
        target = self._top(dict)
        if len(flat) % 2:
            raise CheckpointError("a damaged pickle (a key without a value)")
        self._spend(ENTRY * (len(flat) // 2))
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not _scalar(key):  # the hash of nested tuples can take forever
                raise _refuse("a dictionary key that is neither text nor number")
            if isinstance(key, int) and key.bit_length() > MAX_KEY_BITS:  # beyond, numbers can share one hash
                raise _refuse(f"a dictionary key of {key.bit_length()} bits")
            target[key] = value

    def _step(self, name: str, argument: Any) -> None:
        push = self.stack.append
        match name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                push(None)
            case "NEWTRUE" | "NEWFALSE":
                push(name == "NEWTRUE")
            case (
                "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4" | "FLOAT" | "BINFLOAT"
                | "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"
                | "STRING" | "BINSTRING" | "SHORT_BINSTRING" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8"
            ):  # fmt: skip
                if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                    raise _refuse(f"a number of {argument.bit_length()} bits")
                push(argument)
            case "EMPTY_TUPLE":
                push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                values = [self._pop() for _ in range(int(name[-1]))]
                push(tuple(reversed(values)))
            case "TUPLE":
                push(tuple(self._pop_to_mark()))
            case "EMPTY_LIST":
                push([])
            case "LIST":
                push(self._pop_to_mark())
            case "EMPTY_DICT":
                push({})
            case "DICT":
                flat = self._pop_to_mark()
                push({})
                self._set_items(flat)
            case "MARK":
                push(_Mark)
            case "POP":
                self.stack.pop()
            case "POP_MARK":
                self._pop_to_mark()
            case "DUP":
                push(self._top(object))
            case "APPEND":
                value = self._pop()
                self._top(list).append(value)
            case "APPENDS":
                values = self._pop_to_mark()
                self._top(list).extend(values)
            case "SETITEM":
                value = self._pop()
                key = self._pop()
                self._set_items([key, value])
            case "SETITEMS":
                self._set_items(self._pop_to_mark())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                if not 0 <= int(argument) <= self.size:  # a pickler counts from 0
                    raise _refuse("a memo with more places than the file has bytes")
                self.memo[int(argument)] = self._top(object)
            case "MEMOIZE":
                self.memo[len(self.memo)] = self._top(object)
            case "GET" | "BINGET" | "LONG_BINGET":
                push(self.memo[int(argument)])
            case "GLOBAL":
                module, _, attribute = str(argument).partition(" ")
                push(self._global(module, attribute))
            case "STACK_GLOBAL":
                attribute, module = self._pop(), self._pop()
                push(self._global(module, attribute))
            case "REDUCE":
                arguments, function = self._pop(), self._pop()
                push(self._reduced(function, arguments))
            case "BUILD":
                self._pop()  # an OrderedDict's attributes (PyTorch's version notes): of no use here
                self._top(dict)
            case "BINPERSID":
                push(self.persistent(self._pop()))
            case _:
                raise _refuse(f"the operation {name}")

    def _global(self, module: Any, name: Any) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _refuse("a name that is no text")
        if (module, name) not in ALLOWED:
            whole = module == "__main__" or module.startswith("torch.nn")
            raise _refuse(
                f"the name {module:.80}.{name:.80}"
                + (" (a whole model: save its state_dict() instead)" if whole else "")
            )
        return Name(module, name)

    def _reduced(self, function: Any, arguments: Any) -> Any:
        """What calling one of the allowed names gives."""
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise _refuse("a call of something that is no function of PyTorch's")
        if function.name == "OrderedDict" and len(arguments) <= 1:
            pairs = arguments[0] if arguments else []
            self._spend(len(pairs) if isinstance(pairs, list) else 0)
            if isinstance(pairs, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
                self.stack.append({})
                self._set_items([part for pair in pairs for part in pair])
                return self._pop()
        if function.name == "_rebuild_parameter" and arguments and isinstance(arguments[0], TensorReference):
            return arguments[0]
        if function.name in ("_rebuild_tensor", "_rebuild_tensor_v2") and len(arguments) >= 4:
            storage, offset, shape, strides = arguments[:4]
            if isinstance(storage, StorageReference):
                return TensorReference(storage, offset, shape, strides)
        raise _refuse(f"a call of {function} with unusual arguments")


def storage_reference(identity: Any) -> tuple[StorageReference, Any]:
    """A persistent id, ('storage', type, key, location, count[, view]), as a reference and its view."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise _refuse("a reference to something other than a storage")
    kind, key, count = identity[1], identity[2], identity[4]
    if not isinstance(kind, Name) or kind.name not in STORAGES or not isinstance(key, str) or type(count) is not int:
        raise _refuse("a malformed reference to a storage")
    if len(key) > MAX_KEY:
        raise _refuse(f"a storage whose key has {len(key)} characters")
    return StorageReference(STORAGES[kind.name], key, count), identity[5] if len(identity) == 6 else None
