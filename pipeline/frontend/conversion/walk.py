"""The walk over a QONNX graph: each node becomes a constant, a pending function, or layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import onnx
import torch

from a2q_driver.network_output import NetworkOutput
from pipeline.dataflow.graph import LayerGraph, OutputTransform
from pipeline.dataflow.types import IntType
from pipeline.errors import Obstacle, UnsupportedError
from pipeline.frontend.conversion.builder import INPUT, Checkpoint, LayerBuilder
from pipeline.frontend.conversion.centring import centre_streams
from pipeline.frontend.conversion.elementwise import (
    apply_batch_normalization,
    apply_binary,
    apply_function,
    apply_pair,
    few_integers,
)
from pipeline.frontend.conversion.host_begin import ON_HOST, join_on_host, move_on_host
from pipeline.frontend.conversion.images import with_squares
from pipeline.frontend.conversion.joins import convert_join
from pipeline.frontend.conversion.linear import convert_convolution, convert_matrix_product
from pipeline.frontend.conversion.moves import convert_concat, convert_pad, convert_resize, convert_slice
from pipeline.frontend.conversion.outputs import add_label_select, convert_outputs, output_transform
from pipeline.frontend.conversion.pooling import convert_average_pool, convert_max_pool
from pipeline.frontend.conversion.products import convert_product
from pipeline.frontend.conversion.quantization import convert_input_quantizer, convert_quantizer
from pipeline.frontend.conversion.tensors import (
    Constant,
    HostTensor,
    StreamTensor,
    attributes,
    channel_layout,
    describe,
    per_channel,
)
from pipeline.frontend.conversion.transposed import convert_transposed_convolution
from pipeline.frontend.streamline.executor import constants, graph_input, graph_output
from pipeline.frontend.streamline.host_end import HostEnd, find_ends, tensor_shapes
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.operators import (
    BUILDABLE,
    ELEMENTWISE_FUNCTIONS,
    MOVES,
    OPERATORS,
)
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS, read_quantizer
from pipeline.frontend.streamline.several_outputs import (
    SeveralOutputs,
    join_others,
    joins_outputs,
    output_tensors,
    several_outputs,
)
from pipeline.kernels.fm_padding import FMPadding

__all__ = ["Conversion", "convert_graph", "find_obstacles", "without_ends"]

_BINARY = ("Add", "Sub", "Mul", "Div")
_PRODUCTS = {
    "Conv": convert_convolution,
    "ConvTranspose": convert_transposed_convolution,
    "Gemm": convert_matrix_product,
    "MatMul": convert_matrix_product,
}
_PARTS = {"Pad": convert_pad, "Resize": convert_resize, "Slice": convert_slice, "Upsample": convert_resize}


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


@dataclass(frozen=True)
class Unknown:
    """What a node gives that cannot be built; `shape` is that of a frame, where it is known."""

    shape: tuple[int, ...] | None


Operand = Constant | HostTensor | StreamTensor | Unknown | None


def convert_graph(model: onnx.ModelProto, *, top1: bool, name: str) -> Conversion:
    """The layer graph of `model`, a QONNX graph that `read_model` has checked, with batch 1.

    With `top1` a LabelSelect is the last layer. Raises UnsupportedError for what cannot be built, with the names of all
    nodes that are in the way.
    """
    builder, obstacles = LayerBuilder(), Obstacles()
    result = _walk(builder, model, obstacles)
    output = graph_output(model.graph)
    if obstacles:
        raise obstacles.error(f"The network {name}", model.graph.node)
    try:
        return _finish(builder, result, output, top1, name, several_outputs(model))
    except UnsupportedError as error:
        raise UnsupportedError(f"The network {name}: {error}", [Obstacle("", "", str(error))]) from None


def find_obstacles(model: onnx.ModelProto, obstacles: Obstacles) -> None:
    """Add to the `obstacles` that were seen as `model` was read those nodes for which there are no layers."""
    _walk(LayerBuilder(), without_ends(model)[0], obstacles)


def without_ends(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[HostEnd | None, ...]]:
    """`model` without the nodes before its outputs for which there are no layers, and, for each output, these, where the host
    can compute them."""
    ends = find_ends(model)
    if not any(ends):
        return model, ends
    shorter = onnx.ModelProto()
    shorter.CopyFrom(model)
    sources = [name if end is None else end.source for name, end in zip(output_tensors(model), ends, strict=True)]
    several = several_outputs(model)
    if several is None:
        known = next((value for value in model.graph.value_info if value.name == sources[0]), None)
        shorter.graph.output[0].CopyFrom(known or onnx.ValueInfoProto(name=sources[0]))
    else:
        declared = tensor_shapes(model)  # those behind an obstacle are not known
        join_others(shorter, sources, [declared.get(source, ())[1:] for source in sources])
    read = {shorter.graph.output[0].name}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(shorter.graph.node):
        if not read.isdisjoint(node.output):
            nodes.insert(0, node)
            read.update(node.input)
    del shorter.graph.node[:]
    shorter.graph.node.extend(nodes)
    return shorter, ends


def _walk(builder: LayerBuilder, model: onnx.ModelProto, obstacles: Obstacles) -> Operand:
    """What stands for the output. Behind a node that is refused the walk goes on at the next quantizer."""
    graph, outputs = model.graph, several_outputs(model)
    readers = Counter(name for node in graph.node for name in node.input if name)
    readers[graph_output(graph)] += 1
    values: dict[str, Operand] = {n: Constant(a, source=n) for n, a in constants(graph).items()}
    source = graph_input(graph)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)[1:] for v in graph.value_info}
    shape = tuple(d.dim_value for d in source.type.tensor_type.shape.dim)
    builder.channels_last = _takes_channels_last(graph)
    values[source.name] = HostTensor.whole(shape[1:], shape[1:])
    for node in graph.node:
        if node.op_type == "Constant":
            continue
        operands = [values[n] if n else None for n in node.input]
        operands = [_shared(o) if n and readers[n] > 1 else o for o, n in zip(operands, node.input, strict=True)]
        result: Operand = None
        if not obstacles.refuses(node):
            convert = partial(_convert, builder, node, operands)
            if outputs is not None and joins_outputs(model, node):
                convert = partial(_outputs, builder, outputs, operands)
            result = obstacles.attempt(node, convert)
        if result is None or isinstance(result, Unknown):
            result = Unknown(shapes.get(node.output[0]))
        if isinstance(result, Constant) and not result.source:
            result = replace(result, source=node.output[0])
        values.update(dict.fromkeys(node.output, Unknown(None)))
        values[node.output[0]] = result
    return values[graph_output(graph)]


def _outputs(builder: LayerBuilder, outputs: SeveralOutputs, operands: list[Operand]) -> Operand:
    if any(isinstance(operand, Unknown) for operand in operands):
        return Unknown(None)
    tensors = [operand for operand in operands if isinstance(operand, StreamTensor)]
    if len(tensors) < len(operands):
        name = next(n for n, o in zip(outputs.names, operands, strict=True) if not isinstance(o, StreamTensor))
        raise UnsupportedError(f"The output {name} needs no layer: there is no quantized operation to build.")
    return convert_outputs(builder, outputs.names, tensors)


def _finish(
    builder: LayerBuilder, tensor: Operand, output: str, top1: bool, name: str, several: SeveralOutputs | None
) -> Conversion:
    if not isinstance(tensor, StreamTensor) or not builder.layers:
        raise UnsupportedError(f"The output {output} needs no layer: there is no quantized operation to build.")
    if several is not None and top1:
        raise UnsupportedError(
            f"It has {len(several.names)} outputs ({', '.join(several.names)}), and a label is of one; build without the "
            "label (output: logits)."
        )
    if several is None:
        tensor = with_squares(builder, f"The output {output}", tensor)
    if top1:
        stream, transform = add_label_select(builder, tensor, output)
        logits = builder.layers[stream].input_names[0]
    else:
        logits, transform = tensor.stream, output_transform(tensor, output)
        stream = logits
    centre_streams(builder, stream)
    layers, end = builder.finish(stream)
    names = {stream for layer in layers for stream in (*layer.input_names, *layer.output_names)}
    outputs = _places(several, tensor.layout) if several is not None else ()
    graph = LayerGraph(name, layers, "input", end, transform, builder.input_transform, outputs)
    checkpoints = tuple(c for c in builder.checkpoints if c.stream in names)
    return Conversion(graph, checkpoints, logits, transform, tensor.layout)


def _places(several: SeveralOutputs, layout: np.ndarray) -> tuple[NetworkOutput, ...]:
    """Each output, of the joined ones' `layout`."""
    ends = np.cumsum([int(np.prod(shape)) for shape in several.shapes])[:-1]
    parts = zip(several.names, several.shapes, np.split(layout.ravel(), ends), strict=True)
    return tuple(
        NetworkOutput(name, np.ascontiguousarray(part.reshape(shape), np.int64)) for name, shape, part in parts
    )


def _shared(operand: Operand) -> Operand:
    return replace(operand, exclusive=False) if isinstance(operand, StreamTensor) else operand


def _takes_channels_last(graph: onnx.GraphProto) -> bool:
    """Whether frames of the input are (H, W, C): the first node that moves their axes moves the channels to the front."""
    tensor = graph_input(graph).name
    for node in graph.node:
        if tensor not in node.input:
            continue
        if node.op_type == "Transpose":
            return list(attributes(node).get("perm", [])) == [0, 3, 1, 2]
        if node.op_type not in (*_BINARY, *QUANTIZER_OPS, *ELEMENTWISE_FUNCTIONS, "Neg", "Identity", "Cast"):
            return False
        tensor = node.output[0]
    return False


def _after_unknown(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    """What `node` gives, whose first operand is unknown: after a quantizer it is known again, but for its numbers."""
    first, *rest = operands
    parameters = _constants_of(rest)
    if not isinstance(first, Unknown) or node.op_type not in QUANTIZER_OPS or len(parameters) < len(rest):
        return Unknown(None)
    quantizer = read_quantizer(node, [None if p is None else p.values for p in parameters])
    shape = first.shape
    if shape is None or len(shape) not in (1, 3):
        return Unknown(None)
    channels, height, width = shape if len(shape) == 3 else (*shape, 1, 1)
    type_ = IntType(min(quantizer.lo, 0), max(quantizer.hi, 1))
    # a layer that does nothing stands for those that cannot be built: none of it is ever seen
    stream = builder.add(FMPadding, (INPUT,), shape=(height, width, channels), type=type_, pads=(0, 0, 0, 0))
    one = np.ones(channels, np.int64)
    layout = channel_layout(height, width, channels).reshape(shape)
    tensor = StreamTensor(stream, layout, one * quantizer.lo, one * quantizer.hi, one * 1.0, one * 0.0)
    return replace(tensor, scale=per_channel(node, tensor, quantizer.scale))


def _convert(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    if any(isinstance(operand, Unknown) for operand in operands):
        return _after_unknown(builder, node, operands)
    constants_only = _constants_of(operands)
    if len(constants_only) == len(operands):
        return _constant(node, constants_only)
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
            return convert_input_quantizer(builder, node, first, quantizer, channels_last=builder.channels_last)
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
    if isinstance(first, HostTensor) and node.op_type in ON_HOST:
        return move_on_host(node, first, arrays)
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


def _concat(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    tensors = [operand for operand in operands if isinstance(operand, StreamTensor)]
    floats = [operand for operand in operands if isinstance(operand, HostTensor)]
    if len(floats) == len(operands):
        return join_on_host(node, floats)
    if len(tensors) < len(operands):
        raise UnsupportedError(
            f"{describe(node)} joins the float input to what layers give; a quantizer must come before it."
        )
    return convert_concat(builder, node, tensors)


def _binary(builder: LayerBuilder, node: onnx.NodeProto, operands: list[Operand]) -> Operand:
    a, b = operands
    if isinstance(a, Constant) and isinstance(b, HostTensor | StreamTensor):
        return apply_binary(node, b, a.values, tensor_first=False)
    if isinstance(a, HostTensor | StreamTensor) and isinstance(b, Constant):
        return apply_binary(node, a, b.values, tensor_first=True)
    if isinstance(a, StreamTensor) and isinstance(b, StreamTensor):
        joined = {"Add": convert_join, "Sub": convert_join, "Mul": convert_product}.get(node.op_type)
        # sums of integers, and products of wide ones, need no table
        plain = not a.functions and not b.functions and (node.op_type != "Mul" or not few_integers(a))
        pair = None if joined and plain else apply_pair(node, a, b)
        if pair is not None:
            return pair
        if joined is not None:
            return joined(builder, node, a, b)
    raise UnsupportedError(
        f"{describe(node)} joins two tensors that depend on the input; only Add, Sub and Mul of quantized tensors can be "
        "built, and functions of one quantized tensor."
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
