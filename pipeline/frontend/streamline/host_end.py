"""The float part of a network behind its last quantized layer, as the driver can compute it on the host.

That of an output begins behind one tensor, on which all of it depends, and is made of the operators of HOST_OPS. Scales,
shifts and moves in front of it that no function precedes are left with the layers, which know how to take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import onnx

from pipeline.frontend.streamline.executor import fixed_operands, graph_input
from pipeline.frontend.streamline.nodes import attributes, describe
from pipeline.frontend.streamline.operators import CLASSIFIER_ENDS, MOVES
from pipeline.frontend.streamline.several_outputs import joining_nodes, output_tensors

__all__ = ["HOST_FUNCTIONS", "HOST_OPS", "HostEnd", "behind_layers", "find_ends", "several_sources", "tensor_shapes"]

HOST_FUNCTIONS = frozenset(
    {
        "Abs",
        "Clip",
        "Exp",
        "HardSigmoid",
        "LeakyRelu",
        "Log",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sqrt",
        "Tanh",
    }
)
_MOVES = frozenset(MOVES) - {"DepthToSpace", "SpaceToDepth"}
_SCALES = frozenset({"Add", "Sub", "Mul", "Div", "Neg"})
HOST_OPS = (
    HOST_FUNCTIONS | _MOVES | _SCALES | frozenset({*CLASSIFIER_ENDS, "Concat", "Gather", "Pow", "Slice", "Split"})
)
_SHAPES = ("Shape", "Size")  # which do not depend on what a tensor holds
_ORDER_KEPT = (_MOVES - {"Transpose"}) | {"Sigmoid", "Tanh"}
_RANKS = (2, 3, 4)  # of what layers join or cut


@dataclass(frozen=True, eq=False)
class HostEnd:
    """The `nodes` behind the tensor `source`, in their order; the last of them gives an output of the network.

    `keeps_order` says that the largest of the numbers of a frame, where they are one for each class, stays the largest.
    """

    source: str
    nodes: tuple[onnx.NodeProto, ...]
    keeps_order: bool = False

    def __str__(self) -> str:
        first, last = describe(self.nodes[0]), describe(self.nodes[-1])
        if len(self.nodes) == 1:
            return first
        return f"{first} and {last}" if len(self.nodes) == 2 else f"{len(self.nodes)} nodes, from {first} to {last}"


def behind_layers(model: onnx.ModelProto) -> tuple[HostEnd | None, ...]:
    """For each output of `model`, whose shapes need not be known yet, all nodes before it that the host might compute; None
    where there are none."""
    if not model.graph.output:
        return ()
    host, dynamic = _host_nodes(model)
    return tuple(_end(_before(host, output), output, dynamic) for output in output_tensors(model))


def several_sources(model: onnx.ModelProto) -> str:
    """A sentence on an output of `model`, whose shapes are known, that the driver would have to compute from several tensors,
    where it takes one; empty where there is none."""
    host, dynamic = _host_nodes(model)
    fixed, shapes = fixed_operands(model.graph, host), tensor_shapes(model)
    for output in output_tensors(model):
        before = _before(host, output)
        if _end(before, output, dynamic) is not None or all(_for_layers(node, fixed, shapes) for node in before):
            continue
        given = {name for node in before for name in node.output}
        sources = dict.fromkeys(name for node in before for name in node.input if name in dynamic and name not in given)
        *others, last = sources
        return (
            f"The output {output} is for the driver to compute, by {', '.join(map(describe, before))}, and it takes one tensor "
            f"for that: this is made of {', '.join(others)} and {last}. Export these as {len(sources)} outputs, and compute the "
            "rest in your program."
        )
    return ""


def _host_nodes(model: onnx.ModelProto) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes of `model` that the host might compute, in their order, and the tensors that depend on the input."""
    graph, outputs = model.graph, output_tensors(model)
    joining = {name for node in joining_nodes(model) for name in node.output}
    dynamic = {graph_input(graph).name}
    for node in graph.node:
        if node.op_type not in _SHAPES and not dynamic.isdisjoint(node.input):
            dynamic.update(filter(None, node.output))
    host: list[onnx.NodeProto] = []
    nodes = [node for node in graph.node if joining.isdisjoint(node.output)]
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    names: set[str] = set()  # of the tensors that nodes of the ends give
    for node in reversed(nodes):
        if dynamic.isdisjoint(node.output):
            continue
        read = [reader for name in node.output for reader in readers.get(name, ()) if reader.op_type not in _SHAPES]
        inside = all(names.issuperset(filter(None, reader.output)) for reader in read)
        given = not set(outputs).isdisjoint(node.output)
        if node.op_type in HOST_OPS and not node.domain and inside and (read or given):
            names.update(filter(None, node.output))
            host.insert(0, node)
    return host, dynamic


def _before(host: Sequence[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """Those of the nodes `host` that `output` is made by."""
    needed = {output}
    before: list[onnx.NodeProto] = []
    for node in reversed(host):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            before.insert(0, node)
    return before


def _end(before: Sequence[onnx.NodeProto], output: str, dynamic: AbstractSet[str]) -> HostEnd | None:
    """Those of the nodes `before` the `output` that are behind the first tensor on which all of them depend."""
    for candidate in dict.fromkeys(name for node in before for name in node.input if name in dynamic):
        nodes, reached = [], {candidate}
        for node in before:
            if not reached.isdisjoint(node.input):
                nodes.append(node)
                reached.update(filter(None, node.output))
        closed = all(name in reached for node in nodes for name in node.input if name in dynamic)
        if closed and output in reached:
            return HostEnd(candidate, tuple(nodes))
    return None


def find_ends(model: onnx.ModelProto) -> tuple[HostEnd | None, ...]:
    """For each output of `model`, whose shapes are known, the nodes before it for which there are no layers; None where
    layers take all of them."""
    ends = behind_layers(model)
    fixed = fixed_operands(model.graph, [node for end in ends if end is not None for node in end.nodes])
    shapes = tensor_shapes(model)
    return tuple(None if end is None else _without_layers(end, fixed, shapes) for end in ends)


def tensor_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes that `model` declares, with the batch."""
    values = (*model.graph.input, *model.graph.value_info)
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}


def _without_layers(
    end: HostEnd, fixed: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> HostEnd | None:
    if all(_for_layers(node, fixed, shapes) for node in end.nodes):
        return None
    source, nodes = end.source, list(end.nodes)
    while nodes and _with_layers(nodes[0], fixed, shapes) and sum(source in node.input for node in nodes) == 1:
        source = nodes.pop(0).output[0]
    return HostEnd(source, tuple(nodes), all(_keeps_order(node, shapes) for node in nodes))


def _keeps_order(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether `node` leaves the order of a number for each class, (1, classes, 1, …), as it is: a Softmax over the classes
    does, and over another axis it makes all of them equal."""
    if node.op_type in CLASSIFIER_ENDS:
        axis = attributes(node).get("axis", -1)
        return bool(axis == 1 or axis + len(shapes.get(node.input[0], ())) == 1)
    return node.op_type in _ORDER_KEPT and len(node.input) < 3


def _for_layers(node: onnx.NodeProto, fixed: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether layers, or the scale and bias behind the last one, take `node` as the last of a network's."""
    if node.op_type in ("Add", "Sub") and fixed.keys().isdisjoint(node.input):
        return True
    rank = len(shapes.get(node.input[0], ()))
    if node.op_type == "Concat":
        return rank in _RANKS and attributes(node)["axis"] % rank == 1
    if node.op_type in ("Slice", "Split"):
        return rank in _RANKS
    return _with_layers(node, fixed, shapes)


def _with_layers(node: onnx.NodeProto, fixed: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether `node` moves elements, or has one scale or shift a channel."""
    if node.op_type in _MOVES or node.op_type == "Neg":
        return True
    operands = [fixed[name] for name in node.input if name in fixed]
    if node.op_type not in _SCALES or len(operands) != 1 or (node.op_type == "Div" and node.input[0] in fixed):
        return False
    rank = max(len(shapes.get(name, ())) for name in node.input if name not in fixed)
    if not rank:
        return True  # its shape is not known; the layers refuse what they do not take
    shape = (1,) * (rank - operands[0].ndim) + operands[0].shape
    return all(size == 1 for axis, size in enumerate(shape) if axis != 1)
