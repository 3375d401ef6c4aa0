"""Elementwise operators with constants: they stay real-valued and pending until a quantizer or the output."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.tensors import HostTensor, StreamTensor, attributes, describe, per_channel
from pipeline.frontend.streamline.operators import ELEMENTWISE_FUNCTIONS, OPERATORS, is_monotone
from pipeline.kernels.lookup import MAX_LOOKUP_BITS

__all__ = ["apply_batch_normalization", "apply_binary", "apply_function", "apply_pair", "few_integers"]

_HOST_OPS = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}


def apply_binary(
    node: onnx.NodeProto, tensor: HostTensor | StreamTensor, operand: np.ndarray, tensor_first: bool
) -> HostTensor | StreamTensor:
    """Add, Sub, Mul or Div of a tensor and a constant, in either order (but for constant / tensor)."""
    if node.op_type == "Div" and not tensor_first:
        if isinstance(tensor, HostTensor):
            raise UnsupportedError(
                f"{describe(node)} divides by a tensor before the first quantizer, where it must be a constant."
            )
        inverse = apply_function(onnx.helper.make_node("Reciprocal", [], list(node.output), node.name), tensor, [])
        assert isinstance(inverse, StreamTensor)
        factor = per_channel(node, tensor, operand)
        return inverse.affine(factor, np.zeros_like(factor))
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
    return tensor.divided(c)


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
    """A function of each element: Relu, Clip and the like; one that falls and grows of few integers only."""
    options = attributes(node)
    if isinstance(tensor, HostTensor):
        return _host_function(node, tensor, options, operands)
    ends = tensor.real(np.stack([tensor.lo, tensor.hi]))
    if node.op_type == "Relu" and tensor.monotone and float(ends.min()) >= 0:  # so nowhere negative
        return tensor
    if node.op_type == "PRelu" and operands[0] is not None:
        operands = [torch.from_numpy(per_channel(node, tensor, operands[0].numpy()))]
    function, one_sided = ELEMENTWISE_FUNCTIONS[node.op_type], bool((ends > 0).all() or (ends < 0).all())
    monotone = tensor.monotone and is_monotone(node.op_type, options, operands, one_sided=one_sided)
    result = replace(
        tensor, functions=(*tensor.functions, lambda x: function(options, x, *operands)), monotone=monotone
    )
    if not monotone:
        require_few(node, tensor)
    if torch.isnan(result.real(np.stack([tensor.lo, tensor.hi]))).any():
        raise UnsupportedError(
            f"{describe(node)} reads values from {ends.min():g} to {ends.max():g}, for some of which it has no value. Put "
            "a quantizer, or a Clip, with a range that it is defined on before it."
        )
    return result


def few_integers(tensor: StreamTensor) -> bool:
    """Whether a table can hold a function of the integers of `tensor`."""
    type_ = IntType(int(tensor.lo.min()), int(tensor.hi.max()))
    return type_.bits <= MAX_LOOKUP_BITS and tensor.sum is None


def require_few(node: onnx.NodeProto, tensor: StreamTensor) -> None:
    """Raise unless the integers of `tensor` are so few that a table holds a function of them."""
    lo, hi = int(tensor.lo.min()), int(tensor.hi.max())
    if not few_integers(tensor):
        raise UnsupportedError(
            f"{describe(node)} is a function that falls and grows, for which no thresholds stand but a table, of sums from "
            f"{lo} to {hi}; a table holds {MAX_LOOKUP_BITS} bits. Put a quantizer, of 8 bits or fewer, before it."
        )


def apply_pair(node: onnx.NodeProto, a: StreamTensor, b: StreamTensor) -> StreamTensor | None:
    """The sum, product or the like of two functions of the integers of one stream, as a function of these; None where
    there is no such stream."""
    if a.layout.shape != b.layout.shape or not np.array_equal(a.layout, b.layout):
        return None
    others = {tensor.stream: real for tensor, real in b.ancestors()}
    root, real_a = next(((t, real) for t, real in a.ancestors() if t.stream in others), (None, None))
    if root is None or real_a is None:
        return None
    require_few(node, root)
    first, second, operator = real_a, others[root.stream], OPERATORS[node.op_type]

    def both(x: torch.Tensor) -> torch.Tensor:
        integers = x.numpy().astype(np.int64)
        return operator({}, first(integers), second(integers))

    one = np.ones(root.channels)
    return replace(root, layout=a.layout, scale=one, offset=0 * one, functions=(both,), exclusive=False, monotone=False)


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
