"""Rows of floats moved in whole vectors, in LLVM IR: Numba's own loops over parts of arrays are several times slower."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.numba_ops.compilation import LANES, intrinsic, types
from minitorch_style.kernels.numba_ops.places import place_of
from minitorch_style.kernels.tile_ir import FLOAT, counted_loop, pointer


def _rows(double: bool) -> Any:
    """Intrinsic: `count` times `length` floats from x to out, whole vectors, steps apart: copied, or where
    `double`, added to doubles."""

    @intrinsic
    def move(typing_context, x, x0, x_step, out, o0, o_step, count, length):
        signature = types.void(x, *[types.int64] * 2, out, *[types.int64] * 4)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, _, x_step, _, _, o_step, count, length = arguments
            floats, wide = ir.VectorType(FLOAT, LANES), ir.VectorType(ir.DoubleType(), LANES)
            one = count.type(LANES)
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

            first = [place_of(context, builder, signature, arguments, at, at + 1) for at in (0, 3)]
            counted_loop(builder, count, first, line, [])
            return context.get_dummy_value()

        return signature, codegen

    return move


copy_rows, add_rows = _rows(False), _rows(True)
