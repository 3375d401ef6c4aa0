"""How many neighbouring pixels the layers take side by side: as few as the budget of clock cycles allows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any, TypeVar

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.packing import HLS_WORD_BITS
from pipeline.dataflow.random_layers import divisors
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.folding.folding_config import FoldingConfig
from pipeline.folding.styles import whole_window, window_makers
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.sparse_mvau import SparseMVAU

__all__ = ["asked_pixels", "pairs_in_dsps", "pixels_of_rows", "pixels_within", "with_pixels"]

L = TypeVar("L", bound=Layer)

_PAIR = 2  # pixels: a word of a DSP holds two rows of two, four products, where it holds three rows of one
_MANY = 256  # products a cycle of a layer, from which on that spares more DSPs than it is worth looking for


def pixels_within(graph: LayerGraph, budget: int | None) -> dict[str, int]:
    """By layer of `graph` the fewest pixels a beat with which it may meet the `budget`, 1 where one a cycle is enough, or the
    most that there can be. Where windows can be made whole, those of what makes them, and the windows that it gives."""
    if budget is None:
        return {layer.name: 1 for layer in graph}
    pixels = {layer.name: _of_streams(layer, budget) for layer in graph}
    for layer in graph:
        makers = window_makers(graph, layer) if layer.styles else None
        if makers is not None and (windows := _whole_within(*makers, budget)):
            pixels |= {maker.name: windows.m for maker in makers if maker is not None}
            pixels[layer.name] = windows.windows
    return pixels


def pixels_of_rows(graph: LayerGraph, names: Collection[str], budget: int | None) -> dict[str, int]:
    """By layer the fewest pixels a beat with which those of `names` meet the `budget` as a SparseMVAU, however long their rows,
    or the most that there can be; and those of what makes their windows."""
    pixels: dict[str, int] = {}
    for layer in graph:
        if budget is None or layer.name not in names or not isinstance(layer, MatrixVector):
            continue
        counts, makers = divisors(layer.pixels[1]), window_makers(graph, layer)
        if makers is not None:
            counts = tuple(m for m in counts if m == 1 or _windows_beside(*makers, m))
        m = pixels[layer.name] = SparseMVAU.pixels_within(layer, budget, counts)
        if makers is not None and m > 1:
            pixels |= {maker.name: m * makers[0].stride[1] for maker in makers if maker is not None}
    return pixels


def pairs_in_dsps(graph: LayerGraph, names: Collection[str], budget: int | None) -> dict[str, int]:
    """By layer two pixels a beat for those of `names` with so many products a cycle within the `budget` that words of two
    pixels spare many DSPs; and those of what makes their windows. HLS C++ has to take the words of the windows, too."""
    pixels: dict[str, int] = {}
    for layer in graph:
        if budget is None or layer.name not in names or not isinstance(layer, MatrixVector):
            continue
        if layer.products >= _MANY * budget and _PAIR * layer.mw * layer.input_type.bits <= HLS_WORD_BITS:
            pixels[layer.name] = _PAIR
            if makers := window_makers(graph, layer):
                pixels |= {maker.name: _PAIR * makers[0].stride[1] for maker in makers if maker is not None}
    return pixels


def asked_pixels(graph: LayerGraph, config: FoldingConfig) -> dict[str, int]:
    """By layer of `graph` the pixels a beat that `config` asks for, 0 where it does not: of what reads windows or of what
    makes them, if of one alone."""
    asked = {layer.name: config.pixels(layer) or 0 for layer in graph}
    for layer in graph:
        makers = window_makers(graph, layer) if layer.styles else None
        if makers is not None:
            generator, stride = makers[0].name, makers[0].stride[1]
            if asked[layer.name] > 1 and not asked[generator]:
                asked[generator] = asked[layer.name] * stride
            elif asked[generator] and not asked[layer.name]:
                asked[layer.name] = max(asked[generator] // stride, 1)
    return asked


def with_pixels(layer: L, m: int) -> L | None:
    """`layer` with `m` pixels side by side, or None where it cannot have so many."""
    if m == 1:
        return layer
    values: dict[str, Any] = {"m": m}
    if "m" not in (field.name for field in fields(layer)):
        return None
    try:
        return replace(layer, **values)
    except (ConfigError, UnsupportedError):
        return None


def _whole_within(
    generator: ConvolutionInputGenerator, padding: FMPadding | None, budget: int
) -> ParallelWindow | None:
    """The whole windows, of the fewest pixels that meet the budget, or else the fastest; None where they cannot be made
    whole."""
    try:
        window = whole_window(generator, padding)
    except UnsupportedError:
        return None
    several = [windows for m in divisors(window.shape[1]) if (windows := with_pixels(window, m))]
    fastest = min(several, key=lambda windows: windows.cycles())
    return next((windows for windows in several if windows.cycles() <= budget), fastest)


def _windows_beside(generator: ConvolutionInputGenerator, padding: FMPadding | None, count: int) -> bool:
    """Whether so many windows can be made side by side."""
    try:
        return whole_window(generator, padding, count * generator.stride[1]).windows == count
    except (ConfigError, UnsupportedError):
        return False


def _of_streams(layer: Layer, budget: int) -> int:
    height, width, _ = max((stream.shape for stream in (*layer.inputs(), *layer.outputs())), key=lambda s: s[0] * s[1])
    return next((m for m in divisors(width) if height * width <= m * budget), width)
