"""The float part of a network before its first quantizer, as the driver can compute it on the host."""

from __future__ import annotations

import onnx

from pipeline.frontend.streamline.executor import graph_input

__all__ = ["HOST_BEGIN_OPS", "RESIZES", "before_layers"]

RESIZES = frozenset({"Resize", "Upsample"})
HOST_BEGIN_OPS = (
    frozenset({"Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization", "Reshape", "Flatten", "Transpose"})
    | {"Squeeze", "Unsqueeze", "Identity", "Dropout", "Relu", "Clip", "Slice", "Split", "Concat"}
    | RESIZES
)
_SHAPES = ("Shape", "Size")  # which do not depend on what a tensor holds


def before_layers(graph: onnx.GraphProto) -> frozenset[str]:
    """The tensors of `graph` that depend on its input by operators of HOST_BEGIN_OPS alone."""
    source = graph_input(graph).name
    dynamic, floating = {source}, {source}
    for node in graph.node:
        read = [name for name in node.input if name in dynamic]
        if not read or node.op_type in _SHAPES:
            continue
        dynamic.update(filter(None, node.output))
        if node.op_type in HOST_BEGIN_OPS and not node.domain and floating.issuperset(read):
            floating.update(filter(None, node.output))
    return frozenset(floating)
