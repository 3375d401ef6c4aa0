"""The styles of hardware that compute a matrix.

    folded    multipliers that take turns with all weights
    unrolled  a graph of adders, of which the weights are the circuit
    sparse    walkers through the weights that are not zero
    dsp       folded, with products and sums in DSPs, several rows in each

A layer that is unrolled takes whole vectors. Where these are windows, padding and generator become one ParallelWindow,
which makes a whole window a cycle. So they do before a VVAU that is folded to take a whole window a cycle, before every
layer that takes several pixels side by side, as windows of several pixels are only made whole, and where windows that come
a pixel at a time would take more cycles than there are. Of what takes a part of a window a converter stands in front.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Folding, Layer
from pipeline.errors import UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.vvau import VVAU

__all__ = ["needs_whole_windows", "whole_window", "window_makers", "with_whole_windows"]


def window_makers(graph: LayerGraph, layer: Layer) -> tuple[ConvolutionInputGenerator, FMPadding | None] | None:
    """The generator that makes the windows of `layer`, if they have more than a pixel, and the padding before it."""
    generator = graph.writer(layer.input_names[0])
    if not isinstance(generator, ConvolutionInputGenerator) or generator.kernel == (1, 1):
        return None
    padding = graph.writer(generator.input_names[0])
    return generator, padding if isinstance(padding, FMPadding) else None


def needs_whole_windows(layer: Layer, folding: Folding) -> bool:
    """Whether `layer`, folded so, takes windows only as they are made whole: at once, or of several pixels side by side."""
    if folding.whole_windows or (layer.styles and int(folding.fields.get("m", 1)) > 1):
        return True
    return folding.style == "unrolled" or (isinstance(layer, VVAU) and int(folding.fields.get("simd", 1)) > 1)


def whole_window(generator: ConvolutionInputGenerator, padding: FMPadding | None, m: int = 1) -> ParallelWindow:
    """The layer in the place of both, of `m` pixels a beat. Raises UnsupportedError for windows that cannot be made whole,
    or not of so many pixels."""
    if generator.dilation != (1, 1):
        raise UnsupportedError(
            f"layer {generator.name} has windows dilated by {generator.dilation}, which cannot be made whole; choose another "
            "style than unrolled."
        )
    first = padding or generator
    return ParallelWindow(
        generator.name,
        first.input_names,
        generator.output_names,
        shape=first.inputs()[0].shape,
        type=generator.type,
        kernel=generator.kernel,
        stride=generator.stride,
        pads=padding.pads if padding else (0, 0, 0, 0),
        value=padding.value if padding else 0,
        source=generator.source,
        m=m,
    )


def with_whole_windows(
    graph: LayerGraph, names: Collection[str], pixels: Mapping[str, int] | None = None
) -> LayerGraph:
    """`graph` with a ParallelWindow wherever one of the layers `names` reads windows of more than a pixel. It takes as many
    `pixels` a beat as there are by the name of the generator, or 1.

    It has the name of the generator; the padding before that, if any, is gone. Raises UnsupportedError for windows that
    cannot be made whole.
    """
    changed: dict[str, Layer | None] = {}
    for layer in graph:
        makers = window_makers(graph, layer) if layer.name in names else None
        if makers:
            generator, padding = makers
            changed[generator.name] = whole_window(generator, padding, (pixels or {}).get(generator.name, 1))
            if padding:
                changed[padding.name] = None
    layers = (changed.get(layer.name, layer) for layer in graph)
    return replace(graph, layers=tuple(layer for layer in layers if layer is not None))
