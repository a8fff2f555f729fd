"""The patch operations by compiled kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.kernels.buffers import MapView, aligned, with_slack
from minitorch_style.kernels.fast import direct, nearest, patches
from minitorch_style.kernels.fast.arguments import NOWHERE, Epilogue, Extent, Taps
from minitorch_style.kernels.fast.threads import compute_lock
from minitorch_style.kernels.patches import Field


class Keys(NamedTuple):
    """`total` vectors of `depth` numbers in panels."""

    panels: Float32
    total: int
    depth: int


def _grouped(vectors: Float32, width: int) -> Float32:
    """(n, K) → (⌈n / width⌉, K, width), filled with zeros, flat."""
    count, depth = vectors.shape
    groups = -(-count // width)
    out = aligned(groups * width * depth)
    view = out.reshape(groups, depth, width)
    whole = count // width
    view[:whole] = vectors[: whole * width].reshape(whole, width, depth).transpose(0, 2, 1)
    if whole < groups:
        view[whole, :, : count - whole * width] = vectors[whole * width :].T
    return out


def _pixels(picture: Float32) -> patches.Pixels:
    return patches.Pixels(with_slack(picture, patches.SPAN), picture.shape[1])


class NumbaPatches:
    def project(self, picture: Float32, axes: Float32, side: int, step: int) -> Float32:
        height, width, _ = picture.shape
        rows, columns = (height - side) // step + 1, (width - side) // step + 1
        panels = direct.pack_panels(axes)
        x = with_slack(picture, direct.overread(panels.width, 3 * step))
        out = np.empty((rows, columns, axes.shape[1]), np.float32)
        zeros = np.zeros(axes.shape[1] + panels.width, np.float32)
        together = direct.together(rows, columns)
        with compute_lock:
            direct.tiled_product(
                -(-rows // together),
                together,
                MapView(x, 0, 3 * width * step, 3 * step),
                Taps(side, 3 * width, 1, 0, 3 * side),
                panels,
                MapView(out.reshape(-1), 0, columns * axes.shape[1], axes.shape[1]),
                Extent(*out.shape),
                Epilogue(zeros, zeros, 0, NOWHERE),
            )
        return out

    def pack(self, keys: Float32) -> Keys:
        return Keys(_grouped(keys, nearest.WIDTH), *keys.shape)

    def nearest(self, queries: Float32, keys: Keys, bias: Float32) -> Field:
        found = np.zeros(len(queries), np.int32)
        panels = -(-keys.total // nearest.WIDTH)
        offsets = aligned(panels * nearest.WIDTH)
        offsets[: keys.total], offsets[keys.total :] = bias, np.inf
        with compute_lock:
            nearest.nearest(
                nearest.tasks(len(found)),
                _grouped(-queries, nearest.ROWS),
                keys.panels,
                offsets,
                keys.depth,
                panels,
                found,
            )
        return found

    def distances(self, picture: Float32, source: Float32, field: Field, side: int) -> Float32:
        out = np.empty(field.shape, np.float32)
        flat, other = _pixels(picture), _pixels(source)
        with compute_lock:
            patches.distances(len(field), flat, other, field, side, out)
        return out

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
        flat, other, matches = _pixels(picture), _pixels(source), patches.Matches(field, distance, penalty)
        with compute_lock:
            for count, row, column in patches.diagonals(*field.shape):
                patches.sweep(count, row, column, flat, other, matches, side, 1 if forward else -1)

    def vote(self, source: Float32, field: Field, weight: Float32, side: int, skip: int, out: Float32) -> None:
        with compute_lock:
            patches.vote(len(out), _pixels(source), field, weight, side, skip, out)
