"""Where things are, in LLVM IR: pixels of a map."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.codegen.gemm_tile import pointer

INDEX = ir.IntType(64)


def pixel(builder: Any, base: Any, row: Any, column: Any, i: int, j: int) -> Any:
    """Where pixel (i, j) from `base` is, with rows `row` and columns `column` apart."""
    return pointer(builder, base, builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), column)))
