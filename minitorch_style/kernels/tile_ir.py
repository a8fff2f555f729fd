"""The SIMD tile of every matrix product as LLVM IR written by hand, so that the accumulators stay in registers.

    tile[m, n] = Σ_{a, b, k} x[x0 + a·step_a + b·step_b + m·step_m + k·step_k] · w[w0 + (flat index of a, b, k)·ldw + n]

for m < rows and n < columns of the tile. With steps over a padded picture this is a convolution without im2col; with
one (a, b) it is a plain matrix product. A tile is `rows × columns` floats, written to `out` with row length `ldo`.

The IR serves twice: as a Numba intrinsic on the machine at hand (`numba_ops/microkernel`), and in a library for another
(`native_library`).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from minitorch_style.kernels.buffers import LINE
from minitorch_style.kernels.tile_modes import ACCUMULATE, ACTIVATE, GATED, RAW, SUM

FLOAT = ir.FloatType()

INTEGERS = ("count_a", "step_a", "count_b", "step_b", "depth", "step_k", "step_m", "ldw", "ldo", "mode", "ldg")
POINTERS = ("x", "w", "out", "bias", "slope", "gate")


def pointer(builder: Any, base: Any, index: Any) -> Any:
    return builder.gep(base, [index], inbounds=True)


def counted_loop(builder: Any, count: Any, pointers: list[Any], body: Any, accumulators: list[Any]) -> list[Any]:
    """A counted loop that carries `pointers` and `accumulators`; `body` returns their next values."""
    entry = builder.block
    head = builder.append_basic_block("head")
    work = builder.append_basic_block("work")
    done = builder.append_basic_block("done")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(count.type)
    index.add_incoming(count.type(0), entry)
    carried = []
    for value in pointers + accumulators:
        phi = builder.phi(value.type)
        phi.add_incoming(value, entry)
        carried.append(phi)
    builder.cbranch(builder.icmp_signed("<", index, count), work, done)
    builder.position_at_end(work)
    following = body(carried[: len(pointers)], carried[len(pointers) :])
    index.add_incoming(builder.add(index, count.type(1)), builder.block)
    for phi, value in zip(carried, following, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    return carried


def fmuladd(module: Any, vector: Any) -> Any:
    """LLVM's a·b + c, fused where the processor can: `llvm.fma` would call the C library where it cannot."""
    name = f"llvm.fmuladd.v{vector.count}f32"
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(vector, [vector] * 3), name)


def prefetch_to_write(builder: Any, place: Any) -> None:
    """Has the line of the cache at `place` brought near, without waiting, to be written."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    function = ir.FunctionType(ir.VoidType(), [byte, *[number] * 3])
    write, near, data = number(1), number(3), number(1)
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], function)
    builder.call(prefetch, [builder.bitcast(place, byte), write, near, data])


MODES = (RAW, 0, ACTIVATE, ACCUMULATE, GATED, ACCUMULATE | GATED)


def emit_tile(
    builder: Any,
    rows: int,
    width: int,
    lanes: int,
    pointers: dict[str, Any],
    integers: dict[str, Any],
    modes: tuple[int, ...] = MODES,
) -> None:
    """Writes the tile product, and what `mode`, one of `modes`, wants done with it, into `builder`. `pointers` to floats
    are x, w, out and, unless all are RAW or SUM, bias, slope and gate; `integers`, all of one width, are INTEGERS and, if
    something lies between the weights of one a and the next, `skip_w`."""
    x, w, steps = pointers["x"], pointers["w"], integers
    index_type = steps["depth"].type
    vector = ir.VectorType(FLOAT, lanes)
    vectors = width // lanes
    fma = fmuladd(builder.module, vector)
    zero = ir.Constant(vector, [0.0] * lanes)
    lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    undefined = ir.Constant(vector, ir.Undefined)

    def splat(scalar: Any) -> Any:
        return builder.shuffle_vector(
            builder.insert_element(undefined, scalar, ir.IntType(32)(0)), undefined, lane_zero
        )

    def load(pointer: Any) -> Any:
        loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
        loaded.align = 4
        return loaded

    row_offsets = [builder.mul(index_type(m), steps["step_m"]) for m in range(rows)]

    def over_depth(pointers: list[Any], accumulators: list[Any]) -> list[Any]:
        x_k, w_k = pointers
        columns = [load(pointer(builder, w_k, index_type(v * lanes))) for v in range(vectors)]
        following = []
        for m in range(rows):
            value = builder.load(pointer(builder, x_k, row_offsets[m]))
            value.align = 4
            scalar = splat(value)
            following += [
                builder.call(fma, [scalar, columns[v], accumulators[m * vectors + v]]) for v in range(vectors)
            ]
        return [pointer(builder, x_k, steps["step_k"]), pointer(builder, w_k, steps["ldw"]), *following]

    def over_b(pointers: list[Any], accumulators: list[Any]) -> list[Any]:
        x_b, w_b = pointers
        carried = counted_loop(builder, steps["depth"], [x_b, w_b], over_depth, accumulators)
        return [pointer(builder, x_b, steps["step_b"]), carried[1], *carried[2:]]

    def over_a(pointers: list[Any], accumulators: list[Any]) -> list[Any]:
        x_a, w_a = pointers
        carried = counted_loop(builder, steps["count_b"], [x_a, w_a], over_b, accumulators)
        w_a = pointer(builder, carried[1], steps["skip_w"]) if "skip_w" in steps else carried[1]
        return [pointer(builder, x_a, steps["step_a"]), w_a, *carried[2:]]

    for m in range(rows):  # a line of the cache that a store goes to would be waited for only then
        row = builder.mul(index_type(m), steps["ldo"])
        for n in range(0, width, LINE):
            prefetch_to_write(builder, pointer(builder, pointers["out"], builder.add(row, index_type(n))))
    carried = counted_loop(builder, steps["count_a"], [x, w], over_a, [zero] * (rows * vectors))
    accumulators = carried[2:]

    def at(base: str, step: str | None, m: int, v: int) -> Any:
        offset = index_type(v * lanes)
        if step is not None:
            offset = builder.add(offset, builder.mul(index_type(m), steps[step]))
        return pointer(builder, pointers[base], offset)

    def finished(mode: int, m: int, v: int) -> Any:
        """As `tiles.finish` does it, on registers."""
        value = accumulators[m * vectors + v]
        if mode == RAW:
            return value
        if mode == SUM:
            return builder.fadd(value, load(at("out", "ldo", m, v)))
        value = builder.fadd(value, load(at("bias", None, m, v)))
        if mode & ACCUMULATE:
            value = builder.fadd(value, load(at("out", "ldo", m, v)))
        if mode & (ACTIVATE | GATED):
            sign = value if mode & ACTIVATE else load(at("gate", "ldg", m, v))
            positive = builder.fcmp_ordered(">", sign, zero)
            value = builder.select(positive, value, builder.fmul(value, load(at("slope", None, m, v))))
        return value

    done = builder.append_basic_block("done")
    unreachable = builder.append_basic_block("unreachable")
    choice = builder.switch(steps["mode"], unreachable)
    for mode in modes:
        block = builder.append_basic_block(f"mode{mode}")
        choice.add_case(index_type(mode), block)
        builder.position_at_end(block)
        for m in range(rows):
            for v in range(vectors):
                target = builder.bitcast(at("out", "ldo", m, v), vector.as_pointer())
                builder.store(finished(mode, m, v), target).align = 4
        builder.branch(done)
    builder.position_at_end(unreachable)
    builder.unreachable()
    builder.position_at_end(done)
