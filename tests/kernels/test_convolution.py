"""Convolution of every algorithm against the definition: a table of awkward cases, and shapes drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minitorch_style.errors import ShapeError, UnsupportedError
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.api import KernelSet
from minitorch_style.kernels.buffers import Gate
from minitorch_style.kernels.reference import ops as numpy_ops
from minitorch_style.nn.layers import Conv2d
from tests import oracle
from tests.kernels.harness import Convolution, filled

# (height, width), layer. One table for agreement, gradient, fusion.
CASES = [
    ((8, 8), Conv2d(8, 8, 3, padding=1)),
    ((7, 9), Conv2d(16, 24, 3, padding=1)),
    ((13, 5), Conv2d(32, 64, 3, padding=1)),
    ((17, 30), Conv2d(64, 136, 3, padding=1)),
    ((6, 11), Conv2d(136, 144, 3, padding=1)),
    ((1, 1), Conv2d(8, 16, 3, padding=1)),
    ((1, 14), Conv2d(16, 8, 3, padding=1)),
    ((12, 16), Conv2d(3, 64, 3, padding=1)),
    ((35, 21), Conv2d(3, 12, 3, padding=1)),
    ((1, 1), Conv2d(3, 8, 3, padding=1)),
    ((12, 16), Conv2d(64, 3, 3, padding=1, bias=False)),
    ((9, 9), Conv2d(3, 13, 3, stride=2, padding=1)),
    ((10, 7), Conv2d(16, 16, 2, stride=2, bias=False)),
    ((11, 8), Conv2d(5, 7, 1)),
    ((6, 5), Conv2d(64, 100, 1, bias=False)),
    ((8, 9), Conv2d(4, 6, 1, stride=3)),
    ((9, 6), Conv2d(6, 6, (5, 1), padding=(2, 0), bias=False)),
    ((6, 9), Conv2d(6, 6, (1, 5), padding=(0, 2))),
    ((12, 13), Conv2d(8, 8, 3, padding=2, dilation=2)),
    ((33, 21), Conv2d(4, 8, 3, padding=16, dilation=16)),
    ((15, 14), Conv2d(3, 5, 3, stride=2, padding=3, dilation=3)),
    ((14, 15), Conv2d(3, 5, (4, 2), stride=(3, 2), padding=(1, 0), dilation=(2, 1))),
    ((9, 8), Conv2d(2, 3, 3)),
    ((5, 5), Conv2d(2, 3, 3, padding=4)),
    ((5, 6), Conv2d(2, 3, 2, stride=5, padding=1)),
    ((4, 4), Conv2d(300, 8, 3, padding=1)),
]
IDS = [
    f"{h}x{w}-{s.in_channels}-{s.out_channels}-k{s.kernel_size}s{s.stride}p{s.padding}d{s.dilation}"
    for (h, w), s in CASES
]
ALGORITHMS = (("numpy", "im2col"), ("numba", "direct"), ("numba", "winograd"))


def suits(method: str, spec: Conv2d) -> bool:
    """Whether an algorithm is made for a layer; `test_a_forced_algorithm_never_falls_back` has it refuse the others."""
    plain = spec.kernel_size == (3, 3) and spec.stride == spec.padding == spec.dilation == (1, 1)
    return method != "winograd" or (plain and spec.in_channels % 8 == spec.out_channels % 8 == 0)


def every_algorithm(cases: int = len(CASES)) -> pytest.MarkDecorator:
    """Parametrizes with (kernel set, algorithm, size, layer) for the first so many cases."""
    runs = [
        pytest.param(
            name, method, size, spec, id=f"{method}-{label}", marks=[pytest.mark.jit] if name == "numba" else []
        )
        for name, method in ALGORITHMS
        for (size, spec), label in zip(CASES[:cases], IDS[:cases], strict=True)
        if suits(method, spec)
    ]
    return pytest.mark.parametrize(("name", "method", "size", "spec"), runs)


TOLERANCE = {"im2col": 1e-5, "direct": 1e-5, "winograd": 1e-4}


def numbers(
    spec: Conv2d, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x, weight, bias, all float32."""
    x = rng.standard_normal((*size, spec.in_channels)).astype(np.float32)
    weight = rng.standard_normal((*spec.kernel_size, spec.in_channels, spec.out_channels)).astype(np.float32)
    bias = rng.standard_normal(spec.out_channels).astype(np.float32) if spec.bias else None
    return x, weight, bias


def definition(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, spec: Conv2d) -> np.ndarray:
    return oracle.conv2d(x, weight, bias, spec.stride, spec.padding, spec.dilation)


@every_algorithm()
def test_forward_is_the_definition(
    name: str, method: str, size: tuple[int, int], spec: Conv2d, rng: np.random.Generator
) -> None:
    x, weight, bias = numbers(spec, size, rng)
    layer = Convolution(kernel_set(name), spec, weight, bias, x.shape, method)
    assert layer.kernel.algorithm == method
    assert oracle.relative_error(layer.forward(x), definition(x, weight, bias, spec)) <= TOLERANCE[method]


@every_algorithm()
def test_gradient_by_projection(
    name: str, method: str, size: tuple[int, int], spec: Conv2d, rng: np.random.Generator
) -> None:
    """The operation is linear in x, so any step measures its slope exactly."""
    x, weight, _ = numbers(spec, size, rng)
    layer = Convolution(kernel_set(name), spec, weight, None, x.shape, method)

    def forward(v: np.ndarray) -> np.ndarray:
        return definition(v, weight, None, spec)

    error = oracle.projection_error(forward, lambda dy: layer.backward(dy.astype(np.float32)), x, rng, step=1.0)
    assert error <= 1e-4


@pytest.mark.parametrize(("size", "spec"), CASES, ids=IDS)
def test_numpy_gradient_in_double_precision(size: tuple[int, int], spec: Conv2d, rng: np.random.Generator) -> None:
    x, weight, _ = (None if a is None else a.astype(np.float64) for a in numbers(spec, size, rng))

    def input_grad(dy: np.ndarray) -> np.ndarray:
        return numpy_ops.conv2d_input_grad(dy, weight, spec, np.full_like(x, np.nan))

    assert oracle.projection_error(lambda v: definition(v, weight, None, spec), input_grad, x, rng, step=1.0) <= 1e-6


def test_the_checker_sees_a_gradient_that_is_off_by_a_thousandth(rng: np.random.Generator) -> None:
    spec = Conv2d(3, 4, 3, padding=1)
    x, weight, _ = (None if a is None else a.astype(np.float64) for a in numbers(spec, (6, 7), rng))

    def off(dy: np.ndarray) -> np.ndarray:
        return 1.001 * numpy_ops.conv2d_input_grad(dy, weight, spec, np.empty_like(x))

    error = oracle.projection_error(lambda v: definition(v, weight, None, spec), off, x, rng, step=1.0)
    assert error > 2e-4  # twice what a right one may show in single precision, 200 times in double


@every_algorithm(8)
def test_fused_activation(
    name: str, method: str, size: tuple[int, int], spec: Conv2d, rng: np.random.Generator
) -> None:
    x, weight, bias = numbers(spec, size, rng)
    slope = rng.uniform(0, 1, spec.out_channels).astype(np.float32)
    layer = Convolution(kernel_set(name), spec, weight, bias, x.shape, method, slope)
    expected = oracle.leaky(definition(x, weight, bias, spec), slope)
    assert oracle.relative_error(layer.forward(x), expected) <= TOLERANCE[method]


@every_algorithm()
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("accumulate", [False, True])
def test_gradient_is_added_and_gated(
    name: str,
    method: str,
    size: tuple[int, int],
    spec: Conv2d,
    rng: np.random.Generator,
    gated: bool,
    accumulate: bool,
) -> None:
    """(what was there + gradient) · slope of the activation before, whose output is `y`."""
    x, weight, _ = numbers(spec, size, rng)
    layer = Convolution(kernel_set(name), spec, weight, None, x.shape, method)
    dy = rng.standard_normal(spec.output_shape(x.shape)).astype(np.float32)
    before = rng.standard_normal(x.shape).astype(np.float32) if accumulate else None
    slope = rng.uniform(0, 1, spec.in_channels).astype(np.float32)
    y = rng.standard_normal(x.shape).astype(np.float32)
    plain = numpy_ops.conv2d_input_grad(dy.astype(np.float64), weight.astype(np.float64), spec, np.empty(x.shape))
    expected = (plain + (0 if before is None else before)) * np.where((y > 0) | (not gated), 1, slope)
    found = layer.backward(dy, before, Gate(filled(y, margin=2), slope) if gated else None)
    assert oracle.relative_error(found, expected) <= TOLERANCE[method]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_random_shapes(algorithm: tuple[KernelSet, str], data: st.DataObject) -> None:
    kernels, method = algorithm
    draw = data.draw
    if method == "winograd":
        spec = Conv2d(8 * draw(st.integers(1, 5)), 8 * draw(st.integers(1, 5)), 3, padding=1)
    else:
        spec = Conv2d(
            draw(st.integers(1, 20)), draw(st.integers(1, 70)),
            (draw(st.integers(1, 4)), draw(st.integers(1, 4))), (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
            (draw(st.integers(0, 3)), draw(st.integers(0, 3))), (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        )  # fmt: skip
    size = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, weight, bias = numbers(spec, size, rng)
    try:
        spec.output_shape(x.shape)
    except ShapeError:
        return
    layer = Convolution(kernels, spec, weight, bias, x.shape, method)
    assert oracle.relative_error(layer.forward(x), definition(x, weight, bias, spec)) <= TOLERANCE[method]
    dy = rng.standard_normal(spec.output_shape(x.shape)).astype(np.float32)
    v = rng.standard_normal(x.shape)
    slope, gradient = np.sum(dy * definition(v, weight, None, spec)), layer.backward(dy)
    assert abs(slope - np.sum(gradient * v)) <= 1e-3 * (np.linalg.norm(gradient * v) + 1e-6)


def test_numpy_reads_non_contiguous_input(rng: np.random.Generator) -> None:
    spec = Conv2d(4, 6, 3, padding=1)
    x, weight, bias = numbers(spec, (9, 7), rng)
    mirrored = x[::-1, ::2]
    out = np.empty(spec.output_shape(mirrored.shape))
    numpy_ops.conv2d(mirrored.astype(np.float64)[:, :], weight, bias, spec, out)
    assert oracle.relative_error(out, definition(mirrored, weight, bias, spec)) <= 1e-5


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """im2col in bands of one row gives what one band gives."""
    spec = Conv2d(3, 5, 3, stride=2, padding=2, dilation=2)
    x, weight, bias = numbers(spec, (15, 11), rng)
    monkeypatch.setattr(numpy_ops, "COLUMN_BYTES", 1)
    layer = Convolution(kernel_set("numpy"), spec, weight, bias, x.shape)
    assert oracle.relative_error(layer.forward(x), definition(x, weight, bias, spec)) <= 1e-5
    dy = rng.standard_normal(spec.output_shape(x.shape)).astype(np.float32)
    banded = layer.backward(dy)
    monkeypatch.undo()
    assert oracle.relative_error(banded, layer.backward(dy)) <= 1e-6


def test_an_input_smaller_than_the_reach_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 5×5 pixels, got 4×9"):
        Conv2d(1, 1, 5).output_shape((4, 9, 1))


def test_a_forced_algorithm_never_falls_back(kernels: KernelSet, rng: np.random.Generator) -> None:
    spec = Conv2d(3, 8, 5, padding=2)
    _, weight, bias = numbers(spec, (8, 8), rng)
    with pytest.raises(UnsupportedError, match="winograd"):
        kernels.convolution(spec, weight, bias, None, (8, 8, 3), True, "winograd")
    with pytest.raises(UnsupportedError, match="fft"):
        kernels.convolution(spec, weight, bias, None, (8, 8, 3), True, "fft")
