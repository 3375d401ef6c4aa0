"""Mul of two streams: their integers are multiplied, and so are their scales."""

from __future__ import annotations

import numpy as np
import onnx

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.images import as_images
from pipeline.frontend.conversion.tensors import StreamTensor, describe
from pipeline.kernels.elementwise_mul import ElementwiseMul

__all__ = ["convert_product"]

_MOST_BITS = 52  # of a product, which the thresholds behind it are found with as a float64


def convert_product(builder: LayerBuilder, node: onnx.NodeProto, a: StreamTensor, b: StreamTensor) -> StreamTensor:
    """a · b of the same shape, or of (C, H, W) and a gate (C, 1, 1) for all pixels, in either order."""
    if a.layout.size < b.layout.size:
        a, b = b, a
    for tensor in (a, b):
        if tensor.functions or tensor.offset.any():
            what = "is real-valued (a function is pending)" if tensor.functions else "has an offset left"
            raise UnsupportedError(
                f"{describe(node)} multiplies a tensor from {tensor.stream} that {what}; put a quantizer before it."
            )
    rank = a.layout.ndim
    gated = a.layout.size > b.layout.size
    if b.layout.ndim != rank or gated and b.layout.shape != (len(a.layout), *(1,) * (rank - 1)):
        raise UnsupportedError(
            f"{describe(node)} multiplies tensors of shapes {(1, *a.layout.shape)} and {(1, *b.layout.shape)}; expected the "
            "same, or one number a channel of the other."
        )
    same = np.array_equal(a.layout, b.layout) and builder.shape(a.stream) == builder.shape(b.stream)
    if not same:
        (a, order_a), (b, order_b) = (as_images(builder, describe(node), tensor) for tensor in (a, b))
        if not np.array_equal(order_a, order_b):
            raise UnsupportedError(
                f"{describe(node)} multiplies {a.stream} and {b.stream}, which have their channels in another order; put "
                "what moves channels behind it."
            )
    ends = np.stack([x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)])
    types = (builder.type(a.stream), builder.type(b.stream))
    if sum(type_.bits for type_ in types) > _MOST_BITS:
        raise UnsupportedError(
            f"{describe(node)} multiplies integers of {types[0].bits} and {types[1].bits} bits; products of at most "
            f"{_MOST_BITS} bits can be built. Put quantizers before it."
        )
    stream = builder.add(
        ElementwiseMul,
        (a.stream, b.stream),
        source=node.name,
        shape=builder.shape(a.stream),
        types=types,
        gated=gated,
    )
    layout = a.layout if a.layout.ndim == rank else a.layout.reshape(len(a.layout), -1)
    layout = layout[:, 0] if rank == 1 and layout.ndim > 1 else layout
    return StreamTensor(stream, layout, ends.min(axis=0), ends.max(axis=0), a.scale * b.scale, 0 * a.scale)
