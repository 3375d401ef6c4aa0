"""Quantizers of activations: on the host, fused into an MVAU, as the shift of a pool, or as a Thresholding layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch

from a2q_driver.input_transform import LINEAR, TAKE, InputTransform
from pipeline.dataflow.requantize import MOST_MULTIPLIER_BITS
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import INPUT, Checkpoint, LayerBuilder
from pipeline.frontend.conversion.order import increasing
from pipeline.frontend.conversion.sums import quantize_sum
from pipeline.frontend.conversion.tensors import HostTensor, Origin, StreamTensor, describe, per_channel
from pipeline.frontend.conversion.thresholds import derive_requantizer, derive_thresholds, shared
from pipeline.frontend.streamline.quantizers import Quantizer
from pipeline.kernels.lookup import Lookup
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.threshold_search import MAX_THRESHOLDS
from pipeline.kernels.thresholding import Thresholding

__all__ = ["convert_input_quantizer", "convert_quantizer"]

_MAX_BITS = 16  # of a level, and of an integer of the input
_LIMITS = {"maximum": torch.maximum, "minimum": torch.minimum}
_MAX_SCANNED = 1 << 20  # integers to try one by one for the identity or a shift


def convert_input_quantizer(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: HostTensor,
    quantizer: Quantizer,
    *,
    channels_last: bool = False,
) -> StreamTensor:
    """The quantizer that makes the input stream: what comes before it, and it, are the host's.

    Frames of three axes are (C, H, W), or raw ones (H, W, C) if `channels_last`, which is the order of a stream.
    """
    if builder.input_transform is not None:
        raise UnsupportedError(f"{describe(node)} quantizes the input a second time; one input quantizer can be built.")
    if quantizer.divisor is not None:
        raise UnsupportedError(f"{describe(node)} truncates the float input; quantize it first.")
    if quantizer.thresholds is not None:
        raise UnsupportedError(
            f"{describe(node)} takes the float input; the host rounds and has no thresholds. Put a quantizer before it."
        )
    for what, operand in (("scale", quantizer.scale), ("zero point", quantizer.zero_point)):
        if operand.size != 1:
            raise UnsupportedError(
                f"{describe(node)} quantizes the input with a {what} a channel; use one for the tensor."
            )
    if not tensor.has_all:
        tensor = tensor.in_order()
    lo, hi = _reached(tensor, quantizer)
    bits = (hi - lo).bit_length()
    if bits > _MAX_BITS:
        raise UnsupportedError(
            f"{describe(node)} quantizes the input to {bits} bits; at most {_MAX_BITS} can be streamed in."
        )
    raw = tensor.shape
    flat = len(raw) == 1 or (len(raw) == 3 and tensor.layout.ndim == 1)
    if len(raw) not in (1, 2, 3):
        raise UnsupportedError(f"The input has shape {(1, *raw)}; one to three axes after the batch can be built.")
    channels, height, width = (int(np.prod(raw)), 1, 1) if flat else (raw[0], raw[1] if len(raw) == 3 else 1, raw[-1])
    if channels_last and not flat and len(raw) == 3 and not any(step.op in (TAKE, LINEAR) for step in tensor.steps):
        flat, (height, width, channels) = True, raw
    places = np.arange(tensor.layout.size)  # of each raw element in the stream
    if not flat:
        places = places.reshape(height, width, channels).transpose(2, 0, 1).ravel()
    builder.input_transform = InputTransform(
        tensor.raw_shape,
        (height, width, channels),
        tensor.steps,
        np.asarray(quantizer.dividing_scale, np.float32).reshape(()),
        int(quantizer.zero_point.item()),
        lo,
        hi,
        quantizer.rounding,
        quantizer.bipolar,
        flat,
    )
    one = np.ones(channels)
    layout = places[tensor.layout]
    builder.checkpoints.append(Checkpoint(node.output[0], INPUT, layout, np.asarray(quantizer.scale)))
    return StreamTensor(
        INPUT,
        layout,
        one.astype(np.int64) * lo,
        one.astype(np.int64) * hi,
        one * float(quantizer.scale.reshape(())),
        one * 0.0,
    )


def _reached(tensor: HostTensor, quantizer: Quantizer) -> tuple[int, int]:
    """The least and the largest integer that `quantizer` gives, where the last of the host's steps are limits."""
    steps = [step for step in tensor.steps if step.op != TAKE]  # which changes no number
    limits = len(steps)
    while limits and steps[limits - 1].op in _LIMITS and steps[limits - 1].operand.size == 1:
        limits -= 1
    ends = torch.tensor([-torch.inf, torch.inf])
    for step in steps[limits:]:
        ends = _LIMITS[step.op](ends, torch.from_numpy(step.operand.reshape(())))
    if quantizer.bipolar:
        return quantizer.lo, quantizer.hi
    lo, hi = quantizer.integers(ends).tolist()
    return int(lo), int(hi)


def convert_quantizer(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, quantizer: Quantizer
) -> StreamTensor:
    """The quantizer's integers, from the layer before where it can give them, else from a Thresholding layer."""
    scale = per_channel(node, tensor, quantizer.scale)
    quantizer = replace(
        quantizer,
        scale=scale,
        zero_point=per_channel(node, tensor, quantizer.zero_point),
        input_scale=per_channel(node, tensor, quantizer.dividing_scale),
    )
    if quantizer.thresholds is not None:
        quantizer = replace(
            quantizer, thresholds=_thresholds_by_channel(node, tensor, quantizer, quantizer.thresholds), channel_axis=-1
        )
    if tensor.sum is not None and tensor.monotone:
        result = quantize_sum(builder, node, tensor, tensor.sum, quantizer)
        builder.checkpoints.append(Checkpoint(node.output[0], result.stream, result.layout, quantizer.scale))
        return result
    before = tensor

    def levels(integers: np.ndarray) -> np.ndarray:
        return quantizer.integers(tensor.real(integers)).numpy().astype(np.int64)

    def levels_before(integers: np.ndarray) -> np.ndarray:
        return quantizer.integers(before.real(integers)).numpy().astype(np.int64)

    origin = Origin(before, levels_before)
    if not tensor.monotone:
        table = _table(builder, node, tensor, levels)
        steps = np.diff(table, axis=1)
        if not ((steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)).all():
            return _add_lookup(builder, node, tensor, table, scale, quantizer.scale, origin)
    tensor = increasing(builder, tensor, node.name)
    ends = levels(np.stack([tensor.lo, tensor.hi]))
    result = replace(
        tensor,
        lo=ends[0],
        hi=ends[1],
        scale=scale,
        offset=np.zeros_like(scale),
        functions=(),
        monotone=True,
        quotient=None,
    )
    shift = _shift(tensor, levels)
    pool = builder.writer(tensor.stream, Pool)
    if shift and tensor.exclusive and pool is not None and pool.function == "sum" and pool.shift == 0:
        builder.change(tensor.stream, shift=shift)
    elif shift != 0:
        result = _add_thresholds(builder, node, tensor, result, levels, origin)
    builder.checkpoints.append(Checkpoint(node.output[0], result.stream, result.layout, quantizer.scale))
    return result


def _shift(tensor: StreamTensor, levels: Callable[[np.ndarray], np.ndarray]) -> int | None:
    """The k for which the levels are the integers shifted right by k, over their whole range; None if there is none."""
    lo, hi = int(tensor.lo.min()), int(tensor.hi.max())
    last = levels(tensor.hi)
    for k in range(max(hi.bit_length(), 1)):
        if not np.array_equal(last, tensor.hi >> k) or not np.array_equal(levels(tensor.lo), tensor.lo >> k):
            continue
        if (hi - lo) * tensor.channels > _MAX_SCANNED:
            return None
        every = np.minimum(np.arange(lo, hi + 1)[:, None], tensor.hi)
        every = np.maximum(every, tensor.lo)
        if np.array_equal(levels(every), every >> k):
            return k
    return None


def _add_thresholds(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: StreamTensor,
    result: StreamTensor,
    levels: Callable[[np.ndarray], np.ndarray],
    origin: Origin,
) -> StreamTensor:
    span = max(int(result.hi.max()), 0) - min(int(result.lo.min()), 0)  # padding needs a zero
    if span >= 1 << _MAX_BITS:
        raise UnsupportedError(
            f"{describe(node)} makes {span + 1:,} levels, 0 among them, from a wider sum; at most {1 << _MAX_BITS:,} "
            f"({_MAX_BITS} bits) can be built. Quantize activations to fewer bits, or with a zero point that is a level."
        )
    activation = _activation(builder, node, tensor, levels, span)
    mvau = builder.writer(tensor.stream, MVAU)
    if tensor.exclusive and mvau is not None and not mvau.activates:
        builder.change(tensor.stream, **activation)
        return replace(result, origin=None)
    stream = builder.add(
        Thresholding,
        (tensor.stream,),
        source=node.name,
        shape=builder.shape(tensor.stream),
        input_type=builder.type(tensor.stream),
        **shared(activation),
    )
    return replace(result, stream=stream, exclusive=True, origin=origin)


def _activation(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: StreamTensor,
    levels: Callable[[np.ndarray], np.ndarray],
    span: int,
) -> dict[str, Any]:
    """The fields of a layer that finds the `levels`, of each channel, which lie `span` apart at most."""
    if span <= MAX_THRESHOLDS:
        type_, thresholds = derive_thresholds(levels, tensor.lo, tensor.hi)
        return {"output_type": type_, "thresholds": thresholds}
    type_, requantizer = derive_requantizer(describe(node), levels, tensor.lo, tensor.hi)
    if requantizer is None:
        layer = builder.layers.get(tensor.stream)
        behind = "" if layer is None else f" behind layer {layer.name}" + (f" ({layer.source})" if layer.source else "")
        raise UnsupportedError(
            f"{describe(node)}{behind} makes {span + 1:,} levels of integers from {tensor.lo.min()} to {tensor.hi.max()}. "
            f"More than {MAX_THRESHOLDS + 1} need a multiplication and a shift, and no multiplier of up to {MOST_MULTIPLIER_BITS} "
            "bits gives each of them exactly: the steps are uneven, or the ratio of the scales takes a longer one. "
            "Quantize activations with scales that are powers of two, or to fewer bits."
        )
    return {"output_type": type_, "thresholds": None, "requantizer": requantizer}


def _thresholds_by_channel(
    node: onnx.NodeProto, tensor: StreamTensor, quantizer: Quantizer, thresholds: np.ndarray
) -> np.ndarray:
    """Those of each channel of the stream."""
    behind = tensor.layout.ndim - 1 if quantizer.channel_axis == 1 else 0
    columns = [column.reshape(-1, *[1] * behind) for column in thresholds.T]
    return np.stack([per_channel(node, tensor, column) for column in columns], axis=1)


def _table(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, levels: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The levels (C, K) of the K integers of the type of the stream of `tensor`; of those that a channel does not have,
    the one of an end."""
    type_ = builder.type(tensor.stream)
    every = np.arange(type_.lo, type_.hi + 1)[:, None]
    every = np.clip(every, tensor.lo, tensor.hi)
    real = tensor.real(every).numpy()
    if not np.isfinite(real).all():
        place, channel = np.argwhere(~np.isfinite(real))[0]
        raise UnsupportedError(
            f"{describe(node)} reads {real[place, channel]:g} for the integer {every[place, channel]} of channel {channel}; "
            "every value must be finite. Quantize to a range on which the functions before it are defined."
        )
    return np.ascontiguousarray(levels(every).T)


def _add_lookup(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: StreamTensor,
    table: np.ndarray,
    scale: np.ndarray,
    quantizer_scale: np.ndarray,
    origin: Origin,
) -> StreamTensor:
    lowest = min(int(table.min()), 0)  # padding needs a zero
    stream = builder.add(
        Lookup,
        (tensor.stream,),
        source=node.name,
        shape=builder.shape(tensor.stream),
        input_type=builder.type(tensor.stream),
        output_type=IntType(lowest, max(int(table.max()), lowest + 1, 0)),
        table=table[:1] if (table == table[:1]).all() else table,
    )
    builder.checkpoints.append(Checkpoint(node.output[0], stream, tensor.layout, quantizer_scale))
    lo, hi = table.min(axis=1), table.max(axis=1)
    return StreamTensor(stream, tensor.layout, lo, hi, scale, np.zeros_like(scale), origin=origin)
