"""A last node that gives the index of the largest output, or indices and values of the largest: the label that a build ends
in, or the host, computes that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

from a2q_driver.output_steps import OutputStep
from pipeline.frontend.streamline.executor import constants
from pipeline.frontend.streamline.nodes import attributes, describe

__all__ = ["drop_label", "dropped_label", "dropped_step", "gives_label", "label_step", "output_step"]

_KEY = "a2q_dropped_label"  # in metadata_props


def drop_label(model: onnx.ModelProto) -> None:
    """Let `model`, in place, give what its last node takes, where that is an ArgMax, or a TopK of a fixed number, over one
    axis behind the batch."""
    graph = model.graph
    others = [entry for entry in model.metadata_props if entry.key != _KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)  # what a file says of it counts for nothing
    output = graph.output[0].name if len(graph.output) == 1 else ""
    end = next((node for node in graph.node if output and output in node.output), None)
    step = None if end is None else label_step(graph, end, output)
    if end is None or step is None:
        return
    graph.output[0].CopyFrom(helper.make_tensor_value_info(end.input[0], TensorProto.FLOAT, None))
    graph.node.remove(end)
    model.metadata_props.add(key=_KEY, value=json.dumps(step))


def dropped_label(model: onnx.ModelProto) -> str:
    """What messages call the node that was dropped; empty where there was none."""
    return str(_dropped(model).get("node", ""))


def gives_label(model: onnx.ModelProto) -> bool:
    """Whether the node that was dropped gives the index of the largest of all classes; so too where there was none."""
    dropped = _dropped(model)
    return not dropped or bool(dropped["label"])


def dropped_step(model: onnx.ModelProto, source: int, rank: int) -> OutputStep | None:
    """The node that was dropped as the driver computes it of the value `source`, of `rank` axes; None where there was none."""
    dropped = _dropped(model)
    return output_step(dropped, source, rank) if dropped else None


def output_step(label: Mapping[str, Any], source: int, rank: int) -> OutputStep:
    """The driver's step for what `label_step` says, of the value `source`, of `rank` axes."""
    return OutputStep(label["op"], (source,), numbers=(label["axis"] % rank - 1, *label["numbers"]))


def _dropped(model: onnx.ModelProto) -> dict[str, Any]:
    text = next((entry.value for entry in model.metadata_props if entry.key == _KEY), "{}")
    dropped: dict[str, Any] = json.loads(text)
    return dropped


def label_step(graph: onnx.GraphProto, end: onnx.NodeProto, output: str) -> dict[str, Any] | None:
    """What is to be known of `end`, an ArgMax or a TopK whose `output` nothing reads: what messages call it, the driver's step
    for it, and whether it gives a label. None where the driver has no such step."""
    options = attributes(end)
    readers = sum(name in node.input for node in graph.node for name in end.output)
    if end.domain or readers or end.input[0] in constants(graph):
        return None
    axis = options.get("axis", 0 if end.op_type == "ArgMax" else -1)
    if axis == 0:
        return None
    if end.op_type == "ArgMax" and not options.get("select_last_index", 0):
        numbers = [options.get("keepdims", 1)]
        return {"node": describe(end), "op": "argmax", "axis": axis, "numbers": numbers, "label": axis in (1, -1)}
    if end.op_type != "TopK" or len(end.input) != 2 or len(end.output) != 2:
        return None
    counts = constants(graph).get(end.input[1])
    if counts is None or counts.size != 1 or not options.get("sorted", 1):
        return None
    count, largest, places = int(counts.item()), options.get("largest", 1), end.output[1] == output
    operator = "top_indices" if places else "top_values"
    label = places and count == 1 and largest == 1 and axis in (1, -1)
    return {"node": describe(end), "op": operator, "axis": axis, "numbers": [count, largest], "label": label}
