"""Gives a network with a float input an 8-bit input quantizer, so that all of it can run on the FPGA."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.errors import UnsupportedError
from pipeline.frontend.streamline.executor import Evaluation, constants, gives_classes, graph_input, run_graph
from pipeline.frontend.streamline.host_begin import HOST_BEGIN_OPS, RESIZES
from pipeline.frontend.streamline.host_end import tensor_shapes
from pipeline.frontend.streamline.input_quantizer import InputQuantizer
from pipeline.frontend.streamline.nodes import attributes
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS
from pipeline.frontend.streamline.resizing import Resizing, repeats

__all__ = ["insert_input_quantizer"]

_BITS = 8
_PARTS = frozenset({"Slice", "Split", "Concat"})
_OF_INTEGERS = "MultiThreshold"  # a quantizer that the host cannot compute: it compares with each threshold


def insert_input_quantizer(
    model: onnx.ModelProto,
    inputs: np.ndarray,
    outputs: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[InputQuantizer, np.ndarray] | None:
    """Insert an 8-bit quantizer in `model`, in place, where its input would reach a layer as floats.

    `ends` are the least and the largest input, which broadcast against a frame; where they are None the first half of the
    golden `inputs` stands for all. The quantizer is unsigned where nothing is negative, and its one scale maps the largest
    magnitude to its largest integer. Returns it and what the golden `outputs` become; None, with nothing changed, where
    the network has a quantizer of its own.

    Raises UnsupportedError where there is a single golden input and no `ends`: nothing would be left to measure with.
    """
    tensor = _float_tensor(model)
    if tensor is None:
        return None
    choosing = 0 if ends is not None else len(inputs) // 2
    if ends is None:
        if not choosing:
            raise UnsupportedError(
                "The network takes floats, and one golden frame cannot say which and show what a quantizer does. Give more "
                "golden_inputs, or input_range."
            )
        reached = inputs[:choosing]
    else:
        reached = np.stack([np.broadcast_to(end, inputs.shape[1:]) for end in ends])
    values = Evaluation(model).run(reached, until=tensor)[tensor]  # what comes before it rises or falls in each element
    low, high = float(values.min()), float(values.max())
    signed = low < 0
    scale = np.float32(max(-low, high) / (2 ** (_BITS - signed) - 1)) or np.float32(1)
    _insert(model.graph, tensor, scale, signed)
    after = run_graph(model, inputs)
    rest = slice(choosing, None)
    difference, same = float(np.abs(outputs[rest] - after[rest]).max()), None
    if gives_classes(outputs):
        top1 = [y[rest].reshape(len(y[rest]), -1).argmax(axis=1) for y in (outputs, after)]
        same = int((top1[0] == top1[1]).sum())
    quantizer = InputQuantizer(tensor, float(scale), signed, low, high, choosing, difference, same, len(outputs[rest]))
    return quantizer, after


def _float_tensor(model: onnx.ModelProto) -> str | None:
    """The tensor that a layer reads although no quantizer came before it, or from which layers make that; None if there is
    none."""
    graph = model.graph
    fixed, shapes = constants(graph), tensor_shapes(model)
    floating = {graph_input(graph).name: graph_input(graph).name}  # with the tensor to quantize for each
    quantized: set[str] = set()
    for node in graph.node:
        read = [name for name in node.input if name in floating]
        if not read:
            continue
        if node.op_type in QUANTIZER_OPS and node.op_type != _OF_INTEGERS:
            quantized.update(read)
            continue
        others = [name for name in node.input if name and name not in floating]
        known = all(name in fixed for name in others) and (len(read) == 1 or node.op_type in _PARTS)
        if node.op_type not in HOST_BEGIN_OPS or not known:
            return floating[read[0]]
        first = floating[read[0]]
        floating[node.output[0]] = node.output[0] if first == read[0] and not _by_layers(node, fixed, shapes) else first
    parts = sorted(name for name in quantized if floating[name] != name)
    return floating[parts[0]] if parts and len(quantized) > 1 else None  # one input stream is for both of them


def _by_layers(node: onnx.NodeProto, fixed: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether `node` moves what a quantizer before it gives by layers: it makes more of it, or parts for several layers."""
    if node.op_type not in RESIZES:
        return node.op_type in _PARTS
    if node.input[0] not in shapes:
        return True
    operands = [fixed.get(name) for name in node.input[1:]]
    return repeats(Resizing.of(attributes(node), shapes[node.input[0]], operands, old=len(operands) < 2))


def _insert(graph: onnx.GraphProto, tensor: str, scale: np.float32, signed: bool) -> None:
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
        signed=int(signed),
        narrow=0,
        rounding_mode="ROUND",
    )
    graph.node.insert(index, quantizer)
    known = next((v for v in (*graph.input, *graph.value_info) if v.name == tensor), None)
    if known is not None:
        copied = graph.value_info.add()
        copied.CopyFrom(known)
        copied.name = names[3]
