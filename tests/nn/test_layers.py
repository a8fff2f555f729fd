"""Geometry: the one size formula against counting windows, and each layer's refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitorch_style.errors import ShapeError
from minitorch_style.nn.layers import Add, Concat, Conv2d, MaxPool2d, PReLU, window_count


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(0, 5), st.integers(1, 4))
def test_window_count_counts_windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    reach = dilation * (kernel - 1) + 1
    starts = [start for start in range(-padding, size + padding, stride) if start + reach <= size + padding]
    assert window_count(size, kernel, stride, padding, dilation) == len(starts)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5))
def test_rounding_up_covers_every_pixel_and_no_window_is_empty(size: int, kernel: int, stride: int) -> None:
    if kernel > size:
        return
    count = window_count(size, kernel, stride, 0, 1, ceil_mode=True)
    assert (count - 1) * stride < size
    assert (count - 1) * stride + kernel >= size or count * stride >= size


def test_torch_style_arguments() -> None:
    layer = Conv2d(3, 8, 3, stride=(1, 2), padding=1)
    assert (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == ((3, 3), (1, 2), (1, 1), (1, 1))
    assert layer.output_shape((10, 10, 3)) == (10, 5, 8)
    assert layer.parameter_shapes() == {"weight": (3, 3, 3, 8), "bias": (8,)}
    assert layer.macs((10, 10, 3)) == 10 * 5 * 8 * 27
    assert MaxPool2d(2).stride == (2, 2)
    assert Conv2d(1, 1, (5, 1), dilation=2).receptive_field == ((9, 1), (1, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(4, 8, 3).output_shape((9, 9, 5)), r"expected 4 channels, got \(9, 9, 5\)"),
        (lambda: Conv2d(4, 8, 0), "positive sizes"),
        (lambda: Conv2d(4, 8, 3, padding=-1), "positive sizes"),
        (lambda: MaxPool2d(2).output_shape((1, 5, 3)), "at least 2×2 pixels, got 1×5"),
        (lambda: MaxPool2d(2, padding=2), "at most half the kernel"),
        (lambda: PReLU(3).output_shape((4, 4, 2)), "expected 3 channels"),
        (lambda: Concat().output_shape((4, 4, 2), (4, 5, 2)), "one size"),
        (lambda: Add().output_shape((4, 4, 2), (3, 4, 2)), "one size"),
    ],
)
def test_refusals_say_what_was_expected_and_what_came(make: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        make()  # type: ignore[operator]
