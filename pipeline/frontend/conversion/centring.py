"""Streams whose integers lie off the middle, such as −127 … 128, are moved so that they take a bit less.

So the integers of a quantizer with a zero point go, as QDQ networks have them at their input. What only moves integers
carries the moved ones, pixels of padding among them; where sums are made of them, thresholds move, or the sums start from a
bias, so that every other stream is what it was.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.frontend.conversion.builder import INPUT, LayerBuilder
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour

__all__ = ["centre_streams"]

_MOVES = (ConvolutionInputGenerator, Crop, DepthToSpace, FMPadding, UpsampleNearestNeighbour)


def centre_streams(builder: LayerBuilder, output: str) -> None:
    """Move the integers of the input, and of layers with thresholds, where all that reads them can take it, as far as
    `output`, a stream, depends on them. Streams that nothing is saved on stay as they are."""
    live = builder.live(output)
    for source in [INPUT, *(stream for stream in builder.layers if stream in live)]:
        layer = builder.layers.get(source)
        if layer is not None and not (isinstance(layer, MVAU | Thresholding) and layer.thresholds is not None):
            continue
        type_ = builder.type(source)
        bits = (type_.hi - type_.lo).bit_length()
        if type_.bits <= bits or bits < 2:  # one signed bit would be −1 and 0
            continue
        shift = -(1 << (bits - 1)) - type_.lo
        changed = _readers(builder, live, source, output, shift)
        if changed is None:
            continue
        moved = {source} | {stream for stream, reader in changed.items() if _moves(reader)}
        builder.layers.update(changed)
        if layer is None:
            builder.input_transform = replace(builder.quantized_input, shift=shift)
        else:
            builder.layers[source] = replace(layer, output_type=_shifted(type_, shift))
        builder.checkpoints = [
            replace(point, shift=point.shift + shift) if point.stream in moved else point
            for point in builder.checkpoints
        ]


def _readers(builder: LayerBuilder, live: set[str], source: str, output: str, shift: int) -> dict[str, Layer] | None:
    """The layers that read the integers of `source`, each changed to take them with `shift` added, by the streams that they
    write; None where one cannot."""
    moved, changed = {source}, dict[str, Layer]()
    for stream, layer in builder.layers.items():
        if stream not in live or moved.isdisjoint(layer.input_names):
            continue
        after = _changed(layer, shift)
        if after is None:
            return None
        changed[stream] = after
        if _moves(layer):
            moved.add(stream)
    return None if output in moved else changed


def _moves(layer: Layer) -> bool:
    """Whether `layer` gives integers that it reads, unchanged."""
    return isinstance(layer, _MOVES) or (isinstance(layer, Pool) and layer.function == "max")


def _changed(layer: Layer, shift: int) -> Layer | None:
    if isinstance(layer, FMPadding):
        return replace(layer, type=_shifted(layer.type, shift), value=layer.value + shift)
    if isinstance(layer, _MOVES):
        return replace(layer, type=_shifted(layer.type, shift))
    if isinstance(layer, Pool):
        return replace(layer, type=_shifted(layer.type, shift)) if layer.function == "max" else None
    if not isinstance(layer, MVAU | Thresholding):
        return None
    input_type = _shifted(layer.input_type, shift)
    more = np.array([shift])  # in every value of which a level is found
    if isinstance(layer, MVAU):
        more = shift * layer.weights.sum(axis=1, dtype=np.int64)
    if layer.thresholds is not None:
        return replace(layer, input_type=input_type, thresholds=layer.thresholds + more[:, None])
    if layer.requantizer is not None:
        return replace(layer, input_type=input_type, requantizer=layer.requantizer.of_moved(more))
    if isinstance(layer, Thresholding):
        return None
    bias = (0 if layer.bias is None else layer.bias) - more
    return replace(layer, input_type=input_type, bias=bias if bias.any() else None)


def _shifted(type_: IntType, shift: int) -> IntType:
    return IntType(type_.lo + shift, type_.hi + shift)
