"""The form of the last integers: real outputs on the host, or the index of the largest on the FPGA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from pipeline.dataflow.graph import OutputTransform
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.order import increasing
from pipeline.frontend.conversion.tensors import StreamTensor
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.streaming_concat import StreamingConcat

__all__ = ["add_label_select", "convert_outputs", "output_transform"]

_MAX_BITS = 62  # of the products that are compared, in the reference's int64


def output_transform(tensor: StreamTensor, name: str) -> OutputTransform:
    """The host's scale and bias, rounded to float32, the precision of the network's own outputs."""
    if tensor.functions:
        raise UnsupportedError(
            f"The output {name} is a nonlinear function of the last sums; export the network without it, and "
            "apply it on the host."
        )
    return OutputTransform(
        tensor.scale.astype(np.float32).astype(np.float64), tensor.offset.astype(np.float32).astype(np.float64)
    )


def convert_outputs(builder: LayerBuilder, names: Sequence[str], tensors: Sequence[StreamTensor]) -> StreamTensor:
    """The frames of `tensors`, outputs called `names`, whole behind each other, by a chain of layers. Every element is a
    channel with a scale and a bias; what two outputs are made of is there once. Raises UnsupportedError for an output that is
    a function of its sums."""
    for name, tensor in zip(names, tensors, strict=True):
        output_transform(tensor, name)
    total = _flat(builder, tensors[0])
    shape = builder.shape(tensors[0].stream)
    joined = [(tensors[0], 0)]  # with the place of the first element
    for tensor in tensors[1:]:
        other = _flat(builder, tensor)
        begin = next((place for before, place in joined if _same_numbers(before, tensor)), None)
        if begin is not None:
            total = total.move(np.concatenate([total.layout, begin + other.layout], axis=1))
            continue
        joined.append((tensor, total.channels))
        frames = shape, builder.shape(tensor.stream)
        stream = builder.add(
            StreamingConcat,
            (total.stream, tensor.stream),
            source="outputs",
            pixels=(1, 1),
            channels=(total.channels, other.channels),
            types=(builder.type(total.stream), builder.type(tensor.stream)),
            frames=frames,
        )
        layout = np.concatenate([total.layout, total.channels + other.layout], axis=1)
        lo, hi, scale, offset = (
            np.concatenate([getattr(t, field) for t in (total, other)]) for field in ("lo", "hi", "scale", "offset")
        )
        total = StreamTensor(stream, layout, lo, hi, scale, offset)
        shape = builder.shape(stream)
    return total


def _same_numbers(a: StreamTensor, b: StreamTensor) -> bool:
    """Whether both have the real values of one stream, in any order."""
    return a.stream == b.stream and np.array_equal(a.scale, b.scale) and np.array_equal(a.offset, b.offset)


def _flat(builder: LayerBuilder, tensor: StreamTensor) -> StreamTensor:
    """`tensor` with every element of its frame as a channel."""
    pixels = math.prod(builder.shape(tensor.stream)[:2])
    lo, hi, scale, offset = (np.tile(x, pixels) for x in (tensor.lo, tensor.hi, tensor.scale, tensor.offset))
    return replace(tensor, lo=lo, hi=hi, scale=scale, offset=offset)


def add_label_select(builder: LayerBuilder, tensor: StreamTensor, name: str) -> tuple[str, OutputTransform]:
    """A LabelSelect that compares scale · integer + bias exactly, and the transform it stands for.

    float32 numbers are dyadic rationals, so there is a power of two that makes every scale and bias an integer; their
    greatest common divisor is taken out.
    """
    height, width, labels = builder.shape(tensor.stream)
    if height * width != 1 or not np.array_equal(tensor.layout.ravel(), np.arange(labels)):
        raise UnsupportedError(
            f"The output {name} is not one vector of logits; build without the label (output: logits)."
        )
    tensor = increasing(builder, tensor, name)
    transform = output_transform(tensor, name)
    if (transform.scale == 0).any():
        channel = int(np.flatnonzero(transform.scale == 0)[0])
        raise UnsupportedError(
            f"The output {name} has scale 0 in channel {channel}; a label cannot be selected from it."
        )
    multipliers, offsets = _common_integers(transform)
    largest = np.maximum(np.abs(tensor.lo), np.abs(tensor.hi)).astype(object) * multipliers + np.abs(offsets)
    if max(int(v).bit_length() for v in largest) > _MAX_BITS:
        raise UnsupportedError(
            f"The output {name} needs more than {_MAX_BITS} bits to compare its channels exactly: their scales "
            "differ too much in magnitude. Build without the label (output: logits) and compare on the host."
        )
    if all(m == multipliers[0] for m in multipliers):
        multipliers, offsets = _without_multiplication(int(multipliers[0]), offsets)
    plain = all(m == 1 for m in multipliers)
    stream = builder.add(
        LabelSelect,
        (tensor.stream,),
        source=name,
        labels=labels,
        input_type=builder.type(tensor.stream),
        multipliers=None if plain else multipliers.astype(np.int64),
        offsets=None if not any(offsets) else offsets.astype(np.int64),
    )
    return stream, transform


def _common_integers(transform: OutputTransform) -> tuple[np.ndarray, np.ndarray]:
    """Python integers m, b with m[i] / m[j] and b[i] / m[j] those of the scales and of the biases above the least."""
    lowest = Fraction(float(transform.bias.min()))  # what all channels have in common decides nothing
    fractions = [Fraction(float(v)) for v in transform.scale] + [Fraction(float(v)) - lowest for v in transform.bias]
    denominator = math.lcm(*(f.denominator for f in fractions))
    integers = [int(f * denominator) for f in fractions]
    divisor = math.gcd(*integers)
    values = np.array([i // divisor for i in integers], dtype=object)
    half = len(transform.scale)
    return values[:half], values[half:]


def _without_multiplication(multiplier: int, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A power of two for all channels, and offsets, with which they have the same order as with this `multiplier` of all.

    With b = q · m + r, 0 ≤ r < m, the scores m · x + b are in the order of x + q, and where that is equal in the order of r;
    so are those of 2^k · (x + q) + the rank of r among all.
    """
    quotients = [offset // multiplier for offset in offsets]
    remainders = [offset % multiplier for offset in offsets]
    ranks = {remainder: rank for rank, remainder in enumerate(sorted(set(remainders)))}
    shift = (len(ranks) - 1).bit_length()
    moved = [(q << shift) + ranks[r] for q, r in zip(quotients, remainders, strict=True)]
    return np.full(len(offsets), 1 << shift, object), np.array([b - min(moved) for b in moved], object)
