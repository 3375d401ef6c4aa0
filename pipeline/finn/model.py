"""The layer graph as a model of FINN's hardware nodes: what FINN's flow goes on with from its dataflow partition on.

Each layer gives the nodes that compute the same (`Layer.finn_graph`), folded as it is folded here. Streams have FINN's
layout, (1, H, W, C). Importing FINN takes seconds, so nothing that a build goes through on its way imports this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow import hwcustomop  # noqa: F401  registers the domain of FINN's nodes
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from pipeline.dataflow.finn_node import DOMAIN, FinnNode
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.vvau import VVAU

__all__ = ["FinnModel", "to_finn"]

INPUT, OUTPUT = "global_in", "global_out"  # as FINN calls them
_TYPE = re.compile(r"U?INT[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True)
class FinnModel:
    """FINN's `model`, and what went into it: `graph`, of which the streams `tensors` are tensors of the model, by name.

    `layers` has the layer of each node, by the node's name; `notes` say in words what is not as it is here.
    """

    model: ModelWrapper
    graph: LayerGraph
    tensors: Mapping[str, str]
    layers: Mapping[str, str]
    notes: tuple[str, ...]


def to_finn(graph: LayerGraph, folded: LayerGraph, budget: int) -> FinnModel:
    """`graph`, the layers before they were folded, as FINN's nodes, folded like `folded`.

    A matrix that is unrolled, sparse or takes several pixels here is folded so that a frame takes it at most `budget`
    cycles, or as few as FINN's units can. Raises UnsupportedError for every layer that FINN has no node for, in one
    sentence each.
    """
    notes: list[str] = []
    layers = _folded(graph, folded, budget, notes)
    nodes: dict[str, tuple[FinnNode, ...]] = {}
    missing = []
    for layer in layers:
        try:
            nodes[layer.name] = layer.finn_graph()
        except UnsupportedError as error:
            missing.append(str(error))
    if missing:
        raise UnsupportedError("\n".join(missing))
    _for_pools(layers, nodes)
    whole = replace(graph, layers=tuple(map(_in_order, layers)))
    return _Writer(whole, folded, nodes, tuple(notes)).write()


# -- folding ------------------------------------------------------------------------------------------------------------


def _folded(graph: LayerGraph, folded: LayerGraph, budget: int, notes: list[str]) -> tuple[Layer, ...]:
    """The layers of `graph` with the parallelism that those of `folded` have, as far as FINN has it."""
    here = {layer.name: layer for layer in folded}
    layers: dict[str, Layer] = {}
    other: dict[str, list[str]] = {}
    for layer in graph:
        built = here.get(layer.name)
        fields = _fields(layer, built)
        if fields is None:
            what = "merged into another layer" if built is None else _style(built)
            other.setdefault(what, []).append(layer.name)
            layers[layer.name] = _smallest(layer, budget)
        else:
            layers[layer.name] = layer.folded(fields)
    for what, names in other.items():
        notes.append(f"{', '.join(names)}: {what} here, which FINN has not; folded for at most {budget} cycles a frame")
    return _agreed(graph, layers)


def _fields(layer: Layer, built: Layer | None) -> dict[str, int] | None:
    """The fields that fold `layer` as `built` is; None where FINN cannot have it so."""
    if built is None or getattr(built, "m", 1) > 1:
        return None
    if isinstance(layer, MatrixVector) and not isinstance(built, MVAU):
        return None
    names = [name for name in ("pe", "simd") if hasattr(layer, name)]
    return {name: getattr(built, name) for name in names} if all(hasattr(built, name) for name in names) else None


def _style(built: Layer) -> str:
    if (m := getattr(built, "m", 1)) > 1:
        return f"{m} pixels a beat"
    return built.style if isinstance(built, MatrixVector) else "merged into another layer"


def _smallest(layer: Layer, budget: int) -> Layer:
    """`layer` with the fewest lanes that take a frame within `budget` cycles, else with the fewest cycles."""
    foldings = layer.foldings()
    if not foldings:
        return layer
    fit = [folding for folding in foldings if folding.cycles <= budget]
    best = min(
        fit or foldings,
        key=lambda folding: (0 if fit else folding.cycles, folding.input_lanes * folding.output_lanes, folding.cycles),
    )
    return layer.folded({name: value for name, value in best.fields.items() if name in ("pe", "simd")})


def _agreed(graph: LayerGraph, layers: Mapping[str, Layer]) -> tuple[Layer, ...]:
    """The layers, with interleaved windows as wide as what reads them takes them."""
    agreed = dict(layers)
    readers = {stream: layer for layer in graph for stream in layer.input_names}
    for layer in graph:
        window, reader = agreed[layer.name], readers.get(layer.output_names[0])
        if not isinstance(window, ConvolutionInputGenerator) or reader is None:
            continue
        unit = agreed[reader.name]
        if isinstance(unit, VVAU):
            agreed[layer.name] = replace(window, simd=unit.pe // unit.multiplier)
        elif isinstance(unit, Pool):
            agreed[unit.name] = replace(unit, pe=window.simd)
    return tuple(agreed[layer.name] for layer in graph)


def _in_order(layer: Layer) -> Layer:
    """The layer with windows in the order that FINN's execution has them in: with all channels of a pixel together."""
    if isinstance(layer, ConvolutionInputGenerator) and layer.depthwise:
        return replace(layer, simd=layer.shape[2])
    if isinstance(layer, VVAU):
        return replace(layer, pe=layer.mh)
    return layer


def _for_pools(layers: tuple[Layer, ...], nodes: dict[str, tuple[FinnNode, ...]]) -> None:
    """FINN's Pool takes windows channel by channel, and a sum over the whole image is its GlobalAccPool, without windows."""
    windows = {layer.output_names[0]: layer for layer in layers if isinstance(layer, ConvolutionInputGenerator)}
    for pool in layers:
        window = windows.get(pool.input_names[0])
        if not isinstance(pool, Pool) or window is None:
            continue
        if pool.function == "sum" and not pool.shift and window.kernel == window.shape[:2]:
            attributes = {
                "NumChannels": pool.channels,
                "PE": pool.pe,
                "inputDataType": pool.type.name,
                "numInputVectors": (1, *window.shape[:2]),
            }
            nodes[window.name] = ()
            nodes[pool.name] = (FinnNode("GlobalAccPool", attributes),)
        else:
            (node,) = nodes[window.name]
            nodes[window.name] = (replace(node, attributes={**node.attributes, "depthwise": 1}),)


# -- the model ----------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the nodes of the layers into one model."""

    def __init__(
        self,
        graph: LayerGraph,
        folded: LayerGraph,
        nodes: Mapping[str, tuple[FinnNode, ...]],
        notes: tuple[str, ...],
    ) -> None:
        self._graph, self._folded, self._nodes, self._notes = graph, folded, nodes, notes
        self._streams = graph.streams
        self._tensors = {graph.input: INPUT, graph.output: OUTPUT}
        self._types: dict[str, tuple[Shape, IntType]] = {}
        self._constants: dict[str, tuple[np.ndarray, IntType]] = {}
        self._onnx: list[NodeProto] = []
        self._layers: dict[str, str] = {}

    def write(self) -> FinnModel:
        for layer in self._graph:
            self._layer(layer)
        tensors = {name: tensor for name, tensor in self._tensors.items() if tensor in self._types}
        ends = [self._tensors[name] for name in (self._graph.input, self._graph.output)]
        infos = {
            tensor: helper.make_tensor_value_info(tensor, TensorProto.FLOAT, (1, *shape))
            for tensor, (shape, _) in self._types.items()
        }
        model = ModelWrapper(
            qonnx_make_model(
                helper.make_graph(
                    nodes=self._onnx,
                    name=self._graph.name,
                    inputs=[infos[ends[0]]],
                    outputs=[infos[ends[1]]],
                    value_info=[info for tensor, info in infos.items() if tensor not in ends],
                ),
                opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)],
            )
        )
        for tensor, (_, type_) in self._types.items():
            model.set_tensor_datatype(tensor, DataType[type_.name])
            model.set_tensor_layout(tensor, ["N", "H", "W", "C"])
        for tensor, (values, type_) in self._constants.items():
            model.set_initializer(tensor, values.astype(np.float32))
            model.set_tensor_datatype(tensor, DataType[type_.name])
        return FinnModel(model, self._graph, tensors, self._layers, self._notes)

    def _layer(self, layer: Layer) -> None:
        """The nodes of `layer`; where it has none, its reader takes its input."""
        nodes = self._nodes[layer.name]
        if not nodes:
            self._tensors[layer.output_names[0]] = self._tensor(layer.input_names[0])
            return
        names = {f"in{i}": self._tensor(name) for i, name in enumerate(layer.input_names)}
        names |= {f"out{i}": self._tensor(name) for i, name in enumerate(layer.output_names)}
        for node, name in zip(nodes, _names(layer, nodes), strict=True):
            for stream in node.outputs:
                if stream not in names:
                    assert node.between is not None  # as FinnNode says
                    names[stream] = f"{layer.name}_{stream}"
                    self._types[names[stream]] = node.between
            constants = [f"{name}_param{i}" for i in range(len(node.constants))]
            self._constants |= dict(zip(constants, node.constants, strict=True))
            attributes = {**node.attributes, **self._resources(layer, node), **self._depths(layer, node)}
            self._onnx.append(
                helper.make_node(
                    node.op_type,
                    [*(names[stream] for stream in node.inputs), *constants],
                    [names[stream] for stream in node.outputs],
                    name=name,
                    domain=DOMAIN,
                    backend="fpgadataflow",
                    **{key: _finn_type(value) for key, value in attributes.items()},
                )
            )
            self._layers[name] = layer.name

    def _tensor(self, stream: str) -> str:
        if stream not in self._tensors:
            self._tensors[stream] = stream
        tensor = self._tensors[stream]
        connection = self._streams[stream]
        self._types.setdefault(tensor, (connection.shape, connection.type))
        return tensor

    def _resources(self, layer: Layer, node: FinnNode) -> dict[str, str]:
        """What a matrix is made of: LUTs by HLS C++, or DSPs by RTL."""
        if node.op_type not in ("MVAU", "VVAU"):
            return {}
        built = next((other for other in self._folded if other.name == layer.name), None)
        in_dsps = isinstance(built, MatrixVector) and built.style == "dsp"
        return {"resType": "dsp" if in_dsps else "lut", "preferred_impl_style": "rtl" if in_dsps else "hls"}

    def _depths(self, layer: Layer, node: FinnNode) -> dict[str, tuple[int, ...]]:
        """The FIFOs that stand here at the ends of the layer, where it is the same layer here."""
        depths = {}
        for side, streams, names in (
            ("in", node.inputs, layer.input_names),
            ("out", node.outputs, layer.output_names),
        ):
            attribute = f"{side}FIFODepths"
            ends = {f"{side}{i}": name for i, name in enumerate(names)}
            depths[attribute] = tuple(
                self._depth(ends[stream], attribute) if stream in ends else 2 for stream in streams
            )
        return depths

    def _depth(self, stream: str, attribute: str) -> int:
        """The depth of the FIFO at one end of a stream: the writer's for outFIFODepths, else the reader's."""
        fifos = _fifos(self._folded, stream)
        if not fifos:
            return 2
        return fifos[0 if attribute.startswith("out") else -1]


def _names(layer: Layer, nodes: tuple[FinnNode, ...]) -> Iterator[str]:
    """The layer's name for the node that is the same in FINN, or else the last one; for others with what they are."""
    same = [index for index, node in enumerate(nodes) if node.op_type == layer.finn_operator]
    main = same[0] if same else len(nodes) - 1
    for index, node in enumerate(nodes):
        before = sum(other.op_type == node.op_type for other in nodes[:index])
        yield layer.name if index == main else f"{layer.name}_{node.op_type}" + (f"_{before}" if before else "")


def _finn_type(value: Any) -> Any:
    """`value`, or where it is the name of a type FINN's own name of it: a UINT1 is BINARY there."""
    return DataType[value].name if isinstance(value, str) and _TYPE.fullmatch(value) else value


def _fifos(folded: LayerGraph, stream: str) -> list[int]:
    """The depths of the FIFOs behind the writer of `stream`, in order."""
    depths: list[int] = []
    while True:
        reader = next((layer for layer in folded if stream in layer.input_names and layer.between_layers), None)
        if reader is None:
            return depths
        if reader.is_fifo:
            depths.append(int(getattr(reader, "depth")))  # noqa: B009  a field of Fifo
        stream = reader.output_names[0]
