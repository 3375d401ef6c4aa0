"""A last node that gives the index of the largest output: the label that a build ends in, or the host's, computes that."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from pipeline.frontend.streamline.executor import constants
from pipeline.frontend.streamline.nodes import attributes, describe

__all__ = ["drop_label", "dropped_label"]

_KEY = "a2q_dropped_label"  # in metadata_props


def drop_label(model: onnx.ModelProto) -> None:
    """Let `model`, in place, give what its last node takes, where that is an ArgMax, or a TopK of one, over the classes."""
    graph = model.graph
    output = graph.output[0].name if len(graph.output) == 1 else ""
    end = next((node for node in graph.node if output and output in node.output), None)
    if end is None or not _gives_label(graph, end, output):
        return
    graph.output[0].CopyFrom(helper.make_tensor_value_info(end.input[0], TensorProto.FLOAT, None))
    graph.node.remove(end)
    model.metadata_props.add(key=_KEY, value=describe(end))


def dropped_label(model: onnx.ModelProto) -> str:
    """What messages call the node that was dropped; empty where there was none."""
    return next((entry.value for entry in model.metadata_props if entry.key == _KEY), "")


def _gives_label(graph: onnx.GraphProto, end: onnx.NodeProto, output: str) -> bool:
    options = attributes(end)
    readers = sum(name in node.input for node in graph.node for name in end.output)
    if end.domain or readers or end.input[0] in constants(graph):
        return False
    if end.op_type == "ArgMax":
        return options.get("axis", 0) in (1, -1) and not options.get("select_last_index", 0)
    if end.op_type != "TopK" or len(end.input) != 2 or len(end.output) != 2:
        return False
    count = constants(graph).get(end.input[1])
    one = count is not None and count.size == 1 and int(count.item()) == 1
    return one and end.output[1] == output and options.get("axis", -1) in (1, -1) and options.get("largest", 1) == 1
