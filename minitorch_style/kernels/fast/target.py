"""What Numba compiles for: the processor that it was told of (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES), else this one."""

from __future__ import annotations

import platform
import re
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core.registry import cpu_target

_PROBE = """
target triple = "{}"
define <16 x float> @probe(<16 x float> %x) {{
  %sum = fadd <16 x float> %x, %x
  ret <16 x float> %sum
}}
"""


def codegen() -> Any:
    """Numba's code generator for the processor."""
    return cpu_target.target_context.codegen()


def _vector_width() -> int:
    """Floats in the widest register that LLVM computes with for this target, by what it makes of sixteen of them."""
    triple, name, features = codegen().magic_tuple()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features, opt=0)
    assembly = machine.emit_assembly(llvm.parse_assembly(_PROBE.format(triple)))
    registers = {"z": 16, "y": 8}  # of the x86: zmm, ymm, xmm; others have four
    return max((registers[found] for found in re.findall(r"\b([yz])mm\d", assembly)), default=4)


JIT: bool = not numba.config.DISABLE_JIT
VECTOR_WIDTH = _vector_width() if JIT else 4
LANES = min(8, VECTOR_WIDTH)  # channels that are always taken as one vector
WIDE_REGISTERS = VECTOR_WIDTH == 16 or platform.machine() in ("aarch64", "arm64")  # 32 vector registers, else 16
