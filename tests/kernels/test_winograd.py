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
    from minitorch_style.kernels.fast.winograd.filters import G

    window, kernel = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    found = A_T @ ((G @ kernel @ G.T) * (B_T @ window @ B_T.T)) @ A_T.T
    expected = oracle.conv2d(window[..., None], kernel[..., None, None], None, (1, 1), (0, 0), (1, 1))[..., 0]
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("channels", [8, 16, 24, 48])
def test_input_transform(channels: int, rng: np.random.Generator) -> None:
    from minitorch_style.kernels.buffers import MapView
    from minitorch_style.kernels.fast.compilation import kernel
    from minitorch_style.kernels.fast.winograd.arguments import Points
    from minitorch_style.kernels.fast.winograd.transforms import input_tile

    @kernel
    def run(x, v, v0):
        input_tile(x, x.origin, v, v0)

    x = rng.standard_normal((7, 9, channels)).astype(np.float32)
    point_step = 3 * channels
    v = np.full(36 * point_step, np.nan, np.float32)
    window = MapView(x.ravel(), 9 * channels + 2 * channels, 9 * channels, channels)
    run(window, Points(v, channels, point_step), channels)
    expected = np.einsum("ia,abc,jb->ijc", B_T, x[1:7, 2:8].astype(float), B_T)
    assert oracle.relative_error(v.reshape(6, 6, 3, channels)[:, :, 1], expected) <= 1e-6


INSIDE = [(4, 4), (9, 9), (3, 1), (2, 4)]


@pytest.mark.parametrize(("down", "across"), INSIDE)
@pytest.mark.parametrize("channels", [8, 16, 24, 64])
def test_output_transform(channels: int, down: int, across: int, rng: np.random.Generator) -> None:
    """With bias and activation, and only the pixels that there are."""
    from minitorch_style.kernels.buffers import MapView
    from minitorch_style.kernels.codegen.modes import ACTIVATE
    from minitorch_style.kernels.fast.arguments import NOWHERE, Epilogue
    from minitorch_style.kernels.fast.compilation import kernel
    from minitorch_style.kernels.fast.winograd.arguments import Points
    from minitorch_style.kernels.fast.winograd.transforms import activated_tile

    @kernel
    def run(m, m0, epilogue, out, down, across):
        activated_tile(m, m0, epilogue, out, out.origin, down, across)

    m = rng.standard_normal((36, 2, channels)).astype(np.float32)
    bias, slope = rng.standard_normal(channels).astype(np.float32), rng.uniform(0, 1, channels).astype(np.float32)
    y = np.full((5, 6, channels), np.nan, np.float32)
    epilogue = Epilogue(bias, slope, ACTIVATE, NOWHERE)
    target = MapView(y.ravel(), channels, 6 * channels, channels)
    run(Points(m.ravel(), channels, 2 * channels), channels, epilogue, target, down, across)
    expected = np.einsum("ia,abc,jb->ijc", A_T, m[:, 1].reshape(6, 6, channels).astype(float), A_T) + bias
    expected = np.where(expected > 0, expected, slope * expected)[:down, :across]
    assert oracle.relative_error(y[:4, 1:5][:down, :across], expected) <= 1e-6
    assert np.isnan(y).sum() == y.size - expected.size


@pytest.mark.parametrize(("down", "across"), INSIDE)
@pytest.mark.parametrize("channels", [8, 24, 64])
def test_gated_output_transform(channels: int, down: int, across: int, rng: np.random.Generator) -> None:
    """With a sum to add to, a row step of its own each, and a gate."""
    from minitorch_style.kernels.buffers import MapView
    from minitorch_style.kernels.codegen.modes import GATED
    from minitorch_style.kernels.fast.arguments import NOTHING, Epilogue
    from minitorch_style.kernels.fast.compilation import kernel
    from minitorch_style.kernels.fast.winograd.arguments import Points
    from minitorch_style.kernels.fast.winograd.transforms import gated_tile

    @kernel
    def run(m, m0, add, epilogue, out, down, across):
        gated_tile(m, m0, add, add.origin, epilogue, epilogue.gate.origin, out, out.origin, down, across)

    m = rng.standard_normal((36, 2, channels)).astype(np.float32)
    slope = rng.uniform(0, 1, channels).astype(np.float32)
    add, gate = (rng.standard_normal((4, width, channels)).astype(np.float32) for width in (5, 7))
    y = np.full((4, 6, channels), np.nan, np.float32)
    gates = MapView(gate.ravel(), 3 * channels, 7 * channels, channels)
    run(
        Points(m.ravel(), channels, 2 * channels),
        channels,
        MapView(add.ravel(), 0, 5 * channels, channels),
        Epilogue(NOTHING, slope, GATED, gates),
        MapView(y.ravel(), channels, 6 * channels, channels),
        down,
        across,
    )
    expected = np.einsum("ia,abc,jb->ijc", A_T, m[:, 1].reshape(6, 6, channels).astype(float), A_T) + add[:, :4]
    expected = (expected * np.where(gate[:, 3:] > 0, 1, slope))[:down, :across]
    assert oracle.relative_error(y[:, 1:5][:down, :across], expected) <= 1e-6
    assert np.isnan(y).sum() == y.size - expected.size


@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (64, 130)])
def test_weight_transform(shape: tuple[int, int], rng: np.random.Generator) -> None:
    from minitorch_style.kernels.fast.winograd.filters import G, transform_weight

    weight = rng.standard_normal((3, 3, *shape)).astype(np.float32)
    packed, width, _ = transform_weight(weight)
    panels = packed.reshape(36, -1, shape[0], width).transpose(0, 2, 1, 3).reshape(36, shape[0], -1)
    expected = np.einsum("ia,abco,jb->ijco", G, weight.astype(float), G).reshape(36, *shape)
    assert oracle.relative_error(panels[..., : shape[1]], expected) <= 1e-6
    assert not panels[..., shape[1] :].any()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(8, 16), (24, 40), (136, 72)])
def test_weights_made_on_the_spot(shape: tuple[int, int], turned: bool, rng: np.random.Generator) -> None:
    """Row by row of the points, panel by panel and slice by slice, of the weights and of those of the gradient."""
    from minitorch_style.kernels.fast.winograd.arguments import Weights
    from minitorch_style.kernels.fast.winograd.filters import G, gather_taps, point_row

    weight = rng.standard_normal((3, 3, *shape)).astype(np.float32)
    kernels = weight[::-1, ::-1].transpose(0, 1, 3, 2) if turned else weight
    depth, channels = kernels.shape[2:]
    width, deep = 16, 64
    for c0 in range(0, channels, width):
        for k0 in range(0, depth, deep):
            some, valid = min(deep, depth - k0), min(width, channels - c0)
            count, step = some * width, some * width + 8
            part = kernels[..., k0 : k0 + some, c0 : c0 + valid].astype(float)
            taps = np.full((9, step), np.nan, np.float32)
            gather_taps(Weights(weight.ravel(), *shape, turned), k0, some, c0, width, taps.ravel(), step)
            found = taps[:, :count].reshape(9, some, width)
            assert np.array_equal(found[..., :valid], part.reshape(9, some, valid))
            assert np.isnan(found[..., valid:]).all() and np.isnan(taps[:, count:]).all()
            for row in range(6):
                u = np.full((6, step), np.nan, np.float32)
                point_row(taps.ravel(), step, row, count, u.ravel())
                expected = np.einsum("a,abco,jb->jco", G[row], part, G)
                assert oracle.relative_error(u[:, :count].reshape(6, some, width)[..., :valid], expected) <= 1e-6


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("index", range(3))
def test_matrix_tile(index: int, added: bool, rng: np.random.Generator) -> None:
    """Every tile shape of this processor, with steps of a dilated picture on one side and padded rows on the other."""
    from minitorch_style.kernels.codegen.modes import RAW, SUM
    from minitorch_style.kernels.fast.arguments import Product
    from minitorch_style.kernels.fast.compilation import kernel
    from minitorch_style.kernels.fast.microkernel import SHAPES, gemm_tile

    @kernel
    def run(x, x0, w, w0, out, o0, product, mode):
        gemm_tile(x, x0, w, w0, out, o0, product, mode)

    if index >= len(SHAPES):
        pytest.skip("this processor has fewer tile shapes")
    width, (rows, _) = list(SHAPES.items())[index]
    count_a, depth, step_a, step_m, skip = 3, 5, 997, 11, 4
    x = rng.standard_normal(4000).astype(np.float32)
    w = rng.standard_normal((count_a, depth, width + 3)).astype(np.float32)
    padded = np.pad(w.reshape(count_a, -1), ((0, 0), (0, skip)), constant_values=np.nan)
    out = np.full(rows * (width + 1), 0.5 if added else np.nan, np.float32)
    product = Product(width, count_a, step_a, depth, 2, step_m, width + 3, skip, width + 1)
    run(x, 7, padded.ravel(), 0, out, 0, product, SUM if added else RAW)
    expected = np.zeros((rows, width))
    for m in range(rows):
        reads = [x[7 + a * step_a + m * step_m + 2 * k] for a in range(count_a) for k in range(depth)]
        expected[m] = np.array(reads, float) @ w.reshape(-1, width + 3)[:, :width].astype(float) + 0.5 * added
    assert oracle.relative_error(out.reshape(rows, width + 1)[:, :width], expected) <= 1e-5
