"""Routines: functions in LLVM IR of our own, which kernels call.

They are compiled once, all together, apart from the kernels: Numba would compile an intrinsic's code anew, and optimize
it anew, within every kernel that uses it. Their object code is kept like a kernel's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, get_type_hints

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minitorch_style.kernels.fast import records
from minitorch_style.kernels.fast.target import codegen

INDEX = ir.IntType(64)
FLOAT = ir.FloatType()
VOID = ir.VoidType()
POINTER = ir.IntType(8).as_pointer()
_KINDS = {"float": ir.FloatType(), "double": ir.DoubleType(), "byte": ir.IntType(8), "short": ir.IntType(16)}
_FIELDS = {
    int: INDEX,
    npt.NDArray[np.float32]: _KINDS["float"].as_pointer(),
    npt.NDArray[np.int8]: _KINDS["byte"].as_pointer(),
    npt.NDArray[np.int16]: _KINDS["short"].as_pointer(),
}
_SCALARS = {INDEX: types.int64, FLOAT: types.float32}
_CONTRACTED = ("fadd", "fsub", "fmul", "fcmp")  # as Numba marks them in a kernel

Emit: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Routine:
    """The symbol, the types of the function's parameters, those of the arguments to `emit`, which writes the body into a
    builder and gives the result (records as such, or None), and the result's type."""

    symbol: str
    kinds: tuple[Any, ...]
    records: tuple[Any, ...]
    emit: Emit
    result: Any = VOID

    def declared(self, module: Any) -> Any:
        found = module.globals.get(self.symbol)
        return found or ir.Function(module, ir.FunctionType(self.result, self.kinds), self.symbol)

    def define(self, module: Any) -> None:
        function = self.declared(module)
        builder = ir.IRBuilder(function.append_basic_block())
        values = iter(function.args)
        result = self.emit(builder, *(records.gathered(kind, values) for kind in self.records))
        if self.result == VOID:
            builder.ret_void()
        else:
            builder.ret(result)
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opname in _CONTRACTED:
                    instruction.flags.append("contract")


_routines: dict[str, Routine] = {}


def _kinds_of(parameters: dict[str, Any], arrays: dict[str, str], scalars: str) -> Iterator[Any]:
    types_of = {name: kind for kind, listed in arrays.items() for name in listed.split()}
    for name, record in parameters.items():
        if record is not None:
            yield from (_FIELDS[kind] for _, kind in records.leaves(name, record))
        elif name in types_of:
            yield _KINDS[types_of[name]].as_pointer()
        else:
            yield _KINDS["float"] if name in scalars.split() else INDEX


def _plain(builder: Any, kinds: Iterable[Any], values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """(Numba type, value) of arguments, records taken apart."""
    for kind, value in zip(kinds, values, strict=True):
        if isinstance(kind, types.BaseTuple):
            yield from _plain(builder, kind.types, cgutils.unpack_tuple(builder, value, len(kind)))
        else:
            yield kind, value


def register(name: str, emit: Emit, scalars: str = "", result: Any = VOID, **arrays: str) -> Routine:
    """A routine whose body `emit(builder, …)` writes. Of its parameters those that `arrays` names, by the type of their
    elements (`float="x out"`), are pointers, `scalars` are floats, those annotated as records hold what these hold, all
    others are integers of 64 bits."""
    hints = get_type_hints(emit)
    parameters = {one: hints.get(one) for one in list(inspect.signature(emit).parameters)[1:]}
    kinds = {one: kind if records.is_record(kind) else None for one, kind in parameters.items()}
    made = Routine(
        f"minitorch_style_{name}", tuple(_kinds_of(kinds, arrays, scalars)), tuple(kinds.values()), emit, result
    )
    assert made.symbol not in _routines, name
    _routines[made.symbol] = made
    return made


def routine(name: str, scalars: str = "", result: Any = VOID, **arrays: str) -> Callable[[Emit], Any]:
    """`register` as a decorator. The function is then one that kernels call, with flat arrays for the pointers; it gives a
    float or an integer where `result` says so."""

    def decorated(emit: Emit) -> Any:
        made = register(name, emit, scalars, result, **arrays)

        def call(typing_context: Any, *given: Any) -> Any:
            kinds = iter(made.kinds)
            wanted = []
            for record, own in zip(made.records, given, strict=True):
                leaves = [next(kinds) for _ in records.leaves("", record)]
                wanted.append(_SCALARS.get(leaves[0], own) if record is None else own)

            def emit_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                passed = []
                for kind, (own, argument) in zip(made.kinds, _plain(builder, signature.args, arguments), strict=True):
                    if isinstance(own, types.Array):
                        data = context.make_array(own)(context, builder, argument).data
                        argument = builder.bitcast(data, kind)
                    else:
                        argument = context.cast(builder, argument, types.unliteral(own), _SCALARS[kind])
                    passed.append(argument)
                found = builder.call(made.declared(builder.module), passed)
                return context.get_dummy_value() if result == VOID else found

            return _SCALARS.get(result, types.void)(*wanted), emit_call

        parameters = ["typing_context", *list(inspect.signature(emit).parameters)[1:]]
        call.__name__ = name
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(one, inspect.Parameter.POSITIONAL_OR_KEYWORD) for one in parameters]
        )
        return intrinsic(call)

    return decorated


def library() -> Any:
    """All routines compiled, as a code library of Numba's that is to be kept."""
    made = codegen().create_library("minitorch_style routines")
    made.enable_object_caching()
    module = made.create_ir_module("minitorch_style routines")
    for one in _routines.values():
        one.define(module)
    made.add_ir_module(module)
    made.finalize()
    return made


def bind(made: Any) -> None:
    """Lets kernels that are loaded from now on find the routines."""
    for symbol in _routines:
        llvm.add_symbol(symbol, made.get_pointer_to_function(symbol))


def bind_nowhere() -> None:
    """For a process that compiles kernels and runs none."""
    for symbol in _routines:
        llvm.add_symbol(symbol, 1)
