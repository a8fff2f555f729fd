"""Layers as frozen descriptions, with torch.nn's names and arguments. Geometry only: no arithmetic on pixels.

Shapes are (height, width, channels); a pair is (vertical, horizontal). Every layer answers the same questions:

    output_shape(*input_shapes)   the shape it makes of its inputs; ShapeError when it cannot
    parameter_shapes()            {name: shape}, arrays in the engine's layout
    macs(*input_shapes)           multiply-accumulate operations of one forward pass
    receptive_field               (window, stride): input pixels one output pixel sees, per axis
    padding                       how many pixels before the input's first the first window begins, per axis
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from minitorch_style.errors import ShapeError, UnsupportedError

Shape: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[int, int]
ReceptiveField: TypeAlias = tuple[Pair, Pair]


class Layer(Protocol):
    """What the plan and the networks need to know of a layer."""

    def output_shape(self, *inputs: Shape) -> Shape: ...
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]: ...
    def macs(self, *inputs: Shape) -> int: ...
    @property
    def receptive_field(self) -> ReceptiveField: ...
    @property
    def padding(self) -> Pair: ...


def pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False) -> int:
    """How many windows fit along one axis: the formula of torch.nn, used for every layer with a window.

    A result below 1 means the padded input is smaller than the kernel's receptive field.
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        return 0
    count = room // stride + 1
    if ceil_mode and room % stride and count * stride < size + padding:
        count += 1  # the last window must start inside the input or the padding on its left
    return count


def _windowed(
    what: str, shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Pair:
    counts = [
        window_count(shape[axis], kernel[axis], stride[axis], padding[axis], dilation[axis], ceil_mode)
        for axis in (0, 1)
    ]
    if min(counts) < 1:
        need = [dilation[a] * (kernel[a] - 1) + 1 - 2 * padding[a] for a in (0, 1)]
        raise ShapeError(f"{what}: expected an input of at least {need[0]}×{need[1]} pixels, got {shape[0]}×{shape[1]}")
    return counts[0], counts[1]


class _Parameterless:
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def macs(self, *inputs: Shape) -> int:
        return 0


class _Elementwise:
    @property
    def receptive_field(self) -> ReceptiveField:
        return (1, 1), (1, 1)

    @property
    def padding(self) -> Pair:
        return 0, 0


class _PerChannel(_Elementwise):
    """Parameters of shape (channels,), and a map of that many channels in and out."""

    @property
    def channels(self) -> int:
        raise NotImplementedError

    def output_shape(self, *inputs: Shape) -> Shape:
        if inputs[0][2] != self.channels:
            raise ShapeError(f"{type(self).__name__}: expected {self.channels} channels, got {inputs[0]}")
        return inputs[0]

    def macs(self, *inputs: Shape) -> int:
        return 0


class _Convolutional:
    """A weight (kh, kw, in_channels, out_channels) and perhaps a bias (out_channels,)."""

    in_channels: int
    out_channels: int
    kernel_size: Pair
    bias: bool

    def _require_channels(self, shape: Shape) -> None:
        if shape[2] != self.in_channels:
            raise ShapeError(f"{type(self).__name__}: expected {self.in_channels} channels, got {shape}")

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight": (*self.kernel_size, self.in_channels, self.out_channels)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes


@dataclass(frozen=True, init=False)
class Conv2d(_Convolutional):
    """Cross-correlation with zero padding, as torch.nn.Conv2d with groups=1.

    y[i, j, o] = bias[o] + Σ_{a,b,c} weight[a, b, c, o] · x[i·s + a·d − p, j·s + b·d − p, c]

    weight has shape (kh, kw, in_channels, out_channels), bias (out_channels,).
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    bias: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        bias: bool = True,
    ) -> None:
        values = (in_channels, out_channels, pair(kernel_size), pair(stride), pair(padding), pair(dilation), bias)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)
        if min(in_channels, out_channels, *self.kernel_size, *self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise ShapeError(f"{self}: expected positive sizes and a padding of at least 0")

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        self._require_channels(shape)
        rows, columns = _windowed(
            "Conv2d", shape, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=False
        )
        return rows, columns, self.out_channels

    def macs(self, *inputs: Shape) -> int:
        rows, columns, maps = self.output_shape(*inputs)
        return rows * columns * maps * self.in_channels * self.kernel_size[0] * self.kernel_size[1]

    @property
    def receptive_field(self) -> ReceptiveField:
        kernel, dilation = self.kernel_size, self.dilation
        return (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1), self.stride


@dataclass(frozen=True)
class ReLU(_Parameterless, _Elementwise):
    """max(x, 0)."""

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]


@dataclass(frozen=True)
class PReLU(_PerChannel):
    """x where positive, else weight[c] · x (He et al. 2015); weight has shape (num_parameters,)."""

    num_parameters: int

    @property
    def channels(self) -> int:
        return self.num_parameters

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_parameters,)}


@dataclass(frozen=True)
class Affine(_PerChannel):
    """weight[c] · x + bias[c]: a batch norm, at inference, that has no convolution before it to be folded into."""

    num_features: int

    @property
    def channels(self) -> int:
        return self.num_features

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.num_features,), "bias": (self.num_features,)}


@dataclass(frozen=True)
class Binarize(_PerChannel):
    """high[c] where x > threshold[c], else low[c]: one bit a value (Rastegari et al. 2016, XNOR-Net).

    Its derivative is taken as 1 within (high − low)/2 of the threshold and 0 beyond: the straight-through estimator.
    """

    num_features: int

    @property
    def channels(self) -> int:
        return self.num_features

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("threshold", "low", "high"), (self.num_features,))


@dataclass(frozen=True, init=False)
class _Pool2d(_Parameterless):
    kernel_size: Pair
    stride: Pair
    padding: Pair
    ceil_mode: bool = field(default=False)

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
    ) -> None:
        object.__setattr__(self, "kernel_size", pair(kernel_size))
        object.__setattr__(self, "stride", pair(kernel_size if stride is None else stride))
        object.__setattr__(self, "padding", pair(padding))
        object.__setattr__(self, "ceil_mode", ceil_mode)
        if min(*self.kernel_size, *self.stride) < 1 or min(self.padding) < 0:
            raise ShapeError(f"{self}: expected positive sizes and a padding of at least 0")
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ShapeError(f"{self}: expected a padding of at most half the kernel")

    def output_shape(self, *inputs: Shape) -> Shape:
        name = type(self).__name__
        rows, columns = _windowed(name, inputs[0], self.kernel_size, self.stride, self.padding, (1, 1), self.ceil_mode)
        return rows, columns, inputs[0][2]

    @property
    def receptive_field(self) -> ReceptiveField:
        return self.kernel_size, self.stride


class MaxPool2d(_Pool2d):
    """The largest value of each window; padding never wins. Of equal values the first, in row order, gets the gradient."""


class AvgPool2d(_Pool2d):
    """The mean of each window. Padding counts as zeros (torch's count_include_pad); what lies beyond it does not count."""


@dataclass(frozen=True, init=False)
class ConvTranspose2d(_Convolutional):
    """The adjoint of a Conv2d from out_channels to in_channels, as torch.nn.ConvTranspose2d: decoders grow maps with it.

    Weight has shape (kh, kw, in_channels, out_channels), bias (out_channels,).
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair
    output_padding: Pair
    bias: bool

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        bias: bool = True,
    ) -> None:
        values = (in_channels, out_channels, pair(kernel_size), pair(stride), pair(padding), pair(output_padding), bias)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)
        if min(in_channels, out_channels, *self.kernel_size, *self.stride) < 1 or min(self.padding) < 0:
            raise ShapeError(f"{self}: expected positive sizes and a padding of at least 0")
        if any(not 0 <= extra < stride for extra, stride in zip(self.output_padding, self.stride, strict=True)):
            raise ShapeError(f"{self}: expected an output padding below the stride")

    @property
    def adjoint(self) -> Conv2d:
        """The convolution whose input gradient this layer is; its weight is this one's with in and out exchanged."""
        return Conv2d(self.out_channels, self.in_channels, self.kernel_size, self.stride, self.padding, bias=False)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        self._require_channels(shape)
        rows, columns = (
            (shape[axis] - 1) * self.stride[axis]
            - 2 * self.padding[axis]
            + self.kernel_size[axis]
            + self.output_padding[axis]
            for axis in (0, 1)
        )
        return rows, columns, self.out_channels

    def macs(self, *inputs: Shape) -> int:
        rows, columns, channels = inputs[0]
        return rows * columns * channels * self.out_channels * self.kernel_size[0] * self.kernel_size[1]

    @property
    def receptive_field(self) -> ReceptiveField:
        raise UnsupportedError("the receptive field of a decoder's layer is not defined here")


@dataclass(frozen=True)
class MaxUnpool2d(_Parameterless):
    """Each value of the first input to the place where the second input, a MaxPool2d node, found its maximum; zeros
    elsewhere (Badrinarayanan et al. 2015). The pool's own input must have had even sides."""

    def output_shape(self, *inputs: Shape) -> Shape:
        values, pooled = inputs
        if values != pooled:
            raise ShapeError(f"MaxUnpool2d: expected the shape of its pool {pooled}, got {values}")
        return 2 * values[0], 2 * values[1], values[2]

    @property
    def receptive_field(self) -> ReceptiveField:
        raise UnsupportedError("the receptive field of a decoder's layer is not defined here")

    @property
    def padding(self) -> Pair:
        raise UnsupportedError("the receptive field of a decoder's layer is not defined here")


@dataclass(frozen=True)
class Concat(_Parameterless, _Elementwise):
    """Inputs of one size beside each other along the channels."""

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[:2] for shape in inputs}) != 1:
            raise ShapeError(f"Concat: expected inputs of one size, got {list(inputs)}")
        return (*inputs[0][:2], sum(shape[2] for shape in inputs))


@dataclass(frozen=True)
class Add(_Parameterless, _Elementwise):
    """Residual sum; inputs with fewer channels count as padded with zero channels at the end (ENet's shortcut)."""

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[:2] for shape in inputs}) != 1:
            raise ShapeError(f"Add: expected inputs of one size, got {list(inputs)}")
        return (*inputs[0][:2], max(shape[2] for shape in inputs))
