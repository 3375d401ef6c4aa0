"""ONNX' and onnxruntime's operators on integers (QOperator), written out as DequantizeLinear, operator, QuantizeLinear.

Sources: the operator descriptions of ONNX (QLinearConv, QLinearMatMul) and of onnxruntime's domain com.microsoft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.executor import constants
from pipeline.frontend.streamline.nodes import attributes, describe, unused_name
from pipeline.frontend.streamline.obstacles import Obstacles

__all__ = ["is_qlinear", "write_out_qlinear"]

_MICROSOFT = "com.microsoft"
_PAIR, _UNARY = 2, 1  # tensors of integers in front, each with its scale and its zero point
# of each operator: its domain, what it computes on real numbers, and how many tensors it reads
_OPERATORS = {
    "QLinearConv": ("", "Conv", _PAIR),
    "QLinearMatMul": ("", "MatMul", _PAIR),
    "QGemm": (_MICROSOFT, "Gemm", _PAIR),
    "QLinearAdd": (_MICROSOFT, "Add", _PAIR),
    "QLinearMul": (_MICROSOFT, "Mul", _PAIR),
    "QLinearAveragePool": (_MICROSOFT, "AveragePool", _UNARY),
    "QLinearGlobalAveragePool": (_MICROSOFT, "GlobalAveragePool", _UNARY),
    "QLinearReduceMean": (_MICROSOFT, "ReduceMean", _UNARY),
    "QLinearLeakyRelu": (_MICROSOFT, "LeakyRelu", _UNARY),
    "QLinearSigmoid": (_MICROSOFT, "Sigmoid", _UNARY),
    "QLinearConcat": (_MICROSOFT, "Concat", 0),  # any number, behind the scale and the zero point of the output
}
_BIASED = {"QLinearConv": 8, "QGemm": 6}  # the operand that is the bias, of 32 bits
_WEIGHT_AXIS = {"QLinearConv": 0, "QLinearMatMul": 1}  # of the scales by channel


def is_qlinear(node: onnx.NodeProto) -> bool:
    """Whether `node` computes on integers that stand for real numbers."""
    return node.op_type in _OPERATORS and node.domain == _OPERATORS[node.op_type][0]


def write_out_qlinear(model: onnx.ModelProto, obstacles: Obstacles) -> None:
    """Replace each such operator of `model`, in place, by what it computes: on real numbers, between quantizers."""
    graph = model.graph
    known = constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        parts = obstacles.attempt(node, _Expansion(graph, node, known).nodes) if is_qlinear(node) else [node]
        nodes += parts or [node]
    del graph.node[:]
    graph.node.extend(nodes)


@dataclass(frozen=True)
class _Expansion:
    graph: onnx.GraphProto
    node: onnx.NodeProto
    constants: dict[str, np.ndarray]

    def nodes(self) -> list[onnx.NodeProto]:
        operator, inputs = self.node.op_type, list(self.node.input)
        _, real, tensors = _OPERATORS[operator]
        options = attributes(self.node)
        if options.pop("channels_last", 0):
            raise UnsupportedError(f"{describe(self.node)} has channels_last; export it with channels after the batch.")
        if not tensors:
            triples, output = [inputs[i : i + 3] for i in range(2, len(inputs), 3)], inputs[:2]
        else:
            triples = [inputs[i : i + 3] for i in range(0, 3 * tensors, 3)]
            output = [*inputs[3 * tensors + (operator == "QGemm") :][:2], "", ""][:2]
        before = [self._dequantized(i, triple) for i, triple in enumerate(triples)]
        operands = [node.output[0] for node in before]
        index = _BIASED.get(operator, len(inputs))
        if index < len(inputs) and inputs[index]:
            operands.append(self._bias(inputs[index], [triple[1] for triple in triples], options.get("alpha", 1.0)))
        name = self.node.output[0]
        if not output[0]:  # QGemm gives real numbers then
            return [*before, helper.make_node(real, operands, [name], self.node.name, **options)]
        between = unused_name(self.graph, f"{name}_real")
        return [
            *before,
            helper.make_node(real, operands, [between], self.node.name, **options),
            helper.make_node("QuantizeLinear", [between, *filter(None, output)], [name], f"{name}_quantizer"),
        ]

    def _dequantized(self, index: int, triple: Sequence[str]) -> onnx.NodeProto:
        name = unused_name(self.graph, f"{self.node.output[0]}_operand{index}")
        options: dict[str, Any] = {}
        if self._array(triple[1]).ndim and index == 1:
            transposed = attributes(self.node).get("transB", 0)
            options["axis"] = _WEIGHT_AXIS.get(self.node.op_type, 0 if transposed else 1)
        return helper.make_node("DequantizeLinear", [n for n in triple if n], [name], name, **options)

    def _bias(self, name: str, scales: Sequence[str], alpha: float) -> str:
        """The real bias: its scale is the product of the others."""
        scale = np.float32(alpha) * self._array(scales[0]).reshape(-1)[:1] * self._array(scales[1])
        real = unused_name(self.graph, f"{name}_of_{self.node.output[0]}")
        bias = (self._array(name) * scale).astype(np.float32)
        self.graph.initializer.append(numpy_helper.from_array(bias, real))
        return real

    def _array(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise UnsupportedError(
                f"{describe(self.node)} takes {name or 'a scale'} from another node; scales, zero points and biases must "
                "be constants: quantize statically."
            )
        return self.constants[name]
