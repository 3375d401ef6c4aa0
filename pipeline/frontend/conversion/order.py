"""Makes a tensor's real value grow with its integers, which thresholds and maxima need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.dataflow.bounds import exact_range
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import LayerBuilder
from pipeline.frontend.conversion.tensors import Quotient, StreamTensor
from pipeline.kernels.mvau import MVAU

__all__ = ["increasing"]


def increasing(builder: LayerBuilder, tensor: StreamTensor, source: str) -> StreamTensor:
    """`tensor` with the integers of every channel negated whose real value falls as they grow (a negative scale).

    What counts is the integers that a channel can have: beyond them the real value may go another way, as where Relu
    makes all of a channel 0, so the bounds of `tensor` stay as narrow as they are. The rows of the MVAU that writes the
    integers are negated where nothing else reads it; elsewhere an MVAU with a diagonal of ±1 is added. Raises
    UnsupportedError where a real value is not finite.
    """
    lo, hi = tensor.real(np.stack([tensor.lo, tensor.hi])).numpy()
    if not (np.isfinite(lo) & np.isfinite(hi)).all():
        channel = int(np.flatnonzero(~np.isfinite(lo) | ~np.isfinite(hi))[0])
        raise UnsupportedError(
            f"{source} reads values from {lo[channel]:g} to {hi[channel]:g} in channel {channel}; they must be finite: "
            "look at the constants (scales, biases, normalisations) before it."
        )
    # without a function it is the sign of the scale, also where a channel has one value: a label compares channels
    falling = lo > hi if tensor.functions else tensor.scale < 0
    if not falling.any():
        return tensor
    sign = np.where(falling, -1, 1)
    layer = builder.writer(tensor.stream, MVAU)
    turned = replace(
        tensor,
        lo=np.where(falling, -tensor.hi, tensor.lo),
        hi=np.where(falling, -tensor.lo, tensor.hi),
        scale=tensor.scale * sign,
        quotient=Quotient(tensor.as_quotient.dividend * sign, tensor.as_quotient.divisor),
    )
    if tensor.exclusive and layer is not None and not layer.activates:
        builder.change(tensor.stream, **_rows(layer.weights * sign[:, None], layer.input_type))
        return turned
    height, width, _ = builder.shape(tensor.stream)
    input_type = builder.type(tensor.stream)
    stream = builder.add(
        MVAU,
        (tensor.stream,),
        source=source,
        input_type=input_type,
        pixels=(height, width),
        **_rows(np.diag(sign).astype(np.int64), input_type),
    )
    return replace(turned, stream=stream, exclusive=True)


def _rows(weights: np.ndarray, input_type: IntType) -> dict[str, Any]:
    """The weights of an MVAU, and the type of their sums, which knows of the input no more than its type."""
    lo, hi = exact_range(weights, input_type)
    return {"weights": weights, "output_type": IntType(min(lo), max(hi))}
