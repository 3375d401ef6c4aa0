"""streamline: QONNX's and FINN's transformations, one by one, each proven to leave the golden outputs as they were.

None of them rewrites arithmetic: constants are folded, operators that do nothing go, names become unique. FINN's that
move scales, biases and normalisations through the graph are left out, because they round anew, and its conversion of a
quantizer to thresholds rounds halves up where QONNX rounds them to even. Here all of these stay as the network has them
until `dataflow`, which derives integer thresholds from them, ties included. The graph is run in double from its first
quantizer on, so that a transposed matrix, summed in another order, changes no rounding of a quantizer: outputs agree to
2⁻⁴⁰, but for the one transformation that lets another runtime calculate constants.
FINN's builder is not used: it cannot be imported without Vivado.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from finn.transformation.streamline.absorb import AbsorbConsecutiveTransposes
from finn.transformation.streamline.remove import RemoveIdentityReshape, RemoveIdentityTranspose
from google.protobuf.message import Message
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import (
    ConvertSubToAdd,
    GiveUniqueParameterTensors,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
    SortCommutativeInputsInitializerLast,
    SortGraph,
)
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit
from qonnx.transformation.remove import RemoveIdentityOps

from pipeline.errors import VerificationError
from pipeline.frontend.streamline import COPY
from pipeline.frontend.streamline.executor import graph_input, run_graph
from pipeline.frontend.streamline.input_quantizer import InputQuantizer
from pipeline.frontend.streamline.insert_input_quantizer import insert_input_quantizer
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS

__all__ = ["OnStep", "StreamlineResult", "save_step", "streamline"]

OnStep = Callable[[str, onnx.ModelProto], None]

# double has 53 bits; sums of 2¹² terms in another order lose twelve of them at worst
_SUMMATION_ROUNDING = 2.0**-40
# constants folded by onnxruntime instead of torch: roots and quotients may differ in the last bit of float32, which is
# 2⁻²³ of a value, and what follows multiplies and adds a few of them
_FOLDING_ROUNDING = 2.0**-20

_TRANSFORMATIONS: tuple[Transformation, ...] = (
    RemoveStaticGraphInputs(),
    SortGraph(),
    InferShapes(),
    FoldConstants(exclude_op_types=["Quant", "IntQuant", "BipolarQuant", "Trunc"]),
    InferShapes(),
    FoldTransposeIntoQuantInit(),
    RemoveIdentityOps(),
    AbsorbConsecutiveTransposes(),
    RemoveIdentityTranspose(),
    RemoveIdentityReshape(),
    ConvertSubToAdd(),
    SortCommutativeInputsInitializerLast(),
    GiveUniqueParameterTensors(),
    RemoveUnusedTensors(),
)


@dataclass(frozen=True, eq=False)
class StreamlineResult:
    """The graph, its outputs for the first `len(outputs)` golden inputs, and the input quantizer it was given.

    On the first `checked` golden inputs every transformation left the outputs as they were.
    """

    model: onnx.ModelProto
    outputs: np.ndarray
    input_quantizer: InputQuantizer | None
    checked: int


def streamline(
    model: onnx.ModelProto,
    inputs: np.ndarray,
    outputs: np.ndarray,
    on_step: OnStep | None = None,
    *,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
    checked: int = 64,
) -> StreamlineResult:
    """Streamline `model`, whose golden `inputs` (N, *input shape) have the golden `outputs`.

    `ends` are the least and the largest input, for a quantizer where the network has none; None where only the golden
    inputs can tell.

    After every transformation that changes a node or a constant the first `checked` golden frames are run; what changes
    neither, such as the shapes that are written down, computes the same. `on_step(name, model)` is called where one
    changed something. `model` itself is left alone. Raises VerificationError with the transformation's name.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _name_shared_weights(copy.graph)
    wrapper = ModelWrapper(copy)
    frames = inputs[:checked]
    expected = run_graph(wrapper.model, frames, precise=True)
    before = _Content.of(wrapper.model)
    for index, transformation in enumerate(_TRANSFORMATIONS):
        name = type(transformation).__name__
        with _reproducible(index):
            wrapper = wrapper.transform(transformation, make_deepcopy=False)
        after = _Content.of(wrapper.model)
        if after == before:
            continue
        if after.computation != before.computation:
            result = run_graph(wrapper.model, frames, precise=True)
            _compare(name, result, expected, _FOLDING_ROUNDING if name == "FoldConstants" else _SUMMATION_ROUNDING)
            expected = result
        before = after
        if on_step is not None:
            on_step(name, wrapper.model)
    inserted = insert_input_quantizer(wrapper.model, inputs, outputs, ends)
    if inserted is None:
        return StreamlineResult(wrapper.model, expected, None, len(frames))
    if on_step is not None:
        on_step("InsertInputQuantizer", wrapper.model)
    quantizer, outputs = inserted
    return StreamlineResult(wrapper.model, outputs, quantizer, len(frames))


def _name_shared_weights(graph: onnx.GraphProto) -> None:
    """Give each quantizer of weights that others read too a copy of its own, under a name that says whose it is: those
    that transformations draw for copies say nothing."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    readers: Counter[str] = Counter()
    for node in graph.node:
        name = node.input[0] if node.op_type in QUANTIZER_OPS else ""
        if name not in tensors:
            continue
        readers[name] += 1
        if readers[name] > 1:
            copy = graph.initializer.add()
            copy.CopyFrom(tensors[name])
            copy.name = node.input[0] = f"{name}{COPY}{readers[name]}"


@dataclass(frozen=True)
class _Content:
    """A model's parts as they are stored, one by one: all of a large model at once takes several times as long."""

    computation: tuple[bytes, ...]  # the nodes and constants, and between which names
    declared: tuple[bytes, ...]  # what is said of tensors besides

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Content:
        graph = model.graph
        ends = [value.name.encode() for value in (graph_input(graph), *graph.output)]
        return cls(
            (*ends, *map(_stored, graph.node), *map(_stored, graph.initializer)),
            tuple(map(_stored, (*graph.input, *graph.output, *graph.value_info, *graph.quantization_annotation))),
        )


def _stored(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """QONNX draws names for new tensors: here the same ones each time, so that the same network gives the same file."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def save_step(folder: Path, index: int, name: str, model: onnx.ModelProto) -> Path:
    """Write `model` as the `index`th intermediate model."""
    path = folder / f"{index:02d}_{name}.onnx"
    onnx.save(model, path)
    return path


def _compare(name: str, outputs: np.ndarray, expected: np.ndarray, rounding: float) -> None:
    difference = float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else np.inf
    if difference > rounding * float(np.abs(expected).max()):
        raise VerificationError(
            f"{name} changed the golden outputs by up to {difference:.3g}, where at most "
            f"{rounding * float(np.abs(expected).max()):.3g} is rounding. The graph before it is the last good one."
        )
