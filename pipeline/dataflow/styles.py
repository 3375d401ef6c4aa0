"""Which hardware computes a matrix.

    folded    multipliers that take turns with all weights
    unrolled  a graph of adders, of which the weights are the circuit
    sparse    walkers through the weights that are not zero

A layer that is unrolled takes whole vectors. Where these are windows, padding and generator become one ParallelWindow,
which makes a whole window a cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.kernels.base import Kernel
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.unrolled_mvau import UnrolledMVAU

__all__ = ["styled", "with_whole_windows"]


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


def styled(layer: MVAU, style: str, fields: Mapping[str, int]) -> MatrixVector:
    """`layer` in the style, with the `fields` of a folding of it."""
    if style == "folded":
        return replace(layer, **fields)
    kind = {"unrolled": UnrolledMVAU, "sparse": SparseMVAU}[style]
    same = {each.name: getattr(layer, each.name) for each in dataclass_fields(MatrixVector)}
    return kind(**same, **fields)
