"""The patch operations by their definition, in plain NumPy: what the fast ones are measured and tested against."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minitorch_style.arrays import Float32
from minitorch_style.kernels.patches import Field

CHUNK = 1 << 22  # numbers of a temporary array: 16 MB


class NumpyPatches:
    def project(self, picture: Float32, axes: Float32, side: int, step: int) -> Float32:
        windows = sliding_window_view(picture, (side, side), (0, 1))[::step, ::step]  # (rows, columns, 3, side, side)
        rows, columns = windows.shape[:2]
        out = np.empty((rows, columns, axes.shape[1]), np.float32)
        band = max(1, CHUNK // (columns * axes.shape[0]))
        for top in range(0, rows, band):
            part = windows[top : top + band].transpose(0, 1, 3, 4, 2)
            out[top : top + band] = (part.reshape(-1, axes.shape[0]) @ axes).reshape(-1, columns, axes.shape[1])
        return out

    def pack(self, keys: Float32) -> Float32:
        return np.ascontiguousarray(keys.T)

    def nearest(self, queries: Float32, keys: Float32, bias: Float32) -> Field:
        found = np.empty(len(queries), np.int32)
        chunk = max(1, CHUNK // keys.shape[1])
        for first in range(0, len(queries), chunk):
            part = slice(first, first + chunk)
            cost = queries[part] @ keys
            found[part] = np.subtract(bias, cost, out=cost).argmin(1)
        return found

    def distances(self, picture: Float32, source: Float32, field: Field, side: int) -> Float32:
        flat, width = source.reshape(-1, 3), source.shape[1]
        rows, columns = field.shape
        out = np.zeros(field.shape, np.float32)
        for a in range(side):
            for b in range(side):
                difference = flat[field + (a * width + b)] - picture[a : a + rows, b : b + columns]
                out += np.einsum("ijc,ijc->ij", difference, difference)
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
        # Patches of one anti-diagonal do not depend on each other: each is a step of arrays.
        sign = 1 if forward else -1
        ours, theirs = field[::sign, ::sign], distance[::sign, ::sign]
        rows, columns = ours.shape
        width = source.shape[1]
        shifts = np.arange(side * 3)
        patch = (np.arange(side)[:, None] * (width * 3) + shifts).ravel()
        here = (np.arange(side)[:, None] * (picture.shape[1] * 3) + shifts).ravel()
        from_picture, from_source = picture.reshape(-1), source.reshape(-1)
        for diagonal in range(1, rows + columns - 1):
            i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
            j = diagonal - i
            y, x = (i, j) if forward else (rows - 1 - i, columns - 1 - j)
            values = from_picture[((y * picture.shape[1] + x) * 3)[:, None] + here]
            for up in (True, False):
                known = np.flatnonzero(i > 0 if up else j > 0)
                candidate = ours[i[known] - up, j[known] - (not up)] + sign * (width if up else 1)
                old, cost = ours[i[known], j[known]], theirs[i[known], j[known]]
                inside = (candidate >= 0) & (candidate < len(penalty)) & (candidate != old) & (cost != -np.inf)
                known, candidate, old, cost = (part[inside] for part in (known, candidate, old, cost))
                inside = np.isfinite(penalty[candidate])
                known, candidate, old, cost = (part[inside] for part in (known, candidate, old, cost))
                difference = from_source[(candidate * 3)[:, None] + patch] - values[known]
                new = np.einsum("ij,ij->i", difference, difference)
                better = new + penalty[candidate] < cost + penalty[old]
                ours[i[known[better]], j[known[better]]] = candidate[better]
                theirs[i[known[better]], j[known[better]]] = new[better]

    def vote(self, source: Float32, field: Field, weight: Float32, side: int, skip: int, out: Float32) -> None:
        flat, width = source.reshape(-1, 3), source.shape[1]
        rows, columns = field.shape
        total, share = np.zeros_like(out), np.zeros((*out.shape[:2], 1), np.float32)
        for a in range(skip, side - skip):
            for b in range(skip, side - skip):
                covered = np.s_[a : a + rows, b : b + columns]
                total[covered] += weight[..., None] * flat[field + (a * width + b)]
                share[covered] += weight[..., None]
        np.divide(total, share, out=out, where=share > 0)
