"""Every operation by its definition, in float64, slowly. Imports only NumPy: nothing here can share a mistake with the
code under test. Forward functions only; gradients are judged by `projection_error`, which needs no second derivation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Array:
    """y[i, j, o] = bias[o] + Σ weight[a, b, c, o]·x[i·s + a·d − p, j·s + b·d − p, c], zero outside; one output at a time."""
    kh, kw, _, maps = weight.shape
    height, width, _ = x.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((rows, columns, maps))
    for i in range(rows):
        for j in range(columns):
            for a in range(kh):
                for b in range(kw):
                    row = i * stride[0] + a * dilation[0] - padding[0]
                    column = j * stride[1] + b * dilation[1] - padding[1]
                    if 0 <= row < height and 0 <= column < width:
                        y[i, j] += x[row, column].astype(np.float64) @ weight[a, b].astype(np.float64)
    return y if bias is None else y + bias


def pool2d(
    x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], ceil_mode: bool, average: bool
) -> Array:
    """Maximum or mean over each window. torch's rules: windows may start in the left padding but not beyond the right
    edge; padding counts as zeros for the mean; what a rounded-up window covers beyond the padding counts for nothing."""
    size = x.shape[:2]
    counts = []
    for axis in (0, 1):
        room = size[axis] + 2 * padding[axis] - kernel[axis]
        count = -(-room // stride[axis]) + 1 if ceil_mode else room // stride[axis] + 1
        if ceil_mode and (count - 1) * stride[axis] >= size[axis] + padding[axis]:
            count -= 1
        counts.append(count)
    y = np.zeros((*counts, x.shape[2]))
    for i in range(counts[0]):
        for j in range(counts[1]):
            values, area = [], 0
            for a in range(kernel[0]):
                for b in range(kernel[1]):
                    row, column = i * stride[0] + a - padding[0], j * stride[1] + b - padding[1]
                    if row < size[0] + padding[0] and column < size[1] + padding[1]:
                        area += 1
                        if 0 <= row < size[0] and 0 <= column < size[1]:
                            values.append(x[row, column].astype(np.float64))
            y[i, j] = np.sum(values, axis=0) / area if average else np.max(values, axis=0)
    return y


def leaky(x: Array, slope: Array) -> Array:
    return np.where(x > 0, x, x * slope)


def weighted_sums(x: Array, first: Array, weights: Array) -> Array:
    """out[i] = Σ_k weights[i, k] · x[first[i] + k]."""
    y = np.zeros((len(first), *x.shape[1:]))
    for i, start in enumerate(first):
        for k in range(weights.shape[1]):
            y[i] += np.float64(weights[i, k]) * x[start + k].astype(np.float64)
    return y


def gram(x: Array) -> Array:
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    return flat.T @ flat


def nearest(queries: Array, keys: Array, bias: Array) -> Array:
    """The first j with the least bias[j] − ⟨query, key j⟩."""
    return np.array([np.argmin(bias - keys.astype(np.float64) @ query.astype(np.float64)) for query in queries])


def patch_distance(picture: Array, y: int, x: int, source: Array, match: int, side: int) -> float:
    """Σ (picture − source)² over the patch at (y, x) and the one whose corner has the flat number `match`."""
    v, u = divmod(int(match), source.shape[1])
    difference = picture[y : y + side, x : x + side].astype(np.float64) - source[v : v + side, u : u + side]
    return float(np.sum(difference**2))


def sweep(picture: Array, source: Array, field: Array, penalty: Array, side: int, forward: bool) -> Array:
    """The field after one sweep: one patch after the other, offered the matches of the one above or below, left or right."""
    field, width = field.astype(np.int64), source.shape[1]
    sign = 1 if forward else -1
    rows, columns = field.shape
    for y in range(rows)[::sign]:
        for x in range(columns)[::sign]:
            for dy, dx, shift in ((sign, 0, width), (0, sign, 1)):
                if not (0 <= y - dy < rows and 0 <= x - dx < columns):
                    continue
                match = field[y - dy, x - dx] + sign * shift
                if not 0 <= match < len(penalty) or not np.isfinite(penalty[match]):
                    continue
                old, new = (patch_distance(picture, y, x, source, m, side) + penalty[m] for m in (field[y, x], match))
                if new < old:
                    field[y, x] = match
    return field


def vote(source: Array, field: Array, weight: Array, side: int, skip: int, before: Array) -> Array:
    """Each pixel's weighted mean over the patches that cover it, without `skip` pixels at their edges; as `before` where
    there is none."""
    total, share = np.zeros(before.shape), np.zeros((*before.shape[:2], 1))
    for y, x in np.ndindex(*field.shape):
        v, u = divmod(int(field[y, x]), source.shape[1])
        for a in range(skip, side - skip):
            for b in range(skip, side - skip):
                total[y + a, x + b] += float(weight[y, x]) * source[v + a, u + b].astype(np.float64)
                share[y + a, x + b] += float(weight[y, x])
    return np.where(share > 0, total / np.where(share > 0, share, 1), before)


def relative_error(found: Array, expected: Array) -> float:
    """The largest difference over the largest expected value."""
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    assert np.all(np.isfinite(found)), "not every value was written, or not with a finite number"
    return float(np.max(np.abs(found - expected)) / (np.max(np.abs(expected)) or 1.0))


def projection_error(
    forward: Callable[[Array], Array],
    input_grad: Callable[[Array], Array],
    x: Array,
    rng: np.random.Generator,
    directions: int = 3,
    step: float = 1e-6,
) -> float:
    """How far a gradient is from the truth: ⟨dy, ∂f/∂v⟩ by central differences of the oracle against ⟨f'ᵀ dy, v⟩.

    Relative to the size of the terms summed, so that a chance cancellation does not inflate it. v is drawn along
    input_grad(dy) as well as at random: along it the product is a sum of squares, which no cancellation can hide in.
    """
    worst = 0.0
    x = x.astype(np.float64)
    for draw in range(directions):
        dy = rng.standard_normal(forward(x).shape)
        gradient = np.asarray(input_grad(dy), np.float64)
        v = gradient / (np.abs(gradient).max() or 1) if draw == 0 else rng.standard_normal(x.shape)
        slope = np.sum(dy * (forward(x + step * v) - forward(x - step * v)) / (2 * step))
        scale = np.sqrt(np.sum(np.square(gradient * v))) or 1.0
        worst = max(worst, abs(slope - np.sum(gradient * v)) / scale)
    return worst / np.sqrt(x.size)
