"""MaxPool, AveragePool and those over whole images to Pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.images import as_images
from pipeline.frontend.conversion.order import increasing
from pipeline.frontend.conversion.tensors import StreamTensor, attributes, channel_layout, describe
from pipeline.frontend.conversion.windows import Window, add_windows, read_window
from pipeline.kernels.pool import Pool

__all__ = ["convert_average_pool", "convert_max_pool"]

_REDUCTIONS = ("ReduceMean", "ReduceMax")


def convert_max_pool(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, axes: list[int] | None = None
) -> StreamTensor:
    """The largest integer of a window; the pending functions, which do not fall, may follow the maximum."""
    options = attributes(node)
    tensor, order = as_images(builder, describe(node), tensor)
    if not tensor.monotone or tensor.sum is not None:
        raise UnsupportedError(
            f"{describe(node)} takes the largest of a real-valued tensor that is no rising function of integers; put a "
            "quantizer before it."
        )
    tensor = increasing(builder, tensor, node.name)
    window = _window(builder, node, tensor, axes)
    type_ = builder.type(tensor.stream)
    stream, pixels = add_windows(
        builder, node, tensor.stream, window, value=type_.lo, ceil_mode=bool(options.get("ceil_mode", 0))
    )
    stream = _add_pool(builder, node, stream, pixels, tensor.channels, window[0], type_, "max")
    layout = _layout(node, channel_layout(*pixels, tensor.channels)[order])
    return replace(tensor, stream=stream, layout=layout, exclusive=True)


def convert_average_pool(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, axes: list[int] | None = None
) -> StreamTensor:
    """The sum of a window; the division joins the scale.

    Where padding is not counted, the sum times a factor of the window's place, by which all windows divide by one number.
    """
    options = attributes(node)
    tensor, order = as_images(builder, describe(node), tensor)
    if tensor.functions:
        raise UnsupportedError(f"{describe(node)} averages a real-valued tensor; put a quantizer before it.")
    channels = tensor.channels
    window = _window(builder, node, tensor, axes)
    counted = bool(options.get("count_include_pad", 0))
    if any(window[2]) and tensor.offset.any() and counted:
        raise UnsupportedError(
            f"{describe(node)} counts its padding in a tensor that has an offset left from {tensor.stream}; add a quantizer "
            "before it, or set count_include_pad to 0."
        )
    type_ = builder.type(tensor.stream)
    size = builder.shape(tensor.stream)[:2]
    stream, pixels = add_windows(
        builder, node, tensor.stream, window, value=0, ceil_mode=bool(options.get("ceil_mode", 0))
    )
    elements = int(np.prod(window[0]))
    counts = {} if counted or not any(window[2]) else _counts(size, pixels, window)
    stream = _add_pool(builder, node, stream, pixels, channels, window[0], type_, "sum", **counts)
    if counts:
        pool = builder.writer(stream, Pool)
        assert pool is not None
        elements = pool.multiple
    mean = replace(tensor, offset=0 * tensor.offset).divided(np.full(channels, float(elements)))
    return replace(
        mean,
        stream=stream,
        layout=_layout(node, channel_layout(*pixels, channels)[order]),
        lo=np.full(channels, type_.lo * elements),
        hi=np.full(channels, type_.hi * elements),
        offset=tensor.offset,
        exclusive=True,
    )


def _window(builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, axes: list[int] | None) -> Window:
    """The window of a pool; the whole image where the operator takes that."""
    if node.op_type in ("MaxPool", "AveragePool"):
        options = attributes(node)
        return read_window(node, options, options["kernel_shape"])
    if node.op_type in _REDUCTIONS and sorted(a % (tensor.layout.ndim + 1) for a in axes or []) != [2, 3]:
        raise UnsupportedError(f"{describe(node)} reduces axes {axes}; only height and width can be built.")
    height, width, _ = builder.shape(tensor.stream)
    return (height, width), (1, 1), (0, 0, 0, 0), (1, 1)


def _counts(size: tuple[int, ...], pixels: tuple[int, int], window: Window) -> dict[str, tuple[int, ...]]:
    """How many rows of each row of windows lie in an image of `size`, and the same of columns, as fields of a Pool."""
    counts = []
    for axis in range(2):
        kernel, stride, before = window[0][axis], window[1][axis], window[2][axis]
        starts = np.arange(pixels[axis]) * stride - before
        inside = np.minimum(starts + kernel, size[axis]) - np.maximum(starts, 0)
        counts.append(tuple(int(count) for count in inside))
    return {"row_counts": counts[0], "column_counts": counts[1]}


def _layout(node: onnx.NodeProto, layout: np.ndarray) -> np.ndarray:
    """`layout` (C, H, W), without the pixel's axes where the node leaves them out."""
    reduced = node.op_type in _REDUCTIONS and not attributes(node).get("keepdims", 1)
    return layout.reshape(-1) if reduced else layout


def _add_pool(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    stream: str,
    pixels: tuple[int, int],
    channels: int,
    kernel: tuple[int, ...],
    type_: IntType,
    function: str,
    **counts: tuple[int, ...],
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
        **counts,
    )
