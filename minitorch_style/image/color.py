"""Colors of one picture in another: the photo's kept, or a painting moved to them before its style is taken."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32, Float64

LUMA: Float32 = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, the Y of the YIQ space they use
MAX_CLIPPED = 0.01  # of the pixels, beyond those that the painting has at the ends of the range already
WIDEST_SHOULDER = 0.4  # of the range, at either end, that may be bent to keep pixels inside
HALVINGS = 10  # of the interval in which its width is sought
RIDGE = 1e-6  # added to variances: a grey picture has none in two directions


def keep_colors(painted: Float32, photo: Float32) -> Float32:
    """The luminance of `painted` with the colours of `photo`; both (H, W, 3) (Gatys et al. 2016, «Preserving color»)."""
    luminance = (painted - photo) @ LUMA
    return np.add(photo, luminance[..., None], dtype=np.float32)


def match_colors(painting: Float32, photo: Float32) -> Float32:
    """The painting (H, W, 3) with the mean and the covariance of the photo's colors (Gatys et al. 2017, «Controlling
    perceptual factors»), by the map that moves them least on the average,

        x ↦ μ_p + T (x − μ_s),     T = Σ_s^(−½) (Σ_s^½ Σ_p Σ_s^½)^½ Σ_s^(−½),

    which is symmetric: no hue turns farther than it must. Where more than `MAX_CLIPPED` of the pixels would newly leave
    [0, 1], values near its ends are drawn inside softly, the farther from the ends the more pixels it would be; then mean
    and covariance are met only nearly.
    """
    colors = painting.reshape(-1, 3).astype(np.float64)
    matrix, mean, new_mean = color_map(painting, photo)
    moved = new_mean + _apply(colors - mean, matrix)
    allowed, shoulder = MAX_CLIPPED + _at_ends(colors), 0.0
    if _at_ends(moved) > allowed:
        low, shoulder = 0.0, WIDEST_SHOULDER
        for _ in range(HALVINGS):
            middle = (low + shoulder) / 2
            low, shoulder = (middle, shoulder) if _at_ends(_bent(moved, middle)) > allowed else (low, middle)
    return np.clip(_bent(moved, shoulder), 0, 1).astype(np.float32).reshape(painting.shape)


def color_map(given: Float32, wanted: Float32) -> tuple[Float64, Float64, Float64]:
    """T (3, 3), μ_s and μ_p of `match_colors`, for pictures of any sizes."""
    mean, covariance = _moments(given.reshape(-1, 3).astype(np.float64))
    new_mean, new_covariance = _moments(wanted.reshape(-1, 3).astype(np.float64))
    root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
    return inverse @ _power(root @ new_covariance @ root, 0.5) @ inverse, mean, new_mean


def _bent(colors: Float64, shoulder: float) -> Float64:
    """Values nearer than `shoulder` to an end of [0, 1], or beyond it, drawn inside by an exponential that leaves smoothly
    where it begins."""
    if not shoulder:
        return colors
    beyond = np.maximum(np.abs(colors - 0.5) - (0.5 - shoulder), 0)
    inside = np.minimum(np.abs(colors - 0.5), 0.5 - shoulder) + shoulder * (1 - np.exp(-beyond / shoulder))
    bent: Float64 = 0.5 + np.copysign(inside, colors - 0.5)
    return bent


def _moments(colors: Float64) -> tuple[Float64, Float64]:
    mean = colors.mean(axis=0)
    away = colors - mean
    covariance = np.array([[np.mean(away[:, i] * away[:, j]) for j in range(3)] for i in range(3)])
    return mean, covariance + RIDGE * np.eye(3)


def _power(matrix: Float64, exponent: float) -> Float64:
    values, vectors = np.linalg.eigh(matrix)
    powers: Float64 = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return powers


def _apply(colors: Float64, matrix: Float64) -> Float64:
    """colors · matrix, (M, 3), without BLAS."""
    found: Float64 = colors[:, :1] * matrix[0] + colors[:, 1:2] * matrix[1] + colors[:, 2:] * matrix[2]
    return found


def _at_ends(colors: Float64) -> float:
    """The part of the pixels with a channel that becomes 0 or 255, or would lie beyond."""
    return float(np.mean(np.any(np.abs(colors - 0.5) > 0.5 - 0.5 / 255, axis=1)))
