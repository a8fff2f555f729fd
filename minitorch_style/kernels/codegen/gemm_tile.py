"""The SIMD tile of every matrix product as LLVM IR written by hand, so that the accumulators stay in registers.

    tile[m, n] = Σ_{a, b, k} x[x0 + a·step_a + b·step_b + m·step_m + k·step_k] · w[w0 + (flat index of a, b, k)·ldw + n]

for m < rows and n < columns of the tile. With steps over a padded picture this is a convolution without im2col; with
one (a, b) it is a plain matrix product. A tile is `rows × columns` floats, written to `out` with row length `ldo`.

The IR serves twice: as a Numba intrinsic on the machine at hand (`fast/microkernel`), and in a library for another
(`native/library`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from minitorch_style.kernels.buffers import LINE
from minitorch_style.kernels.codegen.modes import ACCUMULATE, ACTIVATE, GATED, RAW, SUM

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


def switched(builder: Any, value: Any, cases: Iterable[int], emit: Callable[[int], None]) -> None:
    """What `emit` writes for the one of `cases` that `value` is. It is always one of them."""
    done, unreachable = (builder.append_basic_block(name) for name in ("done", "unreachable"))
    choice = builder.switch(value, unreachable)
    for case in cases:
        block = builder.append_basic_block(f"case{case}")
        choice.add_case(value.type(case), block)
        builder.position_at_end(block)
        emit(case)
        builder.branch(done)
    builder.position_at_end(unreachable)
    builder.unreachable()
    builder.position_at_end(done)


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


@dataclass(frozen=True)
class _Tile:
    """`rows` × `width` sums in registers of `lanes` floats, and the instructions that they are made and finished with.
    `pointers` and `integers` as `emit_tile` has them."""

    builder: Any
    rows: int
    width: int
    lanes: int
    pointers: dict[str, Any]
    integers: dict[str, Any]

    @property
    def vectors(self) -> int:
        return self.width // self.lanes

    @property
    def index(self) -> Any:
        """The type of integers."""
        return self.integers["depth"].type

    @property
    def vector(self) -> Any:
        return ir.VectorType(FLOAT, self.lanes)

    @property
    def zero(self) -> Any:
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def splat(self, scalar: Any) -> Any:
        undefined, number = ir.Constant(self.vector, ir.Undefined), ir.IntType(32)
        first = ir.Constant(ir.VectorType(number, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(self.builder.insert_element(undefined, scalar, number(0)), undefined, first)

    def load(self, place: Any) -> Any:
        loaded = self.builder.load(self.builder.bitcast(place, self.vector.as_pointer()))
        loaded.align = 4
        return loaded

    def at(self, base: str, step: str | None, m: int, v: int) -> Any:
        """Where in `base` the numbers for vector v of row m are, rows `step` apart."""
        offset = self.index(v * self.lanes)
        if step is not None:
            offset = self.builder.add(offset, self.builder.mul(self.index(m), self.integers[step]))
        return pointer(self.builder, self.pointers[base], offset)

    def prefetch(self) -> None:
        """A line of the cache that a store goes to would otherwise be waited for only then."""
        for m in range(self.rows):
            row = self.builder.mul(self.index(m), self.integers["ldo"])
            for n in range(0, self.width, LINE):
                place = pointer(self.builder, self.pointers["out"], self.builder.add(row, self.index(n)))
                prefetch_to_write(self.builder, place)


def accumulate(tile: _Tile) -> list[Any]:
    """The sums of a tile, row by row."""
    builder, steps, vectors = tile.builder, tile.integers, tile.vectors
    fma = fmuladd(builder.module, tile.vector)
    row_offsets = [builder.mul(tile.index(m), steps["step_m"]) for m in range(tile.rows)]

    def over_depth(pointers: list[Any], sums: list[Any]) -> list[Any]:
        x_k, w_k = pointers
        columns = [tile.load(pointer(builder, w_k, tile.index(v * tile.lanes))) for v in range(vectors)]
        following = []
        for m in range(tile.rows):
            value = builder.load(pointer(builder, x_k, row_offsets[m]))
            value.align = 4
            scalar = tile.splat(value)
            following += [builder.call(fma, [scalar, columns[v], sums[m * vectors + v]]) for v in range(vectors)]
        return [pointer(builder, x_k, steps["step_k"]), pointer(builder, w_k, steps["ldw"]), *following]

    def over_b(pointers: list[Any], sums: list[Any]) -> list[Any]:
        x_b, w_b = pointers
        carried = counted_loop(builder, steps["depth"], [x_b, w_b], over_depth, sums)
        return [pointer(builder, x_b, steps["step_b"]), carried[1], *carried[2:]]

    def over_a(pointers: list[Any], sums: list[Any]) -> list[Any]:
        x_a, w_a = pointers
        carried = counted_loop(builder, steps["count_b"], [x_a, w_a], over_b, sums)
        w_a = pointer(builder, carried[1], steps["skip_w"]) if "skip_w" in steps else carried[1]
        return [pointer(builder, x_a, steps["step_a"]), w_a, *carried[2:]]

    start = [tile.zero] * (tile.rows * vectors)
    return counted_loop(builder, steps["count_a"], [tile.pointers["x"], tile.pointers["w"]], over_a, start)[2:]


def epilogue(tile: _Tile, sums: list[Any], mode: int) -> None:
    """Stores the sums as `mode` wants them: what `tiles.finish` does, on registers."""
    builder, load, at = tile.builder, tile.load, tile.at

    def finished(value: Any, m: int, v: int) -> Any:
        if mode == RAW:
            return value
        if mode == SUM:
            return builder.fadd(value, load(at("out", "ldo", m, v)))
        value = builder.fadd(value, load(at("bias", None, m, v)))
        if mode & ACCUMULATE:
            value = builder.fadd(value, load(at("out", "ldo", m, v)))
        if mode & (ACTIVATE | GATED):
            sign = value if mode & ACTIVATE else load(at("gate", "ldg", m, v))
            positive = builder.fcmp_ordered(">", sign, tile.zero)
            value = builder.select(positive, value, builder.fmul(value, load(at("slope", None, m, v))))
        return value

    for m in range(tile.rows):
        for v in range(tile.vectors):
            target = builder.bitcast(at("out", "ldo", m, v), tile.vector.as_pointer())
            builder.store(finished(sums[m * tile.vectors + v], m, v), target).align = 4


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
    tile = _Tile(builder, rows, width, lanes, pointers, integers)
    tile.prefetch()
    sums = accumulate(tile)
    switched(builder, integers["mode"], modes, lambda mode: epilogue(tile, sums, mode))
