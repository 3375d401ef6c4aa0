"""What moves and mixes pixels before the first quantizer, as steps of the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import torch

from a2q_driver.input_transform import LINEAR, HostStep
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.tensors import HostTensor, attributes, describe
from pipeline.frontend.streamline.host_begin import RESIZES
from pipeline.frontend.streamline.operators import OPERATORS
from pipeline.frontend.streamline.resizing import Resizing

__all__ = ["ON_HOST", "join_on_host", "move_on_host"]

ON_HOST = RESIZES | {"Slice"}


def move_on_host(node: onnx.NodeProto, tensor: HostTensor, arrays: Sequence[np.ndarray | None]) -> HostTensor:
    """`tensor` after `node`, one of ON_HOST, whose operands behind it are `arrays`."""
    options = attributes(node)
    if node.op_type in RESIZES:
        resizing = Resizing.of(options, (1, *tensor.layout.shape), arrays, old=len(arrays) < 2)
        if resizing.mode == "linear":
            tensor = tensor.in_order()
            step = HostStep(LINEAR, resizing.linear(0), resizing.linear(1))
            return tensor.whole(tensor.raw_shape, (tensor.shape[0], *resizing.outputs), (*tensor.steps, step))
    operands = [None if array is None else torch.from_numpy(np.array(array)) for array in arrays]
    layout = OPERATORS[node.op_type](options, torch.from_numpy(tensor.layout.copy())[None], *operands)
    return replace(tensor, layout=layout[0].numpy())


def join_on_host(node: onnx.NodeProto, tensors: Sequence[HostTensor]) -> HostTensor:
    """The `tensors` one behind the other, along the axis of `node`, a Concat. They must be parts of one tensor. Raises
    UnsupportedError for others."""
    first = tensors[0]
    if any(tensor.steps != first.steps for tensor in tensors):
        raise UnsupportedError(
            f"{describe(node)} joins tensors before the first quantizer that are calculated in different ways; only parts of "
            "one tensor can be joined there. Put a quantizer before it."
        )
    axis = attributes(node)["axis"] % (first.layout.ndim + 1) - 1
    return replace(first, layout=np.concatenate([tensor.layout for tensor in tensors], axis=axis))
