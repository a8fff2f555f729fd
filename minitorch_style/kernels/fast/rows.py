"""Rows of floats moved in whole vectors, in LLVM IR: Numba's own loops over parts of arrays are several times slower."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.codegen.gemm_tile import FLOAT, counted_loop, pointer
from minitorch_style.kernels.fast.routines import INDEX, routine
from minitorch_style.kernels.fast.target import LANES


def _emit_rows(
    builder: Any, double: bool, x: Any, x0: Any, x_step: Any, out: Any, o0: Any, o_step: Any, count: Any, length: Any
) -> None:
    floats, wide = ir.VectorType(FLOAT, LANES), ir.VectorType(ir.DoubleType(), LANES)
    one = INDEX(LANES)
    vectors = builder.sdiv(length, one)

    def vector(pointers: list[Any], _: list[Any]) -> list[Any]:
        x_c, o_c = pointers
        value = builder.load(builder.bitcast(x_c, floats.as_pointer()))
        value.align = 4
        kind, align = (wide, 8) if double else (floats, 4)
        place = builder.bitcast(o_c, kind.as_pointer())
        if double:
            before = builder.load(place)
            before.align = align
            value = builder.fadd(before, builder.fpext(value, wide))
        builder.store(value, place).align = align
        return [pointer(builder, x_c, one), pointer(builder, o_c, one)]

    def line(pointers: list[Any], _: list[Any]) -> list[Any]:
        counted_loop(builder, vectors, pointers, vector, [])
        return [pointer(builder, place, step) for place, step in zip(pointers, (x_step, o_step), strict=True)]

    counted_loop(builder, count, [pointer(builder, x, x0), pointer(builder, out, o0)], line, [])


@routine("copy_rows", float="x out")
def copy_rows(builder, x, x0, x_step, out, o0, o_step, count, length):
    """`count` times `length` floats from x to out, whole vectors, steps apart."""
    _emit_rows(builder, False, x, x0, x_step, out, o0, o_step, count, length)


@routine("add_rows", float="x", double="out")
def add_rows(builder, x, x0, x_step, out, o0, o_step, count, length):
    """The same, added to doubles."""
    _emit_rows(builder, True, x, x0, x_step, out, o0, o_step, count, length)
