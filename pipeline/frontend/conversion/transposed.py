"""ConvTranspose as a convolution over the pixels that there are, whose results are squares of pixels.

Output pixel y of a transposed convolution of stride s is the sum of x[i] · w[t] over all i and t with s · i + d · t = y + p,
p the pads before and d the dilation. With y = s · q + r the taps of remainder r are those with s | r + p − d · t, and i = q +
(r + p − d · t) / s. So the remainders of both axes are as many convolutions of stride 1 with the same window, whose results belong to
one pixel q: a DepthToSpace puts them in their places. No zero is multiplied but where the remainders have unlike taps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.images import as_images, places_of_squares
from pipeline.frontend.conversion.linear import add_matrix, common_scale, dense, quantized_rows
from pipeline.frontend.conversion.moves import cropped
from pipeline.frontend.conversion.tensors import Constant, StreamTensor, attributes, channel_layout, describe
from pipeline.frontend.conversion.windows import add_windows

__all__ = ["convert_transposed_convolution"]


@dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution: `taps` are (remainder, tap of the kernel, place in the window)."""

    taps: tuple[tuple[int, int, int], ...]
    window: int
    pads: tuple[int, int]
    size: int  # of the output

    @classmethod
    def of(cls, node: onnx.NodeProto, size: int, options: dict[str, Any], axis: int, kernel: int) -> _Axis:
        stride, dilation = options["strides"][axis], options["dilations"][axis]
        before, after = options["pads"][axis], options["pads"][axis + 2]
        output = stride * (size - 1) + options["output_padding"][axis] + (kernel - 1) * dilation + 1 - before - after
        distances = [
            (remainder, tap, (remainder + before - dilation * tap) // stride)
            for remainder in range(stride)
            for tap in range(kernel)
            if (remainder + before - dilation * tap) % stride == 0
        ]
        first, last = min(d for *_, d in distances), max(d for *_, d in distances)
        if first > 0:
            raise UnsupportedError(
                f"{describe(node)} has pads {options['pads']} that cut off whole pixels of its input."
            )
        pads = -first, max(-(-output // stride) - 1 + last - (size - 1), 0)
        return cls(tuple((r, t, d - first) for r, t, d in distances), last - first + 1, pads, output)


def convert_transposed_convolution(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, weight: Constant, bias: np.ndarray | None
) -> StreamTensor:
    """A convolution with one row for each output channel of each pixel of a square."""
    tensor, order = as_images(builder, describe(node), tensor)
    if tensor.offset.any():
        raise UnsupportedError(
            f"{describe(node)} reads a tensor that has an offset left from {tensor.stream}; add a quantizer before it."
        )
    options: dict[str, Any] = {
        "strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0], "output_padding": [0, 0], "group": 1,
    } | attributes(node)  # fmt: skip
    height, width, _ = builder.shape(tensor.stream)
    kernel, stride = weight.values.shape[2:], tuple(options["strides"])
    rows, columns = (_Axis.of(node, size, options, i, kernel[i]) for i, size in enumerate((height, width)))
    groups = options["group"]
    weight = weight.moved(lambda w: _outputs_first(w, groups))
    integers, weight_scale = quantized_rows(node, weight, len(weight.values))
    scale, multipliers = common_scale(node, tensor)
    integers = dense(integers, groups)
    outputs, inputs = integers.shape[:2]
    taps = np.zeros((*stride, outputs, rows.window, columns.window, inputs), np.int64)
    for remainder_y, y, place_y in rows.taps:
        for remainder_x, x, place_x in columns.taps:
            taps[remainder_y, remainder_x, :, place_y, place_x, order] = integers[:, :, y, x].T
    matrix = (taps * multipliers).reshape(stride[0] * stride[1] * outputs, -1)
    pads = (rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1])
    window = (rows.window, columns.window), (1, 1), pads, (1, 1)
    stream, pixels = add_windows(builder, node, tensor.stream, window, value=0)
    scales = scale * np.tile(weight_scale, stride[0] * stride[1])
    result = add_matrix(builder, node, weight, stream, pixels, matrix, scales, np.zeros(len(scales)))
    result = result.move(places_of_squares((*pixels, len(scales)), stride))
    if bias is not None:
        addend = np.tile(np.asarray(bias, np.float64).reshape(-1), stride[0] * stride[1])
        result = result.affine(np.ones(len(scales)), addend)
    return _cut(builder, node, result, (rows.size, columns.size))


def _outputs_first(weights: np.ndarray, groups: int) -> np.ndarray:
    """The weights (I, O / groups, KH, KW) of a transposed convolution as those of a convolution, (O, I / groups, KH, KW)."""
    inputs, outputs, *kernel = weights.shape
    by_group = weights.reshape(groups, inputs // groups, outputs, *kernel)
    return by_group.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *kernel)


def _cut(builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, size: tuple[int, int]) -> StreamTensor:
    """The first rows and columns, where the squares of the last pixels reach over the end."""
    if tensor.layout.shape[1:] == size:
        return tensor
    tensor, order = as_images(builder, describe(node), tensor)
    part = cropped(builder, node, tensor, (0, 0, 0), (*size, tensor.channels))
    return part.move(channel_layout(*size, tensor.channels)[order])
