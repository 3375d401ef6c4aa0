"""Writes out what ONNX lets a window leave implicit: later code sees explicit pads and two-dimensional windows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.frontend.streamline.nodes import attributes, unused_name
from pipeline.frontend.streamline.tensors import Tensors

__all__ = ["write_windows"]

_WINDOWED = ("Conv", "MaxPool", "AveragePool")
_GLOBAL = ("GlobalAveragePool", "GlobalMaxPool")
_AXIS = 2  # of the height, which a convolution over one axis lacks


def write_windows(model: onnx.ModelProto, tensors: Tensors) -> None:
    """Give every convolution and pool of `model`, in place, its pads, and those over one axis a height of 1.

    The nodes of `model` have passed `check_operands`, and `tensors` is what `infer` found.
    """
    graph = model.graph
    version = next(entry.version for entry in model.opset_import if not entry.domain)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type in _WINDOWED:
            _write_pads(node, tensors)
            _write_ceiling(node, tensors)
        if node.op_type in (*_WINDOWED, *_GLOBAL) and len(tensors.shapes[node.input[0]]) == 3:
            nodes += _with_height(graph, node, tensors, version)
        elif node.op_type == "Split":
            nodes += _slices(graph, node, tensors, version)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _write_pads(node: onnx.NodeProto, tensors: Tensors) -> None:
    """Formulas: auto_pad of ONNX' operator Conv."""
    options = attributes(node)
    auto_pad = options.pop("auto_pad", b"NOTSET").decode()
    if auto_pad == "NOTSET":
        return
    sizes, out = tensors.shapes[node.input[0]][2:], tensors.shapes[node.output[0]][2:]
    kernel = options.get("kernel_shape") or tensors.shapes[node.input[1]][2:]
    pads = [0] * (2 * len(sizes))
    if auto_pad != "VALID":
        strides = options.get("strides", [1] * len(sizes))
        dilations = options.get("dilations", [1] * len(sizes))
        for i, (size, steps, k, stride) in enumerate(zip(sizes, out, kernel, strides, strict=True)):
            total = max((steps - 1) * stride + (k - 1) * dilations[i] + 1 - size, 0)
            first = (total + 1) // 2 if auto_pad == "SAME_LOWER" else total // 2
            pads[i], pads[i + len(sizes)] = first, total - first
    options["pads"] = pads
    _set_attributes(node, options)


def _write_ceiling(node: onnx.NodeProto, tensors: Tensors) -> None:
    """Pads in place of ceil_mode, where the last windows of a MaxPool reach over the edge."""
    options = attributes(node)
    if node.op_type != "MaxPool" or not options.pop("ceil_mode", 0):
        return
    sizes, out, kernel = tensors.shapes[node.input[0]][2:], tensors.shapes[node.output[0]][2:], options["kernel_shape"]
    axes = len(sizes)
    strides, dilations = (options.get(name, [1] * axes) for name in ("strides", "dilations"))
    pads = list(options.get("pads", [0] * 2 * axes))
    for i in range(axes):
        reach = (out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
        pads[axes + i] = max(pads[axes + i], reach - sizes[i] - pads[i])
    options["pads"] = pads
    _set_attributes(node, options)


def _slices(graph: onnx.GraphProto, node: onnx.NodeProto, tensors: Tensors, version: int) -> list[onnx.NodeProto]:
    """A Slice for each tensor that `node`, a Split, gives and that is read."""
    axis = attributes(node).get("axis", 0) % len(tensors.shapes[node.input[0]])
    read = {value.name for value in graph.output} | {name for other in graph.node for name in other.input}
    slices, start = [], 0
    for index, (output, size) in enumerate(zip(node.output, _sizes(node, axis, tensors), strict=True)):
        bounds: dict[str, Any] = {"starts": [start], "ends": [start + size], "axes": [axis]}
        start += size
        if output not in read:
            continue
        if version < 10:  # they became operands
            slices.append(helper.make_node("Slice", [node.input[0]], [output], f"{node.name}_{index}", **bounds))
            continue
        operands = [unused_name(graph, f"{output}_{bound}") for bound in bounds]
        for operand, values in zip(operands, bounds.values(), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.int64), operand))
        slices.append(helper.make_node("Slice", [node.input[0], *operands], [output], f"{node.name}_{index}"))
    return slices


def _sizes(node: onnx.NodeProto, axis: int, tensors: Tensors) -> list[int]:
    """The sizes of the parts of a Split along `axis`. Formula: ONNX' operator Split, parts of equal size but the last."""
    if len(node.input) > 1 and node.input[1]:
        return [int(size) for size in tensors.constants[node.input[1]]]
    whole, parts = tensors.shapes[node.input[0]][axis], len(node.output)
    sizes: list[int] = list(attributes(node).get("split", ()))
    part = -(-whole // parts)
    return sizes or [min(part, whole - i * part) for i in range(parts)]


def _with_height(graph: onnx.GraphProto, node: onnx.NodeProto, tensors: Tensors, version: int) -> list[onnx.NodeProto]:
    """The nodes that compute what `node` does over one axis, by windows of height 1."""
    options = attributes(node)
    for name, before in (("kernel_shape", [1]), ("strides", [1]), ("dilations", [1])):
        if name in options:
            options[name] = [*before, *options[name]]
    if "pads" in options:
        first, last = options["pads"]
        options["pads"] = [0, first, 0, last]
    lifted = [
        _moved(graph, "Unsqueeze", name, f"{node.output[0]}_operand{i}", version)
        for i, name in enumerate(node.input[:2])
    ]
    flat, output = unused_name(graph, f"{node.output[0]}_with_height"), node.output[0]
    for name, moved in zip(node.input[:2], lifted, strict=True):
        _declare(graph, moved.output[0], _lifted(tensors.shapes[name]))
    _declare(graph, flat, _lifted(tensors.shapes[output]))
    wide = onnx.NodeProto()
    wide.CopyFrom(node)
    _set_attributes(wide, options)
    del wide.input[:], wide.output[:]
    wide.input.extend([*(moved.output[0] for moved in lifted), *node.input[2:]])
    wide.output.append(flat)
    back = _moved(graph, "Squeeze", flat, f"{output}_without_height", version)
    back.output[0] = output
    return [*lifted, wide, back]


def _lifted(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape[:_AXIS], 1, *shape[_AXIS:])


def _moved(graph: onnx.GraphProto, operator: str, tensor: str, name: str, version: int) -> onnx.NodeProto:
    moved = unused_name(graph, f"{name}_out")
    if version < 13:  # axes became an operand
        return helper.make_node(operator, [tensor], [moved], name, axes=[_AXIS])
    axes = unused_name(graph, f"{name}_axes")
    graph.initializer.append(numpy_helper.from_array(np.asarray([_AXIS], np.int64), axes))
    return helper.make_node(operator, [tensor, axes], [moved], name)


def _declare(graph: onnx.GraphProto, name: str, shape: Sequence[int]) -> None:
    graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _set_attributes(node: onnx.NodeProto, options: Mapping[str, Any]) -> None:
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in options.items())
