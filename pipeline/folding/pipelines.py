"""Layers that take a whole vector a cycle, as one pipeline: nothing stands between them, and one buffer at its end."""

from __future__ import annotations

from dataclasses import replace

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.unrolled_mvau import UnrolledMVAU

__all__ = ["with_pipelines"]


def with_pipelines(graph: LayerGraph, adders_per_stage: int) -> LayerGraph:
    """`graph`, which has no FIFOs yet, with up to so many adders between two registers of its unrolled layers and trees.

    An unrolled layer pushes what it makes to the next layer where that takes a whole vector a cycle, too.
    """
    readers = {name: layer for layer in graph for name in layer.input_names}
    ahead: dict[str, int] = {}  # of layers behind one that pushes
    layers: list[Layer] = []
    for plain in graph:
        layer = plain
        if isinstance(layer, UnrolledMVAU):
            reader = readers.get(layer.output_names[0])
            pushes = _a_vector_a_cycle(layer) and reader is not None and _a_vector_a_cycle(reader)
            layer = replace(layer, adders_per_stage=adders_per_stage, pushes=pushes, ahead=ahead.get(layer.name, 0))
            if pushes and reader is not None:
                ahead[reader.name] = layer.ahead + layer.latency()
        elif isinstance(layer, LabelSelect):
            layer = replace(layer, adders_per_stage=adders_per_stage, ahead=ahead.get(layer.name, 0))
        layers.append(layer)
    return replace(graph, layers=tuple(layers))


def _a_vector_a_cycle(layer: Layer) -> bool:
    return (isinstance(layer, UnrolledMVAU) and layer.digits == 1) or (isinstance(layer, LabelSelect) and layer.in_tree)
