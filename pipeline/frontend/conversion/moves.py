"""Concat, Slice, Pad and Resize: elements are moved, left out, repeated or added, and no number changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import torch
import torch.nn.functional as F

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.images import as_images
from pipeline.frontend.conversion.tensors import Function, Quotient, StreamTensor, attributes, channel_layout, describe
from pipeline.frontend.streamline.operators import OPERATORS
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour

__all__ = ["convert_concat", "convert_pad", "convert_resize", "convert_slice", "cropped"]


def convert_concat(builder: LayerBuilder, node: onnx.NodeProto, tensors: Sequence[StreamTensor]) -> StreamTensor:
    """The channels of `tensors` behind each other, by a chain of layers. Each channel keeps its scale, bias and function."""
    first, *others = tensors
    total = first
    for other in others:
        total = _joined(builder, node, total, other)
    return total


def _joined(builder: LayerBuilder, node: onnx.NodeProto, a: StreamTensor, b: StreamTensor) -> StreamTensor:
    rank = a.layout.ndim
    (a, order_a), (b, order_b) = (as_images(builder, describe(node), tensor) for tensor in (a, b))
    (height, width, channels), (*pixels, others) = builder.shape(a.stream), builder.shape(b.stream)
    if pixels != [height, width]:
        raise UnsupportedError(
            f"{describe(node)} joins {height} × {width} and {pixels[0]} × {pixels[1]} pixels; only the channels of as many "
            "pixels can be joined."
        )
    stream = builder.add(
        StreamingConcat,
        (a.stream, b.stream),
        source=node.name,
        pixels=(height, width),
        channels=(channels, others),
        types=(builder.type(a.stream), builder.type(b.stream)),
    )
    layout = channel_layout(height, width, channels + others)[np.concatenate([order_a, channels + order_b])]
    lo, hi, scale, offset = (
        np.concatenate([getattr(t, name) for t in (a, b)]) for name in ("lo", "hi", "scale", "offset")
    )
    functions = (_side_by_side(a, b),) if a.functions or b.functions else ()
    parts = (a.as_quotient, b.as_quotient)
    quotient = Quotient(*(np.concatenate([getattr(q, name) for q in parts]) for name in ("dividend", "divisor")))
    return StreamTensor(stream, _of_rank(layout, rank), lo, hi, scale, offset, functions, quotient=quotient)


def _side_by_side(a: StreamTensor, b: StreamTensor) -> Function:
    """The functions of `a` for its channels, which come first, and those of `b` for the others."""

    def apply(x: torch.Tensor) -> torch.Tensor:
        parts = [x[..., : a.channels], x[..., a.channels :]]
        for index, tensor in enumerate((a, b)):
            for function in tensor.functions:
                parts[index] = function(parts[index])
        return torch.cat(parts, dim=-1)

    return apply


def _of_rank(layout: np.ndarray, rank: int) -> np.ndarray:
    """`layout` (C, H, W) of a tensor of `rank` axes: (C,) of a vector, and (C, W) of one row."""
    return layout if rank == 3 else layout[:, 0] if rank == 2 else layout[:, 0, 0]


def convert_resize(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, arrays: Sequence[np.ndarray | None]
) -> StreamTensor:
    """Each pixel several times; `check_operands` has seen that it is no more than that."""
    tensor, order = as_images(builder, describe(node), tensor)
    height, width, channels = shape = builder.shape(tensor.stream)
    rows, columns = _result(node, tensor.layout, arrays).shape[1:]
    factors = rows // height, columns // width
    if factors == (1, 1):
        return tensor
    type_ = builder.type(tensor.stream)
    stream = builder.add(
        UpsampleNearestNeighbour, (tensor.stream,), source=node.name, shape=shape, type=type_, factors=factors
    )
    return replace(tensor, stream=stream, layout=channel_layout(rows, columns, channels)[order], exclusive=True)


def convert_slice(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, arrays: Sequence[np.ndarray | None]
) -> StreamTensor:
    """Some channels, rows and columns; of rows and columns also each second one and the like."""
    rank = tensor.layout.ndim
    tensor, _ = as_images(builder, describe(node), tensor)
    _, width, channels = builder.shape(tensor.stream)
    places = _result(node, _of_rank(tensor.layout, rank), arrays)
    places = places.reshape(len(places), *(1,) * (3 - rank), *places.shape[1:])
    selected = places[:, 0, 0] % channels
    rows, columns = places[0, :, 0] // channels // width, places[0, 0, :] // channels % width
    first = int(selected.min())
    if not np.array_equal(np.sort(selected), np.arange(first, first + len(selected))):
        raise UnsupportedError(
            f"{describe(node)} takes channels of {tensor.stream} that do not lie next to each other; only neighbours can be "
            "taken."
        )
    start = int(rows[0]), int(columns[0]), first
    size = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1, len(selected)
    steps = tuple(int(places[1] - places[0]) if len(places) > 1 else 1 for places in (rows, columns))
    part = cropped(builder, node, tensor, start, size)
    if steps != (1, 1):
        stream = builder.add(
            ConvolutionInputGenerator,
            (part.stream,),
            source=node.name,
            shape=size,
            type=builder.type(part.stream),
            kernel=(1, 1),
            stride=steps,
        )
        part = replace(part, stream=stream, exclusive=True)
    layout = channel_layout(len(rows), len(columns), len(selected))[selected - first]
    return part.move(_of_rank(layout, rank))


def _result(node: onnx.NodeProto, layout: np.ndarray, arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    """What `node` makes of `layout`, that of a frame."""
    operands = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
    moved = OPERATORS[node.op_type](attributes(node), torch.from_numpy(layout.copy())[None], *operands)
    result: np.ndarray = moved[0].numpy()
    return result


def cropped(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: StreamTensor,
    start: tuple[int, int, int],
    size: tuple[int, int, int],
) -> StreamTensor:
    """The part of the stream of `tensor`, which is images, from `start` (row, column, channel) on. Its layout is that of
    all of them, and has to be set."""
    if size == builder.shape(tensor.stream):
        return tensor
    stream = builder.add(
        Crop,
        (tensor.stream,),
        source=node.name,
        shape=builder.shape(tensor.stream),
        type=builder.type(tensor.stream),
        start=start,
        size=size,
    )
    first, end, channels = start[2], start[2] + size[2], tensor.channels
    lo, hi, scale, offset = (x[first:end] for x in (tensor.lo, tensor.hi, tensor.scale, tensor.offset))
    functions = tuple(_of_part(function, first, end, channels) for function in tensor.functions)
    whole = tensor.as_quotient
    quotient = Quotient(whole.dividend[first:end], whole.divisor[first:end])
    return StreamTensor(stream, tensor.layout, lo, hi, scale, offset, functions, quotient=quotient)


def _of_part(function: Function, first: int, end: int, channels: int) -> Function:
    """`function`, which may know of each of `channels`, for some of them."""
    if (first, end) == (0, channels):
        return function
    return lambda x: function(F.pad(x, (first, channels - end)))[..., first:end]


def convert_pad(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, arrays: Sequence[np.ndarray | None]
) -> StreamTensor:
    """A border of a constant, which must be an integer of the stream, the same in all channels."""
    tensor, order = as_images(builder, describe(node), tensor)
    options = attributes(node)
    around = options.get("pads") if not arrays or arrays[0] is None else arrays[0].tolist()
    pads = [int(x) for x in around or ()]
    border = arrays[1] if len(arrays) > 1 else None
    value = float(options.get("value", 0.0)) if border is None else float(border.reshape(-1)[0])
    height, width, channels = shape = builder.shape(tensor.stream)
    (top, left), (bottom, right) = pads[2:4], pads[6:8]
    if not any(pads):
        return tensor
    integer, type_ = _integer_of(tensor, value), builder.type(tensor.stream)
    if integer is None or not type_.lo <= integer <= type_.hi:
        raise UnsupportedError(
            f"{describe(node)} pads with {value:g}, which is no integer that all channels of {tensor.stream} can carry "
            f"({type_.name} in [{type_.lo}, {type_.hi}], scale {tensor.scale[0]:g}, offset {tensor.offset[0]:g} in the first "
            "channel); pad behind a quantizer that has it, as one without a zero point has 0."
        )
    stream = builder.add(
        FMPadding,
        (tensor.stream,),
        source=node.name,
        shape=shape,
        type=type_,
        pads=(top, left, bottom, right),
        value=integer,
    )
    layout = channel_layout(top + height + bottom, left + width + right, channels)[order]
    lo, hi = np.minimum(tensor.lo, integer), np.maximum(tensor.hi, integer)
    return replace(tensor, stream=stream, layout=layout, lo=lo, hi=hi, exclusive=True)


def _integer_of(tensor: StreamTensor, value: float) -> int | None:
    """The integer that stands for the real `value` in every channel of `tensor`, exactly; None if there is none."""
    if not tensor.scale.all():
        return None
    integers = np.round((value - tensor.offset) / tensor.scale).astype(np.int64)
    one = integers[0]
    exact = (integers == one).all() and (tensor.real(integers).numpy() == value).all()
    return int(one) if exact else None
