"""Which hardware computes a matrix: `folded`, multipliers that take turns, or `unrolled`, a graph of adders.

A layer that is unrolled takes whole vectors. Where these are windows, padding and generator become one ParallelWindow,
which makes a whole window a cycle.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.kernels.base import Kernel
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.unrolled_mvau import UnrolledMVAU

__all__ = ["unrolled", "with_whole_windows"]


def with_whole_windows(graph: LayerGraph, names: Collection[str]) -> LayerGraph:
    """`graph` with a ParallelWindow wherever one of the MVAUs `names` reads windows of more than a pixel.

    It has the name of the generator; the padding before that, if any, is gone. Raises UnsupportedError for windows that
    cannot be made whole.
    """
    writer = {stream: layer for layer in graph for stream in layer.outputs}
    changed: dict[str, Kernel | None] = {}
    for layer in graph:
        generator = writer.get(layer.inputs[0])
        if (
            layer.name not in names
            or not isinstance(generator, ConvolutionInputGenerator)
            or generator.kernel == (1, 1)
        ):
            continue
        padding = writer.get(generator.inputs[0])
        first: Kernel = generator
        pads, value = (0, 0, 0, 0), 0
        if isinstance(padding, FMPadding):
            first, pads, value = padding, padding.pads, padding.value
            changed[padding.name] = None
        changed[generator.name] = ParallelWindow(
            generator.name,
            first.inputs,
            generator.outputs,
            shape=first.input_shapes()[0],
            type=generator.type,
            kernel=generator.kernel,
            stride=generator.stride,
            pads=pads,
            value=value,
            source=generator.source,
        )
    layers = (changed.get(layer.name, layer) for layer in graph)
    return replace(graph, layers=tuple(layer for layer in layers if layer is not None))


def unrolled(layer: MVAU, digits: int) -> UnrolledMVAU:
    """`layer` as a graph of adders that takes a vector in `digits` cycles."""
    return UnrolledMVAU(
        layer.name,
        layer.inputs,
        layer.outputs,
        weights=layer.weights,
        input_type=layer.input_type,
        output_type=layer.output_type,
        pixels=layer.pixels,
        thresholds=layer.thresholds,
        bias=layer.bias,
        accumulator_bits=layer.accumulator_bits,
        digits=digits,
        source=layer.source,
    )
