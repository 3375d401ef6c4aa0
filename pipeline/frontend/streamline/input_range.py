"""The range of a network's input, as far as its quantizer says it."""

from __future__ import annotations

import numpy as np
import onnx

from pipeline.frontend.streamline.executor import Evaluation, constants, graph_input
from pipeline.frontend.streamline.host_begin import RESIZES
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, read_quantizer

__all__ = ["quantizer_range"]

_AFFINE = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization"})
_ROUNDING = 2.0**-18  # of shares of pixels, which are not quite 1 together
_IN_ORDER = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})  # elements stay in order


def quantizer_range(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray] | None:
    """The inputs at which the quantizer of the network's input reaches its least and its largest integer, float32, which
    broadcast against one frame.

    None for a network without such a quantizer, or with more before it than scales, biases and normalisations, which
    can be undone, and limits of its own.
    """
    arrays = constants(model.graph)
    source = graph_input(model.graph)
    tensor = source.name
    limits: list[np.ndarray | None] = [None, None]
    moved = False
    while True:
        node = _reader(model.graph, tensor)
        if node is not None and node.op_type == "Clip" and node.input[0] == tensor:
            limits = [arrays.get(name) for name in (*node.input[1:], "", "")[:2]]
            node = _reader(model.graph, node.output[0])
            if node is None or node.op_type not in QUANTIZER_OPS:
                return None
        if node is None:
            return None
        if node.op_type in QUANTIZER_OPS:
            break
        known = all(name in arrays for name in node.input if name and name != tensor)
        moved |= node.op_type in RESIZES
        if node.op_type not in _IN_ORDER | RESIZES and not (node.op_type in _AFFINE and known):
            return None
        tensor = node.output[0]
    quantizer = read_quantizer(node, [arrays.get(name) for name in node.input[1:]])
    if quantizer.thresholds is not None:
        return None
    ends = np.array([quantizer.lo, quantizer.hi], np.float64) * float(quantizer.scale.max())
    least, most = (default if limit is None else float(limit) for limit, default in zip(limits, ends, strict=True))
    ends = np.clip(ends, least, most)
    if tensor == source.name:
        return np.array(ends[0], np.float32), np.array(ends[1], np.float32)
    shape = tuple(d.dim_value for d in source.type.tensor_type.shape.dim)[1:]
    evaluation = Evaluation(model)
    frames = (np.full((1, *shape), value, np.float32) for value in (0, 1))
    at_zero, at_one = (evaluation.run(frame, until=tensor)[tensor][0].astype(np.float64) for frame in frames)
    if moved:  # a mean of pixels is between them, where all pixels of a channel are scaled and shifted alike
        if at_zero.ndim != 3 or not all(np.allclose(end, end[:, :1, :1], rtol=_ROUNDING) for end in (at_zero, at_one)):
            return None
        at_zero, at_one = at_zero[:, :1, :1], at_one[:, :1, :1]
    else:
        at_zero, at_one = at_zero.reshape(shape), at_one.reshape(shape)
    slope = np.where(at_one == at_zero, 1.0, at_one - at_zero)  # where the input decides nothing, any number will do
    low, high = np.sort([(end - at_zero) / slope for end in ends], axis=0).astype(np.float32)
    return low, high


def _reader(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    return next((node for node in graph.node if tensor in node.input and node.op_type != "Shape"), None)
