"""Gives a network with a float input an 8-bit input quantizer, so that all of it can run on the FPGA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.streamline.executor import Evaluation, constants, graph_input, run_graph
from pipeline.streamline.operators import ELEMENTWISE_FUNCTIONS
from pipeline.streamline.quantizers import QUANTIZER_OPS

__all__ = ["InputQuantizer", "insert_input_quantizer"]

_BITS = 8
_HOST_OPS = frozenset(
    {"Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization", "Reshape", "Flatten", "Transpose"}
    | {"Squeeze", "Unsqueeze", "Identity", "Dropout", *ELEMENTWISE_FUNCTIONS}
)


@dataclass(frozen=True, eq=False)
class InputQuantizer:
    """The quantizer that was inserted after `tensor`, and what it does to the outputs of the golden inputs.

    `largest_difference` is of the real outputs; `same_top1` counts the frames, of `frames`, whose largest output is
    still the same.
    """

    tensor: str
    scale: float
    largest_difference: float
    same_top1: int
    frames: int


def insert_input_quantizer(
    model: onnx.ModelProto, inputs: np.ndarray, outputs: np.ndarray
) -> tuple[InputQuantizer, np.ndarray] | None:
    """Insert a signed 8-bit quantizer in `model`, in place, where its input would reach a layer as floats.

    Its one scale maps the largest magnitude among the golden `inputs`, at that place, to 127. Returns it and what the
    golden `outputs` become; None, with nothing changed, where the network has a quantizer of its own.
    """
    tensor = _float_tensor(model.graph)
    if tensor is None:
        return None
    extreme = float(np.abs(Evaluation(model).run(inputs, until=tensor)[tensor]).max())
    scale = np.float32(extreme / (2 ** (_BITS - 1) - 1)) if extreme else np.float32(1)
    _insert(model.graph, tensor, scale)
    after = run_graph(model, inputs)
    top1 = [y.reshape(len(y), -1).argmax(axis=1) for y in (outputs, after)]
    difference = float(np.abs(outputs - after).max())
    return InputQuantizer(tensor, float(scale), difference, int((top1[0] == top1[1]).sum()), len(inputs)), after


def _float_tensor(graph: onnx.GraphProto) -> str | None:
    """The tensor that a layer reads although no quantizer came before it; None if there is none."""
    fixed = constants(graph)
    floating = {graph_input(graph).name}
    for node in graph.node:
        read = [name for name in node.input if name in floating]
        if not read or node.op_type in QUANTIZER_OPS:
            continue
        others = [name for name in node.input if name and name not in floating]
        if node.op_type not in _HOST_OPS or any(name not in fixed for name in others) or len(read) > 1:
            return read[0]
        floating.add(node.output[0])
    return None


def _insert(graph: onnx.GraphProto, tensor: str, scale: np.float32) -> None:
    names = [f"{tensor}_input_quantizer_{part}" for part in ("scale", "zero_point", "bits", "output")]
    operands = (scale, np.float32(0), np.float32(_BITS))
    for name, value in zip(names, operands, strict=False):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    index = next((i + 1 for i, node in enumerate(graph.node) if tensor in node.output), 0)
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == tensor:
                node.input[i] = names[3]
    quantizer = helper.make_node(
        "Quant",
        [tensor, *names[:3]],
        [names[3]],
        "input_quantizer",
        domain="qonnx.custom_op.general",
        signed=1,
        narrow=0,
        rounding_mode="ROUND",
    )
    graph.node.insert(index, quantizer)
    known = next((v for v in (*graph.input, *graph.value_info) if v.name == tensor), None)
    if known is not None:
        copied = graph.value_info.add()
        copied.CopyFrom(known)
        copied.name = names[3]
