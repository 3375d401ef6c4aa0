"""Gives every tensor of a checked graph its type and shape, and calculates whatever does not depend on the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, TypeProto, helper, numpy_helper

from pipeline.errors import InputError, ModelError, UnsupportedError
from pipeline.frontend.streamline.checking import MAX_ELEMENTS, is_quantizer
from pipeline.frontend.streamline.executor import graph_input, graph_output
from pipeline.frontend.streamline.host_begin import before_layers
from pipeline.frontend.streamline.host_end import HOST_OPS, behind_layers
from pipeline.frontend.streamline.nodes import attributes, constant_value, describe
from pipeline.frontend.streamline.obstacles import Obstacles
from pipeline.frontend.streamline.operators import BUILDABLE, CLASSIFIER_ENDS, FOLDABLE, WITHOUT_LAYER
from pipeline.frontend.streamline.tensors import Tensors

__all__ = ["QCDQ_OPS", "infer"]

QCDQ_OPS = ("QuantizeLinear", "DequantizeLinear")
_MAX_AXES = 8
_MAX_STREAMED = 1 << 22  # elements of one frame in one tensor: a megapixel image, or 64 channels of 256 × 256
_FATAL = 4  # the only lines that the runtime should print
_MAX_DATA = 1 << 12  # elements of a constant whose values may decide a shape


def infer(
    model: onnx.ModelProto, obstacles: Obstacles, check: Callable[[onnx.NodeProto, Tensors], None] | None = None
) -> Tensors:
    """The tensors of `model`, a graph that `check_graph` has seen.

    Changes `model` in place: nodes that need constants alone become initializers, nodes and initializers that nothing
    needs go, and every tensor's shape is written down. Quantizers of constants stay, those of ONNX too.
    `check` is called for each node that stays, as soon as its tensors are known, so that the first that is wrong is named.
    Operators that cannot be built are noted as `obstacles`: they are known by shape, if at all. Raises ModelError for
    shapes or types that do not fit.
    """
    graph = model.graph
    _remove_unread(graph)
    on_host = frozenset(
        name for end in behind_layers(model) if end is not None for node in end.nodes for name in node.output
    )
    opset = next((entry.version for entry in model.opset_import if not entry.domain), 0)
    tensors = Tensors(on_host=on_host, before=before_layers(graph), opset=opset)
    for tensor in graph.initializer:
        tensors.add_constant(tensor.name, numpy_helper.to_array(tensor))
    source = graph_input(graph)
    shape = tuple(d.dim_value for d in source.type.tensor_type.shape.dim)
    _check_size(source.name, shape, _MAX_STREAMED)
    tensors.add(source.name, TensorProto.FLOAT, shape, dynamic=True)
    quantized = any(is_quantizer(node) or node.op_type in QCDQ_OPS for node in graph.node)
    nodes: list[onnx.NodeProto] = []

    def visit(node: onnx.NodeProto) -> None:
        value = _constant(model, node, tensors)
        if value is not None:
            tensors.add_constant(node.output[0], value)
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
            return
        nodes.append(node)
        if not quantized and not obstacles:  # one is enough of them
            _refuse_float_weights(node, tensors)
        _refuse_operator(node, tensors)
        _infer_node(model, node, tensors)
        if check is not None:
            check(node, tensors)

    for node in graph.node:
        if not obstacles.reads_unknown(node) and not obstacles.refuses(node):
            obstacles.attempt(node, partial(visit, node))
        else:
            nodes.append(node)
            obstacles.unknown.update(node.output)
            if not obstacles.refuses(node) and node.op_type not in (*FOLDABLE, "Shape", "Size"):  # it may be a constant
                obstacles.attempt(node, partial(_refuse_operator, node, tensors))
        if obstacles.refuses(node):
            _infer_refused(model, node, tensors, obstacles)
    del graph.node[:]
    graph.node.extend(nodes)
    _remove_unread(graph)
    _write_shapes(graph, tensors, obstacles)
    return tensors


def _remove_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that the output does not depend on."""
    read = {value.name for value in graph.output}
    live = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read.update(node.input)
            live.append(node)
    if len(live) < len(graph.node):
        del graph.node[:]
        graph.node.extend(reversed(live))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in read:
            del graph.initializer[index]


def _constant(model: onnx.ModelProto, node: onnx.NodeProto, tensors: Tensors) -> np.ndarray | None:
    """What `node` gives, where that does not depend on the input; None where it does, and for quantizers."""
    if node.op_type == "Constant":
        return constant_value(node)
    if node.op_type in ("Shape", "Size") and len(node.input) == 1 and node.input[0] in tensors.shapes:
        shape = tensors.shapes[node.input[0]]
        if node.op_type == "Size":
            return np.asarray(math.prod(shape), np.int64)
        options = attributes(node)
        return np.asarray(shape[options.get("start", 0) : options.get("end")], np.int64)
    if node.op_type not in FOLDABLE or any(name not in tensors.constants for name in node.input if name):
        return None
    if node.op_type == "DequantizeLinear" and tensors.types[node.input[0]] != TensorProto.INT32:
        return None  # it makes weights of integers; those of 32 bits are biases, which are none
    type_, shape = next(iter(_outputs(model, node, _schema(model, node), tensors).values()))
    _check_size(node.output[0], shape, MAX_ELEMENTS)
    value = _calculate(model, node, tensors)
    if value.shape != shape or helper.np_dtype_to_tensor_dtype(value.dtype) != type_:
        raise ModelError(f"{describe(node)} gives {value.dtype} of shape {value.shape}; expected the shape {shape}.")
    if value.dtype.kind in "fc" and not np.isfinite(value).all():
        raise UnsupportedError(
            f"{describe(node)} gives {value[~np.isfinite(value)][0]}; every constant must be finite."
        )
    return value


def _calculate(model: onnx.ModelProto, node: onnx.NodeProto, tensors: Tensors) -> np.ndarray:
    """By the runtime that QONNX's executor takes."""
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [helper.make_tensor_value_info(n, tensors.types[n], tensors.shapes[n]) for n in names]
    graph = helper.make_graph([node], "constant", inputs, [onnx.ValueInfoProto(name=node.output[0])])
    alone = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = _FATAL, 1
    try:
        session = onnxruntime.InferenceSession(alone.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (value,) = session.run(None, {name: tensors.constants[name] for name in names})
    except Exception as error:  # noqa: BLE001  the runtime's errors have no class in common
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{describe(node)} cannot be calculated from its constants: {reason}") from None
    return np.asarray(value)


def _refuse_float_weights(node: onnx.NodeProto, tensors: Tensors) -> None:
    """Raise for a layer with float weights, in a network without a quantizer."""
    if node.op_type not in ("Conv", "MatMul", "Gemm", "ConvTranspose"):
        return
    for name in node.input[:2]:
        weights = tensors.constants.get(name)
        if weights is not None and not np.array_equal(weights, np.round(weights)):
            raise UnsupportedError(
                f"{describe(node)} has float weights ({name}), and the network has no quantizer: it is a float network. "
                "Train it quantized, for example with Brevitas, and export it as QONNX."
            )


def _refuse_operator(node: onnx.NodeProto, tensors: Tensors) -> None:
    operator = node.op_type
    if is_quantizer(node) or operator in (*BUILDABLE, *CLASSIFIER_ENDS, *QCDQ_OPS):
        return
    if operator in HOST_OPS and node.output[0] in tensors.on_host:
        return
    what = f"{describe(node)} is not supported"
    if operator in WITHOUT_LAYER:
        raise UnsupportedError(
            f"{what}: there is no hardware layer for {operator}. Export the network without it, or leave that part to "
            "the host."
        )
    raise UnsupportedError(
        f"{what} on tensors that depend on the input. Supported are {', '.join(sorted(BUILDABLE))}, and Quant, IntQuant, "
        "BipolarQuant and Trunc of QONNX."
    )


def _infer_node(model: onnx.ModelProto, node: onnx.NodeProto, tensors: Tensors) -> None:
    dynamic = not tensors.dynamic.isdisjoint(node.input)
    outputs: dict[str, tuple[int, tuple[int, ...]]]
    if is_quantizer(node):
        shape = tensors.shapes[node.input[0]] if node.input and node.input[0] else ()
        outputs = {node.output[0]: (TensorProto.FLOAT, shape)}
    else:
        _check_axes(node, tensors)
        outputs = _outputs(model, node, _schema(model, node), tensors)
    for name, (type_, shape) in outputs.items():
        _check_size(name, shape, _MAX_STREAMED if dynamic else MAX_ELEMENTS)
        tensors.add(name, type_, shape, dynamic=dynamic)


def _infer_refused(model: onnx.ModelProto, node: onnx.NodeProto, tensors: Tensors, obstacles: Obstacles) -> None:
    """What a node that is refused gives, as far as ONNX knows it: the nodes behind it are looked at too."""
    known = all(name in tensors.types for name in node.input if name)
    if known and not node.domain and not tensors.dynamic.isdisjoint(node.input):
        with suppress(InputError):
            _infer_node(model, node, tensors)
    obstacles.unknown.difference_update(name for name in node.output if name in tensors.types)


def _check_axes(node: onnx.NodeProto, tensors: Tensors) -> None:
    """Raise for a convolution for which ONNX' inference ends the process: of too few axes, or a ConvTranspose without pads."""
    if node.op_type not in ("Conv", "ConvTranspose"):
        return
    if node.input[0] not in tensors.dynamic:
        raise UnsupportedError(f"{describe(node)} is not supported on constants.")
    shapes = [tensors.shapes.get(name, ()) for name in node.input[:2]]
    axes = [len(shape) for shape in shapes]
    if node.op_type == "Conv":
        if axes[0] < 3 or axes != axes[:1] * 2:
            raise ModelError(
                f"{describe(node)} has weights of shape {shapes[-1]} for a tensor of shape {shapes[0]}; expected the same "
                "number of axes, at least 3. Export the file again."
            )
        return
    if axes != [4, 4]:
        raise UnsupportedError(
            f"{describe(node)} reads tensors of shapes {', '.join(map(str, shapes))}; only images can be built."
        )
    options = attributes(node)
    if "output_shape" in options or options.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise UnsupportedError(f"{describe(node)} leaves its pads to output_shape or auto_pad; export it with pads.")
    lengths = {"strides": 2, "dilations": 2, "pads": 4, "output_padding": 2, "kernel_shape": 2}
    for name, count in lengths.items():
        if len(options.get(name, [1] * count)) != count:
            raise ModelError(f"{describe(node)} has {name} {options[name]}; expected {count} numbers.")


def _schema(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.defs.OpSchema:
    version = next(entry.version for entry in model.opset_import if not entry.domain)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        schema = None
    if schema is None or schema.deprecated:
        raise UnsupportedError(
            f"{describe(node)} is not supported: version {version} of ONNX' operators, which the file imports, has no "
            f"{node.op_type}. Export it with another opset_version."
        )
    return schema


def _outputs(
    model: onnx.ModelProto, node: onnx.NodeProto, schema: onnx.defs.OpSchema, tensors: Tensors
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """The type and shape of each tensor that `node` gives, by ONNX' own inference."""
    _check_types(node, schema, tensors.types)
    names = {name for name in node.input if name}
    data = {n: tensors.constants[n] for n in names if n in tensors.constants and tensors.constants[n].size <= _MAX_DATA}
    try:
        inferred = onnx.shape_inference.infer_node_outputs(
            schema,
            node,
            {n: helper.make_tensor_type_proto(tensors.types[n], tensors.shapes[n]) for n in names},
            {n: numpy_helper.from_array(value, n) for n, value in data.items()},
            opset_imports=list(model.opset_import),
            ir_version=model.ir_version,
        )
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, IndexError, OverflowError) as error:
        reason = str(error).strip().partition("\n")[0]
        shapes = ", ".join(f"{name} {tensors.shapes[name]}" for name in node.input if name)
        raise ModelError(f"{describe(node)} does not take {shapes}: {reason} Export the file again.") from None
    return {name: _known(node, name, inferred.get(name)) for name in node.output if name}


def _check_types(node: onnx.NodeProto, schema: onnx.defs.OpSchema, types: Mapping[str, int]) -> None:
    bound: dict[str, str] = {}
    for index, name in enumerate(node.input):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if not name:
            continue
        type_ = f"tensor({TensorProto.DataType.Name(types[name]).lower()})"
        expected = {bound.get(formal.type_str, type_)} & formal.types if formal.is_homogeneous else formal.types
        if type_ not in expected:
            wanted = bound.get(formal.type_str) or ", ".join(sorted(formal.types))
            raise ModelError(f"{describe(node)} reads {name}, a {type_}; expected {wanted}. Export the file again.")
        bound[formal.type_str] = type_


def _known(node: onnx.NodeProto, name: str, type_: TypeProto | None) -> tuple[int, tuple[int, ...]]:
    tensor = type_.tensor_type if type_ is not None and type_.HasField("tensor_type") else None
    if tensor is None or not tensor.HasField("shape") or any(not d.HasField("dim_value") for d in tensor.shape.dim):
        raise UnsupportedError(
            f"{describe(node)} gives {name}, whose shape is not known before the network runs; export it with fixed shapes."
        )
    return tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim)


def _check_size(name: str, shape: tuple[int, ...], limit: int) -> None:
    if len(shape) > _MAX_AXES:
        raise UnsupportedError(f"The tensor {name} has {len(shape)} axes; at most {_MAX_AXES} can be built.")
    if any(size < 1 for size in shape):
        raise ModelError(f"The tensor {name} has the shape {shape}; every size must be 1 or more.")
    if math.prod(shape) > limit:
        raise UnsupportedError(f"The tensor {name} has the shape {shape}; at most {limit} elements can be built.")


def _write_shapes(graph: onnx.GraphProto, tensors: Tensors, obstacles: Obstacles) -> None:
    """Write the shapes down in place of those that the file declares, which must be the same where they say anything."""
    output = graph_output(graph)
    for value in (*graph.value_info, *graph.output):
        if value.name in tensors.shapes and not obstacles:
            _compare(value, tensors)
    del graph.value_info[:]
    for node in graph.node:
        for name in node.output:
            if name and name != output and name in tensors.types:
                graph.value_info.append(helper.make_tensor_value_info(name, tensors.types[name], tensors.shapes[name]))
    if output not in tensors.types:
        return  # behind what cannot be built
    if output not in tensors.dynamic:
        raise UnsupportedError(f"The output {output} does not depend on the input; there is nothing to build.")
    graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(tensors.types[output], tensors.shapes[output]))


def _compare(value: onnx.ValueInfoProto, tensors: Tensors) -> None:
    declared, shape = value.type.tensor_type, tensors.shapes[value.name]
    if not value.type.HasField("tensor_type"):
        return
    if declared.elem_type not in (0, tensors.types[value.name]):
        name, other = (TensorProto.DataType.Name(t).lower() for t in (tensors.types[value.name], declared.elem_type))
        raise ModelError(f"The tensor {value.name} is declared as {other}; it is {name}. Export the file again.")
    dims = [d.dim_value if d.HasField("dim_value") else None for d in declared.shape.dim]
    fits = len(dims) == len(shape) and all(d is None or d == size for d, size in zip(dims, shape, strict=True))
    if declared.HasField("shape") and not fits:
        sizes = ", ".join("?" if d is None else str(d) for d in dims)
        raise ModelError(
            f"The tensor {value.name} is declared with the shape ({sizes}); it has {shape}. Export the file again."
        )
