"""Checks what an ONNX file says, before anything is calculated from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import resolve_domain

from pipeline.errors import ModelError, UnsupportedError
from pipeline.frontend.streamline.channels_last import is_channels_last
from pipeline.frontend.streamline.executor import constants, graph_input, graph_output
from pipeline.frontend.streamline.nodes import describe, unused_name
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.qlinear import is_qlinear
from pipeline.frontend.streamline.quantizers import QUANTIZER_OPS

__all__ = ["MAX_ELEMENTS", "check_graph", "check_text", "is_quantizer"]

MAX_ELEMENTS = 1 << 28  # of a constant: 1 GiB in float32
_OLDEST_OPSET = 7  # the first whose operators broadcast as numpy does
_QUANTIZERS = "qonnx.custom_op.general"
_POSITIVE = frozenset({"strides", "dilations", "kernel_shape", "group", "blocksize", "num_outputs"})
_LARGEST_BATCH = 1 << 16  # beyond, it is none but damage
_ASIDE = "unsupported"
_MAX_INTEGER = 1 << 31  # of an attribute: beyond, ONNX' own inference overflows


def is_quantizer(node: onnx.NodeProto) -> bool:
    """Whether `node` is a quantizer of QONNX, by its name and domain."""
    return node.op_type in QUANTIZER_OPS and resolve_domain(node.domain) == _QUANTIZERS


def check_text(model: onnx.ModelProto) -> None:
    """Raise ModelError unless every name in `model` is text: protocol buffers reads any bytes as one."""
    _check_text(model, "the model")


def _check_text(message: Message, place: str) -> None:
    for field, value in message.ListFields():
        parts = [value] if isinstance(value, str | bytes | Message) else value
        if field.type == field.TYPE_MESSAGE:
            for index, part in enumerate(parts):
                _check_text(
                    part, f"{field.name} of {place}" if parts is not value else f"{field.name} {index} of {place}"
                )
        elif field.type == field.TYPE_STRING and not all(isinstance(part, str) for part in parts):
            raise _no_text(f"{field.name} of {place}")  # protocol buffers give the bytes of what is no text


def _no_text(place: str) -> ModelError:
    return ModelError(
        f"{place[0].upper()}{place[1:]} is not text in UTF-8. The file is damaged; fetch or export it again."
    )


def check_graph(model: onnx.ModelProto, obstacles: Obstacles) -> None:
    """Raise unless `model` is one valid graph, each tensor given once and before it is read; unknown operators are noted
    as `obstacles`, and moved to a domain of their own.

    Writes what a file may leave out: names of nodes, QONNX's operators among those imported, `""` for ONNX' domain, and
    batch 1; initializers that are also inputs are inputs no more.
    """
    graph = model.graph
    _check_imports(model)
    for sparse in graph.sparse_initializer:
        raise UnsupportedError(f"The tensor {sparse.values.name} is sparse; save it as a dense tensor.")
    readers = {name: f", which {describe(node)} reads," for node in reversed(graph.node) for name in node.input}
    for tensor in graph.initializer:
        _check_tensor(tensor, f"The tensor {tensor.name}{readers.get(tensor.name, '')}")
    for node in graph.node:
        obstacles.attempt(node, partial(_check_node, node))
    _check_order(graph)
    _set_aside(model, obstacles)
    _check_annotations(graph)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"It is not a valid ONNX graph: {reason} Fetch or export it again.") from None
    _check_ends(graph)


def _set_aside(model: onnx.ModelProto, obstacles: Obstacles) -> None:
    """Give refused nodes a domain of which ONNX' checker knows nothing, so that it looks at the others."""
    if not obstacles:
        return
    for node in model.graph.node:
        if obstacles.refuses(node):
            node.domain = _ASIDE
            del node.attribute[:]
    if not any(entry.domain == _ASIDE for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ASIDE, 1))


def _check_imports(model: onnx.ModelProto) -> None:
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"It imports the operators of {domain or 'ONNX'} in two versions. Export it again.")
    newest = onnx.defs.onnx_opset_version()
    if not _OLDEST_OPSET <= versions.get("", 0) <= newest:
        raise UnsupportedError(
            f"It is written in version {versions.get('', 0)} of ONNX' operators; versions {_OLDEST_OPSET} to {newest} "
            "can be read. Export it with opset_version=13."
        )
    for node in model.graph.node:
        if (is_quantizer(node) or is_channels_last(node)) and versions.setdefault(node.domain, 1) < 1:
            raise ModelError(f"It imports version {versions[node.domain]} of {node.domain}; expected 1 or 2.")
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, versions[domain]) for domain in sorted(versions))


def _check_tensor(tensor: TensorProto, what: str) -> None:
    """Raise unless `tensor` is whole, dense, here, and finite."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(f"{what} is kept in another file. Save the model as one file, with its weights inside.")
    if any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > MAX_ELEMENTS:
        raise ModelError(f"{what} has the shape {tuple(tensor.dims)}; expected at most {MAX_ELEMENTS} elements.")
    try:
        onnx.checker.check_tensor(tensor)
        array = numpy_helper.to_array(tensor)
    except (onnx.checker.ValidationError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{what} cannot be read: {reason} Fetch or export it again.") from None
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise UnsupportedError(
            f"{what} holds {array[place]} at {place}; every constant must be finite. Look where training went astray."
        )


def _check_node(node: onnx.NodeProto) -> None:
    if not node.output or not any(node.output):
        raise ModelError(f"{describe(node)} gives no tensor. Fetch or export the file again.")
    node.name = node.name or next(name for name in node.output if name)
    if node.domain == "ai.onnx":
        node.domain = ""
    if node.domain and not is_quantizer(node) and not is_qlinear(node) and not is_channels_last(node):
        raise UnsupportedError(f"{describe(node)} is of the domain {node.domain}: {_foreign(node)}")
    if not node.domain and not onnx.defs.has(node.op_type, ""):
        hint = " QONNX's quantizers are of the domain qonnx.custom_op.general." if node.op_type in QUANTIZER_OPS else ""
        raise UnsupportedError(f"{describe(node)} is not supported: ONNX has no operator {node.op_type}.{hint}")
    names = [attribute.name for attribute in node.attribute]
    for attribute in node.attribute:
        if names.count(attribute.name) > 1:
            raise ModelError(f"{describe(node)} has the attribute {attribute.name} twice. Export the file again.")
        _check_attribute(node, attribute)


def _foreign(node: onnx.NodeProto) -> str:
    if node.domain.startswith("finn."):
        return "this is FINN's own format. Give the QONNX file that FINN was given."
    return (
        f"only ONNX' own operators and QONNX's quantizers ({', '.join(sorted(QUANTIZER_OPS))} of {_QUANTIZERS}) can be "
        "built. Export the network without it."
    )


def _check_attribute(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    what = f"The attribute {attribute.name} of {describe(node)}"
    kind = attribute.type
    if kind in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise UnsupportedError(
            f"{describe(node)} chooses or repeats a part of the graph ({attribute.name}) while it runs; only one fixed "
            "graph can be built. Export the network without control flow."
        )
    if kind == onnx.AttributeProto.UNDEFINED or attribute.ref_attr_name:
        raise ModelError(f"{what} has no value. Fetch or export the file again.")
    if kind in (onnx.AttributeProto.TENSOR, onnx.AttributeProto.TENSORS):
        for tensor in (attribute.t, *attribute.tensors):
            _check_tensor(tensor, what)
    values = _numbers(attribute)
    if any(not math.isfinite(value) for value in values):
        raise UnsupportedError(f"{what} is {', '.join(map(str, values))}; it must be finite.")
    if attribute.name in _POSITIVE and any(value < 1 for value in values):
        raise ModelError(f"{what} is {', '.join(map(str, values))}; expected numbers from 1.")
    if attribute.name == "pads" and any(value < 0 for value in values):
        raise UnsupportedError(f"{what} is {', '.join(map(str, values))}; padding that cuts off cannot be built.")
    if node.op_type != "Constant" and any(abs(value) >= _MAX_INTEGER for value in attribute.ints or [attribute.i]):
        raise ModelError(f"{what} is {', '.join(map(str, values))}; expected a number of at most 31 bits.")
    try:
        for text in (attribute.s, *attribute.strings):
            text.decode()
    except UnicodeDecodeError:
        raise ModelError(f"{what} is not text in UTF-8. The file is damaged; fetch or export it again.") from None


def _numbers(attribute: onnx.AttributeProto) -> list[float]:
    kinds = onnx.AttributeProto
    lists: dict[int, Iterable[float]] = {kinds.FLOATS: attribute.floats, kinds.INTS: attribute.ints}
    single: dict[int, Iterable[float]] = {kinds.FLOAT: [attribute.f], kinds.INT: [attribute.i]}
    return list(lists.get(attribute.type) or single.get(attribute.type, ()))


def _check_order(graph: onnx.GraphProto) -> None:
    given: dict[str, str] = {}
    for name, giver in _givers(graph):
        if not name:
            raise ModelError(f"{giver} has a tensor without a name. Fetch or export the file again.")
        if name in given:
            raise ModelError(f"The tensor {name} is given twice, by {given[name]} and by {giver}. Export it again.")
        given[name] = giver
    constants = {tensor.name for tensor in graph.initializer}
    known = constants | {value.name for value in graph.input}
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                reason = f"{given[name]} gives it, but only later" if name in given else "nothing gives it"
                raise ModelError(f"{describe(node)} reads the tensor {name}: {reason}. Fetch or export the file again.")
        known.update(node.output)
    for value in graph.output:
        if value.name not in known:
            raise ModelError(f"Nothing gives the output {value.name}. Fetch or export the file again.")


def _givers(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    """The name of each tensor with what gives it."""
    constants = {tensor.name for tensor in graph.initializer}
    yield from ((tensor.name, "an initializer") for tensor in graph.initializer)
    yield from ((value.name, "an input") for value in graph.input if value.name not in constants)
    for node in graph.node:
        yield from ((name, describe(node)) for name in node.output if name)


def _check_annotations(graph: onnx.GraphProto) -> None:
    """Check what QONNX notes of the integer types of tensors, and remove it: nothing here goes by it, but QONNX's
    executor stops at a type that it does not know, or that the values do not have."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for annotation in graph.quantization_annotation:
        for entry in annotation.quant_parameter_tensor_names:
            if entry.key == "finn_datatype":
                _check_annotation(annotation.tensor_name, entry.value, constants.get(annotation.tensor_name))
    del graph.quantization_annotation[:]


def _check_annotation(name: str, type_: str, tensor: TensorProto | None) -> None:
    try:
        datatype = DataType[type_]
        known = datatype.bitwidth() > 0
    except (KeyError, ValueError, AssertionError, TypeError, AttributeError, IndexError):
        known = False
    if not known:
        raise ModelError(
            f"The tensor {name} is annotated as {type_}, which is no type of QONNX. Remove the annotation, or export the "
            "file again."
        )
    if tensor is None or not datatype.is_integer():
        return
    values = numpy_helper.to_array(tensor)
    if values.dtype.kind not in "fiu" or not values.size:
        return
    if not (values == np.round(values)).all() or values.min() < datatype.min() or values.max() > datatype.max():
        raise ModelError(
            f"The tensor {name} is annotated as {type_}, but holds values from {values.min():g} to {values.max():g} that "
            "are not all of that type. Remove the annotation, or export the file again."
        )


def _check_ends(graph: onnx.GraphProto) -> None:
    constants = {tensor.name for tensor in graph.initializer}
    static = [value for value in graph.input if value.name in constants]
    for value in static:
        graph.input.remove(value)
    source, output = graph_input(graph), graph_output(graph)
    if source.name == output:
        raise ModelError(f"The output {output} is the input itself. Fetch or export the file again.")
    kind = source.type.WhichOneof("value")
    type_ = source.type.tensor_type
    if kind != "tensor_type" or type_.elem_type != TensorProto.FLOAT:
        type_name = _type_name(type_.elem_type) if kind == "tensor_type" else f"a {kind}"
        raise UnsupportedError(
            f"The input {source.name} is {type_name}; only float32 can be built. Export it with float32."
        )
    dims = type_.shape.dim
    shape = tuple(d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in dims)
    if not type_.HasField("shape") or len(shape) < 2 or any(isinstance(size, str) for size in shape[1:]):
        raise UnsupportedError(
            f"The input {source.name} has the shape ({', '.join(map(str, shape))}); export it with every size after the "
            "batch known, and at least one."
        )
    if any(isinstance(size, int) and size < 1 for size in shape):
        raise ModelError(f"The input {source.name} has the shape {shape}; every size must be 1 or more.")
    if isinstance(shape[0], int) and shape[0] > _LARGEST_BATCH:
        raise UnsupportedError(
            f"The input {source.name} has the shape {shape}, a batch of {shape[0]}; export it with a batch of 1."
        )
    if isinstance(shape[0], int) and shape[0] > 1:
        _fold_batch(graph, shape[0])
    dims[0].dim_value = 1


def _fold_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Make a batch of 1 of the frames that the file takes at once: every node is held to leave the first axis alone, so
    that each frame is computed by itself."""
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    known = constants(graph)
    for node in graph.node:
        shape = known.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) == 2 else None
        if shape is not None and shape.ndim == 1 and shape.size and shape[0] == batch:
            one = unused_name(graph, f"{node.output[0]}_shape_of_a_frame")
            graph.initializer.append(numpy_helper.from_array(np.array([1, *shape[1:]], np.int64), one))
            node.input[1] = one


def _type_name(type_: int) -> str:
    try:
        return TensorProto.DataType.Name(type_).lower()
    except ValueError:
        return f"of the unknown type {type_}"
