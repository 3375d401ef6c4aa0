"""Networks in QCDQ (QuantizeLinear, Clip, DequantizeLinear): QONNX's own transformation makes quantizers of them.

It takes much for granted, so here each pattern is checked, and given the form that it expects, before it runs.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.intquant import max_int, min_int
from qonnx.transformation.qcdq_to_qonnx import QCDQToQuant, extract_elem_type

from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.inference import QCDQ_OPS, infer
from pipeline.frontend.streamline.nodes import attributes, describe, unused_name
from pipeline.frontend.streamline.tensors import Tensors

__all__ = ["convert_qcdq"]

_INTEGERS = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16)
_HINT = (
    "export the network as QONNX (brevitas.export.export_qonnx), or as QCDQ with constant scales and zero points that are "
    "the same before and after (brevitas.export.export_onnx_qcdq)"
)


def convert_qcdq(model: onnx.ModelProto) -> bool:
    """Make quantizers of the QuantizeLinear and DequantizeLinear nodes of `model`, in place; whether there were any.

    `model` has passed `check_graph`. Raises UnsupportedError, with the node's name, for one that is no quantizer.
    """
    graph = model.graph
    if not any(node.op_type in QCDQ_OPS for node in graph.node):
        return False
    tensors = infer(model)
    _merge(graph, tensors)
    nodes: list[onnx.NodeProto] = []
    quantized: set[str] = set()
    for node in graph.node:
        if node.op_type in QCDQ_OPS:
            _prepare(graph, node, tensors)
        if node.op_type == "QuantizeLinear" and node.input[0] in quantized:
            nodes.append(_again(graph, node))  # QONNX names the bit width after the tensor, which must be another
        if node.op_type == "QuantizeLinear":
            quantized.add(node.input[0])
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors.constants:
            nodes.append(_quantized(graph, node, tensors))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    givers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            _check_chain(graph, node, givers, tensors)
    converted = ModelWrapper(model).transform(QCDQToQuant(), make_deepcopy=False).model
    for node in converted.graph.node:
        if node.op_type in QCDQ_OPS:
            _refuse(node, "has no counterpart that makes a quantizer of both")
    _give_floats(converted.graph)
    del converted.graph.value_info[:]  # of the integers that are no more; the others were compared by `infer`
    if not any(entry.domain == "qonnx.custom_op.general" for entry in converted.opset_import):
        converted.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    if converted is not model:
        model.CopyFrom(converted)
    return True


def _refuse(node: onnx.NodeProto, reason: str) -> NoReturn:
    raise UnsupportedError(f"{describe(node)} {reason}; {_HINT}.")


def _merge(graph: onnx.GraphProto, tensors: Tensors) -> None:
    """Where several nodes dequantize one tensor in the same way, keep the first: QONNX's transformation takes one."""
    first_of: dict[tuple[object, ...], onnx.NodeProto] = {}
    renamed: dict[str, str] = {}
    for node in list(graph.node):
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        if node.op_type != "DequantizeLinear" or node.input[0] in tensors.constants:
            continue
        values = tuple(tensors.constants[n].tobytes() if n in tensors.constants else n for n in node.input[1:])
        first = first_of.setdefault((node.input[0], values, attributes(node).get("axis")), node)
        if first is not node and node.output[0] != graph.output[0].name:
            renamed[node.output[0]] = first.output[0]
            graph.node.remove(node)


def _prepare(graph: onnx.GraphProto, node: onnx.NodeProto, tensors: Tensors) -> None:
    """Give `node` constants of its own, a zero point, and an axis if and only if it has a scale for each channel."""
    options = attributes(node)
    if options.get("block_size", 0):
        _refuse(node, "has a scale for each block")
    integers = tensors.types[node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]]
    if integers not in _INTEGERS:
        _refuse(node, f"quantizes to {TensorProto.DataType.Name(integers).lower()}, not to integers of 8 or 16 bits")
    names = [name for name in node.input[1:] if name]
    if any(name not in tensors.constants for name in names):
        _refuse(node, "takes its scale or zero point from another node")
    constants = [tensors.constants[name] for name in names]
    scale = constants[0]
    if scale.dtype != np.float32:
        _refuse(node, f"has a scale of {scale.dtype}, not of float32")
    zero = constants[1] if len(constants) > 1 else np.zeros(scale.shape, helper.tensor_dtype_to_np_dtype(integers))
    if zero.size != scale.size or scale.ndim > 1:
        _refuse(node, f"has scales of shape {scale.shape} and zero points of shape {zero.shape}")
    if node.op_type == "QuantizeLinear" and (zero % 2).any():
        _refuse(
            node,
            f"has the zero point {zero[zero % 2 != 0].flat[0]}: it rounds halves to even before it adds that, QONNX's Quant "
            "after, so that only even ones are the same",
        )
    rank = len(tensors.shapes[node.input[0]])
    axis = options.get("axis", 1)
    if scale.size == 1:
        scale, zero, axis_attribute = scale.reshape(()), zero.reshape(()), {}
    elif not -rank <= axis < rank or scale.size != tensors.shapes[node.input[0]][axis]:
        _refuse(node, f"has {scale.size} scales along axis {axis} of a tensor of shape {tensors.shapes[node.input[0]]}")
    else:
        axis_attribute = {"axis": axis % rank}
    del node.attribute[:], node.input[1:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in axis_attribute.items())
    for part, value in (("scale", scale), ("zero_point", zero)):
        node.input.append(_add(graph, tensors, f"{node.output[0]}_{part}", value))


def _again(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto:
    """An Identity that gives `node` a tensor of its own to quantize."""
    name = unused_name(graph, f"{node.output[0]}_operand")
    same = helper.make_node("Identity", [node.input[0]], [name], name)
    node.input[0] = name
    return same


def _quantized(graph: onnx.GraphProto, node: onnx.NodeProto, tensors: Tensors) -> onnx.NodeProto:
    """The QuantizeLinear that gives the constant integers which `node` dequantizes, from the real weights.

    QONNX's transformation subtracts zero points in the type of the integers, where they overflow, and takes every scale
    for one of the last axis; it does neither where a QuantizeLinear stands before.
    """
    integers = tensors.constants[node.input[0]]
    scale, zero = (tensors.constants[name].astype(np.float64) for name in node.input[1:])
    if scale.ndim:
        shape = [1] * integers.ndim
        shape[attributes(node)["axis"]] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    weights = _add(graph, tensors, f"{node.output[0]}_weights", ((integers - zero) * scale).astype(np.float32))
    node.input[0] = unused_name(graph, f"{node.output[0]}_integers")
    type_ = helper.np_dtype_to_tensor_dtype(integers.dtype)
    tensors.add(node.input[0], type_, integers.shape, dynamic=False)
    graph.value_info.append(helper.make_tensor_value_info(node.input[0], type_, integers.shape))
    quantizer = helper.make_node(
        "QuantizeLinear", [weights, *node.input[1:]], [node.input[0]], f"{node.name}_quantizer"
    )
    quantizer.attribute.extend(node.attribute)
    return quantizer


def _add(graph: onnx.GraphProto, tensors: Tensors, name: str, value: np.ndarray) -> str:
    name = unused_name(graph, name)
    tensors.add_constant(name, np.asarray(value))
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _check_chain(
    graph: onnx.GraphProto, node: onnx.NodeProto, givers: dict[str, onnx.NodeProto], tensors: Tensors
) -> None:
    """Raise unless `node` dequantizes what one QuantizeLinear gives, clipped to whole bits or not."""
    before, clip = givers.get(node.input[0]), None
    if before is not None and before.op_type == "Clip":
        clip, before = before, givers.get(before.input[0])
    if before is None or before.op_type != "QuantizeLinear":
        _refuse(node, "dequantizes what no QuantizeLinear gives")
    for name in {node.input[0], before.output[0]}:
        readers = [other for other in graph.node if name in other.input]
        if len(readers) > 1 or name == graph.output[0].name:
            _refuse(node, f"is not alone in reading the integers {name}")
    given = tensors.constants
    pairs = zip(before.input[1:], node.input[1:], strict=True)
    if not all(np.array_equal(given[a], given[b]) for a, b in pairs) or attributes(before) != attributes(node):
        _refuse(node, f"has another scale, zero point or axis than {describe(before)}")
    if clip is not None:
        _check_clip(graph, clip, tensors.types[before.output[0]], tensors)


def _check_clip(graph: onnx.GraphProto, clip: onnx.NodeProto, integers: int, tensors: Tensors) -> None:
    bounds = [tensors.constants[name] for name in clip.input[1:] if name in tensors.constants]
    if len(clip.input) != 3 or len(bounds) != 2 or any(bound.size != 1 for bound in bounds):
        _refuse(clip, "clips integers without two constant bounds")
    lo, hi = (int(bound.item()) for bound in bounds)
    if not lo <= 0 < hi:
        _refuse(clip, f"clips integers to [{lo}, {hi}], which is no range of whole bits")
    bits, signed, narrow = extract_elem_type(integers, (np.asarray(lo), np.asarray(hi)))
    if (min_int(signed, narrow, bits), max_int(signed, narrow, bits)) != (lo, hi):
        _refuse(clip, f"clips integers to [{lo}, {hi}], which is no range of whole bits")
    del clip.input[1:]
    clip.input.extend(
        _add(graph, tensors, f"{clip.output[0]}_bound{i}", bound.reshape(())) for i, bound in enumerate(bounds)
    )


def _give_floats(graph: onnx.GraphProto) -> None:
    """QONNX leaves zero points in the type of the integers."""
    operands = {name for node in graph.node if node.op_type == "Quant" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name in operands and tensor.data_type != TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
