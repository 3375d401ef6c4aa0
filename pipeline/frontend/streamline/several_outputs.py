"""Several outputs, which become one: each flattened, one behind the other, as the accelerator's output stream has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.nodes import describe, unused_name

__all__ = ["SeveralOutputs", "join_outputs", "joins_outputs", "several_outputs", "write_output_shapes"]

_KEY = "a2q_outputs"  # in metadata_props
_LABELS = ("ArgMax", "ArgMin", "TopK")


@dataclass(frozen=True)
class SeveralOutputs:
    """The names and shapes, without the batch, of the outputs that `joined` holds behind each other, (1, 1, elements)."""

    joined: str
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...] = ()


def join_outputs(model: onnx.ModelProto) -> None:
    """Let `model`, in place, give one tensor where it gives several. Raises UnsupportedError where one of them is a label,
    and ModelError for two of one name."""
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
    label = next((n for n in graph.node if n.op_type in _LABELS and set(n.output) & set(names)), None)
    if label is not None:
        raise UnsupportedError(
            f"{describe(label)} gives one of {len(names)} outputs ({', '.join(names)}); a label can be built only where it "
            f"is the one output. Export {label.input[0]} in its place."
        )
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
    _store(model, SeveralOutputs(joined, tuple(names)))


def write_output_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Note the shape of each output, those of `shapes` by tensor, with the batch."""
    outputs = several_outputs(model)
    if outputs is not None and all(name in shapes for name in outputs.names):
        _store(model, SeveralOutputs(outputs.joined, outputs.names, tuple(shapes[name][1:] for name in outputs.names)))


def several_outputs(model: onnx.ModelProto) -> SeveralOutputs | None:
    """The outputs that `join_outputs` has joined; None where there is one."""
    stored = next((entry.value for entry in model.metadata_props if entry.key == _KEY), None)
    if stored is None:
        return None
    joined, names, shapes = json.loads(stored)
    return SeveralOutputs(joined, tuple(names), tuple(map(tuple, shapes)))


def joins_outputs(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether `node` of `model` is the one that joins its outputs."""
    outputs = several_outputs(model)
    return outputs is not None and outputs.joined in node.output


def _store(model: onnx.ModelProto, outputs: SeveralOutputs) -> None:
    text = json.dumps([outputs.joined, outputs.names, outputs.shapes])
    for entry in model.metadata_props:
        if entry.key == _KEY:
            entry.value = text
            return
    model.metadata_props.add(key=_KEY, value=text)
