"""Vectors of channels in LLVM IR, and loops over them: what transforms and pools are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from minitorch_style.kernels.codegen.addressing import INDEX
from minitorch_style.kernels.codegen.gemm_tile import FLOAT, counted_loop, fmuladd, pointer
from minitorch_style.kernels.fast.target import LANES, VECTOR_WIDTH


class Vectors:
    """Arithmetic on vectors of `lanes` channels in an LLVM builder, as far as the kernels need it. `codes` is the type of
    as many integers of `code_bytes` that tell where a pooled value came from."""

    def __init__(self, builder: Any, lanes: int, code_bytes: int = 1) -> None:
        self.builder, self.lanes, self._code_bytes = builder, lanes, code_bytes
        self.type, self.codes = ir.VectorType(FLOAT, lanes), ir.VectorType(ir.IntType(8 * code_bytes), lanes)
        self.fma = fmuladd(builder.module, self.type)
        self.zero = self.constant(0.0)

    def constant(self, value: float) -> Any:
        return ir.Constant(self.type, [value] * self.lanes)

    def code(self, value: int) -> Any:
        return ir.Constant(self.codes, [value] * self.lanes)

    def scaled(self, factor: float, a: Any, b: Any) -> Any:
        """factor · a + b."""
        return self.builder.call(self.fma, [self.constant(factor), a, b])

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def times(self, factor: float, a: Any) -> Any:
        return self.builder.fmul(self.constant(factor), a)

    def sloped(self, value: Any, sign: Any, slope: Any) -> Any:
        """value where sign > 0, else slope · value."""
        positive = self.builder.fcmp_ordered(">", sign, self.zero)
        return self.builder.select(positive, value, self.builder.fmul(value, slope))

    def largest(self, values: list[Any]) -> tuple[Any, Any]:
        """(the largest of some values, the codes of which it was: their numbers, the first of equal ones)."""
        best, code = values[0], self.code(0)
        for number, value in enumerate(values[1:], start=1):
            larger = self.builder.fcmp_ordered(">", value, best)
            best = self.builder.select(larger, value, best)
            code = self.builder.select(larger, self.code(number), code)
        return best, code

    def load(self, place: Any, kind: Any = None) -> Any:
        kind = kind or self.type
        loaded = self.builder.load(self.builder.bitcast(place, kind.as_pointer()))
        loaded.align = self._code_bytes if kind == self.codes else 4
        return loaded

    def store(self, value: Any, place: Any) -> None:
        align = self._code_bytes if value.type == self.codes else 4
        self.builder.store(value, self.builder.bitcast(place, value.type.as_pointer())).align = align


def over_channels(builder: Any, channels: Any, places: list[Any], body: Callable[[Vectors, list[Any]], None]) -> None:
    """Calls `body` with pointers into `places` for every vector of channels: whole registers, then what is left in
    vectors of `LANES`."""

    def loop(lanes: int) -> Callable[[list[Any], list[Any]], list[Any]]:
        def one(pointers: list[Any], _: list[Any]) -> list[Any]:
            body(Vectors(builder, lanes), pointers)
            return [pointer(builder, place, INDEX(lanes)) for place in pointers]

        return one

    places = counted_loop(builder, builder.sdiv(channels, INDEX(VECTOR_WIDTH)), places, loop(VECTOR_WIDTH), [])
    if VECTOR_WIDTH > LANES:
        left = builder.sdiv(builder.srem(channels, INDEX(VECTOR_WIDTH)), INDEX(LANES))
        counted_loop(builder, left, places, loop(LANES), [])
