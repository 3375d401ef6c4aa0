"""A quantizer of the sum of two tensors whose scales are in no ratio of small integers.

The streams are added with multipliers that are nearly in that ratio. Their pairs of integers are few, so that each is
tried: the smallest multipliers are taken whose sums tell all levels of all pairs apart, and the thresholds are those sums
with which a level is reached first. It is exact, not an approximation. Of more levels than hardware has thresholds, the
sums are also to have a requantizer, which is compared with the level of every pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import torch

from pipeline.dataflow.requantize import MOST_MULTIPLIER_BITS, find_requantizer
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.tensors import StreamTensor, Sum, describe
from pipeline.frontend.conversion.thresholds import shared
from pipeline.frontend.streamline.quantizers import Quantizer
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.threshold_search import MAX_THRESHOLDS
from pipeline.kernels.thresholding import Thresholding

__all__ = ["few_pairs", "quantize_sum"]

_MOST_PAIRS = 1 << 17  # of integers: of 8 bits and 9
_MOST_ELEMENTS = 1 << 27  # pairs of all channels
_MOST_BITS = 24  # of a multiplier
_AT_ONCE = 1 << 21  # elements


def few_pairs(builder: LayerBuilder, a: StreamTensor, b: StreamTensor) -> bool:
    """Whether all pairs of integers of two tensors can be tried."""
    pairs = _size(builder, a) * _size(builder, b)
    return pairs <= _MOST_PAIRS and pairs * a.channels <= _MOST_ELEMENTS


def quantize_sum(
    builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor, both: Sum, quantizer: Quantizer
) -> StreamTensor:
    """The integers of `quantizer`, whose operands are by channel, for a `tensor` that is the sum of `both`."""
    i, j = (_integers(builder, part) for part in (both.a, both.b))
    levels = _levels(tensor, both, quantizer, i, j)
    lowest = min(int(levels.min()), 0)  # padding needs a zero
    type_ = IntType(lowest, max(int(levels.max()), lowest + 1, 0))
    for multipliers in _multipliers(both):
        sums = (multipliers[0] * i[:, None] + multipliers[1] * j).ravel()
        activation = _activation(describe(node), sums, levels, type_)
        if activation is not None:
            break
    else:
        count = type_.hi - type_.lo + 1
        many = count > MAX_THRESHOLDS + 1
        how = f" ({count:,}, which need a multiplication and a shift)" if many else ""
        raise UnsupportedError(
            f"{describe(node)} quantizes a sum whose levels{how} no multipliers of {_MOST_BITS} bits tell apart; give both "
            f"branches one shared quantizer{', or quantize the sum to 8 bits or fewer' if many else ''}."
        )
    parts = (both.a, both.b)
    stream = builder.add(
        AddStreams,
        (both.a.stream, both.b.stream),
        source=node.name,
        shape=builder.shape(both.a.stream),
        types=tuple(builder.type(part.stream) for part in parts),
        multipliers=multipliers,
    )
    stream = builder.add(
        Thresholding,
        (stream,),
        source=node.name,
        shape=builder.shape(stream),
        input_type=builder.type(stream),
        output_type=type_,
        **shared(activation),
    )
    scale = quantizer.scale.astype(np.float64)
    return StreamTensor(stream, tensor.layout, levels.min(axis=1), levels.max(axis=1), scale, np.zeros_like(scale))


def _size(builder: LayerBuilder, tensor: StreamTensor) -> int:
    type_ = builder.type(tensor.stream)
    return type_.hi - type_.lo + 1


def _integers(builder: LayerBuilder, tensor: StreamTensor) -> np.ndarray:
    type_ = builder.type(tensor.stream)
    return np.arange(type_.lo, type_.hi + 1)


def _levels(tensor: StreamTensor, both: Sum, quantizer: Quantizer, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The levels (C, pairs) of the sums of all pairs of integers, as the network calculates them."""
    # also of integers that a channel does not have: the sums of its own are among the others
    a, b = (of[:, None] * part.scale + part.offset for of, part in ((i, both.a), (j, both.b)))
    step = max(_AT_ONCE // b.size, 1)
    levels = []
    for first in range(0, len(a), step):
        x = torch.from_numpy(a[first : first + step, None] + b)
        for function in tensor.functions:
            x = function(x)
        levels.append(quantizer.integers(x).numpy().astype(np.int32).reshape(-1, tensor.channels))
    return np.ascontiguousarray(np.concatenate(levels).T)


def _multipliers(both: Sum) -> Iterator[tuple[int, int]]:
    """Multipliers that are nearer and nearer to the ratio of the scales, in both directions."""
    ratio = float(both.b.scale[0] / both.a.scale[0])
    seen = set()
    for bits in range(_MOST_BITS + 1):
        for fraction in (
            Fraction(ratio).limit_denominator(1 << bits),
            1 / Fraction(1 / ratio).limit_denominator(1 << bits) if abs(ratio) < 1 << bits else Fraction(0),
        ):
            pair = (fraction.denominator, fraction.numerator)
            if fraction and pair not in seen and max(map(abs, pair)) < 1 << _MOST_BITS:
                seen.add(pair)
                yield pair
                yield (-pair[0], -pair[1])  # where the level falls with the sum


def _activation(source: str, sums: np.ndarray, levels: np.ndarray, type_: IntType) -> dict[str, Any] | None:
    """The fields of a layer that finds `levels` (C, pairs) for `sums` (pairs,): thresholds, or a requantizer where they are
    too many. None where the sums do not tell the levels apart, or there is no requantizer. `source` is what messages call
    the quantizer."""
    thresholds = _thresholds(sums, levels, type_)
    if thresholds is None or thresholds.shape[1] <= MAX_THRESHOLDS:
        return None if thresholds is None else {"thresholds": thresholds}
    every = np.unique(sums)
    lo, hi = (np.full(len(levels), every[end]) for end in (0, -1))
    missed = every[np.maximum(np.searchsorted(every, thresholds) - 1, 0)]
    requantizer = find_requantizer(thresholds, lo, hi, type_.lo, MOST_MULTIPLIER_BITS, missed)
    if requantizer is None:
        return None
    for channel, expected in enumerate(levels):
        actual = requantizer.of_channels(np.array([channel])).levels(sums[:, None], type_.lo, type_.hi)[:, 0]
        if not np.array_equal(actual, expected):
            raise VerificationError(
                f"{source}: the requantizer that was found differs from the quantizer in channel {channel}."
            )
    return {"thresholds": None, "requantizer": requantizer}


def _thresholds(sums: np.ndarray, levels: np.ndarray, type_: IntType) -> np.ndarray | None:
    """The least sums (C, T) with which a level is reached; None where the sums do not tell the levels apart."""
    order = np.argsort(sums, kind="stable")
    rising, sorted_sums = levels[:, order], sums[order]
    steps = np.diff(rising, axis=1)
    if (steps < 0).any() or steps[:, np.diff(sorted_sums) == 0].any():
        return None
    reached = np.arange(type_.lo + 1, type_.hi + 1)
    ends = np.append(sorted_sums, sorted_sums[-1] + 1)
    return np.stack([ends[np.searchsorted(row, reached)] for row in rising])
