"""Small networks, ways to damage their files, and what must become of a damaged file.

A damaged file is refused in a sentence that names it, or it is still a network, and then its layer graph computes what
QONNX's own executor does. Which damage a seed stands for does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.errors import A2QError, InputError, VerificationError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export, resolve
from tests.dataflow.networks import Network

__all__ = ["BUILT", "NETWORKS", "REFUSED", "damaged_file", "outcome", "reference", "whole"]

BUILT, REFUSED = "built", "refused"
_FRAMES = 4

Rng = np.random.Generator


def dense(n: Network) -> None:
    n.quant(0.5, 4)
    n.matmul(6, 5)
    n.batch_norm(5)
    n.add("Relu")
    n.quant(0.5, 3, signed=0)
    n.add("Gemm", n.weights(4, 5), n.rng.normal(size=4), transB=1)
    n.add("Clip", np.float32(-1), np.float32(1.5))
    n.quant(0.25, 4)
    n.matmul(4, 3)


def constants(n: Network) -> None:
    """Flattens by Shape, Gather and Concat; parameters of a quantizer by Constant nodes and by operators."""
    size = n.node("Gather", [n.node("Shape", ["input"]), n.constant(0, np.int64)])
    batch = n.node("Unsqueeze", [size, n.constant([0], np.int64)])
    n.node("Reshape", ["input", n.node("Concat", [batch, n.constant([-1], np.int64)], axis=0)])
    last = n.last
    scale = n.node("Constant", [], value_float=0.5)
    bits = n.node("Ceil", [n.constant(3.5)])
    n.add("Quant", scale, 0.0, bits, at=last, signed=1, narrow=0, rounding_mode="ROUND")
    weight, last = n.weights(4, 8), n.last
    n.node("MatMul", [last, n.node("Transpose", [weight], perm=[1, 0])])
    n.node("Div", [n.last, n.constant(2.0)])


def images(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, bias=n.rng.normal(size=4), pads=[1, 1, 1, 1])
    n.batch_norm(4)
    n.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.conv(4, 4, 3, auto_pad="SAME_UPPER", group=2)
    n.quant(0.5, 4, signed=0)
    n.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    n.add("Trunc", 0.125, 0.0, 6.0, 0.5, 4.0, rounding_mode="FLOOR", signed=0)
    n.add("Flatten")
    n.matmul(4, 3)


def residual(n: Network) -> None:
    n.add("Sub", np.float32(0.5).reshape(1, 1, 1, 1))
    n.quant(0.5, 4)
    x = n.quant(0.5, 4, signed=0, at=n.conv(2, 3, pads=[1, 1, 1, 1]))
    y = n.quant(0.5, 4, signed=0, at=n.conv(3, 3, pads=[1, 1, 1, 1]))
    n.node("Add", [y, x])
    n.add("LeakyRelu", alpha=0.25)
    n.quant(0.5, 4)
    n.add("GlobalAveragePool")
    n.add("Squeeze", n.constant([2, 3], np.int64))
    n.matmul(3, 4)


def one_axis(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, (3,), strides=[2], pads=[1, 0])
    n.add("Relu")
    n.quant(0.5, 4, signed=0)
    n.add("MaxPool", kernel_shape=[2])
    n.add("Transpose", perm=[0, 2, 1])
    n.add("Flatten")
    n.matmul(16, 3)


def bipolar(n: Network) -> None:
    n.add("BipolarQuant", 1.0)
    last = n.last
    n.node("MatMul", [last, n.add("BipolarQuant", 0.5, at=n.constant(n.rng.normal(size=(6, 5))))])
    n.add("Neg")
    n.quant(0.5, 4, zero=2.0)
    n.matmul(5, 3)


def qcdq(n: Network) -> None:
    def quantizer(tensor: str, low: int, high: int) -> str:
        scale, zero = n.constant(0.5), n.constant(0, np.int8)
        integers = n.node("QuantizeLinear", [tensor, scale, zero])
        clipped = n.node("Clip", [integers, n.constant(low, np.int8), n.constant(high, np.int8)])
        return n.node("DequantizeLinear", [clipped, scale, zero])

    def weights(*shape: int) -> str:
        channels = n.constant(n.rng.choice([0.25, 0.5], shape[1]))
        integers = n.constant(n.rng.integers(-7, 8, shape), np.int8)
        return n.node("DequantizeLinear", [integers, channels, n.constant(np.zeros(shape[1]), np.int8)], axis=1)

    x = quantizer("input", -8, 7)
    n.node("MatMul", [x, weights(6, 5)])
    x = quantizer(n.add("Relu"), -127, 127)
    n.node("MatMul", [x, weights(5, 3)])


NETWORKS: dict[Callable[[Network], None], tuple[tuple[int, ...], tuple[int, ...]]] = {  # shapes of a frame, of outputs
    dense: ((6,), (1, 3)),
    constants: ((2, 4), (1, 4)),
    images: ((2, 6, 6), (1, 3)),
    residual: ((2, 4, 4), (1, 4)),
    one_axis: ((2, 10), (1, 3)),
    bipolar: ((6,), (1, 3)),
    qcdq: ((6,), (1, 3)),
}


def whole(build: Callable[[Network], None], seed: int) -> onnx.ModelProto:
    """One of NETWORKS, with weights drawn with `seed`."""
    frame, outputs = NETWORKS[build]
    network = Network(*frame, seed=seed)
    build(network)
    network.output_shape = outputs
    return network.model()


# no 0.1: its quotients round to ties in float32, where the hardware's thresholds are of the numbers themselves
_VALUES = (np.nan, np.inf, -np.inf, 0, -1, 1, 2.5, 7, 0.375, 3e-20, 1e9, 3e38)
_INTEGERS = (-(2**62), -28, -3, -1, 0, 1, 2, 3, 5, 255, 2**31, 2**62)
_OPERATORS = (
    *("Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Conv", "ConvTranspose"),
    *("Div", "Dropout", "Elu", "Erf", "Flatten", "Foo", "Gather", "Gemm", "GlobalAveragePool", "Identity", "If"),
    *("LeakyRelu", "LogSoftmax", "Loop", "MatMul", "Max", "MaxPool", "Mul", "MultiThreshold", "Neg", "Pad", "Pow"),
    *("Quant", "RandomNormalLike", "ReduceMean", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Sin", "Slice"),
    *("Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Trunc", "Unsqueeze", "Upsample"),
)
_DOMAINS = ("", "ai.onnx", "my", "finn.custom_op.general", "qonnx.custom_op.channels_last", "qonnx.custom_op.general")
_ATTRIBUTES = (
    *("alpha", "auto_pad", "axes", "axis", "bits", "ceil_mode", "count_include_pad", "dilations", "epsilon", "group"),
    *(
        "keepdims",
        "kernel_shape",
        "narrow",
        "pads",
        "perm",
        "rounding_mode",
        "signed",
        "strides",
        "to",
        "transA",
        "transB",
    ),
)
_TEXTS = (
    b"",
    b"ROUND",
    b"FLOOR",
    b"CEIL",
    b"HALF_UP",
    b"SAME_UPPER",
    b"SAME_LOWER",
    b"VALID",
    b"\xff\xfe",
    b"no such word",
)


def _pick(rng: Rng, options):
    return options[int(rng.integers(len(options)))]


def _node(rng: Rng, m: onnx.ModelProto) -> onnx.NodeProto:
    return _pick(rng, m.graph.node)


def _names(m: onnx.ModelProto) -> list[str]:
    names = [t.name for t in m.graph.initializer] + [v.name for v in m.graph.input]
    return [*names, *(o for node in m.graph.node for o in node.output), "no such tensor", ""]


def rename_an_operand(rng: Rng, m: onnx.ModelProto) -> None:
    node = _node(rng, m)
    if node.input:
        node.input[int(rng.integers(len(node.input)))] = _pick(rng, _names(m))


def drop_an_operand(rng: Rng, m: onnx.ModelProto) -> None:
    node = _node(rng, m)
    if node.input:
        del node.input[int(rng.integers(len(node.input)))]


def add_an_operand(rng: Rng, m: onnx.ModelProto) -> None:
    _node(rng, m).input.append(_pick(rng, _names(m)))


def swap_operands(rng: Rng, m: onnx.ModelProto) -> None:
    node = _node(rng, m)
    order = rng.permutation(len(node.input))
    node.input[:] = [node.input[i] for i in order]


def rename_a_result(rng: Rng, m: onnx.ModelProto) -> None:
    node = _node(rng, m)
    node.output[:] = [_pick(rng, _names(m)), *([_pick(rng, _names(m))] if rng.random() < 0.2 else [])]


def change_an_operator(rng: Rng, m: onnx.ModelProto) -> None:
    _node(rng, m).op_type = _pick(rng, _OPERATORS)


def change_a_domain(rng: Rng, m: onnx.ModelProto) -> None:
    _node(rng, m).domain = _pick(rng, _DOMAINS)


def change_an_attribute(rng: Rng, m: onnx.ModelProto) -> None:
    nodes = [node for node in m.graph.node if node.attribute]
    attribute = _pick(rng, _pick(rng, nodes).attribute)
    if rng.random() < 0.2:
        attribute.type = int(rng.integers(0, 15))
    attribute.f = float(_pick(rng, _VALUES[:-1]))
    attribute.s = _pick(rng, _TEXTS)
    if attribute.ints and rng.random() < 0.7:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = _pick(rng, _INTEGERS)
    elif attribute.ints:
        attribute.ints[:] = [_pick(rng, _INTEGERS) for _ in range(int(rng.integers(6)))]
    attribute.i = _pick(rng, _INTEGERS)


def drop_an_attribute(rng: Rng, m: onnx.ModelProto) -> None:
    node = _pick(rng, [node for node in m.graph.node if node.attribute])
    del node.attribute[int(rng.integers(len(node.attribute)))]


def add_an_attribute(rng: Rng, m: onnx.ModelProto) -> None:
    value = _pick(rng, [0.5, -1.0, 1, 0, -1, [1, 1], [2, 2], [0, 1], [1, 0, 1, 1], [1], *_TEXTS[1:7]])
    _node(rng, m).attribute.append(helper.make_attribute(_pick(rng, _ATTRIBUTES), value))


def change_a_value(rng: Rng, m: onnx.ModelProto) -> None:
    tensor = _pick(rng, m.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    value = _pick(rng, _VALUES if array.dtype.kind == "f" else (-1, 0, 1, 2, 7, 127))
    if rng.random() < 0.5 and array.size:
        array.reshape(-1)[int(rng.integers(array.size))] = value
    else:
        array = np.full_like(array, value)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_a_shape(rng: Rng, m: onnx.ModelProto) -> None:
    tensor = _pick(rng, m.graph.initializer)
    array = numpy_helper.to_array(tensor)
    changes = (np.transpose, np.ravel, np.atleast_1d, lambda a: a[None], lambda a: a[..., None], lambda a: a[:-1])
    change = _pick(rng, (*changes, lambda a: np.concatenate([a, a]), lambda a: a[..., :1], np.squeeze))
    array = change(array if array.ndim else array.reshape(1))
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def change_a_type(rng: Rng, m: onnx.ModelProto) -> None:
    tensor = _pick(rng, m.graph.initializer)
    type_ = _pick(rng, (np.int8, np.uint8, np.int32, np.int64, np.float64, np.float16, np.bool_, str))
    array = numpy_helper.to_array(tensor).astype(type_)
    array = array.astype(object) if type_ is str else array
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def lie_about_a_tensor(rng: Rng, m: onnx.ModelProto) -> None:
    tensor = _pick(rng, m.graph.initializer)
    lie = int(rng.integers(5))
    if lie == 0:
        tensor.raw_data = tensor.raw_data[:-1]
    elif lie == 1:
        tensor.dims.append(_pick(rng, _INTEGERS))
    elif lie == 2:
        tensor.data_type = int(rng.integers(0, 30))
    elif lie == 3:
        tensor.name = _pick(rng, _names(m))
    else:
        tensor.data_location = TensorProto.EXTERNAL


def change_the_input(rng: Rng, m: onnx.ModelProto) -> None:
    if not m.graph.input:
        return
    value = m.graph.input[0]
    dims, change = value.type.tensor_type.shape.dim, int(rng.integers(7))
    if change <= 1:
        dims[int(rng.integers(len(dims)))].dim_value = _pick(rng, _INTEGERS)
    elif change == 2:
        dims[int(rng.integers(len(dims)))].dim_param = "N"
    elif change == 3:
        value.type.tensor_type.elem_type = int(rng.integers(0, 24))
    elif change == 4:
        m.graph.input.add().CopyFrom(value)
        m.graph.input[-1].name = _pick(rng, _names(m))
    elif change == 5:
        del dims[-1]
    else:
        del m.graph.input[:]


def change_the_output(rng: Rng, m: onnx.ModelProto) -> None:
    if not m.graph.output:
        return
    value, change = m.graph.output[0], int(rng.integers(5))
    if change == 0:
        value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [-1, _pick(rng, (3, 4, -1))]))
    elif change == 1:
        value.type.tensor_type.elem_type = int(rng.integers(0, 24))
    elif change == 2:
        value.name = _pick(rng, _names(m))
    elif change == 3:
        m.graph.output.add().CopyFrom(value)
        m.graph.output[-1].name = _pick(rng, _names(m))
    else:
        del m.graph.output[:]


def drop_a_node(rng: Rng, m: onnx.ModelProto) -> None:
    """And let its readers read its first operand."""
    index = int(rng.integers(len(m.graph.node)))
    node = m.graph.node[index]
    for other in (*m.graph.node, *m.graph.output):
        if isinstance(other, onnx.ValueInfoProto):
            other.name = node.input[0] if node.input and other.name == node.output[0] else other.name
        elif node.input and rng.random() < 0.9:
            other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
    del m.graph.node[index]


def repeat_a_node(rng: Rng, m: onnx.ModelProto) -> None:
    m.graph.node.add().CopyFrom(_node(rng, m))


def insert_a_node(rng: Rng, m: onnx.ModelProto) -> None:
    """Between a node and the first of its operands."""
    index = int(rng.integers(len(m.graph.node)))
    node = m.graph.node[index]
    if not node.input:
        return
    operator = _pick(rng, _OPERATORS)
    domain = "qonnx.custom_op.general" if operator == "Quant" else ""
    extra = [_pick(rng, _names(m)) for _ in range(int(rng.integers(3)))] if operator not in ("Relu", "Neg") else []
    new = helper.make_node(operator, [node.input[0], *extra], ["inserted"], "inserted", domain=domain)
    node.input[0] = "inserted"
    m.graph.node.insert(index, new)


def shuffle_nodes(rng: Rng, m: onnx.ModelProto) -> None:
    order = rng.permutation(len(m.graph.node))
    nodes = [m.graph.node[i] for i in order]
    del m.graph.node[:]
    m.graph.node.extend(nodes)


def change_a_version(rng: Rng, m: onnx.ModelProto) -> None:
    if rng.random() < 0.3:
        m.ir_version = int(rng.integers(-1, 20))
    elif rng.random() < 0.8:
        _pick(rng, m.opset_import).version = int(_pick(rng, (-1, 0, 1, 2, 6, 7, 9, 11, 12, 14, 18, 21, 25, 26, 99)))
    else:
        del m.opset_import[int(rng.integers(len(m.opset_import)))]


def annotate(rng: Rng, m: onnx.ModelProto) -> None:
    name = _pick(rng, _names(m))
    if rng.random() < 0.5:
        shape = [int(_pick(rng, (-1, 0, 1, 3, 5, 6))) for _ in range(int(rng.integers(4)))]
        m.graph.value_info.append(helper.make_tensor_value_info(name, int(rng.integers(1, 12)), shape))
        return
    entry = onnx.TensorAnnotation(tensor_name=name)
    kinds = ("INT4", "UINT0", "FLOAT32", "INT-3", "FIXED<8,4>", "NO SUCH TYPE", "INT", "")
    entry.quant_parameter_tensor_names.add(key="finn_datatype", value=_pick(rng, kinds))
    m.graph.quantization_annotation.append(entry)


def add_a_function(rng: Rng, m: onnx.ModelProto) -> None:
    """A function of the file takes a node's place: it computes the same, another thing, or calls itself."""
    node = _node(rng, m)
    inner = _pick(rng, (node.op_type, "Neg", "Neg", node.op_type))
    operands = [f"x{i}" for i in range(len(node.input))] if inner == node.op_type else ["x0"]
    domain = _pick(rng, (node.domain if inner == node.op_type else "", "my"))
    body = helper.make_node(inner, operands, ["y"], domain=domain)
    if inner == node.op_type:
        body.attribute.extend(node.attribute)
    imports = [
        helper.make_opsetid("", 13),
        helper.make_opsetid("my", 1),
        helper.make_opsetid("qonnx.custom_op.general", 2),
    ]
    name, domain = node.op_type, _pick(rng, ("my", "my", node.domain))
    m.functions.append(
        helper.make_function(domain, name, [f"x{i}" for i in range(len(node.input))], ["y"], [body], imports)
    )
    node.domain = domain
    del node.attribute[:]
    m.opset_import.append(helper.make_opsetid("my", 1))


STRUCTURE = (
    *(rename_an_operand, drop_an_operand, add_an_operand, swap_operands, rename_a_result, change_an_operator),
    *(change_a_domain, change_an_attribute, change_an_attribute, drop_an_attribute, add_an_attribute),
    *(change_a_value, change_a_value, change_a_shape, change_a_type, lie_about_a_tensor),
    *(change_the_input, change_the_output, drop_a_node, repeat_a_node, insert_a_node, shuffle_nodes),
    *(change_a_version, annotate, add_a_function),
)


def cut(rng: Rng, content: bytes) -> bytes:
    return content[: int(rng.integers(len(content)))]


def flip(rng: Rng, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwrite(rng: Rng, content: bytes) -> bytes:
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 20))
    return content[:start] + rng.bytes(length) + content[start + length * int(rng.integers(2)) :]


BYTES = (cut, flip, flip, overwrite)


def damaged_file(seed: int) -> tuple[str, bytes]:
    """What was done to which network, and the file."""
    rng = np.random.default_rng(seed)
    build = _pick(rng, tuple(NETWORKS))
    model = whole(build, int(rng.integers(1 << 30)))
    if rng.random() < 0.2:
        damage = _pick(rng, BYTES)
        return f"{build.__name__}: {damage.__name__}", damage(rng, model.SerializeToString())
    damages = [_pick(rng, STRUCTURE) for _ in range(1 + (rng.random() < 0.2))]
    for damage in damages:
        damage(rng, model)
    return f"{build.__name__}: {', '.join(damage.__name__ for damage in damages)}", model.SerializeToString()


def outcome(path: Path, folder: Path) -> tuple[str, str]:
    """REFUSED and the sentence, or BUILT and by what it was compared. Raises whatever is not right."""
    try:
        (folder / "resolve").mkdir()
        record, frames = resolve.run(str(path), "trained", 0, _FRAMES, None, folder / "resolve")
        model, golden = export.take_qonnx(folder / "resolve" / record.file, frames, folder / "export")
        streamlined = streamline.streamline(model, golden.inputs, golden.outputs)
        top1 = any(node.op_type in ("Softmax", "LogSoftmax") for node in model.graph.node)
        result = dataflow.convert(streamlined.model, frames, top1=top1, name=record.name)
        graph = result.graph
    except VerificationError:
        raise
    except A2QError as error:
        assert isinstance(error, InputError), f"{type(error).__name__}: {error}"
        assert path.stem in str(error) or "model.onnx" in str(error), f"names no file: {error}"
        return REFUSED, str(error)
    if streamlined.input_quantizer is not None:  # which the file does not have
        expected, by = reference(streamlined.model, frames), "after its input was quantized"
    else:
        expected, by = _expected(path, model, frames)
    actual = graph.run(graph.input_transform.apply(frames))
    if top1:
        assert np.array_equal(actual.ravel(), expected.reshape(len(frames), -1).argmax(axis=1)), f"other labels, {by}"
        return BUILT, by
    actual = graph.output_transform.outputs(actual)
    if graph.outputs:
        actual = np.concatenate([output.of(actual).reshape(len(frames), -1) for output in graph.outputs], axis=1)
    elif expected.ndim == 4 and not graph.output_transform.steps:
        expected = expected.transpose(0, 2, 3, 1)
    rounding = 1e-5 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual.ravel(), expected.ravel(), rtol=0, atol=rounding, err_msg=by)
    return BUILT, by


def _expected(path: Path, model: onnx.ModelProto, frames: np.ndarray) -> tuple[np.ndarray, str]:
    """By QONNX's executor: of the file itself, or, where the executor does not run that, of the model as it was read.

    The executor does not fold constants of every form, and knows neither functions nor nodes out of order."""
    try:
        return reference(onnx.load(path), frames), "the file itself"
    except Exception:  # noqa: BLE001  of the executor, which promises no kind
        return reference(model, frames), "as it was read"


def reference(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    """The outputs of QONNX's own executor, one frame at a time."""
    wrapper = ModelWrapper(model).transform(InferShapes())
    source = next(v.name for v in model.graph.input if v.name not in {t.name for t in model.graph.initializer})
    name = model.graph.output[0].name
    return np.concatenate([execute_onnx(wrapper, {source: frame[None]})[name] for frame in frames])
