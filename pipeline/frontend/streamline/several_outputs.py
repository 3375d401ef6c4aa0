"""Several outputs, which become one: each flattened, one behind the other, as the accelerator's output stream has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.label_end import label_step
from pipeline.frontend.streamline.nodes import describe, unused_name

__all__ = [
    "SeveralOutputs",
    "drop_labels",
    "join_others",
    "join_outputs",
    "joining_nodes",
    "joins_outputs",
    "output_tensors",
    "several_outputs",
    "write_output_shapes",
]

_KEY = "a2q_outputs"  # in metadata_props
_LABELS = ("ArgMax", "ArgMin", "TopK")


@dataclass(frozen=True)
class SeveralOutputs:
    """The names of the outputs that `joined` holds behind each other, (1, 1, elements), each made `flat` by a node of that
    name.

    `shapes` are those of the tensors that are joined, without the batch: the outputs themselves, or what an ArgMax or a TopK
    takes that gave an output; `labels` says of each what, see `label_step`, and is empty for an output as it is.
    """

    joined: str
    names: tuple[str, ...]
    flat: tuple[str, ...]
    labels: tuple[dict[str, Any], ...]
    shapes: tuple[tuple[int, ...], ...] = ()


def join_outputs(model: onnx.ModelProto) -> None:
    """Let `model`, in place, give one tensor where it gives several. Raises ModelError for two of one name."""
    graph = model.graph
    others = [entry for entry in model.metadata_props if entry.key != _KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)  # what a file says of it counts for nothing
    if len(graph.output) < 2:
        return
    names = [value.name for value in graph.output]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"Two outputs are called {twice}. Export the file again.")
    frame = unused_name(graph, "shape_of_an_output")
    graph.initializer.append(numpy_helper.from_array(np.array([0, 1, -1], np.int64), frame))
    flat = []
    for name in names:
        flat.append(unused_name(graph, f"{name}_flat"))
        graph.node.add().CopyFrom(helper.make_node("Reshape", [name, frame], [flat[-1]], flat[-1]))
    joined = unused_name(graph, "outputs")
    graph.node.add().CopyFrom(helper.make_node("Concat", flat, [joined], joined, axis=2))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(joined, TensorProto.FLOAT, [None, 1, None]))
    _store(model, SeveralOutputs(joined, tuple(names), tuple(flat), ({},) * len(names)))


def drop_labels(model: onnx.ModelProto) -> None:
    """Let `model`, in place, join what an ArgMax or a TopK takes that gives one of several outputs. Raises UnsupportedError
    for one that the driver does not compute."""
    outputs, graph = several_outputs(model), model.graph
    if outputs is None:
        return
    givers = {name: node for node in graph.node if node.op_type in _LABELS for name in node.output}
    *flat, _ = joining_nodes(model)
    tensors = [node.input[0] for node in flat]
    for node, tensor in zip(flat, tensors, strict=True):
        if tensor in givers:
            node.input[0] = givers[tensor].input[0]
    labels = tuple(_label(graph, givers[t], t, outputs.names) if t in givers else {} for t in tensors)
    gone = {name for t in tensors if t in givers for name in givers[t].output}
    left = [node for node in graph.node if gone.isdisjoint(node.output)]
    del graph.node[:]
    graph.node.extend(left)
    _store(model, replace(outputs, labels=labels))


def _label(graph: onnx.GraphProto, node: onnx.NodeProto, output: str, names: Sequence[str]) -> dict[str, Any]:
    step = label_step(graph, node, output)
    if step is None:
        raise UnsupportedError(
            f"{describe(node)} gives one of {len(names)} outputs ({', '.join(names)}) as the driver does not compute it: it "
            "takes an ArgMax, or a TopK of a fixed number, over one axis behind the batch, that nothing else reads. Export "
            f"{node.input[0]} in its place."
        )
    return step


def write_output_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Note the shape of what is joined, those of `shapes` by tensor, with the batch."""
    outputs = several_outputs(model)
    tensors = output_tensors(model)
    if outputs is not None and all(name in shapes for name in tensors):
        _store(model, replace(outputs, shapes=tuple(shapes[name][1:] for name in tensors)))


def several_outputs(model: onnx.ModelProto) -> SeveralOutputs | None:
    """The outputs that `join_outputs` has joined; None where there is one."""
    stored = next((entry.value for entry in model.metadata_props if entry.key == _KEY), None)
    if stored is None:
        return None
    fields = json.loads(stored)
    return SeveralOutputs(
        fields["joined"],
        tuple(fields["names"]),
        tuple(fields["flat"]),
        tuple(fields["labels"]),
        tuple(map(tuple, fields["shapes"])),
    )


def joins_outputs(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether `node` of `model` is the one that joins its outputs."""
    outputs = several_outputs(model)
    return outputs is not None and outputs.joined in node.output


def joining_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of `model` that `join_outputs` added, as far as they are still there: of a tensor that is flat already the
    first is left out as the network is streamlined."""
    outputs = several_outputs(model)
    if outputs is None:
        return []
    return [
        node
        for node in model.graph.node
        if outputs.joined in node.output or (node.op_type == "Reshape" and node.name in outputs.flat)
    ]


def output_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors that are the outputs of `model`, in order: of several those that are joined."""
    outputs = several_outputs(model)
    if outputs is None:
        return tuple(value.name for value in model.graph.output)
    *flat, last = joining_nodes(model)
    before = {node.output[0]: node.input[0] for node in flat}
    return tuple(before.get(name, name) for name in last.input)


def join_others(model: onnx.ModelProto, tensors: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Let `model`, in place, join `tensors`, of `shapes` without the batch, in place of its outputs."""
    outputs = several_outputs(model)
    assert outputs is not None  # the caller has seen that there are several
    *flat, last = joining_nodes(model)
    frame = unused_name(model.graph, "shape_of_an_output")
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 1, -1], np.int64), frame))
    for node in (*flat, last):
        model.graph.node.remove(node)
    for name, tensor in zip(outputs.flat, tensors, strict=True):
        model.graph.node.add().CopyFrom(helper.make_node("Reshape", [tensor, frame], [name], name))
    model.graph.node.add().CopyFrom(helper.make_node("Concat", outputs.flat, [outputs.joined], last.name, axis=2))
    _store(model, replace(outputs, shapes=tuple(shapes)))


def _store(model: onnx.ModelProto, outputs: SeveralOutputs) -> None:
    text = json.dumps(asdict(outputs))
    for entry in model.metadata_props:
        if entry.key == _KEY:
            entry.value = text
            return
    model.metadata_props.add(key=_KEY, value=text)
