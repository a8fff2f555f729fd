"""Networks of one bit: the binarisation of XNOR-Net (Rastegari et al. 2016), made from trained weights.

A filter W becomes α·sign(W) with α = mean |W|, the closest such filter (their equation 6). An activation becomes one of
two levels per channel, split at its mean, each level the mean of its side. Where XNOR-Net goes on training with the
binarised network, here each convolution gets, layer after layer, a scale and a bias per filter with which its output has
the mean and deviation that it had before, over a set of pictures. The first convolution stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.errors import UnsupportedError
from minitorch_style.kernels.reference import ops
from minitorch_style.nn.layers import Binarize, Conv2d, MaxPool2d, ReLU
from minitorch_style.nn.registry import Architecture
from minitorch_style.weights.weights import Weights


def binary_filters(weight: Float32) -> Float32:
    """α·sign(W) of every filter of (kh, kw, in, out); zero counts as positive."""
    scale = np.abs(weight).mean((0, 1, 2), dtype=np.float64).astype(np.float32)
    binary: Float32 = np.where(weight >= 0, scale, -scale)
    return binary


def levels(values: Float32) -> tuple[Float32, Float32, Float32]:
    """(threshold, low, high) per channel of activations (positions, C): the mean, and the means below and above it."""
    threshold = values.mean(0, dtype=np.float64)
    above = values > threshold
    count = above.sum(0)
    total, upper = values.sum(0, dtype=np.float64), np.where(above, values, 0).sum(0, dtype=np.float64)
    high = np.where(count > 0, upper / np.maximum(count, 1), threshold)
    low = (total - upper) / np.maximum(len(values) - count, 1)
    return threshold.astype(np.float32), low.astype(np.float32), high.astype(np.float32)


def _convolved(x: Float32, layer: Conv2d, weight: Float32, bias: Float32) -> Float32:
    out = np.empty(layer.output_shape(x.shape), np.float32)
    ops.conv2d(x, weight, bias, layer, out)
    return out


def _pooled(x: Float32, layer: MaxPool2d) -> Float32:
    shape = layer.output_shape(x.shape)
    out = np.empty(shape, np.float32)
    ops.max_pool2d(x, layer, out, np.empty(shape, np.int16))
    return out


def _moments(maps: list[Float32]) -> tuple[Float32, Float32]:
    flat = np.concatenate([one.reshape(-1, one.shape[2]) for one in maps]).astype(np.float64)
    return flat.mean(0), flat.std(0)


def binarized(weights: Weights, target: Architecture, pictures: Iterable[Float32]) -> Weights:
    """The weights of `target`, a chain of convolutions with or without `Binarize` layers, from those of the same network
    in full precision and pictures (H, W, 3). UnsupportedError for other networks."""
    scale = np.array(weights.normalization.scale, np.float32)
    mean = np.array(weights.normalization.mean, np.float32)
    exact = [(picture - mean) * scale for picture in pictures]
    rough = [picture.copy() for picture in exact]
    parameters: dict[str, Float32] = {}
    for node in target.nodes:
        layer = node.layer
        if isinstance(layer, Conv2d):
            weight, bias = weights.parameters[f"{node.name}.weight"], weights.parameters[f"{node.name}.bias"]
            first = not parameters
            few = weight if first else binary_filters(weight)
            exact = [_convolved(x, layer, weight, bias) for x in exact]
            rough = [_convolved(x, layer, few, bias if first else np.zeros_like(bias)) for x in rough]
            if not first:
                (aim, spread), (found, width) = _moments(exact), _moments(rough)
                gain = np.where(width > 0, spread / np.maximum(width, 1e-12), 1.0)
                few = (few * gain).astype(np.float32)
                bias = (aim - found * gain).astype(np.float32)
                rough = [(x * gain + bias).astype(np.float32) for x in rough]
            parameters |= {f"{node.name}.weight": few, f"{node.name}.bias": bias}
        elif isinstance(layer, ReLU):
            exact, rough = ([np.maximum(x, 0) for x in maps] for maps in (exact, rough))
        elif isinstance(layer, MaxPool2d):
            exact, rough = ([_pooled(x, layer) for x in maps] for maps in (exact, rough))
        elif isinstance(layer, Binarize):
            found_levels = levels(np.concatenate([x.reshape(-1, x.shape[2]) for x in rough]))
            parameters |= _named(node.name, found_levels)
            rough = [ops.binarize(x, *found_levels, np.empty_like(x)) for x in rough]
        else:
            raise UnsupportedError(f"{node.name}: only chains of convolutions, ReLUs and max-pools are binarised here")
    return Weights(target.name, parameters, weights.normalization, {}, weights.trained)


def _named(node: str, found: tuple[Float32, Float32, Float32]) -> Mapping[str, Float32]:
    return {f"{node}.{name}": values for name, values in zip(("threshold", "low", "high"), found, strict=True)}
