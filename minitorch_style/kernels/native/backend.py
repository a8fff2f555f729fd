"""The kernel set for boards without a compiler: NumPy, its products by a library that `cross-compile` made.

The library is called through ctypes and needs neither Numba nor LLVM. Rows of a product are shared out over threads by
whole tiles, so the numbers do not depend on how many there are.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.buffers import Buffer, Gate
from minitorch_style.kernels.codegen.modes import ACTIVATE
from minitorch_style.kernels.packing import PackedWeights
from minitorch_style.kernels.reference import ops
from minitorch_style.kernels.reference.backend import NumpyKernels, deliver
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d, Shape

FOLDER = Path(__file__).resolve().parent
GRAM_POSITIONS = 4096  # of a Gram matrix summed in single precision before they join the rest in double


def find_library(folder: Path = FOLDER) -> Path | None:
    """The library for this processor that lies in the package, if there is one."""
    found = folder / f"minitorch-{platform.machine()}.so"
    return found if found.exists() else None


@dataclass(frozen=True)
class Packed:
    """A matrix (K, N) in panels, as the library reads it."""

    panels: Float32
    depth: int
    columns: int


class Library:
    """The functions of a library; UnsupportedError if it is not one for this processor."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        try:
            loaded = ctypes.CDLL(str(path))
            self._gemm = loaded.minitorch_gemm
            self.rows = int(loaded.minitorch_tile_rows())
            self.width = int(loaded.minitorch_panel_width())
        except (OSError, AttributeError) as error:
            raise UnsupportedError(f"{path}: no library of kernels for this processor ({error})") from error
        size, place = ctypes.c_ssize_t, ctypes.c_void_p
        self._gemm.argtypes = [size, size, size, place, size, place, place, size, place, place, size]
        self._gemm.restype = None
        self.threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.threads)

    def pack(self, matrix: Float32) -> Packed:
        depth, columns = matrix.shape
        panels = np.zeros((-(-columns // self.width), depth, self.width), np.float32)
        for number, panel in enumerate(panels):
            part = matrix[:, number * self.width : (number + 1) * self.width]
            panel[:, : part.shape[1]] = part
        return Packed(panels, depth, columns)

    def packed_bytes(self, depth: int, columns: int) -> int:
        """Of a matrix (depth, columns) once it is packed."""
        return 4 * -(-columns // self.width) * self.width * depth

    def padded(self, count: int) -> int:
        """Rows that a product of `count` rows needs to be stored in."""
        return -(-count // self.rows) * self.rows

    def product(self, a: Float32, w: Packed, bias: Float32 | None = None, slope: Float32 | None = None) -> Float32:
        """A·W + bias, activated by `slope` where given: (M, N) of A (M, K), a new array."""
        count = a.shape[0]
        rows = self.padded(count)
        if rows != count or not a.flags.c_contiguous:
            whole = np.zeros((rows, w.depth), np.float32)
            whole[:count] = a
            a = whole
        columns = len(w.panels) * self.width
        out = np.empty((rows, columns), np.float32)
        offsets, slopes = np.zeros((2, columns), np.float32)
        if bias is not None:
            offsets[: w.columns] = bias
        mode = 0
        if slope is not None:
            slopes[: w.columns], mode = slope, ACTIVATE
        share = self.padded(-(-rows // self.threads))

        def part(first: int) -> None:
            self._gemm(
                min(share, rows - first), columns, w.depth, a[first:].ctypes.data, w.depth, w.panels.ctypes.data,
                out[first:].ctypes.data, columns, offsets.ctypes.data, slopes.ctypes.data, mode,
            )  # fmt: skip

        if self.threads == 1:
            part(0)
        else:
            list(self._pool.map(part, range(0, rows, share)))
        return out[:count, : w.columns]


@dataclass
class NativeIm2col:
    """Convolution by im2col and the library's product, bias and activation in one."""

    library: Library
    packed: PackedWeights
    spec: Conv2d
    weight: Float32
    bias: Float32 | None
    slope: Float32 | None
    gradient: bool
    algorithm: str = "im2col, native"
    fused_pool: str | None = None
    input_margin: int = 0
    input_slack: int = 0
    grad_margin: int = 0
    grad_slack: int = 0
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        depth, columns = math.prod(self.weight.shape[:3]), self.spec.out_channels
        self.nbytes = self.library.packed_bytes(depth, columns)
        if self.gradient:
            self.nbytes += self.library.packed_bytes(columns, depth)

    def forward(self, x: Buffer, out: Buffer) -> None:
        matrix = self.weight.reshape(-1, self.spec.out_channels)
        packed = self.packed.of(self.weight, "forward", lambda: self.library.pack(matrix))

        def product(patches: Float32, matrix: Float32) -> Float32:
            return self.library.product(patches, packed, self.bias, self.slope)

        ops.conv2d(x.interior, self.weight, None, self.spec, out.interior, product)

    def backward(self, dy: Buffer, dx: Buffer, accumulate: bool, gate: Gate | None) -> None:
        matrix = self.weight.reshape(-1, self.spec.out_channels)
        packed = self.packed.of(self.weight, "back", lambda: self.library.pack(np.ascontiguousarray(matrix.T)))

        def product(rows: Float32, matrix: Float32) -> Float32:
            return self.library.product(rows, packed)

        deliver(
            lambda out: ops.conv2d_input_grad(dy.interior, self.weight, self.spec, out, product), dx, accumulate, gate
        )


class NativeKernels(NumpyKernels):
    name = "native"
    algorithms = ("im2col",)

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.library = Library(path, threads)
        self._sent = (path, threads)
        self._packed = PackedWeights()

    def __reduce__(self) -> tuple[type, tuple[Path, int | None]]:
        """Sent to another process without what is packed: it packs its own."""
        return NativeKernels, self._sent

    def convolution(  # type: ignore[override]
        self,
        spec: Conv2d,
        weight: Float32,
        bias: Float32 | None,
        slope: Float32 | None,
        shape: Shape,
        gradient: bool,
        algorithm: str | None,
        pool: MaxPool2d | AvgPool2d | None = None,
    ) -> NativeIm2col:
        if algorithm not in (None, *self.algorithms):
            raise UnsupportedError(f"the native kernels have no convolution algorithm {algorithm!r}, only im2col")
        return NativeIm2col(self.library, self._packed, spec, weight, bias, slope, gradient)

    def gram(self, features: Buffer) -> npt.NDArray[np.float64]:
        flat = features.interior.reshape(-1, features.shape[2])
        total = np.zeros((flat.shape[1], flat.shape[1]))
        for first in range(0, len(flat), GRAM_POSITIONS):
            some = flat[first : first + GRAM_POSITIONS]
            total += self.library.product(np.ascontiguousarray(some.T), self.library.pack(some))
        return total

    def product(
        self, features: Buffer, matrix: Float32, out: Buffer, accumulate: bool, bias: Float32 | None = None
    ) -> None:
        flat = features.interior.reshape(-1, features.shape[2])
        found = self.library.product(flat, self.library.pack(matrix), bias).reshape(out.shape)
        target = out.interior
        if accumulate:
            target += found
        else:
            target[...] = found
