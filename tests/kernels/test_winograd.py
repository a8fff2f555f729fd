"""Each stage of the Winograd convolution against plain matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tests import oracle

pytestmark = pytest.mark.jit

B_T = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
     [0, 4, 0, -5, 0, 1]], float
)  # fmt: skip
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)


def test_the_matrices_make_a_convolution(rng: np.random.Generator) -> None:
    """Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A is the 4×4 correlation of a 6×6 window with a 3×3 kernel."""
    from minitorch_style.kernels.numba_ops.winograd import G

    window, kernel = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    found = A_T @ ((G @ kernel @ G.T) * (B_T @ window @ B_T.T)) @ A_T.T
    expected = oracle.conv2d(window[..., None], kernel[..., None, None], None, (1, 1), (0, 0), (1, 1))[..., 0]
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("channels", [8, 16, 24, 48])
def test_input_transform(channels: int, rng: np.random.Generator) -> None:
    from minitorch_style.kernels.numba_ops.winograd_transforms import input_tile

    x = rng.standard_normal((7, 9, channels)).astype(np.float32)
    point_step = 3 * channels
    v = np.full(36 * point_step, np.nan, np.float32)
    input_tile(x.ravel(), 9 * channels + 2 * channels, 9 * channels, channels, v, channels, point_step)
    expected = np.einsum("ia,abc,jb->ijc", B_T, x[1:7, 2:8].astype(float), B_T)
    assert oracle.relative_error(v.reshape(6, 6, 3, channels)[:, :, 1], expected) <= 1e-6


@pytest.mark.parametrize("channels", [8, 16, 24, 64])
def test_output_transform(channels: int, rng: np.random.Generator) -> None:
    from minitorch_style.kernels.numba_ops.winograd_transforms import output_tile

    m = rng.standard_normal((36, 2, channels)).astype(np.float32)
    y = np.full(16 * channels, np.nan, np.float32)
    output_tile(m.ravel(), channels, 2 * channels, y, 0, channels)
    expected = np.einsum("ia,abc,jb->ijc", A_T, m[:, 1].reshape(6, 6, channels).astype(float), A_T)
    assert oracle.relative_error(y.reshape(4, 4, channels), expected) <= 1e-6


@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (64, 130)])
def test_weight_transform(shape: tuple[int, int], rng: np.random.Generator) -> None:
    from minitorch_style.kernels.numba_ops.winograd import G, transform_weight

    weight = rng.standard_normal((3, 3, *shape)).astype(np.float32)
    packed, width = transform_weight(weight)
    panels = packed.reshape(36, -1, shape[0], width).transpose(0, 2, 1, 3).reshape(36, shape[0], -1)
    expected = np.einsum("ia,abco,jb->ijco", G, weight.astype(float), G).reshape(36, *shape)
    assert oracle.relative_error(panels[..., : shape[1]], expected) <= 1e-6
    assert not panels[..., shape[1] :].any()


@pytest.mark.parametrize("index", range(4))
def test_matrix_tile(index: int, rng: np.random.Generator) -> None:
    """Every tile shape of this processor, with steps of a dilated picture on one side and padded rows on the other."""
    from minitorch_style.kernels.numba_ops.microkernel import SHAPES, gemm_tile

    if index >= len(SHAPES):
        pytest.skip("this processor has fewer tile shapes")
    width, (rows, _) = list(SHAPES.items())[index]
    count_a, count_b, depth = 2, 3, 5
    step_a, step_b, step_m = 997, 31, 11
    x = rng.standard_normal(4000).astype(np.float32)
    w = rng.standard_normal((count_a * count_b * depth, width + 3)).astype(np.float32)
    out = np.full(rows * (width + 1), np.nan, np.float32)
    gemm_tile(
        width, x, 7, w.ravel(), 0, out, 0, count_a, step_a, count_b, step_b, depth, 2, step_m, width + 3, width + 1
    )
    expected = np.zeros((rows, width))
    for m in range(rows):
        reads = [
            x[7 + a * step_a + b * step_b + m * step_m + 2 * k]
            for a in range(count_a)
            for b in range(count_b)
            for k in range(depth)
        ]
        expected[m] = np.array(reads, float) @ w[:, :width].astype(float)
    assert oracle.relative_error(out.reshape(rows, width + 1)[:, :width], expected) <= 1e-5
