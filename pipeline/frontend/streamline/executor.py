"""Runs a QONNX graph on a batch of frames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.nodes import attributes, constant_value, describe
from pipeline.frontend.streamline.operators import OPERATORS
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, read_quantizer

__all__ = [
    "AT_ONCE",
    "Evaluation",
    "constants",
    "fixed_operands",
    "gives_classes",
    "graph_input",
    "graph_output",
    "run_graph",
]

AT_ONCE = 2  # batches: most operators are too small for torch to spread them over two cores
_EXACT_IN_FLOAT = 1 << 24  # float32 holds every integer of this magnitude
# Where there is no oneDNN, torch takes NNPACK for batches of 16 and more, whose Winograd transform leaves the integers.
# The switch is the process's, not a thread's.
torch.backends.nnpack.set_flags(False)  # type: ignore[no-untyped-call]  # of torch


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The initializers and the outputs of Constant nodes, by name."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            arrays[node.output[0]] = constant_value(node)
    return arrays


def fixed_operands(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> dict[str, np.ndarray]:
    """The `constants`, and those that a quantizer rounds before one of `nodes` reads them, as a quantized bias."""
    arrays = constants(graph)
    read = {name for node in nodes for name in node.input}
    for node in graph.node:
        if node.op_type in QUANTIZER_OPS and node.output[0] in read and all(n in arrays for n in node.input if n):
            x, *rest = (arrays[name] if name else None for name in node.input)
            assert x is not None  # a quantizer has all its operands, see `check_operands`
            quantizer = read_quantizer(node, rest)
            arrays[node.output[0]] = quantizer.integers(torch.from_numpy(np.array(x))).numpy() * quantizer.scale
    return arrays


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


def gives_classes(outputs: np.ndarray) -> bool:
    """Whether `outputs` (N, ...) of a network are a number for each class, of which the largest says the class."""
    numbers: int = outputs[0].size
    return numbers > 1 and outputs.shape[1] == numbers


@dataclass(frozen=True, eq=False)
class _Scaled:
    """A quantizer's result: integers of magnitude up to `reach`, and the scale, in double, that makes them real."""

    integers: Tensor
    scale: Tensor
    reach: int


class Evaluation:
    """A graph made ready to run on frames: whatever depends on constants alone is calculated here, once.

    In float32 as the file says, or, if `precise`, in double from the first quantizer on. The constants of the file are
    float32, so in double a sum of products does not depend on the order of summation to within 1e-15, while in
    float32 two runtimes differ in the last bits and, rarely, in a rounding of a quantizer. What comes before the first
    quantizer is elementwise and stays in float32: IEEE 754 makes that the same everywhere. Weights are always rounded
    in float32, as the framework that trained them does.
    """

    def __init__(self, model: onnx.ModelProto, *, precise: bool = False) -> None:
        graph = model.graph
        self._precise = precise
        self._input, self._output = graph_input(graph).name, graph_output(graph)
        self._constants: dict[str, Tensor | _Scaled] = {
            name: torch.from_numpy(np.array(array)) for name, array in constants(graph).items()
        }
        self._nodes: list[onnx.NodeProto] = []
        with torch.no_grad():
            for node in graph.node:
                if node.op_type == "Constant":
                    continue
                if all(name in self._constants for name in node.input if name):
                    self._constants[node.output[0]] = self._execute(node, self._constants)
                else:
                    self._nodes.append(node)
        self._last_use = {name: i for i, node in enumerate(self._nodes) for name in node.input}
        read = {self._output, *self._last_use}
        self._constants = {name: value for name, value in self._constants.items() if name in read}

    def run(self, frames: np.ndarray, *, keep: Collection[str] = (), until: str | None = None) -> dict[str, np.ndarray]:
        """The graph's output, and each tensor named in `keep`, for `frames` of shape (N, *the shape of one frame).
        With `until`, a tensor's name, that tensor instead of the output, and nothing after it is run."""
        output = until or self._output
        wanted = {output, *keep}
        values = {**self._constants, self._input: torch.from_numpy(np.asarray(frames, np.float32))}
        with torch.no_grad():
            for i, node in enumerate(self._nodes):
                if output in values:
                    break
                values[node.output[0]] = self._execute(node, values)
                for name in node.input:
                    if self._last_use[name] == i and name not in wanted:
                        values.pop(name, None)
            return {name: _real(values[name]).numpy() for name in wanted}

    def _execute(self, node: onnx.NodeProto, values: Mapping[str, Tensor | _Scaled]) -> Tensor | _Scaled:
        operands = [values[name] if name else None for name in node.input]
        if node.op_type in QUANTIZER_OPS:
            return self._quantized(node, _reals(operands))
        if node.op_type not in OPERATORS:
            raise UnsupportedError(f"{describe(node)} is not supported.")
        options = attributes(node)
        if node.op_type in ("Conv", "ConvTranspose"):
            x, weights, *rest = operands
            if isinstance(x, _Scaled) and isinstance(weights, _Scaled):
                product = _integer_convolution(node.op_type, options, x, weights)
                if product is not None:
                    bias = rest[0] if rest else None
                    return product if bias is None else product + _real(bias).double().reshape(-1, 1, 1)
        return OPERATORS[node.op_type](options, *_reals(operands))

    def _quantized(self, node: onnx.NodeProto, operands: list[Tensor | None]) -> Tensor | _Scaled:
        x, *rest = operands
        assert x is not None  # a quantizer has all its operands, see `check_operands`
        quantizer = read_quantizer(node, [None if t is None else t.numpy() for t in rest])
        integers = quantizer.integers(x)
        if not self._precise:
            return integers * torch.as_tensor(quantizer.scale, dtype=integers.dtype)
        reach = max(abs(quantizer.lo), abs(quantizer.hi))
        return _Scaled(integers, torch.as_tensor(quantizer.scale, dtype=torch.float64), reach)


def run_graph(model: onnx.ModelProto, frames: np.ndarray, *, precise: bool = False, batch: int = 16) -> np.ndarray:
    """The output of the graph for `frames`, calculated in batches to bound the memory."""
    name, evaluation = graph_output(model.graph), Evaluation(model, precise=precise)
    batches = [frames[i : i + batch] for i in range(0, len(frames), batch)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return np.concatenate(list(pool.map(lambda part: evaluation.run(part)[name], batches)))


def _reals(operands: Sequence[Tensor | _Scaled | None]) -> list[Tensor | None]:
    return [None if operand is None else _real(operand) for operand in operands]


def _real(value: Tensor | _Scaled) -> Tensor:
    return value.integers.double() * value.scale if isinstance(value, _Scaled) else value


def _integer_convolution(operator: str, attributes: Mapping[str, Any], x: _Scaled, weights: _Scaled) -> Tensor | None:
    """The convolution in double where its sums of integers are exact in float32, which is several times as fast, and zero
    where they cancel; None where they are not, or where the scale cannot be taken out of the sum."""
    axis = 0 if operator == "Conv" else 1  # of the weights' output channels
    outputs = weights.integers.shape[axis]
    of_outputs = tuple(outputs if index == axis else 1 for index in range(4))
    terms = weights.integers.numel() // outputs
    known = {(), (1,), (1, 1, 1, 1), *([of_outputs] if axis == 0 or attributes.get("group", 1) == 1 else [])}
    if x.scale.numel() > 1 or tuple(weights.scale.shape) not in known:
        return None
    if terms * x.reach * weights.reach > _EXACT_IN_FLOAT:
        return None
    sums = OPERATORS[operator](attributes, x.integers.float(), weights.integers.float())
    return sums.double() * (x.scale * weights.scale).reshape(-1, 1, 1)
