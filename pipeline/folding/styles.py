"""The styles of hardware that compute a matrix.

    folded    multipliers that take turns with all weights
    unrolled  a graph of adders, of which the weights are the circuit
    sparse    walkers through the weights that are not zero
    dsp       folded, with products and sums in DSPs, several rows in each

A layer that is unrolled takes whole vectors. Where these are windows, padding and generator become one ParallelWindow,
which makes a whole window a cycle. So they do before a VVAU that is folded to take a whole window a cycle, before every
layer that takes several pixels side by side, as windows of several pixels are only made whole, and where windows that come
a pixel at a time would take more cycles than there are. Of what takes a part of a window a converter stands in front.

A layer whose DSPs hold several columns of its kernel makes its windows along the rows of the image itself. Before it windows
have one column, of two pixels side by side, and nothing is padded on the left and on the right: padding and generator stay
so, or become one ParallelWindow.
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

__all__ = [
    "MADE_WHOLE",
    "column_makers",
    "column_window",
    "needs_whole_windows",
    "takes_columns",
    "whole_window",
    "window_makers",
    "with_whole_windows",
]


MADE_WHOLE = ("whole", "whole columns")
"""The styles of the foldings of what makes windows in which one ParallelWindow is in its place."""


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


def takes_columns(folding: Folding) -> bool:
    """Whether a layer, folded so, makes its windows along the rows of the image itself."""
    return int(folding.fields.get("taps", 1)) > 1


def column_makers(
    generator: ConvolutionInputGenerator, padding: FMPadding | None, m: int
) -> tuple[ConvolutionInputGenerator, FMPadding | None]:
    """The layers in the place of both before a layer that `takes_columns`, of `m` pixels a beat. Raises UnsupportedError or
    ConfigError for windows that cannot be made so."""
    (height, width), value = generator.kernel, padding.value if padding else 0
    top, left, bottom, right = padding.pads if padding else (0, 0, 0, 0)
    if (
        generator.stride != (1, 1)
        or generator.dilation[1] != 1
        or generator.depthwise
        or width < 2
        or (left + right and value)
    ):
        raise UnsupportedError(
            f"layer {generator.name} has windows of {height} × {width} pixels at steps of {generator.stride}, dilated by "
            f"{generator.dilation}, and pads with {value}; the columns of a kernel share DSPs (taps) side by side at steps of 1, "
            "with zeros beside rows."
        )
    rows, columns, channels = generator.shape
    return (
        replace(generator, shape=(rows, columns - left - right, channels), kernel=(height, 1), m=m),
        replace(padding, pads=(top, 0, bottom, 0), m=m) if padding else None,
    )


def column_window(generator: ConvolutionInputGenerator, padding: FMPadding | None, m: int) -> ParallelWindow:
    """The one layer in the place of both before a layer that `takes_columns`, of `m` pixels a beat. Raises UnsupportedError or
    ConfigError for windows that cannot be made so."""
    columns, rows = column_makers(generator, padding, m)
    return whole_window(columns, rows, m)


def with_whole_windows(
    graph: LayerGraph,
    names: Collection[str],
    pixels: Mapping[str, int] | None = None,
    columns: Mapping[str, tuple[bool, Layer]] | None = None,
) -> LayerGraph:
    """`graph` with a ParallelWindow wherever one of the layers `names` reads windows of more than a pixel. It takes as many
    `pixels` a beat as there are by the name of the generator, or 1. Before the layers `columns` windows are a column wide, a
    ParallelWindow makes them if these say so, and the layer takes the place of the one of its name.

    It has the name of the generator; the padding before that, if any, is gone. Raises UnsupportedError for windows that
    cannot be made whole.
    """
    changed: dict[str, Layer | None] = {}
    for layer in graph:
        makers = window_makers(graph, layer) if layer.name in names else None
        if makers:
            generator, padding = makers
            m = (pixels or {}).get(generator.name, 1)
            if columns is None or layer.name not in columns:
                made: tuple[Layer, Layer | None] = whole_window(generator, padding, m), None
            else:
                in_one, changed[layer.name] = columns[layer.name]
                made = (column_window(generator, padding, m), None) if in_one else column_makers(generator, padding, m)
            changed[generator.name] = made[0]
            if padding:
                changed[padding.name] = made[1]
    layers = (changed.get(layer.name, layer) for layer in graph)
    return replace(graph, layers=tuple(layer for layer in layers if layer is not None))
