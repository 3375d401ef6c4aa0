"""Images in streams: a tensor (C, H, W) as pixels of a stream (H, W, C), whose channels may have another order.

What only moves elements, such as DepthToSpace or a Transpose, changes a tensor's layout at first, and no layer: a quantizer
behind it still becomes thresholds of the layer before it. A layer that reads images finds here what the layout stands
for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from a2q_driver.input_transform import TAKE, HostStep
from pipeline.dataflow.bounds import exact_range
from pipeline.dataflow.layer import Shape
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import INPUT, LayerBuilder
from pipeline.frontend.conversion.tensors import Function, StreamTensor, channel_layout
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.vvau import VVAU

__all__ = ["as_images", "places_of_squares", "with_squares"]


def as_images(builder: LayerBuilder, source: str, tensor: StreamTensor) -> tuple[StreamTensor, np.ndarray]:
    """`tensor` as (C, H, W), streamed as (H, W, C), and the channel of a pixel that each of its channels is, int64 (C,).

    A vector is an image of one pixel, and what has one axis beside the channels is one row. Where the stream is not of these pixels yet, a DepthToSpace makes smaller ones of its
    channels, or a window generator larger ones. Raises UnsupportedError for any other order; `source` is the layer for
    which it is, in messages.
    """
    shape = builder.shape(tensor.stream)
    layout = tensor.layout
    if layout.ndim == 1 and shape[:2] == (1, 1):
        layout = layout[:, None, None]
    elif layout.ndim == 2 and shape[0] == 1:
        layout = layout[:, None]
    order = _order(layout, shape)
    if order is not None:
        return tensor.move(layout), order
    for change in (_with_smaller_pixels, _with_larger_pixels):
        changed = change(builder, source, tensor)
        if changed is not None:
            return changed
    moved = _by_the_host(builder, tensor)
    if moved is not None:
        return moved, np.arange(len(layout))
    raise UnsupportedError(
        f"{source} reads a tensor of shape {(1, *tensor.layout.shape)} whose axes are no longer "
        "(batch, channels, height, width) of the layer before; only that order can be built here."
    )


def _by_the_host(builder: LayerBuilder, tensor: StreamTensor) -> StreamTensor | None:
    """`tensor`, where it is the input of the network, that nothing else reads, in another order: the host sends it in this."""
    same = all((x == x[0]).all() for x in (tensor.lo, tensor.hi, tensor.scale, tensor.offset))
    if tensor.stream != INPUT or not tensor.exclusive or tensor.layout.ndim != 3 or tensor.functions or not same:
        return None
    transform = builder.quantized_input
    places = np.arange(int(np.prod(transform.shape)))  # in the frames that are quantized, of the stream's elements
    if not transform.flat:
        height, width, channels = transform.shape
        places = places.reshape(channels, height, width).transpose(1, 2, 0).ravel()
    channels, height, width = tensor.layout.shape
    step = HostStep(TAKE, places[tensor.layout].astype(np.int32))
    builder.input_transform = replace(
        transform, shape=(height, width, channels), steps=(*transform.steps, step), flat=False
    )
    layout = channel_layout(height, width, channels)
    before = {place: index for index, place in enumerate(tensor.layout.ravel().tolist())}
    for index, checkpoint in enumerate(builder.checkpoints):
        if checkpoint.stream == INPUT:
            moved = [before[place] for place in checkpoint.layout.ravel().tolist()]
            builder.checkpoints[index] = replace(
                checkpoint, layout=layout.ravel()[moved].reshape(checkpoint.layout.shape)
            )
    one = np.ones(channels, np.int64)
    numbers = {name: one * getattr(tensor, name)[0] for name in ("lo", "hi", "scale", "offset")}
    return replace(tensor, layout=layout, **numbers)


def with_squares(builder: LayerBuilder, source: str, tensor: StreamTensor) -> StreamTensor:
    """`tensor` with a DepthToSpace where each of its pixels is a part of one of the stream; else as it is."""
    changed = _with_smaller_pixels(builder, source, tensor)
    return tensor if changed is None else changed[0]


def places_of_squares(shape: Shape, block: tuple[int, int]) -> np.ndarray:
    """The layout of a tensor (C, BH · H, BW · W) in a stream of `shape` (H, W, BH · BW · C), where a pixel holds a `block`
    (BH, BW) of pixels, row by row."""
    height, width, channels = shape
    places = np.arange(height * width * channels).reshape(height, width, *block, -1)
    return places.transpose(4, 0, 2, 1, 3).reshape(-1, height * block[0], width * block[1])


def _order(layout: np.ndarray, shape: Shape) -> np.ndarray | None:
    """The channel of a pixel that each channel is, if the pixels are those of the stream."""
    height, width, channels = shape
    if layout.shape != (channels, height, width):
        return None
    order: np.ndarray = layout[:, 0, 0]
    same = order.max() < channels and np.array_equal(layout, channel_layout(*shape)[order])
    return order if same else None


def _with_smaller_pixels(
    builder: LayerBuilder, source: str, tensor: StreamTensor
) -> tuple[StreamTensor, np.ndarray] | None:
    """Where each pixel of the stream holds a square of the tensor's."""
    shape, layout = builder.shape(tensor.stream), tensor.layout
    if layout.ndim != 3 or layout.size != np.prod(shape):
        return None
    rows, columns = block = layout.shape[1] // shape[0], layout.shape[2] // shape[1]
    if rows * columns < 2 or layout.shape[1:] != (shape[0] * rows, shape[1] * columns):
        return None
    squares = places_of_squares(shape, block)
    first = layout[:, :rows, :columns]
    if first.max() >= shape[2]:
        return None
    order = first.transpose(1, 2, 0).ravel()  # the channel of the stream that each channel of a square is
    if not np.array_equal(layout, _places(order, shape)[squares]):
        return None
    scale, offset = tensor.scale[first], tensor.offset[first]
    if tensor.functions or (scale != scale[:, :1, :1]).any() or (offset != offset[:, :1, :1]).any():
        raise UnsupportedError(
            f"{source} reads {tensor.stream}, of which each pixel becomes {rows} × {columns}, with another scale, bias or "
            "function for the pixels of a square; put a quantizer with one scale before or behind the DepthToSpace."
        )
    reordered = _reordered(builder, source, tensor, order)
    stream = builder.add(
        DepthToSpace, (reordered,), source=source, shape=shape, type=builder.type(reordered), block=block
    )
    smaller = StreamTensor(
        stream,
        channel_layout(*builder.shape(stream)),
        tensor.lo[first].min(axis=(1, 2)),
        tensor.hi[first].max(axis=(1, 2)),
        scale[:, 0, 0],
        offset[:, 0, 0],
    )
    return smaller, np.arange(len(layout))


def _places(order: np.ndarray, shape: Shape) -> np.ndarray:
    """The places in a stream of `shape` of one whose channels are put in `order`."""
    return np.arange(int(np.prod(shape))).reshape(-1, shape[2])[:, order].ravel()


def _reordered(builder: LayerBuilder, source: str, tensor: StreamTensor, order: np.ndarray) -> str:
    """The stream of `tensor` with the channels `order`: other rows of the MVAU that writes it, where nothing else reads it,
    else those of an MVAU that is added."""
    if np.array_equal(order, np.arange(len(order))):
        return tensor.stream
    layer = builder.writer(tensor.stream, MVAU)
    # rows of a VVAU see the channels of its input in their order
    if tensor.exclusive and layer is not None and not isinstance(layer, VVAU):
        builder.reorder(tensor.stream, order)
        return tensor.stream
    input_type, (height, width, channels) = builder.type(tensor.stream), builder.shape(tensor.stream)
    weights = np.eye(channels, dtype=np.int64)[order]
    lo, hi = exact_range(weights, input_type)
    return builder.add(
        MVAU,
        (tensor.stream,),
        source=source,
        weights=weights,
        input_type=input_type,
        output_type=IntType(min(lo), max(hi)),
        pixels=(height, width),
    )


def _with_larger_pixels(
    builder: LayerBuilder, source: str, tensor: StreamTensor
) -> tuple[StreamTensor, np.ndarray] | None:
    """Where each pixel of the tensor is a square of the stream's, as the windows of a generator are."""
    shape, layout = builder.shape(tensor.stream), tensor.layout
    block = shape[0] // layout.shape[1] if layout.ndim == 3 else 0
    if block < 2 or layout.size != np.prod(shape) or shape[:2] != (layout.shape[1] * block, layout.shape[2] * block):
        return None
    height, width, channels = (*layout.shape[1:], shape[2])
    places = np.arange(layout.size).reshape(height, block, width, block, channels)
    windows = places.transpose(0, 2, 1, 3, 4).reshape(height, width, -1)
    position = {int(place): index for index, place in enumerate(windows[0, 0])}
    first = layout[:, 0, 0].tolist()
    if not position.keys() >= set(first):
        return None
    order = np.array([position[place] for place in first])
    if not np.array_equal(layout, windows.transpose(2, 0, 1)[order]):
        return None
    stream = builder.add(
        ConvolutionInputGenerator,
        (tensor.stream,),
        source=source,
        shape=shape,
        type=builder.type(tensor.stream),
        kernel=(block, block),
        stride=(block, block),
    )
    lo, hi, scale, offset = (np.tile(x, block**2) for x in (tensor.lo, tensor.hi, tensor.scale, tensor.offset))
    functions = tuple(_of_squares(function, channels) for function in tensor.functions)
    larger = StreamTensor(stream, channel_layout(height, width, len(order))[order], lo, hi, scale, offset, functions)
    return larger, order


def _of_squares(function: Function, channels: int) -> Function:
    return lambda x: function(torch.unflatten(x, -1, (-1, channels))).flatten(-2)
