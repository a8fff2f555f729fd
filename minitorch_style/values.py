"""Values (dataclasses of arrays and numbers) as flat {name: array}, which `np.savez` writes, and back to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from minitorch_style.errors import StyleError

T = TypeVar("T")
Arrays = Mapping[str, npt.NDArray[Any]]


def to_arrays(value: Any) -> dict[str, npt.NDArray[Any]]:
    """The fields of a dataclass as arrays: numbers, texts and tuples too, the members of an Enum by name; what is inside
    a {name: array} or another dataclass as "field/name". Fields that are None are left out. Arrays are not copied.

    np.savez("state.npz", **to_arrays(state)) writes it.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if is_dataclass(item) or isinstance(item, Mapping):
            inner = item if isinstance(item, Mapping) else to_arrays(item)
            arrays.update({f"{field.name}/{name}": np.asarray(array) for name, array in inner.items()})
        elif item is not None:
            arrays[field.name] = np.asarray(item.name if isinstance(item, Enum) else item)
    return arrays


def from_arrays(kind: type[T], arrays: Arrays) -> T:
    """The dataclass `kind` that `to_arrays` made these of. StyleError if a field is missing."""
    hints = get_type_hints(kind)
    return kind(**{name: _restored(hint, name, arrays) for name, hint in hints.items()})


def like(model: T, arrays: Arrays) -> T:
    """The value that these arrays were made of, if it may stand in for `model`: StyleError unless it has the same fields
    and arrays of the same shapes and types. Tuples may have any length, and what may be None be missing."""
    try:
        found = from_arrays(type(model), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise StyleError(f"not a {type(model).__name__} ({error})") from error
    _compare(model, found, type(model).__name__)
    return found


def _compare(expected: Any, found: Any, name: str) -> None:
    if is_dataclass(expected):
        for field in fields(expected):
            _compare(getattr(expected, field.name), getattr(found, field.name), field.name)
    elif isinstance(expected, Mapping):
        if expected.keys() != found.keys():
            raise StyleError(f"expected {name} of {', '.join(expected)}; got {', '.join(found) or 'none'}")
        for key, value in expected.items():
            _compare(value, found[key], f"{name}/{key}")
    elif isinstance(expected, np.ndarray) and (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise StyleError(f"expected {name} {expected.dtype} {expected.shape}, got {found.dtype} {found.shape}")


def _restored(hint: Any, name: str, arrays: Arrays) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(origin, "__value__"):  # an alias by name, as npt.NDArray is from NumPy 2.5 on
        origin = get_origin(origin.__value__)
    if origin in (Union, UnionType):
        return _restored(arguments[0], name, arrays) if name in arrays else None
    inner = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
    if is_dataclass(hint):
        return from_arrays(hint, inner)  # type: ignore[arg-type]
    if origin is Mapping:
        return {key: _restored(arguments[1], key, inner) for key in inner}
    if name not in arrays:
        raise StyleError(f"expected a {name}, got only {', '.join(arrays) or 'nothing'}")
    array = arrays[name]
    if origin is np.ndarray:
        return array
    if origin is tuple:
        return tuple(array.tolist())
    return hint[str(array)] if issubclass(hint, Enum) else hint(array[()])
