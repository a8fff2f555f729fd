"""Every operation in plain NumPy, forward and input gradient side by side. Runs wherever NumPy runs.

This is the definition that the fast kernels are tested against. All arrays are channels-last; the functions write into
`out` (or `dx`), return it, and work in its precision, float32 or float64. Shapes: x (H, W, C), y = out (H', W', C'),
`dy` like y, `dx` like x. There are no weight gradients: the only gradient flows to the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.arrays import Float64
from minitorch_style.kernels.reference.vectors import inner_products
from minitorch_style.nn.layers import AvgPool2d, Conv2d, MaxPool2d

Values = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int16]
Product = Callable[[Any, Any], Any]  # of two matrices

COLUMN_BYTES = 1 << 25  # im2col works on bands of rows of this size: its matrix is kh·kw times the picture


def _bands(rows: int, bytes_per_row: int) -> list[slice]:
    step = max(1, COLUMN_BYTES // max(1, bytes_per_row))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


def _windows(padded: Values, spec: Conv2d, out_columns: int, band: slice) -> Values:
    """View (rows, out_columns, kh, kw, C) of the windows of the output rows in `band`."""
    (kh, kw), (sh, sw), (dh, dw) = spec.kernel_size, spec.stride, spec.dilation
    row, column, channel = padded.strides
    shape = (band.stop - band.start, out_columns, kh, kw, padded.shape[2])
    return np.lib.stride_tricks.as_strided(
        padded[band.start * sh :], shape, (row * sh, column * sw, row * dh, column * dw, channel)
    )


def conv2d(
    x: Values, weight: Values, bias: Values | None, spec: Conv2d, out: Values, product: Product = np.matmul
) -> Values:
    """Cross-correlation by im2col and one product: out[i, j, o] = bias[o] + Σ weight[a, b, c, o] · window."""
    (ph, pw) = spec.padding
    rows, columns, maps = out.shape
    padded = np.pad(x, ((ph, ph), (pw, pw), (0, 0)))
    matrix = weight.reshape(-1, maps)
    for band in _bands(rows, columns * matrix.shape[0] * x.itemsize):
        patches = _windows(padded, spec, columns, band).reshape(-1, matrix.shape[0])
        found = product(patches, matrix).reshape(-1, columns, maps)
        out[band] = found if bias is None else found + bias
    return out


def conv2d_input_grad(dy: Values, weight: Values, spec: Conv2d, dx: Values, product: Product = np.matmul) -> Values:
    """dx[i·s + a·d − p, j·s + b·d − p, c] += Σ_o weight[a, b, c, o] · dy[i, j, o], by one product and col2im."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = spec.kernel_size, spec.stride, spec.padding, spec.dilation
    rows, columns, maps = dy.shape
    height, width, channels = dx.shape
    padded = np.zeros((height + 2 * ph, width + 2 * pw, channels), dx.dtype)
    matrix = weight.reshape(-1, maps).T
    for band in _bands(rows, columns * matrix.shape[1] * dx.itemsize):
        count = band.stop - band.start
        patches = product(dy[band].reshape(-1, maps), matrix).reshape(count, columns, kh, kw, channels)
        for a in range(kh):
            top = band.start * sh + a * dh
            for b in range(kw):
                target = padded[top : top + (count - 1) * sh + 1 : sh, b * dw : b * dw + (columns - 1) * sw + 1 : sw]
                target += patches[:, :, a, b]
    dx[...] = padded[ph : ph + height, pw : pw + width]
    return dx


def leaky(x: Values, slope: Values, out: Values) -> Values:
    """ReLU (slope 0) and PReLU: x where positive, else slope[c] · x."""
    np.multiply(x, slope, out=out)
    np.copyto(out, x, where=x > 0)
    return out


def leaky_input_grad(dy: Values, x: Values, slope: Values, dx: Values) -> Values:
    """dy where x is positive, else slope[c] · dy. With slope ≥ 0 the layer's output serves as x, having its sign."""
    np.multiply(dy, np.where(x > 0, np.ones_like(slope), slope), out=dx)
    return dx


def affine(x: Values, weight: Values, bias: Values, out: Values) -> Values:
    """weight[c] · x + bias[c]."""
    np.multiply(x, weight, out=out)
    out += bias
    return out


def affine_input_grad(dy: Values, weight: Values, dx: Values) -> Values:
    np.multiply(dy, weight, out=dx)
    return dx


def binarize(x: Values, threshold: Values, low: Values, high: Values, out: Values) -> Values:
    out[...] = np.where(x > threshold, high, low)
    return out


def binarize_input_grad(dy: Values, x: Values, threshold: Values, reach: Values, dx: Values) -> Values:
    """The straight-through estimator: dy where x lies within `reach` of the threshold, else 0."""
    np.multiply(dy, np.abs(x - threshold) <= reach, out=dx)
    return dx


def _pool_padded(x: Values, spec: MaxPool2d | AvgPool2d, rows: int, columns: int, fill: float) -> Values:
    """x inside its padding, and as much more as windows beyond it need (ceil_mode)."""
    (kh, kw), (sh, sw), (ph, pw) = spec.kernel_size, spec.stride, spec.padding
    bottom = max(0, (rows - 1) * sh + kh - x.shape[0] - ph)
    right = max(0, (columns - 1) * sw + kw - x.shape[1] - pw)
    return np.pad(x, ((ph, bottom), (pw, right), (0, 0)), constant_values=fill)


def _pool_view(padded: Values, spec: MaxPool2d | AvgPool2d, rows: int, columns: int, a: int, b: int) -> Values:
    sh, sw = spec.stride
    return padded[a : a + (rows - 1) * sh + 1 : sh, b : b + (columns - 1) * sw + 1 : sw]


def max_pool2d(x: Values, spec: MaxPool2d, out: Values, index: Indices) -> Values:
    """The largest value of each window; `index` (like out) gets its position a·kw + b, the first of equal ones."""
    rows, columns = out.shape[:2]
    padded = _pool_padded(x, spec, rows, columns, -np.inf)
    out.fill(-np.inf)
    index.fill(0)
    kh, kw = spec.kernel_size
    for a in range(kh):
        for b in range(kw):
            value = _pool_view(padded, spec, rows, columns, a, b)
            larger = value > out
            np.copyto(out, value, where=larger)
            index[larger] = a * kw + b
    return out


def max_pool2d_input_grad(dy: Values, index: Indices, spec: MaxPool2d, dx: Values) -> Values:
    """Each window's gradient goes to the position that `index` names."""
    rows, columns = dy.shape[:2]
    padded = _pool_padded(np.zeros_like(dx), spec, rows, columns, 0.0)
    kh, kw = spec.kernel_size
    for a in range(kh):
        for b in range(kw):
            target = _pool_view(padded, spec, rows, columns, a, b)
            target += np.where(index == a * kw + b, dy, 0)
    ph, pw = spec.padding
    dx[...] = padded[ph : ph + dx.shape[0], pw : pw + dx.shape[1]]
    return dx


def pool_areas(size: tuple[int, int], spec: AvgPool2d, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """(rows, columns): how many pixels of the padded picture lie under each window, which is what it divides by."""
    extents = []
    for axis, count in ((0, rows), (1, columns)):
        starts = np.arange(count) * spec.stride[axis]
        end = np.minimum(starts + spec.kernel_size[axis], size[axis] + 2 * spec.padding[axis])
        extents.append((end - starts).astype(np.float64))
    return np.outer(*extents)


def avg_pool2d(x: Values, spec: AvgPool2d, out: Values) -> Values:
    """The mean of each window."""
    rows, columns = out.shape[:2]
    padded = _pool_padded(x, spec, rows, columns, 0.0)
    out.fill(0)
    for a in range(spec.kernel_size[0]):
        for b in range(spec.kernel_size[1]):
            out += _pool_view(padded, spec, rows, columns, a, b)
    out /= pool_areas((x.shape[0], x.shape[1]), spec, rows, columns)[..., None].astype(out.dtype)
    return out


def avg_pool2d_input_grad(dy: Values, spec: AvgPool2d, dx: Values) -> Values:
    rows, columns = dy.shape[:2]
    padded = _pool_padded(np.zeros_like(dx), spec, rows, columns, 0.0)
    areas = pool_areas((dx.shape[0], dx.shape[1]), spec, rows, columns)
    share = dy / areas[..., None].astype(dy.dtype)
    for a in range(spec.kernel_size[0]):
        for b in range(spec.kernel_size[1]):
            target = _pool_view(padded, spec, rows, columns, a, b)
            target += share
    ph, pw = spec.padding
    dx[...] = padded[ph : ph + dx.shape[0], pw : pw + dx.shape[1]]
    return dx


def concat(inputs: list[Values], out: Values) -> Values:
    """Inputs beside each other along the channels."""
    np.concatenate(inputs, axis=2, out=out)
    return out


def concat_input_grad(dy: Values, first: int, dx: Values) -> Values:
    """The channels of dy that came from the input which begins at channel `first`: for a sum, which is `add`, at 0."""
    dx[...] = dy[..., first : first + dx.shape[2]]
    return dx


def add(inputs: list[Values], out: Values) -> Values:
    """Sum; inputs with fewer channels count as padded with zero channels at the end."""
    out.fill(0)
    for x in inputs:
        out[..., : x.shape[2]] += x
    return out


def gram(features: Values, out: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Σ over positions of F[c] · F[c'], (C, C) in float64; of the symmetric sum each half is the other's mirror."""
    flat = features.reshape(-1, features.shape[2]).T
    out[...] = inner_products(flat, flat)
    return out


def matrix_product(left: Float64, right: Float64) -> Float64:
    """left · right, (N, N) each, every element summed in order, not by BLAS, whose threads would wait for more."""
    found: Float64 = np.einsum("ij,jk->ik", left, right)
    return found
