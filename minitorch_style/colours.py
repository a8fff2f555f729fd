"""Keeping the photo's colours: the style's strokes as light and dark only (Gatys et al. 2016, «Preserving color»)."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import Array

LUMA: Array = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, the Y of the YIQ space they use


def keep_colours(painted: Array, photo: Array) -> Array:
    """The luminance of `painted` with the colours of `photo`; both (H, W, 3)."""
    luminance = (painted - photo) @ LUMA
    return np.add(photo, luminance[..., None], dtype=np.float32)
