"""What FINN makes of a model of its nodes: their execution, their widths, and its estimates of them.

All by FINN's code, of which the nodes' Python is run, no vendor tool. FINN computes in float32, which holds every integer
up to 2^24.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames

from pipeline.errors import VerificationError
from pipeline.finn.model import INPUT, FinnModel
from pipeline.finn.record import FinnNodeCost, Widths

__all__ = ["attribute", "check_frames", "check_widths", "costs", "fifo_depths", "specialized"]

_EXACT = 1 << 24  # integers that float32 holds
_MATRICES = ("MVAU", "VVAU")


def check_frames(
    exported: FinnModel, frames: np.ndarray, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """How many tensors FINN's execution makes equal, in every element of `frames` (N, H, W, C), to the layer graph's.

    Raises VerificationError that names the first tensor that differs, and the layer that writes it.
    """
    ours = exported.graph.execute(frames)
    for index, frame in enumerate(frames):
        given = {INPUT: frame[None].astype(np.float32)}
        theirs = execute_onnx(exported.model, given, return_full_exec_context=True)
        for stream, tensor in exported.tensors.items():
            expected = ours[stream][index].astype(np.int64)
            found = np.asarray(theirs[tensor]).reshape(expected.shape)
            if np.array_equal(found, expected):
                continue
            where = tuple(map(int, np.argwhere(found != expected)[0]))
            writer = exported.graph.writer(stream)
            wide = (
                "; FINN computes in float32, which is exact up to 16,777,216"
                if np.abs(expected).max() >= _EXACT
                else ""
            )
            raise VerificationError(
                f"FINN's execution differs at {tensor}, written by {writer.name if writer else 'the input'}: frame {index}, "
                f"element {where} is {found[where]:g}, and {expected[where]} is expected{wide}."
            )
        on_progress(index + 1, len(frames))
    return len(exported.tensors)


def check_widths(exported: FinnModel) -> tuple[Widths, ...]:
    """The accumulator of each matrix beside the one that FINN finds by its own analysis.

    Raises VerificationError where FINN needs more bits, or where its RoundAndClipThresholds, which every build of FINN's
    runs, would change thresholds.
    """
    # the last node of a model is rounded up to whole bytes, which says nothing of the sums
    minimized = exported.model.transform(MinimizeAccumulatorWidth())
    widths = []
    for node in exported.model.graph.node:
        if node.op_type not in _MATRICES:
            continue
        last = exported.model.find_direct_successors(node) is None
        ours, theirs = _accumulator(exported.model, node.name), _accumulator(minimized, node.name)
        if not last and DataType[theirs].bitwidth() > DataType[ours].bitwidth():
            raise VerificationError(
                f"layer {exported.layers[node.name]} has accumulators of type {ours}, and FINN finds that it needs {theirs}."
            )
        if not last:
            widths.append(Widths(node.name, ours, theirs))
    clipped = exported.model.transform(RoundAndClipThresholds())
    for node in exported.model.graph.node:
        if node.op_type == "Thresholding":
            before, after = (model.get_initializer(node.input[1]) for model in (exported.model, clipped))
            if not np.array_equal(before, after):
                raise VerificationError(
                    f"FINN's RoundAndClipThresholds would change thresholds of {node.name}, which are integers within the range "
                    "of what they are compared with."
                )
    return tuple(widths)


def specialized(exported: FinnModel, part: str) -> ModelWrapper:
    """The model with a node of HLS or of RTL for each of its nodes, as FINN chooses for `part`, named as FINN names them."""
    return exported.model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())


def costs(exported: FinnModel, model: ModelWrapper, part: str) -> tuple[FinnNodeCost, ...]:
    """FINN's estimates of each node of the `specialized` model, in the order of the graph."""
    cycles: Mapping[str, Any] = model.analysis(exp_cycles_per_layer)
    resources: Mapping[str, Mapping[str, Any]] = model.analysis(partial(res_estimation, fpgapart=part))
    layers = list(exported.layers.values())  # specializing keeps nodes in order
    return tuple(
        FinnNodeCost(
            node.name,
            node.op_type,
            layer,
            int(cycles[node.name]),
            {name: float(value) for name, value in resources[node.name].items() if "efficiency" not in name},
        )
        for node, layer in zip(model.graph.node, layers, strict=True)
    )


def fifo_depths(model: ModelWrapper, part: str) -> dict[str, int]:
    """The depth of each FIFO that FINN puts into the `specialized` model, by FINN's name of the FIFO."""
    model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
    model = model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    fifos = (node for node in model.graph.node if node.op_type.startswith("StreamingFIFO"))
    return {node.name: int(attribute(node, "depth")) for node in fifos}


def attribute(node: NodeProto, name: str) -> Any:
    """An attribute of a node of FINN's, as FINN reads it; None where such nodes have none of the name."""
    operator = getCustomOp(node)
    if name not in operator.get_nodeattr_types():
        return None
    value = operator.get_nodeattr(name)
    return value.tolist() if isinstance(value, np.ndarray) else value


def _accumulator(model: ModelWrapper, name: str) -> str:
    return str(attribute(next(node for node in model.graph.node if node.name == name), "accDataType"))
