"""Where things are, in LLVM IR: arrays that an intrinsic is given, and pixels of a map."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.tile_ir import pointer

INDEX = ir.IntType(64)


def place_of(
    context: Any, builder: Any, signature: Any, arguments: Any, position: int, offset: int | None = None
) -> Any:
    """A pointer to the argument at `position`, an array, moved by the argument at `offset`."""
    array = context.make_array(signature.args[position])(context, builder, arguments[position])
    return array.data if offset is None else pointer(builder, array.data, arguments[offset])


def pixel(builder: Any, base: Any, row: Any, column: Any, i: int, j: int) -> Any:
    """Where pixel (i, j) from `base` is, with rows `row` and columns `column` apart."""
    return pointer(builder, base, builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), column)))
