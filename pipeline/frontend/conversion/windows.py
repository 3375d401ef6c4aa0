"""Padding and sliding windows, for convolutions and pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.tensors import describe
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding

__all__ = ["Window", "add_windows", "read_window"]


# kernel, stride, pads (top, left, bottom, right) and dilation
Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def read_window(node: onnx.NodeProto, options: Mapping[str, Any], kernel: Sequence[int]) -> Window:
    """The window of a convolution or pooling node over images."""
    names = (("strides", [1, 1]), ("pads", [0, 0, 0, 0]), ("dilations", [1, 1]))
    stride, pads, dilation = (tuple(options.get(name, default)) for name, default in names)
    return tuple(kernel), stride, pads, dilation


def add_windows(
    builder: LayerBuilder, node: onnx.NodeProto, stream: str, window: Window, *, value: int, ceil_mode: bool = False
) -> tuple[str, tuple[int, int]]:
    """Pad `stream` with `value` and slide the window over it. The stream of windows and (OH, OW)."""
    kernel, stride, pads, dilation = window
    height, width, channels = builder.shape(stream)
    type_ = builder.type(stream)
    padded = (height + pads[0] + pads[2], width + pads[1] + pads[3])
    span = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    if any(k > s for k, s in zip(span, padded, strict=True)):
        raise UnsupportedError(f"{describe(node)} has a kernel {span} larger than its padded input {padded}.")
    if ceil_mode and any((s - k) % t for s, k, t in zip(padded, span, stride, strict=True)):
        raise UnsupportedError(f"{describe(node)} has ceil_mode with windows that reach over the edge; pad explicitly.")
    if any(pads):
        widened = IntType(min(type_.lo, value), max(type_.hi, value))
        if widened != type_:
            raise UnsupportedError(
                f"{describe(node)} pads with {value}, which its input of type {type_.name} in [{type_.lo}, {type_.hi}] "
                "cannot carry; add a quantizer that has it before the node."
            )
        stream = builder.add(
            FMPadding, (stream,), source=node.name, shape=(height, width, channels), type=type_, pads=pads, value=value
        )
    rows, columns = ((s - k) // t + 1 for s, k, t in zip(padded, span, stride, strict=True))
    if kernel != (1, 1) or stride != (1, 1):
        stream = builder.add(
            ConvolutionInputGenerator,
            (stream,),
            source=node.name,
            shape=(*padded, channels),
            type=type_,
            kernel=kernel,
            stride=stride,
            simd=channels if dilation[1] > 1 and kernel[1] > 1 else 1,
            dilation=dilation,
        )
    return stream, (rows, columns)
