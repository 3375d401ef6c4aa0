"""FINN's way from QONNX to integers beside this project's: FINN's own transformations make integers of the network, and what
they compute must be what the layers compute.

The steps are those of FINN's flow: conversion to MultiThreshold, tidying up, streamlining, lowering of convolutions,
streamlining again, thresholds rounded to integers. FINN executes what comes out in float32. Nothing of this project's own
conversion takes part but the names of the quantizers whose integers a stream carries. Of a model of FINN's hardware nodes
nothing is left to streamline: FINN executes these.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import onnx
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from finn.transformation.streamline.absorb import (
    AbsorbConsecutiveTransposes,
    AbsorbScalarBiasIntoMultiThreshold,
    AbsorbTransposeIntoMultiThreshold,
)
from finn.transformation.streamline.reorder import MakeMaxPoolNHWC
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from finn.transformation.streamline.streamline_plus import StreamlinePlus
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.composed import ComposedTransformation
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import (
    GiveReadableTensorNames,
    GiveUniqueNodeNames,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
    SortGraph,
)
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
from qonnx.util.cleanup import cleanup_model

from pipeline.dataflow.finn_node import DOMAIN, today
from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.finn.record import CROSS_CHECK, EXECUTION, STREAMLINING, CrossCheck
from pipeline.frontend.conversion.builder import Checkpoint
from pipeline.frontend.conversion.walk import Conversion, convert_graph, without_ends
from pipeline.frontend.streamline.executor import Evaluation
from pipeline.frontend.streamline.nodes import describe
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS

__all__ = ["Streamlined", "compare", "cross_check", "of_nodes", "streamlined"]

_QUANTIZERS = ("MultiThreshold", "QuantAvgPool2d", *QUANTIZER_OPS)
_FLOAT32 = "FINN folds scales, and computes, in float32, which is exact up to 16,777,216"

_FLOW: tuple[Callable[[], Transformation], ...] = (
    *(
        InferShapes,
        FoldConstants,
        GiveUniqueNodeNames,
        GiveReadableTensorNames,
        InferDataTypes,
        RemoveStaticGraphInputs,
    ),
    *(AbsorbScalarBiasIntoMultiThreshold, StreamlinePlus),
    *(LowerConvsToMatMul, MakeMaxPoolNHWC, AbsorbTransposeIntoMultiThreshold, MakeMaxPoolNHWC),
    *(AbsorbConsecutiveTransposes, StreamlinePlus),
    *(InferDataLayouts, RemoveUnusedTensors, InferDataTypes, RoundAndClipThresholds, InferDataTypes, SortGraph),
)


@dataclass(frozen=True, eq=False)
class Streamlined:
    """What FINN made of a network: the `model`, and by quantizer of the network the nodes that stand for it.

    `compared_with` is what of FINN's made it, for sentences. `floats` are the nodes, as sentences name them, that give
    numbers which are no integers, before the end.
    """

    network: onnx.ModelProto
    model: ModelWrapper
    quantizers: Mapping[str, tuple[NodeProto, ...]]
    floats: tuple[str, ...]
    compared_with: str = STREAMLINING


def cross_check(
    network: onnx.ModelProto,
    graph: LayerGraph,
    frames: np.ndarray,
    folder: Path,
    *,
    version: str,
    nodes: onnx.ModelProto | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> CrossCheck:
    """Streamline `network`, QONNX, by FINN, compare it with the layers of `graph` on `frames` (N, *input shape), raw as the
    network takes them, and write `folder`/report. Where `network` was read from `nodes` of FINN's, FINN executes these instead.

    Raises UnsupportedError for what FINN's transformations refuse, VerificationError for a layer that gives other integers.
    """
    network, _ = without_ends(network)
    conversion = convert_graph(network, top1=graph.gives_labels, name=graph.name)
    theirs = streamlined(network) if nodes is None else of_nodes(network, nodes)
    tensors, missing = compare(theirs, conversion, graph, frames, on_progress)
    result = CrossCheck(version, len(frames), tensors, missing, theirs.floats, theirs.compared_with)
    (folder / "report").mkdir(parents=True, exist_ok=True)
    (folder / "report" / CROSS_CHECK).write_text(json.dumps(asdict(result), indent=2) + "\n")
    return result


# -- FINN's flow --------------------------------------------------------------------------------------------------------


def streamlined(network: onnx.ModelProto) -> Streamlined:
    """`network`, QONNX with one input and one output, as FINN streamlines it.

    Raises UnsupportedError, with FINN's own words, where a transformation refuses it.
    """
    model = ModelWrapper(network, make_deepcopy=True)
    # nodes and tensors are named anew again and again; a node's doc_string stays
    for node in model.graph.node:
        node.doc_string = node.output[0]
        _write_defaults(node)
    model = _refused(cleanup_model, model, "cleanup_model")
    names = {node.output[0]: node.doc_string for node in model.graph.node}
    model = _refused(lambda m: m.transform(ConvertQONNXtoFINN()), model, "ConvertQONNXtoFINN")
    for node in model.graph.node:
        if node.op_type in ("MultiThreshold", "QuantAvgPool2d"):
            node.doc_string = names.get(_scaled(model, node), "")
    most = 40 + 2 * len(model.graph.node)  # beyond which it is taken to come to no end: ResNet-8, of 61 nodes, needs 28
    for step in _FLOW:
        transformation = _ending(step(), count(1), most)
        model = _refused(partial(ModelWrapper.transform, transformation=transformation), model, step.__name__)
    quantizers: dict[str, tuple[NodeProto, ...]] = {}
    for node in model.graph.node:
        if node.doc_string and node.op_type in _QUANTIZERS:
            quantizers[node.doc_string] = (*quantizers.get(node.doc_string, ()), node)
    return Streamlined(network, model, quantizers, tuple(_floats(model)))


def of_nodes(network: onnx.ModelProto, nodes: onnx.ModelProto) -> Streamlined:
    """The model of FINN's `nodes` from which `network` was read, as FINN itself executes it.

    Raises UnsupportedError for a node that FINN cannot execute in Python.
    """
    model = ModelWrapper(nodes, make_deepcopy=True)
    for node in model.graph.node:
        try:
            executable = node.domain == DOMAIN and getCustomOp(node) is not None
        except Exception:  # noqa: BLE001  FINN's own, by release
            executable = False
        if not executable:
            raise UnsupportedError(
                f"FINN executes {describe(node)} in a simulation of HLS or RTL only, or under another name by now. The build "
                "does not need it: leave verify.finn out, or give the model of before step_specialize_layers."
            )
    last = model.graph.node[-1]
    if today(last.op_type) == "LabelSelect":  # what is compared are the numbers that it chooses from
        scores = next(value for value in model.graph.value_info if value.name == last.input[0])
        model.graph.node.remove(last)
        del model.graph.output[:]
        model.graph.output.append(scores)
        model.graph.value_info.remove(scores)
    # the tensors of `network` have the names of the nodes' own; its first quantizer says what the input is
    writers = {node.output[0]: (node,) for node in model.graph.node}
    given = next(node for node in network.graph.node if node.op_type in QUANTIZER_OPS).output[0]
    return Streamlined(network, model, {given: (), **writers}, (), EXECUTION)


def _write_defaults(node: NodeProto) -> None:
    """ONNX' defaults of a convolution's attributes, which FINN's lowering reads as if they were always there."""
    if node.op_type != "Conv":
        return
    there = {attribute.name for attribute in node.attribute}
    defaults = {"strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in defaults.items() if name not in there)


def _ending(transformation: Transformation, changes: Iterator[int], most: int) -> Transformation:
    """`transformation`, which raises RuntimeError where it, or those that it is composed of, change a graph more than `most`
    times: some of FINN's undo each other for ever."""
    if isinstance(transformation, ComposedTransformation):
        parts = (_ending(part, changes, most) for part in transformation.transformations)
        transformation.transformations = list(parts)
        return transformation
    apply, name = transformation.apply, type(transformation).__name__

    def counted(model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        model, changed = apply(model)
        if changed and next(changes) > most:
            raise RuntimeError(f"it comes to no end, {name} changes the graph again and again")
        return model, changed

    transformation.apply = counted
    return transformation


def _refused(step: Callable[[ModelWrapper], ModelWrapper], model: ModelWrapper, name: str) -> ModelWrapper:
    """What `step`, called `name`, makes of the model. FINN refuses with exceptions of every kind."""
    try:
        return step(model)
    except Exception as error:
        raise UnsupportedError(f"FINN cannot streamline this network: its {name} stops{_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """The end of a sentence on where and why FINN refuses, and on what to do."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    node = _at_work(error)
    where = ""
    if node is not None:
        where = f" at {node.name or node.output[0]} ({node.op_type}, {node.doc_string or node.output[0]})"
    return f"{where}: {text}. The build does not need it: leave verify.finn out."


def _at_work(error: BaseException) -> NodeProto | None:
    """The node that FINN was at when it raised `error`: the innermost one that its functions hold, as it says none."""
    nodes = [
        value
        for frame, _ in traceback.walk_tb(error.__traceback__)
        for value in frame.f_locals.values()
        if isinstance(value, NodeProto)
    ]
    return nodes[-1] if nodes else None


def _scaled(model: ModelWrapper, node: NodeProto) -> str:
    """The tensor behind the scale and the offset that follow a node that FINN put in the place of a quantizer."""
    while True:
        readers = model.find_consumers(node.output[0])
        if len(readers) != 1 or readers[0].op_type not in ("Add", "Mul") or readers[0].doc_string:
            return str(node.output[0])
        node = readers[0]


def _floats(model: ModelWrapper) -> Iterator[str]:
    """The nodes that make floats of integers, but for those at the very end: there FINN has no rule that moves scales on."""
    ends = _end(model)
    for node in model.graph.node:
        inputs = [name for name in node.input if model.get_initializer(name) is None]
        output = node.output[0]
        whole = bool(inputs) and all(model.get_tensor_datatype(name).is_integer() for name in inputs)
        if whole and output not in ends and not model.get_tensor_datatype(output).is_integer():
            readers = [f"{reader.name} ({reader.op_type})" for reader in model.find_consumers(output)]
            yield f"{node.name} ({node.op_type}), which it cannot move past {' and '.join(readers)}"


def _end(model: ModelWrapper) -> set[str]:
    """The tensors from the output back to the last one of integers."""
    names: set[str] = set()
    name = model.graph.output[0].name
    while name and not model.get_tensor_datatype(name).is_integer():
        names.add(name)
        node = model.find_producer(name)
        inputs = [] if node is None else [i for i in node.input if model.get_initializer(i) is None]
        name = inputs[0] if len(inputs) == 1 else ""
    return names


# -- the comparison -----------------------------------------------------------------------------------------------------


def compare(
    theirs: Streamlined,
    conversion: Conversion,
    graph: LayerGraph,
    frames: np.ndarray,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, tuple[str, ...]]:
    """How many tensors are the same integers, in every element of raw `frames` (N, *input shape), as streams of `graph`; and
    the quantizers for which FINN has no node.

    `conversion` says which stream carries which quantizer's integers. Raises VerificationError that names the first
    layer, in the order of the data, that gives others.
    """
    begin = conversion.graph.input_transform
    assert begin is not None  # what converts a network makes one
    streams = graph.execute(begin.apply(frames))
    place = {name: index for index, layer in enumerate(graph) for name in layer.output_names}
    checkpoints = sorted(conversion.checkpoints, key=lambda c: place.get(c.stream, -1))
    matched = [(c, node) for c in checkpoints for node in theirs.quantizers.get(c.tensor, ())]
    missing = tuple(c.tensor for c in checkpoints if c.tensor not in theirs.quantizers)
    source, output = (end[0].name for end in (theirs.model.graph.input, theirs.model.graph.output))
    transform, order = conversion.transform, conversion.layout.ravel()
    for index, frame in enumerate(frames):
        tensors = _executed(theirs, {source: frame[None]})
        for checkpoint, node in matched:
            expected = _integers(checkpoint, streams[checkpoint.stream][index])
            found = _found(theirs.model, checkpoint, node, tensors[node.output[0]], expected.shape)
            if not np.array_equal(found, expected):
                why = _why(theirs.network, checkpoint, frame, found != expected)
                raise _error(
                    theirs, graph, checkpoint.stream, f"{checkpoint.tensor}: frame {index}", found, expected, why
                )
        logits = streams[conversion.logits][index].astype(np.int64)
        scale, bias = (
            np.broadcast_to(values, logits.shape).ravel()[order] for values in (transform.scale, transform.bias)
        )
        found, expected = np.round((tensors[output].ravel() - bias) / scale), logits.ravel()[order]
        if not np.array_equal(found, expected):
            raise _error(theirs, graph, conversion.logits, f"the output: frame {index}", found, expected, _FLOAT32)
        on_progress(index + 1, len(frames))
    return len(matched) + 1, missing


def _executed(theirs: Streamlined, given: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """All tensors, by FINN's execution. Raises UnsupportedError, with FINN's own words, where it refuses."""
    try:
        tensors: Mapping[str, np.ndarray] = execute_onnx(theirs.model, dict(given), return_full_exec_context=True)
        return tensors
    except Exception as error:  # FINN's, of every kind
        raise UnsupportedError(f"FINN cannot execute this network: it stops{_cause(error)}") from error


def _integers(checkpoint: Checkpoint, frame: np.ndarray) -> np.ndarray:
    """The integers of the quantizer in a `frame` of the stream (H, W, C): of the quantizer's shape, without the batch."""
    values: np.ndarray = frame.astype(np.int64).ravel()[checkpoint.layout] - checkpoint.shift
    return values


def _scale(checkpoint: Checkpoint) -> np.ndarray:
    """The scale of each element of the quantizer's tensor, or one for all."""
    if checkpoint.scale.size == 1:
        return checkpoint.scale
    values: np.ndarray = checkpoint.scale.ravel()[checkpoint.layout % checkpoint.scale.size]  # channels come fastest
    return values


def _found(
    model: ModelWrapper, checkpoint: Checkpoint, node: NodeProto, tensor: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """FINN's integers, of the `shape` of the quantizer."""
    layout = getCustomOp(node).get_nodeattr("data_layout") if node.op_type == "MultiThreshold" else ""
    if layout in ("NHWC", "NWC") or (node.domain == DOMAIN and tensor.ndim > 2):
        tensor = np.moveaxis(tensor, -1, 1)
    values: np.ndarray = tensor.astype(np.float64).reshape(shape)
    if not model.get_tensor_datatype(node.output[0]).is_integer():
        values = np.round(values / _scale(checkpoint))
    return values


def _why(network: onnx.ModelProto, checkpoint: Checkpoint, frame: np.ndarray, wrong: np.ndarray) -> str:
    """What in FINN may make the `wrong` elements of a quantizer's tensor others, as the network itself has them."""
    quantizer = next(node for node in network.graph.node if checkpoint.tensor in node.output)
    before = quantizer.input[0]
    values = Evaluation(network, precise=True).run(frame[None], until=before)[before].reshape(wrong.shape)
    steps = np.broadcast_to(values / _scale(checkpoint), wrong.shape)[wrong]
    if np.array_equal(np.abs(steps - np.trunc(steps)), np.full(steps.shape, 0.5)):
        return "In the network each of them is a half, which QONNX rounds to even, as here, and FINN rounds up"
    return _FLOAT32


def _error(
    theirs: Streamlined, graph: LayerGraph, stream: str, place: str, found: np.ndarray, expected: np.ndarray, why: str
) -> VerificationError:
    wrong = found != expected
    where = tuple(map(int, np.argwhere(wrong)[0]))
    layer = graph.writer(stream)
    name = "the input" if layer is None else f"layer {layer.name}" + (f" ({layer.source})" if layer.source else "")
    return VerificationError(
        f"{name} gives {expected[where]} where {theirs.compared_with} gives {found[where]:g}, at {place}, element "
        f"{where}; {int(wrong.sum())} of {wrong.size} elements differ, and all that is compared before is equal. {why}."
    )
