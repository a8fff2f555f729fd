"""What all of Winograd's transforms are made of, in LLVM IR: windows to points and points to outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch_style.kernels.codegen.addressing import INDEX
from minitorch_style.kernels.codegen.gemm_tile import pointer
from minitorch_style.kernels.codegen.simd import Vectors


def _input_line(v: Vectors, d: list[Any]) -> list[Any]:
    """Bᵀ applied to six values."""
    even, odd = v.scaled(-4.0, d[2], d[4]), v.scaled(-4.0, d[1], d[3])
    near, far = v.sub(d[4], d[2]), v.sub(d[3], d[1])
    return [
        v.scaled(4.0, d[0], v.scaled(-5.0, d[2], d[4])),
        v.add(even, odd),
        v.sub(even, odd),
        v.scaled(2.0, far, near),
        v.scaled(-2.0, far, near),
        v.scaled(4.0, d[1], v.scaled(-5.0, d[3], d[5])),
    ]


def _output_line(v: Vectors, m: list[Any]) -> list[Any]:
    """Aᵀ applied to six values."""
    s1, s2, d1, d2 = v.add(m[1], m[2]), v.add(m[3], m[4]), v.sub(m[1], m[2]), v.sub(m[3], m[4])
    return [
        v.add(m[0], v.add(s1, s2)),
        v.scaled(2.0, d2, d1),
        v.scaled(4.0, s2, s1),
        v.scaled(8.0, d2, v.add(d1, m[5])),
    ]


Line = Callable[[Vectors, list[Any]], list[Any]]


def _both_ways(v: Vectors, line: Line, value: Callable[[int, int], Any]) -> list[list[Any]]:
    """`line` both ways through the 6×6 vectors `value(row, column)`."""
    columns = [line(v, [value(i, j) for i in range(6)]) for j in range(6)]
    return [line(v, [column[i] for column in columns]) for i in range(len(columns[0]))]


def _point(builder: Any, base: Any, step: Any, i: int, j: int) -> Any:
    return pointer(builder, base, builder.mul(INDEX(6 * i + j), step))


def store_points(v: Vectors, window: Callable[[int, int], Any], place: Any, step: Any) -> None:
    """Bᵀ d B of the 6×6 vectors `window(row, column)` → the 36 points at `place`, `step` from one to the next."""
    for i, line in enumerate(_both_ways(v, _input_line, window)):
        for j, value in enumerate(line):
            v.store(value, _point(v.builder, place, step, i, j))


def outputs(v: Vectors, place: Any, step: Any) -> list[list[Any]]:
    """Aᵀ m A of the 36 points at `place`: 4×4 vectors."""
    return _both_ways(v, _output_line, lambda i, j: v.load(_point(v.builder, place, step, i, j)))


def store_inside(builder: Any, down: Any, across: Any, side: int, store: Callable[[int, int], None]) -> None:
    """Has `store` write those of `side` × `side` pixels that are among the first `down` rows and `across` columns."""
    for i in range(side):
        for j in range(side):
            inside = [builder.icmp_signed(">", count, INDEX(at)) for count, at in ((down, i), (across, j))]
            with builder.if_then(builder.and_(*inside)):
                store(i, j)
