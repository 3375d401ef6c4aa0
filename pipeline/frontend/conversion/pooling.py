"""MaxPool, AveragePool, GlobalAveragePool and ReduceMean to Pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.order import increasing
from pipeline.frontend.conversion.tensors import StreamTensor, attributes, channel_layout, describe
from pipeline.frontend.conversion.windows import add_windows, read_window, require_images
from pipeline.kernels.pool import Pool

__all__ = ["convert_average_pool", "convert_max_pool"]


def convert_max_pool(builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor) -> StreamTensor:
    """The largest integer of a window; the pending functions, which do not fall, may follow the maximum."""
    options = attributes(node)
    require_images(builder, node, tensor)
    if not tensor.monotone or tensor.sum is not None:
        raise UnsupportedError(
            f"{describe(node)} takes the largest of a real-valued tensor that is no rising function of integers; put a "
            "quantizer before it."
        )
    tensor = increasing(builder, tensor, node.name)
    window = read_window(node, options, options["kernel_shape"])
    type_ = builder.type(tensor.stream)
    stream, pixels = add_windows(
        builder, node, tensor.stream, window, value=type_.lo, ceil_mode=bool(options.get("ceil_mode", 0))
    )
    stream = _add_pool(builder, node, stream, pixels, tensor.channels, window[0], type_, "max")
    return replace(tensor, stream=stream, layout=channel_layout(*pixels, tensor.channels), exclusive=True)


def convert_average_pool(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, axes: list[int] | None = None
) -> StreamTensor:
    """The sum of a window; the division joins the scale."""
    options = attributes(node)
    require_images(builder, node, tensor)
    if tensor.functions:
        raise UnsupportedError(f"{describe(node)} averages a real-valued tensor; put a quantizer before it.")
    height, width, channels = builder.shape(tensor.stream)
    if node.op_type == "AveragePool":
        window = read_window(node, options, options["kernel_shape"])
    else:
        if node.op_type == "ReduceMean" and sorted(a % (tensor.layout.ndim + 1) for a in axes or []) != [2, 3]:
            raise UnsupportedError(f"{describe(node)} averages over axes {axes}; only height and width can be built.")
        window = ((height, width), (1, 1), (0, 0, 0, 0))
    if any(window[2]) and (tensor.offset.any() or not options.get("count_include_pad", 0)):
        raise UnsupportedError(
            f"{describe(node)} pads without counting the padding; set count_include_pad or pads of 0."
        )
    type_ = builder.type(tensor.stream)
    stream, pixels = add_windows(
        builder, node, tensor.stream, window, value=0, ceil_mode=bool(options.get("ceil_mode", 0))
    )
    elements = int(np.prod(window[0]))
    stream = _add_pool(builder, node, stream, pixels, channels, window[0], type_, "sum")
    layout = channel_layout(*pixels, channels)
    if node.op_type == "ReduceMean" and not options.get("keepdims", 1):
        layout = layout.reshape(channels)
    return replace(
        tensor,
        stream=stream,
        layout=layout,
        lo=np.full(channels, type_.lo * elements),
        hi=np.full(channels, type_.hi * elements),
        scale=tensor.scale / elements,
        exclusive=True,
    )


def _add_pool(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    stream: str,
    pixels: tuple[int, int],
    channels: int,
    kernel: tuple[int, ...],
    type_: IntType,
    function: str,
) -> str:
    return builder.add(
        Pool,
        (stream,),
        source=node.name,
        pixels=tuple(pixels),
        channels=channels,
        window=int(np.prod(kernel)),
        type=type_,
        function=function,
    )
