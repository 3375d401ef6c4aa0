"""A layer graph as an ONNX file to look at, in Netron or by qonnx: a node a layer, a tensor a stream.

The nodes are of the domain DOMAIN, which no runtime executes. As in FINN's files a tensor's data type is an annotation, and the
attributes of a node are called as in a folding file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.roles import Accumulating, Activating
from pipeline.dataflow.types import IntType
from pipeline.kernels.matrix_vector import MatrixVector

__all__ = ["DOMAIN", "FOLDER", "HARDWARE_FILE", "INTEGER_FILE", "write_onnx_view"]

DOMAIN = "a2q"
FOLDER = "intermediate_models"
INTEGER_FILE = "integer_graph.onnx"  # as `dataflow` made it
HARDWARE_FILE = "hardware_graph.onnx"  # as it was built, folded, with FIFOs and width converters

_OPSET, _IR_VERSION = 13, 8


def write_onnx_view(graph: LayerGraph, path: Path) -> None:
    """Write `graph` to the file `path`. Shapes are (1, *shape of a frame), channels last; weights and thresholds are initializers."""
    parts = [_node(layer) for layer in graph]
    streams = graph.streams
    values = {
        name: helper.make_tensor_value_info(name, _element(stream.type), [1, *stream.shape])
        for name, stream in streams.items()
    }
    constants = [constant for _, of_layer in parts for constant in of_layer]
    annotated = {name: stream.type.name for name, stream in streams.items()}
    annotated |= {name: type_.name for name, _, type_ in constants}
    model = helper.make_model(
        helper.make_graph(
            [node for node, _ in parts],
            graph.name,
            [values.pop(graph.input)],
            [values.pop(graph.output)],
            [numpy_helper.from_array(array.astype(type_.dtype), name) for name, array, type_ in constants],
            value_info=list(values.values()),
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)],
        producer_name="a2q-pipeline",
        ir_version=_IR_VERSION,
    )
    for name, type_name in annotated.items():
        annotation = model.graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=type_name)
    onnx.checker.check_model(model)
    onnx.save(model, path)


_Constant = tuple[str, np.ndarray, IntType]


def _node(layer: Layer) -> tuple[onnx.NodeProto, list[_Constant]]:
    """The node of a layer, and its constants, which are its further inputs."""
    constants = list(_constants(layer))
    attributes: dict[str, Any] = {**layer.finn_folding()}
    if isinstance(layer, MatrixVector):
        attributes["mvau_style"] = layer.style
    if isinstance(layer, Accumulating):
        bits = max(layer.accumulator_bits or layer.exact_accumulator_bits())
        attributes["accDataType"] = f"INT{bits}"
    if layer.source:
        attributes["source"] = layer.source
    inputs = [*layer.input_names, *(name for name, _, _ in constants)]
    node = helper.make_node(
        layer.op_type, inputs, list(layer.output_names), name=layer.name, domain=DOMAIN, **attributes
    )
    return node, constants


def _constants(layer: Layer) -> Iterator[_Constant]:
    if isinstance(layer, Accumulating):
        yield f"{layer.name}_weights", layer.weights, layer.weight_type
        if layer.bias is not None:
            yield f"{layer.name}_bias", layer.bias, _holding(layer.bias)
    if isinstance(layer, Activating) and layer.thresholds is not None:
        yield f"{layer.name}_thresholds", layer.thresholds, _holding(layer.thresholds)


def _holding(values: np.ndarray) -> IntType:
    return IntType(int(values.min()), int(values.max())) if values.size else IntType(0, 1)


def _element(type_: IntType) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(type_.dtype)))
