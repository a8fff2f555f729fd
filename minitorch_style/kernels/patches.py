"""What repainting asks of a kernel set: patches of one picture found in another, compared and averaged.

A picture (H, W, 3) has H − side + 1 by W − side + 1 patches of `side` × `side` pixels, each named by its upper left
corner. A `field` (int32) tells for each patch of a picture which patch of the source (h, w, 3) stands for it, as the flat
number of that one's corner, row · w + column.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float32
from minitorch_style.kernels import kernel_set

SLACK = 256  # floats behind a picture (`buffers.roomy`) with which no kernel has to copy it
Field = npt.NDArray[np.int32]


class PatchKernels(Protocol):
    """The same pixels with any number of threads. All arrays are C-contiguous float32 unless said otherwise."""

    def project(self, picture: Float32, axes: Float32, side: int, step: int) -> Float32:
        """The patches at every `step`-th row and column, from the first, times `axes` (side·side·3, K): (rows, columns, K)."""
        ...

    def pack(self, keys: Float32) -> Any:
        """Vectors (m, K) in the form in which `nearest` reads them."""
        ...

    def nearest(self, queries: Float32, keys: Any, bias: Float32) -> Field:
        """For each of the queries (n, K) the lowest j that makes bias[j] − ⟨query, key j⟩ least."""
        ...

    def distances(self, picture: Float32, source: Float32, field: Field, side: int) -> Float32:
        """Σ (picture − source)² over each patch and its match, shaped as the field."""
        ...

    def sweep(
        self,
        picture: Float32,
        source: Float32,
        field: Field,
        distance: Float32,
        penalty: Float32,
        side: int,
        forward: bool,
    ) -> None:
        """Goes through the patches in reading order, or backward. Each may take the match of the one above (below), then
        of the one left (right) of it, moved along by one, where that is strictly better: distance plus penalty[match]
        (flat, one number for each pixel of the source; infinite where no patch may be taken). `field` and `distance`
        are changed in place; patches whose distance is −∞ stay as they are."""
        ...

    def vote(self, source: Float32, field: Field, weight: Float32, side: int, skip: int, out: Float32) -> None:
        """out[p] = Σ weight · source over the patches that cover pixel p, over Σ weight; `skip` pixels at the edges of each
        patch have no vote. Pixels of `out` (H, W, 3) on which nothing votes stay as they are."""
        ...


def patch_kernels(name: str = "auto") -> PatchKernels:
    """The patch kernels that go with `kernel_set(name)`."""
    if kernel_set(name).name == "numba":
        from minitorch_style.kernels.fast.patch_backend import NumbaPatches

        return NumbaPatches()
    from minitorch_style.kernels.reference.patches import NumpyPatches

    return NumpyPatches()
