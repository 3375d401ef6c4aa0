"""Conv, MatMul and Gemm to MVAU and VVAU. Biases stay in the pending affine function and end in thresholds or on the host."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import lcm

import numpy as np
import onnx

from pipeline.dataflow.bounds import exact_range
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import INPUT, LayerBuilder
from pipeline.frontend.conversion.images import as_images
from pipeline.frontend.conversion.tensors import (
    Constant,
    StreamTensor,
    attributes,
    channel_layout,
    describe,
    per_channel,
)
from pipeline.frontend.conversion.windows import add_windows, read_window
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.vvau import VVAU

__all__ = [
    "add_matrix",
    "common_scale",
    "convert_convolution",
    "convert_matrix_product",
    "dense",
    "quantized_rows",
]

_LARGEST_MULTIPLIER = 1 << 8  # of weights, where channels have scales of their own


def convert_convolution(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, weight: Constant, bias: np.ndarray | None
) -> StreamTensor:
    """A convolution: padding, windows, and an MVAU with one row an output channel; or a VVAU where that sees one channel.

    Between groups of several channels the matrix of the MVAU has zeros. Where each row sees one channel, the scale of that
    channel becomes the row's, whatever it is.
    """
    options = attributes(node)
    tensor, order = as_images(builder, describe(node), tensor)
    integers, weight_scale = quantized_rows(node, weight, weight.values.shape[0])
    groups = options.get("group", 1)
    # rows of a VVAU see channels in their order
    depthwise = groups > 1 and integers.shape[1] == 1 and np.array_equal(order, np.arange(groups))
    window = read_window(node, options, integers.shape[2:])
    scale: np.ndarray | float
    if depthwise and not tensor.functions:
        scale, multipliers = np.repeat(tensor.scale, len(integers) // groups), np.ones(groups, np.int64)
    else:
        scale, multipliers = common_scale(node, tensor)
    matrix = dense(integers, groups)[:, np.argsort(order)]
    if depthwise:
        rows = integers.reshape(len(integers), -1)
    else:
        rows = (matrix.transpose(0, 2, 3, 1) * multipliers).reshape(len(integers), -1)
    offset = np.zeros(len(rows))
    if tensor.offset.any():
        if any(window[2]):
            raise UnsupportedError(
                f"{describe(node)} pads a tensor that has an offset left from {tensor.stream}; add a quantizer "
                "before it."
            )
        offset = weight_scale * (matrix.sum(axis=(2, 3)) @ tensor.offset)
    stream, pixels = add_windows(builder, node, tensor.stream, window, value=0, depthwise=depthwise)
    multiplier = len(rows) // groups if depthwise else None
    result = add_matrix(builder, node, weight, stream, pixels, rows, scale * weight_scale, offset, multiplier)
    result = result.move(channel_layout(*pixels, len(rows)))
    return result if bias is None else result.affine(np.ones(len(rows)), np.asarray(bias, np.float64).reshape(-1))


def convert_matrix_product(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, weight: Constant, bias: np.ndarray | None
) -> StreamTensor:
    """A MatMul or Gemm of a tensor (…, K) and weights (K, M), and a bias that broadcasts against the result."""
    options = attributes(node)
    if options.get("transB", 0):
        weight = weight.moved(np.transpose)
    if weight.values.ndim != 2 or weight.values.shape[0] != tensor.layout.shape[-1]:
        raise UnsupportedError(
            f"{describe(node)} has weights of shape {weight.values.shape} for an input of {(1, *tensor.layout.shape)}; "
            "only a matrix whose rows match the last axis can be built."
        )
    scale, multipliers = common_scale(node, tensor)
    integers, weight_scale = quantized_rows(node, weight.moved(np.transpose), weight.values.shape[1])
    offset = np.zeros(len(integers))
    if tensor.offset.any():
        elements = np.broadcast_to(tensor.offset, (tensor.layout.size // tensor.channels, tensor.channels)).ravel()
        offset = weight_scale * (integers @ elements[tensor.layout.reshape(-1, integers.shape[1])[0]])
    channels = tensor.layout.reshape(-1, integers.shape[1])[0] % tensor.channels
    stream, pixels, rows = _matrix_input(builder, node, tensor, integers * multipliers[channels])
    result = add_matrix(builder, node, weight, stream, pixels, rows, scale * weight_scale, offset)
    lead = tensor.layout.shape[:-1]
    result = result.move(np.arange(int(np.prod(lead)) * len(rows)).reshape(*lead, len(rows)))
    one, zero = np.ones(len(rows)), np.zeros(len(rows))
    if options.get("alpha", 1.0) != 1.0:
        result = result.affine(one * options["alpha"], zero)
    if bias is not None:
        result = result.affine(one, per_channel(node, result, bias) * options.get("beta", 1.0))
    return result


def _matrix_input(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, rows: np.ndarray
) -> tuple[str, tuple[int, int], np.ndarray]:
    """A stream whose pixels are the input vectors, its (H, W), and `rows` in the stream's order of elements."""
    height, width, channels = builder.shape(tensor.stream)
    length = rows.shape[1]
    if channels == length and np.array_equal(tensor.layout.ravel(), np.arange(tensor.layout.size)):
        return tensor.stream, (height, width), rows
    if tensor.layout.size != length:
        raise UnsupportedError(
            f"{describe(node)} multiplies along an axis that is not the channels of {tensor.stream}; only the channels "
            "of each pixel or the whole flattened tensor can be multiplied by a matrix."
        )
    order = tensor.layout.ravel()
    if height * width > 1:
        if tensor.stream == INPUT and tensor.exclusive:
            order = _flatten_input(builder)[order]
        else:
            stream = builder.add(
                ConvolutionInputGenerator,
                (tensor.stream,),
                source=node.name,
                shape=(height, width, channels),
                type=builder.type(tensor.stream),
                kernel=(height, width),
                stride=(1, 1),
            )
            tensor = replace(tensor, stream=stream)
    permuted = np.empty_like(rows)
    permuted[:, order] = rows
    return tensor.stream, (1, 1), permuted


def _flatten_input(builder: LayerBuilder) -> np.ndarray:
    """Let the host send flat frames in the raw order; where each element of the earlier stream now is."""
    transform = builder.quantized_input
    height, width, channels = transform.shape
    in_order = transform.flat
    builder.input_transform = replace(transform, shape=(1, 1, height * width * channels), flat=True)
    builder.checkpoints.clear()
    if in_order:
        return np.arange(height * width * channels)
    return np.arange(height * width * channels).reshape(channels, height, width).transpose(1, 2, 0).ravel()


def add_matrix(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    weight: Constant,
    stream: str,
    pixels: tuple[int, int],
    rows: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    multiplier: int | None = None,
) -> StreamTensor:
    """An MVAU with the matrix `rows`, of which each sum · `scale` + `offset` is real; with a `multiplier`, which is how many
    `rows` see the same channel, a VVAU. Its layout has to be set."""
    input_type = builder.type(stream)
    lo, hi = (np.array(end, np.int64) for end in exact_range(rows, input_type))
    kernel, fields = (MVAU, {}) if multiplier is None else (VVAU, {"multiplier": multiplier, "pe": multiplier})
    output = builder.add(
        kernel,
        (stream,),
        source=weight.source or node.name,
        weights=np.ascontiguousarray(rows),
        input_type=input_type,
        output_type=IntType(int(lo.min()), int(hi.max())),
        pixels=tuple(pixels),
        **fields,
    )
    return StreamTensor(output, np.empty(0, np.int64), lo, hi, scale, offset)


def common_scale(node: onnx.NodeProto, tensor: StreamTensor) -> tuple[float, np.ndarray]:
    """A scale of which the scale of each channel is a multiple, and those multiples, int64 (C,).

    Weights take them in. Raises UnsupportedError where scales are in no ratio of small integers.
    """
    one = np.ones(tensor.channels, np.int64)
    if not tensor.functions and (tensor.scale == tensor.scale[0]).all():
        return float(tensor.scale[0]), one
    what = "is real-valued (a function is pending)"
    if not tensor.functions:
        least = float(np.abs(tensor.scale).max())
        least = float(min((abs(s) for s in tensor.scale if s), default=least))
        # scales are products of float32 numbers rounded to 53 bits, so an exact ratio is met to a few units of 2⁻⁵²
        ratios = [Fraction(float(s) / least).limit_denominator(_LARGEST_MULTIPLIER) for s in tensor.scale]
        shared = lcm(*(ratio.denominator for ratio in ratios))
        multipliers = [int(ratio * shared) for ratio in ratios]
        exact = np.abs(tensor.scale / least - [float(r) for r in ratios]) <= np.abs(tensor.scale / least) * 2.0**-49
        if exact.all() and max(map(abs, multipliers)) <= _LARGEST_MULTIPLIER:
            return least / shared, np.array(multipliers, np.int64)
        what = "has scales in no ratio of small integers, one a channel"
    raise UnsupportedError(
        f"{describe(node)} reads a tensor from {tensor.stream} that {what}; put a quantizer with one scale before it."
    )


def quantized_rows(node: onnx.NodeProto, weight: Constant, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """The integers of weights whose first axis is the output channel, and the scale of each output channel."""
    integers, scale = weight.integers, weight.scale
    if integers is None or scale is None:
        if not np.array_equal(weight.values, np.round(weight.values)):
            raise UnsupportedError(
                f"{describe(node)} has float weights ({weight.source or node.input[1]}) that no quantizer "
                "makes integers; "
                "quantize every layer."
            )
        integers, scale = weight.values.astype(np.int64), np.ones(weight.values.shape)
    scale = scale.reshape(outputs, -1)
    if (scale != scale[:, :1]).any():
        raise UnsupportedError(
            f"{describe(node)} has weights {weight.source} with a scale for each input channel; only one for "
            "the tensor or "
            "for each output channel can be built."
        )
    return integers, scale[:, 0].astype(np.float64)


def dense(integers: np.ndarray, groups: int) -> np.ndarray:
    """Weights (O, I / groups, KH, KW) of a grouped convolution as (O, I, KH, KW), zero between groups."""
    if groups == 1:
        return integers
    outputs, inputs, *kernel = integers.shape
    dense = np.zeros((outputs, inputs * groups, *kernel), np.int64)
    for group in range(groups):
        o = slice(group * outputs // groups, (group + 1) * outputs // groups)
        dense[o, group * inputs : (group + 1) * inputs] = integers[o]
    return dense
