"""Elementwise operators with constants: they stay real-valued and pending until a quantizer or the output."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch

from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.tensors import HostTensor, StreamTensor, attributes, describe, per_channel
from pipeline.frontend.streamline.operators import ELEMENTWISE_FUNCTIONS

__all__ = ["apply_batch_normalization", "apply_binary", "apply_function"]

_HOST_OPS = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}


def apply_binary(
    node: onnx.NodeProto, tensor: HostTensor | StreamTensor, operand: np.ndarray, tensor_first: bool
) -> HostTensor | StreamTensor:
    """Add, Sub, Mul or Div of a tensor and a constant, in either order (but for constant / tensor)."""
    if node.op_type == "Div" and not tensor_first:
        raise UnsupportedError(
            f"{describe(node)} divides by a tensor that depends on the input; it must be a constant."
        )
    if node.op_type == "Div" and not np.all(operand):
        raise UnsupportedError(f"{describe(node)} divides by zero.")
    if isinstance(tensor, HostTensor):
        if node.op_type == "Sub" and not tensor_first:
            return tensor.then(node, "mul", np.array(-1, np.float32)).then(node, "add", operand)
        return tensor.then(node, _HOST_OPS[node.op_type], operand)
    c = per_channel(node, tensor, operand)
    one, zero = np.ones_like(c), np.zeros_like(c)
    if node.op_type == "Add":
        return tensor.affine(one, c)
    if node.op_type == "Sub":
        return tensor.affine(one, -c) if tensor_first else tensor.affine(-one, c)
    if node.op_type == "Mul":
        return tensor.affine(c, zero)
    if tensor.functions:
        return tensor.affine(1 / c, zero)
    return replace(tensor, scale=tensor.scale / c, offset=tensor.offset / c)


def apply_batch_normalization(
    node: onnx.NodeProto, tensor: HostTensor | StreamTensor, parameters: list[np.ndarray]
) -> HostTensor | StreamTensor:
    """gamma · (x - mean) / sqrt(var + epsilon) + beta, per channel."""
    gamma, beta, mean, var = (np.asarray(p, np.float64) for p in parameters)
    factor = gamma / np.sqrt(var + attributes(node).get("epsilon", 1e-5))
    addend = beta - mean * factor
    shape = (1, -1, *([1] * (tensor.layout.ndim - 1)))
    factor, addend = factor.reshape(shape), addend.reshape(shape)
    if isinstance(tensor, HostTensor):
        return tensor.then(node, "mul", factor).then(node, "add", addend)
    return tensor.affine(per_channel(node, tensor, factor), per_channel(node, tensor, addend))


def apply_function(
    node: onnx.NodeProto, tensor: HostTensor | StreamTensor, operands: list[torch.Tensor | None]
) -> HostTensor | StreamTensor:
    """A monotone function: Relu, Clip and the like."""
    options = attributes(node)
    if node.op_type == "LeakyRelu" and not options.get("alpha", 0.01) >= 0:
        raise UnsupportedError(
            f"{describe(node)} has alpha {options['alpha']:g}, with which it falls and then grows; thresholds need a "
            "function that only grows: alpha of 0 or more."
        )
    if isinstance(tensor, HostTensor):
        return _host_function(node, tensor, options, operands)
    if node.op_type == "Relu":
        ends = tensor.real(np.stack([tensor.lo, tensor.hi]))
        if float(ends.min()) >= 0:  # monotone, so nowhere negative
            return tensor
    function = ELEMENTWISE_FUNCTIONS[node.op_type]
    return replace(tensor, functions=(*tensor.functions, lambda x: function(options, x, *operands)))


def _host_function(
    node: onnx.NodeProto, tensor: HostTensor, options: dict[str, Any], operands: list[torch.Tensor | None]
) -> HostTensor:
    if node.op_type == "Relu":
        return tensor.then(node, "maximum", np.array(0, np.float32))
    if node.op_type != "Clip":
        raise UnsupportedError(
            f"{describe(node)} comes before the first quantizer, where the host can add, subtract, multiply, "
            "divide and clip."
        )
    least, most, *_ = (*operands, None, None)
    lo, hi = options.get("min", least), options.get("max", most)
    if lo is not None:
        tensor = tensor.then(node, "maximum", np.asarray(lo, np.float32))
    if hi is not None:
        tensor = tensor.then(node, "minimum", np.asarray(hi, np.float32))
    return tensor
