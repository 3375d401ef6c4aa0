"""The walk over a QONNX graph: each node becomes a constant, a pending function, or layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch

from pipeline.dataflow.graph import LayerGraph, OutputTransform
from pipeline.errors import UnsupportedError
from pipeline.frontend.conversion.builder import Checkpoint, LayerBuilder
from pipeline.frontend.conversion.elementwise import apply_batch_normalization, apply_binary, apply_function
from pipeline.frontend.conversion.images import with_squares
from pipeline.frontend.conversion.joins import convert_join
from pipeline.frontend.conversion.linear import convert_convolution, convert_matrix_product
from pipeline.frontend.conversion.moves import convert_concat, convert_pad, convert_resize, convert_slice
from pipeline.frontend.conversion.outputs import add_label_select, output_transform
from pipeline.frontend.conversion.pooling import convert_average_pool, convert_max_pool
from pipeline.frontend.conversion.quantization import convert_input_quantizer, convert_quantizer
from pipeline.frontend.conversion.tensors import Constant, HostTensor, StreamTensor, attributes, describe
from pipeline.frontend.conversion.transposed import convert_transposed_convolution
from pipeline.frontend.streamline.executor import constants, graph_input, graph_output
from pipeline.frontend.streamline.operators import (
    BUILDABLE,
    CLASSIFIER_ENDS,
    ELEMENTWISE_FUNCTIONS,
    MOVES,
    OPERATORS,
)
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, read_quantizer

__all__ = ["Conversion", "convert_graph"]

_BINARY = ("Add", "Sub", "Mul", "Div")
_PRODUCTS = {
    "Conv": convert_convolution,
    "ConvTranspose": convert_transposed_convolution,
    "Gemm": convert_matrix_product,
    "MatMul": convert_matrix_product,
}
_PARTS = {"Pad": convert_pad, "Resize": convert_resize, "Slice": convert_slice, "Upsample": convert_resize}
Operand = Constant | HostTensor | StreamTensor | None


@dataclass(frozen=True, eq=False)
class Conversion:
    """A layer graph, and what relates it to the ONNX graph.

    `checkpoints` are the quantizers whose integers a stream carries. `logits` is the stream that `transform` makes the
    real outputs from; with a label at the end it is not the graph's output. `layout` holds, for each element of the
    ONNX output without its batch, its place in the frame of `logits`.
    """

    graph: LayerGraph
    checkpoints: tuple[Checkpoint, ...]
    logits: str
    transform: OutputTransform
    layout: np.ndarray


def convert_graph(model: onnx.ModelProto, *, top1: bool, name: str) -> Conversion:
    """The layer graph of `model`, a QONNX graph that `read_model` has checked, with batch 1.

    With `top1` a LabelSelect is the last layer. Raises UnsupportedError with the node's name for what cannot be built.
    """
    graph = model.graph
    readers = Counter(name for node in graph.node for name in node.input if name)
    readers[graph_output(graph)] += 1
    builder = LayerBuilder()
    values: dict[str, Operand] = {n: Constant(a, source=n) for n, a in constants(graph).items()}
    source = graph_input(graph)
    shape = tuple(d.dim_value for d in source.type.tensor_type.shape.dim)
    values[source.name] = HostTensor(shape[1:], np.arange(int(np.prod(shape[1:]))).reshape(shape[1:]))
    for node in graph.node:
        if node.op_type == "Constant":
            continue
        operands = [values[n] if n else None for n in node.input]
        operands = [_shared(o) if n and readers[n] > 1 else o for o, n in zip(operands, node.input, strict=True)]
        result = _convert(builder, node, operands)
        if isinstance(result, Constant) and not result.source:
            result = replace(result, source=node.output[0])
        values[node.output[0]] = result
    return _finish(builder, values[graph_output(graph)], graph_output(graph), top1, name)


def _finish(builder: LayerBuilder, tensor: Operand, output: str, top1: bool, name: str) -> Conversion:
    if not isinstance(tensor, StreamTensor) or not builder.layers:
        raise UnsupportedError(f"The output {output} needs no layer: there is no quantized operation to build.")
    tensor = with_squares(builder, f"The output {output}", tensor)
    if top1:
        stream, transform = add_label_select(builder, tensor, output)
        logits = builder.layers[stream].input_names[0]
    else:
        logits, transform = tensor.stream, output_transform(tensor, output)
        stream = logits
    layers, end = builder.finish(stream)
    names = {stream for layer in layers for stream in (*layer.input_names, *layer.output_names)}
    graph = LayerGraph(name, layers, "input", end, transform, builder.input_transform)
    checkpoints = tuple(c for c in builder.checkpoints if c.stream in names)
    return Conversion(graph, checkpoints, logits, transform, tensor.layout)


def _shared(operand: Operand) -> Operand:
    return replace(operand, exclusive=False) if isinstance(operand, StreamTensor) else operand


def _convert(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    constants_only = _constants_of(operands)
    if len(constants_only) == len(operands):
        return _constant(node, constants_only)
    if node.op_type in CLASSIFIER_ENDS:
        raise UnsupportedError(
            f"{describe(node)} makes shares of the logits, which no layer computes. Build the label (output: top1), which "
            "it does not change, or export the network without it and apply it on the host."
        )
    if node.op_type not in BUILDABLE and node.op_type not in QUANTIZER_OPS:
        raise UnsupportedError(
            f"{describe(node)} cannot be built: operator {node.op_type} is not supported on tensors that depend on the "
            f"input. Supported are {', '.join(sorted((*BUILDABLE, *QUANTIZER_OPS)))}."
        )
    if node.op_type in _BINARY:
        return _binary(builder, node, operands)
    if node.op_type == "Concat":
        return _concat(builder, node, operands)
    first, rest = operands[0], _constants_of(operands[1:])
    # only the first operand depends on the input, see `check_operands`
    assert isinstance(first, HostTensor | StreamTensor) and len(rest) == len(operands) - 1
    arrays = [None if o is None else o.values for o in rest]
    if node.op_type in QUANTIZER_OPS:
        quantizer = read_quantizer(node, arrays)
        if isinstance(first, HostTensor):
            return convert_input_quantizer(builder, node, first, quantizer)
        return convert_quantizer(builder, node, first, quantizer)
    if node.op_type in MOVES:
        return _moved(node, first, arrays)
    if node.op_type == "BatchNormalization":
        return apply_batch_normalization(node, first, [a for a in arrays if a is not None])
    if node.op_type == "Neg":
        minus = onnx.helper.make_node("Mul", [*node.input, ""], list(node.output), node.name)
        return apply_binary(minus, first, np.array(-1, np.float32), True)
    if node.op_type in ELEMENTWISE_FUNCTIONS:
        scalars = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
        return apply_function(node, first, scalars)
    if isinstance(first, HostTensor):
        raise UnsupportedError(f"{describe(node)} reads the float input; a quantizer must come before it.")
    return _layers(builder, node, first, rest, arrays)


def _constants_of(operands: list[Operand]) -> list[Constant | None]:
    """Those of `operands` that are known now, or left out."""
    return [operand for operand in operands if operand is None or isinstance(operand, Constant)]


def _layers(
    builder: LayerBuilder,
    node: onnx.NodeProto,
    tensor: StreamTensor,
    rest: list[Constant | None],
    arrays: list[np.ndarray | None],
) -> StreamTensor:
    if node.op_type in _PRODUCTS:
        weight, bias = rest[0], arrays[1] if len(arrays) > 1 else None
        assert weight is not None  # ONNX' schema lets only the bias be left out
        return _PRODUCTS[node.op_type](builder, node, tensor, weight, bias)
    if node.op_type in _PARTS:
        return _PARTS[node.op_type](builder, node, tensor, arrays)
    operand = arrays[0] if arrays else None
    axes = attributes(node).get("axes") if operand is None else list(operand)
    convert = convert_max_pool if node.op_type in ("MaxPool", "GlobalMaxPool", "ReduceMax") else convert_average_pool
    return convert(builder, node, tensor, axes)


def _concat(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> StreamTensor:
    tensors = [operand for operand in operands if isinstance(operand, StreamTensor)]
    if len(tensors) < len(operands):
        raise UnsupportedError(f"{describe(node)} joins the float input; a quantizer must come before it.")
    return convert_concat(builder, node, tensors)


def _binary(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    a, b = operands
    if isinstance(a, Constant) and isinstance(b, HostTensor | StreamTensor):
        return apply_binary(node, b, a.values, tensor_first=False)
    if isinstance(a, HostTensor | StreamTensor) and isinstance(b, Constant):
        return apply_binary(node, a, b.values, tensor_first=True)
    if node.op_type in ("Add", "Sub") and isinstance(a, StreamTensor) and isinstance(b, StreamTensor):
        return convert_join(builder, node, a, b)
    raise UnsupportedError(
        f"{describe(node)} joins two tensors that depend on the input; only Add and Sub of quantized tensors "
        "can be built."
    )


def _moved(node: onnx.NodeProto, tensor: HostTensor | StreamTensor, arrays: list[np.ndarray | None]) -> Operand:
    """Reshape, Transpose and the like move no data: only the layout changes."""
    operands = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
    layout = OPERATORS[node.op_type](attributes(node), torch.from_numpy(tensor.layout.copy())[None], *operands)
    if layout.shape[0] != 1:
        raise UnsupportedError(
            f"{describe(node)} moves elements into the batch axis; only the axes after it can change."
        )
    return replace(tensor, layout=layout[0].numpy())


def _quantized_constant(node: onnx.NodeProto, constant: Constant, arrays: list[np.ndarray | None]) -> Constant:
    quantizer = read_quantizer(node, arrays)
    values = torch.from_numpy(np.array(constant.values, np.float32))
    integers = quantizer.integers(values).numpy().astype(np.int64)
    scale = np.broadcast_to(quantizer.scale, integers.shape)
    return Constant((integers * scale).astype(np.float32), integers, scale, constant.source)


def _moved_constant(node: onnx.NodeProto, constant: Constant, arrays: list[np.ndarray | None]) -> Constant:
    operands = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
    options = attributes(node)
    return constant.moved(lambda x: OPERATORS[node.op_type](options, torch.from_numpy(np.array(x)), *operands).numpy())


def _constant(node: onnx.NodeProto, operands: list[Constant | None]) -> Constant:
    arrays = [None if o is None else o.values for o in operands]
    if node.op_type in (*QUANTIZER_OPS, *MOVES):
        first = operands[0]
        assert first is not None  # none of these can leave it out
        change = _quantized_constant if node.op_type in QUANTIZER_OPS else _moved_constant
        return change(node, first, arrays[1:])
    if node.op_type not in OPERATORS:
        raise UnsupportedError(f"{describe(node)} cannot be built: operator {node.op_type} is not supported.")
    tensors = [None if a is None else torch.from_numpy(np.array(a)) for a in arrays]
    return Constant(OPERATORS[node.op_type](attributes(node), *tensors).numpy())
