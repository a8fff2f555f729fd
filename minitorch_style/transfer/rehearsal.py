"""Kernels that a stage calls apart from its networks', called once with little: where nothing is computed, to be known."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.patches import patch_kernels

ROWS, VALUES = 2, 8
SIDE, PICTURE = 3, 8  # pixels of a patch, and of a picture


def rehearse_vectors(kernels: str) -> None:
    """What L-BFGS does with its history."""
    ops = vector_ops(kernels)
    rows, columns = np.zeros((ROWS, VALUES), np.uint16), np.zeros((ROWS, VALUES), np.float32)
    ops.narrow(columns[0], rows[0])
    ops.inner_products(rows[:1], columns)
    ops.combination(np.zeros(ROWS), rows, 1.0, *columns)


def rehearse_patches(kernels: str) -> None:
    """What repainting does with patches."""
    ops, corners = patch_kernels(kernels), PICTURE - SIDE + 1
    picture = np.zeros((PICTURE, PICTURE, 3), np.float32)
    field, distance = np.zeros((corners, corners), np.int32), np.zeros((corners, corners), np.float32)
    ops.project(picture, np.zeros((SIDE * SIDE * 3, VALUES), np.float32), SIDE, 1)
    keys = np.zeros((ROWS, VALUES), np.float32)
    ops.nearest(keys, ops.pack(keys), np.zeros(ROWS, np.float32))
    ops.distances(picture, picture, field, SIDE)
    ops.sweep(picture, picture, field, distance, np.zeros(PICTURE * PICTURE, np.float32), SIDE, True)
    ops.vote(picture, field, distance, SIDE, 0, picture.copy())
