"""A library of kernels for another processor: its LLVM IR, and the object code of it. Runs on the host, needs llvmlite.

It holds one function, the product that convolutions by im2col, transposed ones and Gram matrices come down to:

    minitorch_gemm(m, n, k, a, lda, w, c, ldc, bias, slope, mode)    C = A·W, then what `mode` says (see tile_modes)

A is (m, k) with row length lda, W packed in panels of `width` columns, each (k, width); m is a multiple of `rows`, n of
`width`. Two more functions tell these two numbers: minitorch_tile_rows() and minitorch_panel_width().
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from minitorch_style.kernels.codegen.gemm_tile import FLOAT, counted_loop, emit_tile, pointer


@dataclass(frozen=True)
class Target:
    """A processor: LLVM's names for it, what Python's platform.machine() says there, the tile that fills its vector
    registers, the width of its addresses in bits, and programs that can link a shared library for it."""

    triple: str
    cpu: str
    features: str
    machines: tuple[str, ...]
    rows: int
    columns: int
    lanes: int
    bits: int
    linkers: tuple[str, ...]


# The hard-float tag of an ARM object needs all four parts of the triple.
TARGETS = {
    "armv7-neon": Target(
        "armv7a-unknown-linux-gnueabihf",
        "cortex-a9",
        "+neon",
        ("armv7l", "armv8l"),
        5,  # six rows would fill the sixteen registers, and LLVM then moves sums about
        8,
        4,
        32,
        ("arm-linux-gnueabihf-gcc", "arm-linux-gnueabihf-ld", "ld.lld"),
    ),
    "aarch64": Target(
        "aarch64-unknown-linux-gnu",
        "generic",
        "+neon",
        ("aarch64", "arm64"),
        12,
        8,
        4,
        64,
        ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld", "ld.lld"),
    ),
    "x86-64-v3": Target(
        "x86_64-unknown-linux-gnu",
        "haswell",
        "",
        ("x86_64", "AMD64"),
        6,
        16,
        8,
        64,
        ("x86_64-linux-gnu-gcc", "gcc", "ld.lld"),
    ),
}


def library_ir(target: Target) -> Any:
    """The library as an llvmlite module."""
    module = ir.Module("minitorch")
    module.triple = target.triple
    index, floats = ir.IntType(target.bits), FLOAT.as_pointer()
    for name, value in (("minitorch_tile_rows", target.rows), ("minitorch_panel_width", target.columns)):
        constant = ir.Function(module, ir.FunctionType(index, []), name)
        ir.IRBuilder(constant.append_basic_block()).ret(index(value))
    kinds = [index, index, index, floats, index, floats, floats, index, floats, floats, index]
    gemm = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "minitorch_gemm")
    m, n, k, a, lda, w, c, ldc, bias, slope, mode = gemm.args
    builder = ir.IRBuilder(gemm.append_basic_block())
    tiles, panels = builder.udiv(m, index(target.rows)), builder.udiv(n, index(target.columns))
    panel_floats = builder.mul(k, index(target.columns))
    a_step, c_step = builder.mul(lda, index(target.rows)), builder.mul(ldc, index(target.rows))
    one = index(1)

    def over_panels(pointers: list[Any], _: list[Any]) -> list[Any]:
        w_panel, c_panel, bias_panel, slope_panel = pointers

        def over_tiles(pointers: list[Any], _: list[Any]) -> list[Any]:
            a_tile, c_tile = pointers
            integers = {"count_a": one, "step_a": one, "count_b": one, "step_b": one, "depth": k, "step_k": one,
                        "step_m": lda, "ldw": index(target.columns), "ldo": ldc, "mode": mode, "ldg": ldc}  # fmt: skip
            places = {
                "x": a_tile,
                "w": w_panel,
                "out": c_tile,
                "bias": bias_panel,
                "slope": slope_panel,
                "gate": c_tile,
            }
            emit_tile(builder, target.rows, target.columns, target.lanes, places, integers)
            return [pointer(builder, a_tile, a_step), pointer(builder, c_tile, c_step)]

        counted_loop(builder, tiles, [a, c_panel], over_tiles, [])
        width = index(target.columns)
        return [pointer(builder, w_panel, panel_floats), *(pointer(builder, p, width) for p in pointers[1:])]

    counted_loop(builder, panels, [w, c, bias, slope], over_panels, [])
    builder.ret_void()
    return module


def _optimize(module: Any, machine: Any) -> None:
    """Runs LLVM's passes of level 3."""
    if hasattr(llvm, "create_pass_builder"):
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        passes.getModulePassManager().run(module, passes)
    else:  # llvmlite before 0.44, of Numba before 0.61
        builder, passes = llvm.create_pass_manager_builder(), llvm.create_module_pass_manager()
        builder.opt_level, builder.loop_vectorize, builder.slp_vectorize = 3, True, True
        machine.add_analysis_passes(passes)
        builder.populate(passes)
        passes.run(module)


def object_code(target: Target) -> bytes:
    """The library compiled for `target`, position-independent, to be linked."""
    for initialize in (llvm.initialize_all_targets, llvm.initialize_all_asmprinters):
        initialize()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
    )
    module = llvm.parse_assembly(str(library_ir(target)))
    module.verify()
    _optimize(module, machine)
    code: bytes = machine.emit_object(module)
    return code
