"""Runs a QONNX graph on a batch of frames."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from pipeline.errors import UnsupportedError
from pipeline.streamline.operators import OPERATORS
from pipeline.streamline.quantizers import QUANTIZER_OPS, read_quantizer

__all__ = ["constants", "execute", "graph_input", "graph_output", "run_graph"]


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The initializers and the outputs of Constant nodes, by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(helper.get_attribute_value(node.attribute[0]))
    return found


def graph_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The one input that is not an initializer."""
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise UnsupportedError(f"The network has {len(inputs)} inputs ({names}); exactly one is supported.")
    return inputs[0]


def graph_output(graph: onnx.GraphProto) -> str:
    """The name of the one output."""
    if len(graph.output) != 1:
        names = ", ".join(value.name for value in graph.output)
        raise UnsupportedError(f"The network has {len(graph.output)} outputs ({names}); exactly one is supported.")
    return graph.output[0].name


def execute(
    model: onnx.ModelProto,
    frames: np.ndarray,
    *,
    precise: bool = False,
    keep: Collection[str] = (),
    until: str | None = None,
) -> dict[str, np.ndarray]:
    """The graph's output, and each tensor named in `keep`, for `frames` of shape (N, *the shape of one frame). With
    `until`, a tensor's name, that tensor instead of the output, and nothing after it is run.

    In float32 as the file says, or, if `precise`, in double from the first quantizer on. The constants of the file are
    float32, so in double a sum of products does not depend on the order of summation to within 1e-15, while in
    float32 two runtimes differ in the last bits and, rarely, in a rounding of a quantizer. What comes before the first
    quantizer is elementwise and stays in float32: IEEE 754 makes that the same everywhere. Weights are always rounded
    in float32, as the framework that trained them does.
    """
    graph = model.graph
    arrays = constants(graph)
    values: dict[str, Tensor] = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    values[graph_input(graph).name] = torch.from_numpy(np.asarray(frames, np.float32))
    output = until or graph_output(graph)
    wanted = {output, *keep}
    last_use = {name: i for i, node in enumerate(graph.node) for name in node.input}
    with torch.no_grad():
        for i, node in enumerate(graph.node):
            if output in values:
                break
            if node.op_type == "Constant":
                continue
            operands = [values[name] if name else None for name in node.input]
            values[node.output[0]] = _execute_node(node, operands, precise)
            for name in node.input:
                if last_use.get(name) == i and name not in wanted:
                    values.pop(name, None)
    return {name: values[name].numpy() for name in wanted}


def run_graph(model: onnx.ModelProto, frames: np.ndarray, *, precise: bool = False, batch: int = 32) -> np.ndarray:
    """The output of the graph for `frames`, calculated in batches to bound the memory."""
    name = graph_output(model.graph)
    parts = [execute(model, frames[i : i + batch], precise=precise)[name] for i in range(0, len(frames), batch)]
    return np.concatenate(parts)


def _execute_node(node: onnx.NodeProto, operands: list[Tensor | None], precise: bool) -> Tensor:
    if node.op_type in QUANTIZER_OPS:
        x, rest = operands[0], [None if t is None else t.numpy() for t in operands[1:]]
        quantizer = read_quantizer(node, rest)
        integers = quantizer.integers(x)
        if precise:
            integers = integers.double()
        return integers * torch.as_tensor(quantizer.scale, dtype=integers.dtype)
    if node.op_type not in OPERATORS:
        raise UnsupportedError(f"{node.op_type} node {node.name} is not supported.")
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return OPERATORS[node.op_type](attributes, *operands)
