"""Names for the arrays that travel through the house; NumPy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32] | npt.NDArray[np.uint8]  # (H, W, 3), in [0, 1], or bytes that stand for it
Rgb8 = npt.NDArray[np.uint8]  # (H, W, 3), 0 … 255
BFloat16 = npt.NDArray[np.uint16]  # the upper half of a float32
