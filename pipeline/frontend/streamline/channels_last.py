"""QONNX's operators on (batch, height, width, channels), which its ConvertToChannelsLastAndClean makes, as ONNX' own."""

from __future__ import annotations

import onnx
from onnx import helper
from qonnx.custom_op.channels_last.base_wrapped_op import to_channels_first_args, to_channels_last_args
from qonnx.custom_op.registry import resolve_domain

from pipeline.frontend.streamline.nodes import attributes, unused_name

__all__ = ["is_channels_last", "move_channels"]

_OPERATORS = {"Conv": 2, "MaxPool": 1, "BatchNormalization": 1}  # operands that have the channels last


def is_channels_last(node: onnx.NodeProto) -> bool:
    """Whether `node` is one of these operators, by its name and domain."""
    return node.op_type in _OPERATORS and resolve_domain(node.domain) == "qonnx.custom_op.channels_last"


def move_channels(model: onnx.ModelProto) -> bool:
    """Put ONNX' operators in the place of those nodes of `model`, in place, between nodes that move the channels; whether
    there were any. The nodes that move them cost nothing: they become layouts."""
    graph = model.graph
    if not any(is_channels_last(node) for node in graph.node):
        return False
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if not is_channels_last(node):
            nodes.append(node)
            continue
        axes, output = _axes(graph, node), node.output[0]
        for i in range(min(_OPERATORS[node.op_type], len(node.input))):
            moved = unused_name(graph, f"{output}_operand{i}")
            nodes.append(
                helper.make_node("Transpose", [node.input[i]], [moved], moved, perm=to_channels_first_args(axes))
            )
            node.input[i] = moved
        node.domain, node.output[0] = "", unused_name(graph, f"{output}_channels_first")
        back = helper.make_node(
            "Transpose", [node.output[0]], [output], f"{output}_back", perm=to_channels_last_args(axes)
        )
        nodes += [node, back]
    del graph.node[:]
    graph.node.extend(nodes)
    return True


def _axes(graph: onnx.GraphProto, node: onnx.NodeProto) -> int:
    """The axes of what `node` reads; those of an image where nothing says it."""
    kernel = attributes(node).get("kernel_shape")
    if kernel is not None:
        return len(kernel) + 2
    known = (value for value in (*graph.input, *graph.value_info) if value.name == node.input[0])
    return next((len(value.type.tensor_type.shape.dim) for value in known), 4)
