"""What L-BFGS does with many long vectors at once, in plain NumPy. bfloat16 is the upper half of a float32, as uint16."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import BFloat16, Float32
from minitorch_style.kernels.reference.products import shared

CHUNK = 4096  # elements: short sums are made in single precision, their total in double


def narrow(x: Float32, out: BFloat16) -> None:
    """Rounds x to bfloat16, to even where it lies between two, in place and into `out`."""
    bits = x.view(np.uint32)
    out[:] = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    x[:] = wide(out)


def wide(x: BFloat16) -> Float32:
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32)


def inner_products(rows: npt.NDArray[Any], columns: Float32) -> npt.NDArray[np.float64]:
    """⟨rows[i], columns[j]⟩ of vectors (I, n), float32 or bfloat16, and (J, n)."""

    def chunk(first: int) -> npt.NDArray[Any]:
        part = rows[:, first : first + CHUNK]
        found: npt.NDArray[Any] = (wide(part) if part.dtype == np.uint16 else part) @ columns[
            :, first : first + CHUNK
        ].T
        return found

    total = np.zeros((rows.shape[0], columns.shape[0]))
    for found in shared(chunk, range(0, rows.shape[1], CHUNK), rows.size * columns.shape[0]):
        total += found
    return total


def combination(
    coefficients: npt.NDArray[np.float64], rows: BFloat16, factor: float, vector: Float32, out: Float32
) -> None:
    """out = factor · vector + Σ_i coefficients[i] · rows[i]."""
    shares = coefficients.astype(np.float32)

    def chunk(first: int) -> None:
        part = slice(first, first + CHUNK)
        out[part] = np.float32(factor) * vector[part] + shares @ wide(rows[:, part])

    shared(chunk, range(0, vector.size, CHUNK), rows.size)
