"""The transforms of Winograd's F(4×4, 3×3) on whole vectors of channels, in LLVM IR; with a 2×2 max-pool, where one
follows, done on the outputs while they are in registers, and undone on the way into the input transform."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.numba_ops.compilation import VECTOR_WIDTH, intrinsic, kernel, types
from minitorch_style.kernels.tile_ir import FLOAT, counted_loop, fmuladd, pointer

INDEX = ir.IntType(64)
LANES = min(8, VECTOR_WIDTH)  # channels must be a multiple of this; 16 is used where they allow it


class _Vectors:
    """Arithmetic on vectors in an LLVM builder, as far as the transforms need it."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.type = builder, ir.VectorType(FLOAT, lanes)
        self.fma = fmuladd(builder.module, self.type)
        self.lanes = lanes

    def scaled(self, factor: float, a: Any, b: Any) -> Any:
        """factor · a + b."""
        return self.builder.call(self.fma, [ir.Constant(self.type, [factor] * self.lanes), a, b])

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def sub(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def times(self, factor: float, a: Any) -> Any:
        return self.builder.fmul(ir.Constant(self.type, [factor] * self.lanes), a)

    def load(self, pointer: Any) -> Any:
        loaded = self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()))
        loaded.align = 4
        return loaded

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.type.as_pointer())).align = 4


def _input_line(v: _Vectors, d: list[Any]) -> list[Any]:
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


def _output_line(v: _Vectors, m: list[Any]) -> list[Any]:
    """Aᵀ applied to six values."""
    s1, s2, d1, d2 = v.add(m[1], m[2]), v.add(m[3], m[4]), v.sub(m[1], m[2]), v.sub(m[3], m[4])
    return [
        v.add(m[0], v.add(s1, s2)),
        v.scaled(2.0, d2, d1),
        v.scaled(4.0, s2, s1),
        v.scaled(8.0, d2, v.add(d1, m[5])),
    ]


def _transform(line: Any, outputs: int, lanes: int) -> Any:
    """Intrinsic: 6×6 vectors at x0 (rows `x_row` apart, columns `x_col`) through `line` both ways, `channels` deep."""

    @intrinsic
    def transform(typing_context, x, x0, x_row, x_col, out, o0, o_row, o_col, channels):
        signature = types.void(x, *[types.int64] * 3, out, *[types.int64] * 4)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, x0, x_row, x_col, _, o0, o_row, o_col, channels = arguments
            source = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            target = context.make_array(signature.args[4])(context, builder, arguments[4]).data
            v = _Vectors(builder, lanes)

            def at(base: Any, i: int, j: int, row: Any, column: Any) -> Any:
                step = builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), column))
                return pointer(builder, base, step)

            def body(pointers: list[Any], accumulators: list[Any]) -> list[Any]:
                x_c, o_c = pointers
                columns = [line(v, [v.load(at(x_c, i, j, x_row, x_col)) for i in range(6)]) for j in range(6)]
                for i in range(outputs):
                    for j, value in enumerate(line(v, [column[i] for column in columns])):
                        v.store(value, at(o_c, i, j, o_row, o_col))
                return [pointer(builder, x_c, INDEX(lanes)), pointer(builder, o_c, INDEX(lanes))]

            steps = builder.sdiv(channels, INDEX(lanes))
            counted_loop(builder, steps, [pointer(builder, source, x0), pointer(builder, target, o0)], body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


_input_wide, _input_narrow = _transform(_input_line, 6, VECTOR_WIDTH), _transform(_input_line, 6, LANES)
_output_wide, _output_narrow = _transform(_output_line, 4, VECTOR_WIDTH), _transform(_output_line, 4, LANES)


@kernel
def input_tile(x, x0, x_row, channels, v, v0, point_step):
    """Bᵀ d B of one 6×6 window at x0 → 36 rows of `channels`, `point_step` apart."""
    if channels % VECTOR_WIDTH == 0:
        _input_wide(x, x0, x_row, channels, v, v0, 6 * point_step, point_step, channels)
    else:
        _input_narrow(x, x0, x_row, channels, v, v0, 6 * point_step, point_step, channels)


@kernel
def output_tile(m, m0, point_step, y, y0, channels):
    """Aᵀ m A of one tile → 4×4 pixels of `channels`, row by row."""
    if channels % VECTOR_WIDTH == 0:
        _output_wide(m, m0, 6 * point_step, point_step, y, y0, 4 * channels, channels, channels)
    else:
        _output_narrow(m, m0, 6 * point_step, point_step, y, y0, 4 * channels, channels, channels)


def _pooled_output(lanes: int) -> Any:
    """Intrinsic: Aᵀ m A of one tile, the largest of each 2×2 with bias and activation → 4 pixels at y0, and which of the
    four it was → 4 codes a channel at k0."""

    @intrinsic
    def transform(typing_context, m, m0, point_step, bias, slope, y, y0, codes, k0, channels):
        signature = types.void(m, *[types.int64] * 2, bias, slope, y, types.int64, codes, *[types.int64] * 2)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(signature.args[position])(context, builder, arguments[position]).data

            point_step, channels = arguments[2], arguments[9]
            v, bytes_ = _Vectors(builder, lanes), ir.VectorType(ir.IntType(8), lanes)

            def body(pointers: list[Any], _: list[Any]) -> list[Any]:
                m_c, b_c, s_c, y_c, k_c = pointers
                points = [
                    [v.load(pointer(builder, m_c, builder.mul(INDEX(6 * i + j), point_step))) for i in range(6)]
                    for j in range(6)
                ]
                columns = [_output_line(v, column) for column in points]
                tile = [_output_line(v, [column[i] for column in columns]) for i in range(4)]
                for cell in range(4):
                    row, column = 2 * (cell // 2), 2 * (cell % 2)
                    best, code = tile[row][column], ir.Constant(bytes_, [0] * lanes)
                    for number in range(1, 4):
                        value = tile[row + number // 2][column + number % 2]
                        larger = builder.fcmp_ordered(">", value, best)
                        best = builder.select(larger, value, best)
                        code = builder.select(larger, ir.Constant(bytes_, [number] * lanes), code)
                    value = v.add(best, v.load(b_c))
                    positive = builder.fcmp_ordered(">", value, ir.Constant(v.type, [0.0] * lanes))
                    value = builder.select(positive, value, builder.fmul(value, v.load(s_c)))
                    step = builder.mul(INDEX(cell), channels)
                    v.store(value, pointer(builder, y_c, step))
                    place = builder.bitcast(pointer(builder, k_c, step), bytes_.as_pointer())
                    builder.store(code, place).align = 1
                return [pointer(builder, place, INDEX(lanes)) for place in pointers]

            first = [
                pointer(builder, data(0), arguments[1]),
                data(3),
                data(4),
                pointer(builder, data(5), arguments[6]),
                pointer(builder, data(7), arguments[8]),
            ]
            counted_loop(builder, builder.sdiv(channels, INDEX(lanes)), first, body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


def _unpooled_input(lanes: int) -> Any:
    """Intrinsic: Bᵀ d B of the 6×6 window that 4×4 pooled pixels at x0 make when each goes to where its code at k0 says."""

    @intrinsic
    def transform(typing_context, x, x0, x_row, codes, k0, k_row, v, v0, point_step, channels):
        signature = types.void(x, *[types.int64] * 2, codes, *[types.int64] * 2, v, *[types.int64] * 3)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(position: int) -> Any:
                array = context.make_array(signature.args[position])(context, builder, arguments[position])
                return pointer(builder, array.data, arguments[position + 1])

            x_row, k_row, point_step, channels = arguments[2], arguments[5], arguments[8], arguments[9]
            v, bytes_ = _Vectors(builder, lanes), ir.VectorType(ir.IntType(8), lanes)
            zero = ir.Constant(v.type, [0.0] * lanes)

            def body(pointers: list[Any], _: list[Any]) -> list[Any]:
                x_c, k_c, v_c = pointers

                def cell(base: Any, row: Any, i: int, j: int) -> Any:
                    step = builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), channels))
                    return pointer(builder, base, step)

                columns = []
                for j in range(6):
                    window = []
                    for i in range(6):  # pixel (i, j) of the window lies in pooled pixel ((i + 1) // 2, (j + 1) // 2)
                        down, across = (i + 1) // 2, (j + 1) // 2
                        code = builder.load(builder.bitcast(cell(k_c, k_row, down, across), bytes_.as_pointer()))
                        code.align = 1
                        number = 2 * ((i + 1) % 2) + (j + 1) % 2
                        chosen = builder.icmp_signed("==", code, ir.Constant(bytes_, [number] * lanes))
                        window.append(builder.select(chosen, v.load(cell(x_c, x_row, down, across)), zero))
                    columns.append(_input_line(v, window))
                for i in range(6):
                    for j, value in enumerate(_input_line(v, [column[i] for column in columns])):
                        v.store(value, pointer(builder, v_c, builder.mul(INDEX(6 * i + j), point_step)))
                return [pointer(builder, place, INDEX(lanes)) for place in pointers]

            counted_loop(builder, builder.sdiv(channels, INDEX(lanes)), [data(0), data(3), data(6)], body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


_pooled_wide, _pooled_narrow = _pooled_output(VECTOR_WIDTH), _pooled_output(LANES)
_unpooled_wide, _unpooled_narrow = _unpooled_input(VECTOR_WIDTH), _unpooled_input(LANES)


@kernel
def unpooled_tile(x, x0, x_row, codes, k0, k_row, channels, v, v0, point_step):
    """`input_tile` of a max-pool's gradient: 4×4 pooled pixels at x0, codes at k0."""
    if channels % VECTOR_WIDTH == 0:
        _unpooled_wide(x, x0, x_row, codes, k0, k_row, v, v0, point_step, channels)
    else:
        _unpooled_narrow(x, x0, x_row, codes, k0, k_row, v, v0, point_step, channels)


@kernel
def pooled_tile(m, m0, point_step, bias, slope, y, y0, codes, k0, channels):
    """`output_tile` with bias, activation and max-pool: 2×2 pixels of `channels`, and their codes, row by row."""
    if channels % VECTOR_WIDTH == 0:
        _pooled_wide(m, m0, point_step, bias, slope, y, y0, codes, k0, channels)
    else:
        _pooled_narrow(m, m0, point_step, bias, slope, y, y0, codes, k0, channels)
