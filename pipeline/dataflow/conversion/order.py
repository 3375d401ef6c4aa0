"""Makes a tensor's real value grow with its integers, which thresholds and maxima need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.dataflow.conversion.builder import LayerBuilder
from pipeline.dataflow.conversion.tensors import StreamTensor
from pipeline.dataflow.types import IntType
from pipeline.kernels.mvau import MVAU

__all__ = ["increasing"]


def increasing(builder: LayerBuilder, tensor: StreamTensor, source: str) -> StreamTensor:
    """`tensor` with the integers of every channel negated whose real value falls as they grow (a negative scale).

    The rows of the MVAU that writes them are negated where nothing else reads it; elsewhere an MVAU with a diagonal of
    ±1 is added.
    """
    lo, hi = tensor.real(np.stack([tensor.lo, tensor.hi])).numpy()
    falling = lo > hi
    if not falling.any():
        return tensor
    sign = np.where(falling, -1, 1)
    layer = builder.writer(tensor.stream, MVAU)
    turned = replace(
        tensor,
        lo=np.where(falling, -tensor.hi, tensor.lo),
        hi=np.where(falling, -tensor.lo, tensor.hi),
        scale=tensor.scale * sign,
    )
    if tensor.exclusive and layer is not None and layer.thresholds is None:
        type_ = IntType(int(turned.lo.min()), int(turned.hi.max()))
        builder.change(tensor.stream, weights=layer.weights * sign[:, None], output_type=type_)
        return turned
    height, width, _ = builder.shape(tensor.stream)
    input_type = builder.type(tensor.stream)
    # the reader of the new layer's weights knows the stream by its type alone
    lo, hi = (
        np.minimum(sign * input_type.lo, sign * input_type.hi),
        np.maximum(sign * input_type.lo, sign * input_type.hi),
    )
    stream = builder.add(
        MVAU,
        (tensor.stream,),
        source=source,
        weights=np.diag(sign).astype(np.int64),
        input_type=input_type,
        output_type=IntType(int(lo.min()), int(hi.max())),
        pixels=(height, width),
    )
    return replace(turned, stream=stream, lo=lo, hi=hi, exclusive=True)
