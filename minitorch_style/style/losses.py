"""The paper's mathematics, equations 1 to 6, on one layer's features; numbers in, numbers out.

F: features of the picture being made, (H, W, N) float32; N maps of M = H·W positions.  P: the photo's features at the
same layer.  G = FᵀF, (N, N) float64: the picture's Gram matrix (equation 3), A: the painting's.  Gram matrices come from
a kernel set. Each loss comes with its gradient; that of the style loss as the symmetric matrix S which the kernel set
takes on to F: F·S.

No sum here is left to BLAS: its threads, once awake, wait for more in a loop and get into the way of the kernels' own, and
its results follow their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from minitorch_style.kernels.reference.ops import matrix_product

Values = npt.NDArray[np.floating[Any]]
Gram = npt.NDArray[np.float64]
Multiply = Callable[[Gram, Gram], Gram]


def content_loss(features: Values, target: Values, out: Values | None = None) -> tuple[float, Values]:
    """Equation 1, ½ Σ (F − P)², and equation 2, its gradient F − P, which goes to `out` where that is given.

    Equation 2 has the gradient vanish where F < 0; F lies behind a ReLU here, whose backward pass sees to that.
    """
    difference = np.subtract(features, target, out=out)
    lines = (line.ravel() for line in difference)
    return 0.5 * sum(float(np.einsum("i,i", line, line)) for line in lines), difference


def mean_gram(gram: Gram, positions: int) -> Gram:
    """G / M: the Gram matrix of one average position, comparable between pictures of different size."""
    return gram / positions


def style_loss(gram: Gram, positions: int, target: Gram) -> tuple[float, Gram]:
    """Equation 3, and the symmetric matrix S for which F·S is equation 5, its gradient towards F.

    `target` is A / M_A, the mean Gram matrix of the painting, which may be of another size than the picture:

        E = 1/(4 N²) Σ (G/M − A/M_A)²        S = dE/dG + (dE/dG)ᵀ = 1/(N² M) (G/M − A/M_A)

    With M_A = M this is the paper's 1/(4 N² M²) Σ (G − A)² and 1/(N² M²) F·(G − A).
    """
    maps = gram.shape[0]
    difference = mean_gram(gram, positions) - target
    value = float(np.einsum("ij,ij", difference, difference)) / (4 * maps**2)
    difference /= maps**2 * positions
    return value, difference


def teacher_loss(
    gram: Gram, positions: int, target: Gram, product: Gram, multiply: Multiply = matrix_product
) -> tuple[float, Gram]:
    """`style_loss` as the network sees it that taught this one: with Q = M Mᵀ (`Weights.teacher_products`), where the linear
    map M takes these features to the teacher's, and D the difference of the mean Gram matrices,

        E = 1/(4 N²) tr(Q D Q D)        S = 1/(N² M) Q D Q

    Q = 1 is equation 3. `multiply` is the product of two matrices.
    """
    maps = gram.shape[0]
    difference = mean_gram(gram, positions) - target
    seen = multiply(multiply(product, difference), product)
    value = float(np.einsum("ij,ij", seen, difference)) / (4 * maps**2)
    seen /= maps**2 * positions
    return value, seen


def layer_weights(layers: int) -> float:
    """w_l of equation 4: every layer counts the same, 1/5 for the paper's five."""
    return 1.0 / max(1, layers)


def total_variation(pixels: Values) -> tuple[float, Values]:
    """½ Σ of squared differences between neighbours, down and across, and its gradient; (H, W, 3) both.

    Not in the paper. The squares of Mahendran & Vedaldi (2015) with β = 2.
    """
    down, across = np.diff(pixels, axis=0), np.diff(pixels, axis=1)
    gradient = np.zeros_like(pixels)
    gradient[1:] += down
    gradient[:-1] -= down
    gradient[:, 1:] += across
    gradient[:, :-1] -= across
    value = 0.5 * (np.sum(np.square(down), dtype=np.float64) + np.sum(np.square(across), dtype=np.float64))
    return float(value), gradient
