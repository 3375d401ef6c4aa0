"""The attributes and constants of a node of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import UnsupportedError

__all__ = ["attributes", "constant_value", "describe", "unused_name"]


def describe(node: onnx.NodeProto) -> str:
    """A node as messages call it."""
    return f"{node.op_type} node {node.name or (node.output[0] if node.output else 'without a name')}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def unused_name(graph: onnx.GraphProto, name: str) -> str:
    """`name`, or, where a tensor of `graph` has it, with underscores behind."""
    taken = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    taken.update(output for node in graph.node for output in node.output)
    while name in taken:
        name += "_"
    return name


def constant_value(node: onnx.NodeProto) -> np.ndarray:
    """The tensor of a Constant node, in whichever of its forms. Raises UnsupportedError for texts and sparse tensors."""
    for name, value in attributes(node).items():
        if name == "value":
            return numpy_helper.to_array(value)
        if name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    forms = ", ".join(a.name for a in node.attribute) or "nothing"
    raise UnsupportedError(
        f"{describe(node)} holds {forms}; a constant must be a dense tensor of numbers (value, value_float, "
        "value_floats, value_int or value_ints)."
    )
