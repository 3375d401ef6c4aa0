"""Add and Sub of two streams."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.images import as_images
from pipeline.frontend.conversion.linear import common_scale
from pipeline.frontend.conversion.sums import few_pairs
from pipeline.frontend.conversion.tensors import StreamTensor, Sum, describe
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.vvau import VVAU

__all__ = ["convert_join"]

_LARGEST_MULTIPLIER = 1 << 12


def convert_join(builder: LayerBuilder, node: onnx.NodeProto, a: StreamTensor, b: StreamTensor) -> StreamTensor:
    """a + b or a - b, as integers of the scale that divides both, or nearly so until a quantizer comes."""
    if a.functions or b.functions:
        which = (a if a.functions else b).stream
        raise UnsupportedError(f"{describe(node)} adds a real-valued tensor from {which}; put a quantizer before it.")
    same_stream = np.array_equal(a.layout, b.layout) and builder.shape(a.stream) == builder.shape(b.stream)
    if a.layout.shape == b.layout.shape and not same_stream:
        (a, _), (b, _) = (as_images(builder, describe(node), tensor) for tensor in (a, b))
    if a.layout.shape != b.layout.shape or not np.array_equal(a.layout, b.layout):
        raise UnsupportedError(
            f"{describe(node)} adds tensors of shapes {(1, *a.layout.shape)} and {(1, *b.layout.shape)}, or of "
            "different "
            "order; both must have the same."
        )
    if node.op_type == "Sub":
        b = replace(b, scale=-b.scale, offset=-b.offset)
    if not np.allclose(b.scale * a.scale[0], a.scale * b.scale[0], rtol=2.0**-49, atol=0):
        a, b = (_of_one_scale(builder, node, tensor) for tensor in (a, b))
    exact = _multipliers(a, b)
    ma, mb = exact or _about(builder, node, a, b)
    ends = [np.sort(np.stack([t.lo * m, t.hi * m]), axis=0) for t, m in ((a, ma), (b, mb))]
    stream = builder.add(
        AddStreams,
        (a.stream, b.stream),
        source=node.name,
        shape=builder.shape(a.stream),
        types=(builder.type(a.stream), builder.type(b.stream)),
        multipliers=(ma, mb),
    )
    result = StreamTensor(
        stream, a.layout, ends[0][0] + ends[1][0], ends[0][1] + ends[1][1], a.scale / ma, a.offset + b.offset
    )
    return result if exact else replace(result, functions=(lambda x: x,), sum=Sum(a, b))


def _of_one_scale(builder: LayerBuilder, node: onnx.NodeProto, tensor: StreamTensor) -> StreamTensor:
    """`tensor` with its integers multiplied, a channel at a time, so that all of them have one scale. Raises
    UnsupportedError where the scales are in no ratio of small integers."""
    if (tensor.scale == tensor.scale[0]).all():
        return tensor
    scale, multipliers = common_scale(node, tensor)
    input_type, (height, width, _) = builder.type(tensor.stream), builder.shape(tensor.stream)
    types = [input_type.scaled(int(multiplier)) for multiplier in multipliers]
    stream = builder.add(
        VVAU,
        (tensor.stream,),
        source=node.name,
        weights=multipliers[:, None],
        input_type=input_type,
        output_type=IntType(min(type_.lo for type_ in types), max(type_.hi for type_ in types)),
        pixels=(height, width),
    )
    lo, hi = np.sort(np.stack([tensor.lo, tensor.hi]) * multipliers, axis=0)
    return replace(
        tensor, stream=stream, lo=lo, hi=hi, scale=np.full(tensor.channels, scale), exclusive=True, origin=None
    )


def _about(builder: LayerBuilder, node: onnx.NodeProto, a: StreamTensor, b: StreamTensor) -> tuple[int, int]:
    """Integers for scales in another ratio, which hold until a quantizer says what is to be told apart. Raises
    UnsupportedError where not all pairs of integers can be tried, or a channel has another ratio."""
    ratio = b.scale / a.scale if a.scale.all() else np.zeros(1)
    fraction = Fraction(float(ratio[0])).limit_denominator(_LARGEST_MULTIPLIER)
    same = np.allclose(ratio, ratio[0], rtol=2.0**-49, atol=0)
    if same and fraction and abs(fraction.numerator) <= _LARGEST_MULTIPLIER and few_pairs(builder, a, b):
        return fraction.denominator, fraction.numerator
    raise UnsupportedError(
        f"{describe(node)} adds {a.stream} and {b.stream}, whose scales ({a.scale[0]:g} and {b.scale[0]:g} in "
        "the first channel) are in no ratio of small integers that is the same in all channels; give both branches one "
        "shared quantizer, or a quantizer of 8 bits each."
    )


def _multipliers(a: StreamTensor, b: StreamTensor) -> tuple[int, int] | None:
    """Integers with a.scale / ma = b.scale / mb in every channel, if there are small ones."""
    if a.scale.all():
        ratio = b.scale / a.scale
        fraction = Fraction(float(ratio[0])).limit_denominator(_LARGEST_MULTIPLIER)
        # scales are products of float32 numbers rounded to 53 bits, so an exact ratio is met to a few units of 2⁻⁵²
        exact = fraction != 0 and np.all(np.abs(ratio - float(fraction)) <= abs(float(fraction)) * 2.0**-49)
        if exact and abs(fraction.numerator) <= _LARGEST_MULTIPLIER:
            return fraction.denominator, fraction.numerator
    return None
