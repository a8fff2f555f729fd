"""Long vectors in parts: one for each tile of a picture, here or on other machines.

`Parts` stands for an array. What NumPy and an optimizer do with it is noted down, and done by the holders of the parts when
next a number is asked for. A number is made of the parts' numbers in the order of tiles, so its bits do not depend on who
holds which part; nor do those of a vector, for no part is computed with another.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import reduce
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.engine.scratch import Scratch
from minitorch_style.engine.tiles import Tiles
from minitorch_style.errors import ShapeError
from minitorch_style.kernels.api import VectorOps

Array = npt.NDArray[Any]
T = TypeVar("T")
# Bytes from which an array put together is a temporary file: who asks for it may have no such memory.
ON_DISK = 256 << 20


class Ref(NamedTuple):
    """A vector by its number, or what these keys in turn take of it, or the `pixels` (h, w, 3) of a picture."""

    number: int
    keys: tuple[Any, ...] = ()
    pixels: bool = False


class Wanted(NamedTuple):
    """What the holder of tile `owner` answers when this method is called."""

    owner: int
    method: str
    arguments: tuple[Any, ...]


class Call(NamedTuple):
    """A function to be called with each part, where `arguments` have a Ref. The result becomes the part of vector `into`,
    or is given back if it is `wanted`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    into: int | None = None
    wanted: bool = False


class Holder:
    """Holds the parts of those tiles whose `numbers` it is given: flat, or rows of flat ones."""

    def __init__(self, tiles: Tiles, numbers: Iterable[int]) -> None:
        self.tiles, self.numbers = tiles, tuple(numbers)
        self.vectors: dict[int, dict[int, Array]] = {}

    def do(self, calls: Sequence[Call], freed: Sequence[int]) -> dict[int, list[Any]]:
        """Makes these calls, lets go of these vectors; {tile: what is wanted}."""
        found: dict[int, list[Any]] = {number: [] for number in self.numbers}
        for call in calls:
            for number in self.numbers:
                result = call.function(*(self._resolved(value, number) for value in call.arguments))
                if call.into is not None:
                    self.vectors.setdefault(call.into, {})[number] = result
                if call.wanted:
                    found[number].append(result)
        for vector in freed:
            self.vectors.pop(vector, None)
        return found

    def _resolved(self, value: Any, number: int) -> Any:
        if not isinstance(value, Ref):
            return value
        if value.pixels:
            return self.pixels(value.number, number)
        return reduce(lambda part, key: part[key], value.keys, self.vectors[value.number][number])

    def fill(self, vector: int, parts: Mapping[int, Array]) -> None:
        """Writes over the parts of a vector, wherever they lie."""
        for number, part in parts.items():
            self.vectors[vector][number][...] = part

    def put(self, vector: int, parts: Mapping[int, Array]) -> None:
        self.vectors[vector] = {number: np.array(part) for number, part in parts.items()}  # what travels is read-only

    def get(self, vector: Ref) -> dict[int, Array]:
        return {number: self._resolved(vector, number) for number in self.numbers}

    def fetch(self, wanted: Sequence[Wanted]) -> list[Any]:
        """The answers of other tiles' holders, of whom there is none here."""
        assert not wanted, "one who holds all tiles"
        return []

    def pixels(self, vector: int, number: int) -> Float32:
        """(h, w, 3): the part of a picture."""
        height, width = (own.stop - own.start for own in self.tiles.tiles[number].own)
        return self.vectors[vector][number].reshape(height, width, 3)


class Team(Protocol):
    """The holders of all the tiles of one picture. `shares` are the numbers of each one's."""

    @property
    def tiles(self) -> Tiles: ...
    @property
    def shares(self) -> Sequence[Sequence[int]]: ...
    @property
    def ops(self) -> VectorOps:
        """The algebra that a holder calls."""
        ...

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of all holders at once; their answers."""
        ...

    def ask_one(self, which: int, method: str, *arguments: Any) -> Any: ...


class Alone:
    """A team of one, in this process."""

    def __init__(self, holder: Holder, ops: VectorOps) -> None:
        self.holder, self.tiles, self.shares, self.ops = holder, holder.tiles, [holder.numbers], ops

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        return [getattr(self.holder, method)(*arguments)]

    def ask_one(self, which: int, method: str, *arguments: Any) -> Any:
        return getattr(self.holder, method)(*arguments)


class Space:
    """Where the vectors of one picture are: what is noted down for the team. Large arrays put together lie in `scratch`."""

    def __init__(self, team: Team, scratch: Scratch | None = None) -> None:
        self.team, self.tiles, self.scratch = team, team.tiles, scratch or Scratch(tempfile.gettempdir())
        self.ops = PartsOps(team.ops)
        self.freed: list[int] = []
        self._calls: list[Call] = []
        self._numbers = count()

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.tiles.size, 3)

    def later(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.append(Call(function, arguments))

    def made(self, shape: tuple[int, ...], dtype: Any, function: Callable[..., Any], *arguments: Any) -> Parts:
        """The vector, or rows, that a function makes of each part."""
        vector = _Vector(self, next(self._numbers))
        self._calls.append(Call(function, arguments, into=vector.number))
        return Parts(vector, shape, np.dtype(dtype))

    def vector(self) -> Parts:
        """A picture that the holders are yet to write."""
        return Parts(_Vector(self, next(self._numbers)), self.shape, np.dtype(np.float32))

    def now(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a function makes of each part, in the order of tiles."""
        self._calls.append(Call(function, arguments, wanted=True))
        return [found[-1] for found in self.flush()]

    def flush(self) -> list[list[Any]]:
        """Has done what is noted down, and what it gives for each tile."""
        calls, self._calls = self._calls, []
        freed, self.freed = self.freed, []
        return self.in_order("do", calls, freed)

    def in_order(self, method: str, *arguments: Any) -> list[Any]:
        """The answers of all holders, {tile: …} each, in the order of tiles."""
        answers = {number: value for answer in self.team.ask(method, *arguments) for number, value in answer.items()}
        return [answers[number] for number in range(len(self.tiles.tiles))]

    def spread(self, array: Array, rows: tuple[int, ...] = ()) -> Parts:
        """The parts of a picture (H, W, 3), or of `rows` of vectors (rows, H·W·3). ShapeError for another size."""
        shape = (*rows, math.prod(self.shape)) if rows else self.shape
        vector = _Vector(self, next(self._numbers))
        self._send("put", vector.number, array, shape)
        return Parts(vector, shape, array.dtype)

    def filled(self, parts: Parts, array: Array) -> Parts:
        """The same vector, or rows, with the values of this array in the place of its own. ShapeError for another size."""
        self.flush()
        self._send("fill", parts.ref.number, array, parts.shape)
        return parts

    def _send(self, method: str, vector: int, array: Array, shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise ShapeError(f"expected an array {shape}, got {array.shape}")
        rows = () if shape == self.shape else shape[:-1]
        whole = array.reshape(*rows, *self.shape)
        for which, numbers in enumerate(self.team.shares):  # one after another: each is a copy
            owns = {number: self.tiles.tiles[number].own for number in numbers}
            parts = {number: whole[(..., *own, slice(None))].reshape(*rows, -1) for number, own in owns.items()}
            self.team.ask_one(which, method, vector, parts)

    def gathered(self, parts: Parts) -> Array:
        """The whole array."""
        self.flush()
        rows = parts.shape[: -len(self.shape)] if parts.shape[-3:] == self.shape else parts.shape[:-1]
        shape = (*rows, *self.shape)
        large = math.prod(shape) * parts.dtype.itemsize >= ON_DISK
        whole = self.scratch.zeros(shape, parts.dtype) if large else np.empty(shape, parts.dtype)
        for which in range(len(self.team.shares)):
            for number, part in self.team.ask_one(which, "get", parts.ref).items():
                own = self.tiles.tiles[number].own
                height, width = (side.stop - side.start for side in own)
                whole[(..., *own, slice(None))] = part.reshape(*rows, height, width, 3)
        return whole.reshape(parts.shape)


class _Vector:
    """The holders keep it as long as this is alive."""

    def __init__(self, space: Space, number: int) -> None:
        self.space, self.number = space, number

    def __del__(self) -> None:
        self.space.freed.append(self.number)


class Parts(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array: a picture (H, W, 3), a vector (n,), or rows of vectors (I, n)."""

    def __init__(
        self, vector: _Vector, shape: tuple[int, ...], dtype: np.dtype[Any], keys: tuple[Any, ...] = ()
    ) -> None:
        self.vector, self.shape, self.dtype, self.ref = vector, shape, dtype, Ref(vector.number, keys)
        self.space, self.size = vector.space, math.prod(shape)

    def __getitem__(self, key: Any) -> Parts:
        shape = np.broadcast_to(np.empty((), self.dtype), self.shape)[key].shape
        return Parts(self.vector, shape, self.dtype, (*self.ref.keys, key))

    def reshape(self, shape: int | tuple[int, ...]) -> Parts:
        """A picture as a vector, or the other way round."""
        return Parts(self.vector, (self.size,) if isinstance(shape, int) else shape, self.dtype, self.ref.keys)

    def on_pixels(self, function: Callable[[Float32], Any]) -> Parts:
        """Itself, a picture, after a function has written over the pixels of each tile."""
        self.space.later(function, self.ref._replace(pixels=True))
        return self

    def zeros(self, rows: int, dtype: Any, zeros: Callable[..., Any] = np.zeros) -> Parts:
        """Rows as long as this, each part made by `zeros(shape, dtype)`."""
        return self.space.made((rows, self.size), dtype, _zeros, self.ref, rows, dtype, zeros)

    def sum(self) -> float:
        return float(sum(map(float, self.space.now(np.sum, self.ref))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.space.gathered(self).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] = ()) -> Any:
        if method != "__call__":
            return NotImplemented
        refs = [value.ref if isinstance(value, Parts) else value for value in inputs]
        if out:
            self.space.later(ufunc, *refs, out[0].ref)
            return out[0]
        return self.space.made(self.shape, self.dtype, ufunc, *refs)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        """NumPy's functions that are asked for an array `like` this one."""
        if function is np.zeros:
            (rows, _), dtype = arguments
            return self.zeros(rows, dtype)
        return self if function is np.ascontiguousarray else NotImplemented


def _zeros(part: Array, rows: int, dtype: Any, zeros: Callable[..., Any]) -> Any:
    return zeros((rows, part.size), dtype)


class PartsOps:
    """The algebra of L-BFGS (`VectorOps`) on `Parts`."""

    def __init__(self, ops: VectorOps) -> None:
        self.ops = ops

    def narrow(self, x: Any, out: Any) -> None:
        x.space.later(self.ops.narrow, x.ref, out.ref)

    def inner_products(self, rows: Any, columns: Any) -> npt.NDArray[np.float64]:
        products = rows.space.now(self.ops.inner_products, rows.ref, columns.ref)
        return np.asarray(sum(products), np.float64)

    def combination(
        self, coefficients: npt.NDArray[np.float64], rows: Any, factor: float, vector: Any, out: Any
    ) -> None:
        rows.space.later(self.ops.combination, coefficients, rows.ref, factor, vector.ref, out.ref)


def spread_like(model: T, value: T) -> T:
    """The same value (a dataclass), with its arrays in parts where those of `model` are: rows in the place of its own.
    ShapeError."""
    if isinstance(model, Parts):
        array = cast(Array, value)
        return cast(
            T, model.space.filled(model, array) if model.shape != model.space.shape else model.space.spread(array)
        )
    if not is_dataclass(model) or isinstance(model, type):
        return value
    names = [field.name for field in fields(model)]
    return replace(value, **{name: spread_like(getattr(model, name), getattr(value, name)) for name in names})  # type: ignore[type-var]
