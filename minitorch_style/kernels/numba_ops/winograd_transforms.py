"""The transforms of Winograd's F(4×4, 3×3) on whole vectors of channels, in LLVM IR; with a 2×2 pool, where one
follows, done on the outputs while they are in registers, and undone on the way into the input transform.

What the way back must know of the four pixels behind a pooled one is a byte a channel: of a max-pool the number of the
largest, of an average-pool four bits that tell which were above zero, for the derivative of the activation between."""

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


def _pixel(builder: Any, base: Any, row: Any, channels: Any, i: int, j: int) -> Any:
    """Where pixel (i, j) from `base` is, with rows `row` apart."""
    return pointer(builder, base, builder.add(builder.mul(INDEX(i), row), builder.mul(INDEX(j), channels)))


def _pooled_output(average: bool) -> Any:
    """Intrinsic: Aᵀ m A of one tile with bias, activation and pool → at most `down` × `across` of four pixels at o0, and a
    byte a channel for each at k0."""

    @intrinsic
    def transform(
        typing_context, m, m0, point_step, bias, slope, out, o0, o_row, codes, k0, k_row, channels, down, across
    ):  # fmt: skip
        signature = types.void(
            m, *[types.int64] * 2, bias, slope, out, *[types.int64] * 2, codes, *[types.int64] * 5
        )  # fmt: skip

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(position: int) -> Any:
                return context.make_array(signature.args[position])(context, builder, arguments[position]).data

            point_step, o_row, k_row, channels, *valid = (arguments[at] for at in (2, 7, 10, 11, 12, 13))
            v, bytes_ = _Vectors(builder, VECTOR_WIDTH), ir.VectorType(ir.IntType(8), VECTOR_WIDTH)
            zero, nothing = ir.Constant(v.type, [0.0] * v.lanes), ir.Constant(bytes_, [0] * v.lanes)

            def activated(value: Any, slopes: Any) -> tuple[Any, Any]:
                positive = builder.fcmp_ordered(">", value, zero)
                return builder.select(positive, value, builder.fmul(value, slopes)), positive

            def largest(values: list[Any], biases: Any, slopes: Any) -> tuple[Any, Any]:
                best, code = values[0], nothing
                for number, value in enumerate(values[1:], start=1):
                    larger = builder.fcmp_ordered(">", value, best)
                    best = builder.select(larger, value, best)
                    code = builder.select(larger, ir.Constant(bytes_, [number] * v.lanes), code)
                return activated(v.add(best, biases), slopes)[0], code

            def mean(values: list[Any], biases: Any, slopes: Any) -> tuple[Any, Any]:
                total, code = zero, nothing
                for number, value in enumerate(values):
                    value, positive = activated(v.add(value, biases), slopes)
                    total = v.add(total, value)
                    bit = builder.select(positive, ir.Constant(bytes_, [1 << number] * v.lanes), nothing)
                    code = builder.or_(code, bit)
                return v.times(0.25, total), code

            def body(pointers: list[Any], _: list[Any]) -> list[Any]:
                m_c, b_c, s_c, o_c, k_c = pointers
                points = [
                    [v.load(pointer(builder, m_c, builder.mul(INDEX(6 * i + j), point_step))) for i in range(6)]
                    for j in range(6)
                ]
                columns = [_output_line(v, column) for column in points]
                tile = [_output_line(v, [column[i] for column in columns]) for i in range(4)]
                biases, slopes = v.load(b_c), v.load(s_c)
                for i in range(2):
                    for j in range(2):
                        values = [tile[2 * i + number // 2][2 * j + number % 2] for number in range(4)]
                        value, code = (mean if average else largest)(values, biases, slopes)
                        inside = [
                            builder.icmp_signed(">", count, INDEX(at)) for count, at in zip(valid, (i, j), strict=True)
                        ]
                        with builder.if_then(builder.and_(*inside)):
                            v.store(value, _pixel(builder, o_c, o_row, channels, i, j))
                            place = _pixel(builder, k_c, k_row, channels, i, j)
                            builder.store(code, builder.bitcast(place, bytes_.as_pointer())).align = 1
                return [pointer(builder, place, INDEX(v.lanes)) for place in pointers]

            first = [
                pointer(builder, data(0), arguments[1]),
                data(3),
                data(4),
                pointer(builder, data(5), arguments[6]),
                pointer(builder, data(8), arguments[9]),
            ]
            counted_loop(builder, builder.sdiv(channels, INDEX(v.lanes)), first, body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


def _unpooled_input(average: bool) -> Any:
    """Intrinsic: Bᵀ d B of the 6×6 window of gradients that belong to 4×4 pooled pixels at x0, with their bytes at k0."""

    @intrinsic
    def transform(typing_context, x, x0, x_row, codes, k0, k_row, v, v0, point_step, channels, slope):
        signature = types.void(x, *[types.int64] * 2, codes, *[types.int64] * 2, v, *[types.int64] * 3, slope)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(position: int, offset: Any) -> Any:
                array = context.make_array(signature.args[position])(context, builder, arguments[position])
                return pointer(builder, array.data, offset)

            x_row, k_row, point_step, channels = arguments[2], arguments[5], arguments[8], arguments[9]
            v, bytes_ = _Vectors(builder, VECTOR_WIDTH), ir.VectorType(ir.IntType(8), VECTOR_WIDTH)
            zero, nothing = ir.Constant(v.type, [0.0] * v.lanes), ir.Constant(bytes_, [0] * v.lanes)

            def body(pointers: list[Any], _: list[Any]) -> list[Any]:
                x_c, k_c, v_c, s_c = pointers

                def gradient(i: int, j: int) -> Any:
                    """Pixel (i, j) of the window: number `number` of the four behind a pooled pixel."""
                    down, across, number = (i + 1) // 2, (j + 1) // 2, 2 * ((i + 1) % 2) + (j + 1) % 2
                    value = v.load(_pixel(builder, x_c, x_row, channels, down, across))
                    place = _pixel(builder, k_c, k_row, channels, down, across)
                    code = builder.load(builder.bitcast(place, bytes_.as_pointer()))
                    code.align = 1
                    if not average:
                        chosen = builder.icmp_signed("==", code, ir.Constant(bytes_, [number] * v.lanes))
                        return builder.select(chosen, value, zero)
                    value = v.times(0.25, value)
                    bit = builder.and_(code, ir.Constant(bytes_, [1 << number] * v.lanes))
                    positive = builder.icmp_signed("!=", bit, nothing)
                    return builder.select(positive, value, builder.fmul(value, v.load(s_c)))

                columns = [_input_line(v, [gradient(i, j) for i in range(6)]) for j in range(6)]
                for i in range(6):
                    for j, value in enumerate(_input_line(v, [column[i] for column in columns])):
                        v.store(value, pointer(builder, v_c, builder.mul(INDEX(6 * i + j), point_step)))
                return [pointer(builder, place, INDEX(v.lanes)) for place in pointers]

            first = [data(0, arguments[1]), data(3, arguments[4]), data(6, arguments[7]), data(10, INDEX(0))]
            counted_loop(builder, builder.sdiv(channels, INDEX(v.lanes)), first, body, [])
            return context.get_dummy_value()

        return signature, codegen

    return transform


max_pooled_tile, average_pooled_tile = _pooled_output(False), _pooled_output(True)
max_unpooled_tile, average_unpooled_tile = _unpooled_input(False), _unpooled_input(True)
