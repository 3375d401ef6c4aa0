"""The door: what a file may be, what is refused by name, and what ONNX leaves implicit written out."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.errors import InputError, ModelError, UnsupportedError
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import BUILT, dense, outcome, qcdq, reference, whole

Build = Callable[[Network], None]
Damage = Callable[[onnx.ModelProto], None]


def network(build: Build, *shape: int, output: tuple[int | str, ...] = (1, 3)) -> onnx.ModelProto:
    n = Network(*shape)
    build(n)
    n.output_shape = output
    return n.model()


def images(n: Network) -> None:
    n.quant(0.5, 4)
    n.conv(2, 4, bias=n.rng.normal(size=4))
    n.add("MaxPool", kernel_shape=[2, 2])
    n.add("Flatten")
    n.matmul(36, 3)


def write(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def read(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return read_model(write(model, folder))


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_model(path)
    assert path.name in str(error.value)
    return str(error.value)


def built(model: onnx.ModelProto, folder: Path) -> str:
    """Build `model`, compare it with QONNX's executor, and say what of it that ran."""
    result, by = outcome(write(model, folder), folder)
    assert result == BUILT, by
    return by


def test_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    assert "a pipe or a device" in refused(pipe)
    zero = tmp_path / "zero.onnx"
    zero.symlink_to("/dev/zero")
    assert "a pipe or a device" in refused(zero)
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    assert "cannot be read" in refused(folder)
    assert "cannot be read" in refused(tmp_path / "absent.onnx")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.truncate((1 << 31) + 1)  # a hole, which takes no space
    assert "at most 2147483648" in refused(path)


def test_what_is_given_in_place_of_a_network(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.onnx"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("data.pkl", b"")
    assert "zip archive, such as a checkpoint" in refused(checkpoint)
    pointer = tmp_path / "pointer.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "git lfs pull" in refused(pointer)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    assert "holds no graph" in refused(empty)


def initializer(m: onnx.ModelProto, node: int, operand: int) -> TensorProto:
    return next(t for t in m.graph.initializer if t.name == m.graph.node[node].input[operand])


def replaced(node: int, operand: int, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Another value for a constant operand of a node."""

    def damage(m: onnx.ModelProto) -> None:
        tensor = initializer(m, node, operand)
        array = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return damage


def with_nan(array: np.ndarray) -> np.ndarray:
    array.reshape(-1)[1] = np.nan
    return array


def attribute(node: int, name: str, value) -> Damage:
    def damage(m: onnx.ModelProto) -> None:
        damaged = m.graph.node[node]
        attributes = [a for a in damaged.attribute if a.name != name]
        del damaged.attribute[:]
        damaged.attribute.extend([*attributes, helper.make_attribute(name, value)])

    return damage


def input_type(type_: int) -> Damage:
    return lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", type_)


def input_size(axis: int, size: int) -> Damage:
    return lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[axis], "dim_value", size)


def operator(node: int, name: str, domain: str = "") -> Damage:
    def damage(m: onnx.ModelProto) -> None:
        m.graph.node[node].op_type, m.graph.node[node].domain = name, domain

    return damage


def renamed(m: onnx.ModelProto) -> None:
    m.graph.node[3].input[0] = "elsewhere"


def later(m: onnx.ModelProto) -> None:
    m.graph.node[0].input[0] = m.graph.node[3].output[0]


def twice(m: onnx.ModelProto) -> None:
    m.graph.node.add().CopyFrom(m.graph.node[4])


def no_text(m: onnx.ModelProto) -> None:
    next(a for a in m.graph.node[0].attribute if a.name == "rounding_mode").s = b"\xff\xfe"


def second_output(m: onnx.ModelProto) -> None:
    m.graph.output.add().CopyFrom(m.graph.output[0])


def annotated(tensor: str, type_: str) -> Damage:
    def damage(m: onnx.ModelProto) -> None:
        m.graph.quantization_annotation.add(tensor_name=tensor).quant_parameter_tensor_names.add(
            key="finn_datatype", value=type_
        )

    return damage


def sparse(m: onnx.ModelProto) -> None:
    values, places = helper.make_tensor("s", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [0])
    m.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))


def control_flow(m: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [])
    node = helper.make_node(
        "If", [m.graph.node[0].input[1]], ["chosen"], "If_0", then_branch=branch, else_branch=branch
    )
    m.graph.node.insert(0, node)


def declared(size: int) -> Damage:
    return lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", size)


def version(number: int) -> Damage:
    return lambda m: setattr(m.opset_import[0], "version", number)


# nodes of `dense`: 0 Quant, 1 Quant of weights, 2 MatMul, 3 BatchNormalization, 4 Relu, 5 Quant, 6 Quant, 7 Gemm
DENSE: dict[str, tuple[Damage, str]] = {
    "bit width 0": (
        replaced(0, 3, lambda a: a * 0),
        "Quant node Quant_0 has a bit width of 0; expected 1 to 32",
    ),
    "bit width -1": (replaced(0, 3, lambda a: a * 0 - 1), "Quant_0 has a bit width of -1"),
    "bit width 1e9": (replaced(0, 3, lambda a: a * 0 + 1e9), r"Quant_0 has a bit width of 1e\+09"),
    "zero point 1e9": (replaced(0, 2, lambda a: a + 1e9), "Quant_0 has a zero point .* beyond 16"),
    "scale 0": (replaced(0, 1, lambda a: a * 0), "Quant_0 has a scale of 0"),
    "NaN weight": (replaced(1, 0, with_nan), r"tensor c3, which Quant node Quant_1 reads, holds nan at \(0, 1\)"),
    "infinite bias": (replaced(7, 2, lambda a: a + np.inf), "holds inf at .*; every constant must be finite"),
    "huge weight": (
        replaced(1, 1, lambda a: a * 0 + 3e38),
        r"Quant_1 reads c4, with values up to 3e\+38, whose products",
    ),
    "a row too few": (replaced(1, 0, lambda a: a[:-1]), r"MatMul node MatMul_2 does not take .* \(5, 5\)"),
    "transposed": (replaced(1, 0, np.transpose), "MatMul_2 does not take"),
    "int8 weights": (replaced(1, 0, lambda a: a.astype(np.int8)), "Quant_1 reads c3, a tensor of int8"),
    "double weights": (replaced(1, 0, lambda a: a.astype(float)), "Quant_1 reads c3, a tensor of double"),
    "bits in uint8": (
        replaced(0, 3, lambda a: a.astype(np.uint8)),
        "Quant_0 reads c2, a bit width of uint8; expected float32",
    ),
    "short scale": (replaced(3, 1, lambda a: a[:-1]), r"BatchNormalization_3 has a scale \S+ of shape \(4,\)"),
    "short bias": (replaced(7, 2, lambda a: a[:-1]), r"Gemm_7 has a bias \S+ of shape \(3,\)"),
    "negative variance": (replaced(3, 4, lambda a: a - 9), "BatchNormalization_3 has the variance -.* in channel 0"),
    "scales that enlarge": (
        replaced(0, 1, lambda a: np.tile(a, (4, 6))),
        r"Quant_0 has an operand c0 of shape \(4, 6\)",
    ),
    "NaN epsilon": (attribute(3, "epsilon", float("nan")), "attribute epsilon of BatchNormalization node .* is nan"),
    "training": (attribute(3, "momentum", "often"), "is not a valid ONNX graph"),
    "rounding not UTF-8": (no_text, "attribute rounding_mode of Quant node Quant_0 is not text"),
    "unknown attribute": (attribute(0, "signet", 1), "Quant_0 has the attribute signet"),
    "batch of -28": (input_size(0, -28), r"input input has the shape \(-28, 6\)"),
    "batch of 2**17": (input_size(0, 1 << 17), "a batch of 131072; export it with a batch of 1"),
    "2**31 wide": (input_size(1, 1 << 31), "at most 4194304 elements"),
    "2**62 wide": (input_size(1, 1 << 62), "at most 4194304 elements"),
    "string": (input_type(TensorProto.STRING), "input input is string; only float32"),
    "bool": (input_type(TensorProto.BOOL), "input input is bool; only float32"),
    "double": (input_type(TensorProto.DOUBLE), "input input is double; only float32"),
    "output of -1": (declared(-1), r"MatMul|declared with the shape \(1, -1\); it has \(1, 3\)"),
    "another output": (declared(9), r"declared with the shape \(1, 9\); it has \(1, 3\)"),
    "nothing gives it": (renamed, "BatchNormalization_3 reads the tensor elsewhere: nothing gives it"),
    "given later": (later, "Quant_0 reads the tensor .*BatchNormalization_3 gives it, but only later"),
    "output twice": (second_output, "Two outputs are called"),
    "given twice": (twice, "Relu_4_out is given twice"),
    "type unknown to QONNX": (annotated("c3", "INT-3"), "c3 is annotated as INT-3, which is no type of QONNX"),
    "no such type": (annotated("input", "MY"), "input is annotated as MY"),
    "type of other values": (annotated("c3", "INT2"), "c3 is annotated as INT2, but holds values from"),
    "sparse": (sparse, "is sparse; save it as a dense tensor"),
    "control flow": (control_flow, "If node If_0 chooses or repeats a part of the graph"),
    "old operators": (version(6), "version 6 of ONNX' operators; versions 7 to"),
    "future operators": (version(99), "version 99"),
    "no quantizer": (operator(0, "Quant"), "ONNX has no operator Quant. QONNX's quantizers are of the domain"),
    "another's operator": (operator(4, "Relu", "my"), "Relu node Relu_4 is of the domain my"),
    "FINN's format": (
        operator(4, "MultiThreshold", "qonnx.custom_op.general"),
        "MultiThreshold node Relu_4 has 1 operands",
    ),
    "FINN's layer": (
        operator(4, "MVAU", "finn.custom_op.fpgadataflow"),
        "MVAU node Relu_4 is one. Give the model of the dataflow partition alone",
    ),
    "channels last": (operator(4, "Conv", "qonnx.custom_op.channels_last"), "Relu_4"),
    "unknown function": (operator(4, "Tan"), "Tan node Relu_4 is not supported"),
    "no alpha": (lambda m: (operator(4, "Celu")(m), attribute(4, "alpha", 0.0)(m)), "Celu node Relu_4 has alpha 0"),
    "ratio 2": (lambda m: (operator(4, "Dropout")(m), m.graph.node[4].input.append("c13")), "Relu_4 has a ratio"),
    "a bound for each": (replaced(8, 1, lambda a: np.full(1, a)), r"Clip_8 has a bound \S+ of shape \(1,\)"),
    "softmax between": (operator(4, "Softmax"), "Softmax node Relu_4 stands between layers"),
    "transposed input": (attribute(7, "transA", 1), "Gemm_7"),
    "no hardware": (
        lambda m: (operator(4, "Tile")(m), m.graph.node[4].input.append("c13")),
        "there is no hardware layer for Tile",
    ),
}

# nodes of `images`: 0 Quant, 1 Quant of weights, 2 Conv, 3 MaxPool, 4 Flatten, 5 Quant of weights, 6 MatMul
IMAGES: dict[str, tuple[Damage, str]] = {
    "stride 0": (
        attribute(2, "strides", [0, 1]),
        "attribute strides of Conv node Conv_2 is 0, 1; expected numbers from 1",
    ),
    "group 0": (attribute(2, "group", 0), "attribute group of Conv node Conv_2 is 0"),
    "group 3": (attribute(2, "group", 3), "Conv_2 has weights of shape .* in 3 groups for 2 channels"),
    "one stride": (attribute(2, "strides", [1]), "Conv_2"),
    "negative pads": (attribute(2, "pads", [-1, 0, 0, 0]), "padding that cuts off"),
    "another kernel": (
        attribute(2, "kernel_shape", [2, 2]),
        r"Conv_2 has kernel_shape \[2, 2\]; its weights have \(3, 3\)",
    ),
    "kernel too large": (attribute(3, "kernel_shape", [9, 9]), "MaxPool_3.*every size must be 1 or more"),
    "dilated": (attribute(3, "dilations", [2, 2]), r"MatMul_6 does not take Flatten_4_out \(1, 16\)"),
    "dilated convolution": (attribute(2, "dilations", [9, 9]), r"Conv_2_out has the shape \(1, 4, -12, -12\)"),
    "padded beyond": (attribute(3, "pads", [2, 2, 2, 2]), r"MaxPool_3 has pads \[2, 2, 2, 2\]"),
    "auto_pad unknown": (attribute(2, "auto_pad", "SOME"), "Conv_2"),
    "pads twice": (
        lambda m: (attribute(2, "auto_pad", "SAME_UPPER")(m), attribute(2, "pads", [1] * 4)(m)),
        "Conv_2 has both pads and auto_pad",
    ),
    "short bias": (replaced(2, 2, lambda a: a[:-1]), r"Conv_2 has a bias \S+ of shape \(3,\); expected \(4,\)"),
    "three channels": (input_size(1, 3), "Conv_2 has weights of shape .* for 3 channels"),
    "batch flattened": (attribute(4, "axis", 2), "without the batch"),
}


@pytest.mark.parametrize("case", DENSE)
def test_a_damaged_dense_network_is_refused_by_name(case: str, tmp_path: Path) -> None:
    damage, message = DENSE[case]
    check_refusal(network(dense, 6), damage, message, tmp_path)


@pytest.mark.parametrize("case", IMAGES)
def test_a_damaged_image_network_is_refused_by_name(case: str, tmp_path: Path) -> None:
    damage, message = IMAGES[case]
    check_refusal(network(images, 2, 6, 6), damage, message, tmp_path)


def check_refusal(model: onnx.ModelProto, damage: Damage, message: str, folder: Path) -> None:
    read(model, folder)
    damage(model)
    with pytest.raises(InputError, match=message) as error:
        read(model, folder)
    assert "net.onnx" in str(error.value)


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        (lambda n: n.add("ReduceMean", axes=[2, 2]), r"ReduceMean_1 names an axis twice, in \[2, 2\]"),
        (lambda n: n.add("ReduceMean", axes=[0, 2]), r"ReduceMean_1 has axes \[0, 2\], the batch among them"),
        (lambda n: n.add("Squeeze"), "Squeeze_1 names no axes"),
        (lambda n: n.add("Transpose", perm=[1, 0, 2, 3]), "Transpose_1 moves the batch axis"),
        (
            lambda n: n.add("Transpose", perm=[0, 1]),
            r"Transpose_1 has perm \[0, 1\] for a tensor of shape \(1, 2, 6, 6\)",
        ),
        (
            lambda n: n.node("Reshape", [n.last, n.constant([2, -1], np.int64)]),
            r"of shape \(2, 36\), without the batch",
        ),
        (
            lambda n: (n.node("Mul", [n.last, n.constant(np.ones((1, 1, 1, 1, 1)))]), n.quant()),
            "Mul_1 broadcasts a tensor of shape",
        ),
        (lambda n: n.node("MatMul", [n.constant(np.ones((6, 6))), n.last]), "only its first operand may"),
    ],
)
def test_axes_that_cannot_be_are_refused(moved: Build, message: str, tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        moved(n)

    with pytest.raises(InputError, match=message):
        read(network(build, 2, 6, 6, output=("a", "b")), tmp_path)


def test_more_axes_than_numpy_has_are_refused(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.node("Reshape", ["input", n.constant([1] * 80 + [6], np.int64)])
        n.quant(0.5, 4)
        n.add("Flatten")
        n.matmul(6, 3)

    with pytest.raises(UnsupportedError, match="The tensor Reshape_0_out has 81 axes"):
        read(network(build, 6), tmp_path)


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = write(network(dense, 6), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"Relu_4_out", b"Relu_\xff_out"))
    assert "is not text in UTF-8" in refused(path)


def test_a_float_network_is_refused_for_its_weights_not_for_its_end(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.add("Conv", n.rng.normal(size=(4, 2, 3, 3)))
        n.add("Erf")
        n.add("GlobalAveragePool")
        n.add("Flatten")
        n.add("Softmax")

    with pytest.raises(UnsupportedError, match=r"Conv node Conv_0 has float weights \(c0\).* it is a float network"):
        read(network(build, 2, 6, 6, output=(1, 4)), tmp_path)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("value", numpy_helper.from_array(np.float32(0.5))),
        ("value_float", 0.5),
        ("value_floats", [0.5]),
    ],
)
def test_a_scale_in_each_form_of_a_constant(form: str, value, tmp_path: Path) -> None:
    def build(n: Network) -> None:
        scale = n.node("Constant", [], **{form: value})
        n.add("Quant", scale, 0.0, 4.0, at="input", signed=1, narrow=0, rounding_mode="ROUND")
        n.matmul(6, 3)

    model = network(build, 6)
    assert not any(node.op_type == "Constant" for node in read(model, tmp_path).graph.node)
    built(model, tmp_path)


def test_whole_numbers_and_texts_as_constants(tmp_path: Path) -> None:
    def build(n: Network, form: str = "value_ints", value=(1, -1)) -> None:
        n.quant(0.5, 4)
        last, shape = n.last, n.node("Constant", [], **{form: value})
        n.node("Reshape", [last, shape])
        n.matmul(8, 3)

    built(network(build, 2, 4), tmp_path)
    with pytest.raises(UnsupportedError, match="Constant node Constant_1 holds value_strings"):
        read(network(lambda n: build(n, "value_strings", ["a"]), 2, 4), tmp_path)


def test_constants_are_folded_before_operators_are_judged(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        bits = n.node("Ceil", [n.node("Abs", [n.constant(-3.5)])])
        n.add("Quant", 0.5, 0.0, bits, at="input", signed=1, narrow=0, rounding_mode="ROUND")
        n.matmul(6, 3)

    model = network(build, 6)
    assert {node.op_type for node in read(model, tmp_path).graph.node} == {"Quant", "MatMul"}
    assert built(model, tmp_path) == "the file itself"


def test_windows_over_constants_are_refused(tmp_path: Path) -> None:
    """ONNX' inference and its runtime end the process for operands of so few axes."""

    def build(n: Network) -> None:
        n.quant(0.5, 4)
        weights = n.node("ConvTranspose", [n.constant(n.rng.normal(size=(6, 3))), n.constant(0.5)])
        n.node("MatMul", ["Quant_0_out", weights])

    with pytest.raises(UnsupportedError, match="ConvTranspose_1 is not supported on constants"):
        read(network(build, 6), tmp_path)


def test_weights_of_too_few_axes_are_refused(tmp_path: Path) -> None:
    """ONNX' inference ends the process for some of them."""

    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.node("Conv", ["Quant_0_out", n.weights(6)])

    with pytest.raises(ModelError, match=r"Conv_2 has weights of shape \(6,\) .* expected the same number of axes"):
        read(network(build, 6, 6, 1), tmp_path)


def test_a_bias_that_is_left_out(tmp_path: Path) -> None:
    model = network(images, 2, 6, 6)
    model.graph.node[2].input[2] = ""
    assert built(model, tmp_path) == "the file itself"


def test_a_constant_of_any_size_is_not_made(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        huge = n.node("ConstantOfShape", [n.constant([1 << 20, 1 << 20], np.int64)])
        bits = n.node("ReduceMax", [huge], keepdims=0)
        n.add("Quant", 0.5, 0.0, bits, at="input", signed=1, narrow=0, rounding_mode="ROUND")
        n.matmul(6, 3)

    with pytest.raises(UnsupportedError, match="ConstantOfShape_0_out has the shape"):
        read(network(build, 6), tmp_path)


def test_a_constant_that_comes_out_infinite_is_refused(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        scale = n.node("Exp", [n.constant(1e9)])
        n.add("Quant", scale, 0.0, 4.0, at="input", signed=1, narrow=0, rounding_mode="ROUND")
        n.matmul(6, 3)

    with pytest.raises(UnsupportedError, match="Exp node Exp_0 gives inf"):
        read(network(build, 6), tmp_path)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (2, 2), (3, 1)])
def test_auto_pad_is_written_out(auto_pad: str, kernel: int, stride: int, tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.conv(2, 3, kernel, auto_pad=auto_pad, strides=[stride] * 2)
        n.quant(0.5, 4)
        n.add("MaxPool", kernel_shape=[kernel] * 2, auto_pad=auto_pad)
        n.add("GlobalAveragePool")
        n.add("Flatten")
        n.matmul(3, 3)

    model = network(build, 2, 6, 6)
    names = {a.name for node in read(model, tmp_path).graph.node for a in node.attribute}
    assert "auto_pad" not in names and "pads" in names
    assert built(model, tmp_path) == "the file itself"


def test_windows_over_one_axis(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.conv(2, 4, (3,), strides=[2], pads=[2, 1], bias=n.rng.normal(size=4))
        n.batch_norm(4)
        n.quant(0.5, 4)
        n.add("MaxPool", kernel_shape=[3], auto_pad="SAME_UPPER")
        n.conv(4, 4, (2,), group=2)
        n.quant(0.5, 4)
        n.add("AveragePool", kernel_shape=[2], strides=[2])
        n.add("GlobalAveragePool")
        n.add("Flatten")
        n.matmul(4, 3)

    model = network(build, 2, 12)
    assert built(model, tmp_path) == "the file itself"
    for opset in (11, 18):
        model.opset_import[0].version = opset
        assert built(model, make(tmp_path / str(opset))) == "the file itself"


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def with_function(body: onnx.NodeProto, name: str = "Relu", domain: str = "my") -> onnx.ModelProto:
    """`dense`, with its Relu a function of the file."""
    model = network(dense, 6)
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("my", 1)]
    model.functions.append(helper.make_function(domain, name, ["x"], ["y"], [body], imports))
    model.graph.node[4].domain, model.graph.node[4].op_type = domain, name
    model.opset_import.append(helper.make_opsetid("my", 1))
    model.ir_version = 9
    return model


def test_a_function_computes_what_it_says_not_what_it_is_called(tmp_path: Path) -> None:
    model, plain = with_function(helper.make_node("Neg", ["x"], ["y"])), network(dense, 6)
    plain.graph.node[4].op_type = "Neg"
    frames = Network(6).frames(8)
    assert np.array_equal(run_graph(read(model, tmp_path), frames), reference(plain, frames))
    built(model, tmp_path)


def test_functions_that_cannot_be_inlined(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="function Relu of domain my calls itself"):
        read(with_function(helper.make_node("Relu", ["x"], ["y"], domain="my")), tmp_path)
    with pytest.raises(UnsupportedError, match="redefines an operator of ONNX"):
        read(with_function(helper.make_node("Neg", ["x"], ["y"]), domain=""), tmp_path)


def test_functions_of_functions_are_counted_before_they_are_inlined(tmp_path: Path) -> None:
    model = with_function(helper.make_node("f0", ["x"], ["y"], domain="my"))
    imports = list(model.functions[0].opset_import)
    for i in range(60):  # each calls the next twice: 2⁶⁰ nodes
        calls = [helper.make_node(f"f{i + 1}", [a], [b], domain="my") for a, b in (("x", "z"), ("z", "y"))]
        model.functions.append(helper.make_function("my", f"f{i}", ["x"], ["y"], calls, imports))
    end = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("my", "f60", ["x"], ["y"], [end], imports))
    with pytest.raises(UnsupportedError, match=r"its functions come to \d+ nodes|Its functions come to \d+ nodes"):
        read(model, tmp_path)


def test_a_batch_without_a_size_is_1(tmp_path: Path) -> None:
    model = network(dense, 6, output=("N", 3))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.value_info.append(helper.make_tensor_value_info("MatMul_2_out", TensorProto.FLOAT, ("N", 5)))
    loaded = read(model, tmp_path)
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*loaded.graph.input, *loaded.graph.output)]
    assert shapes == [[1, 6], [1, 3]]


def test_a_batch_of_several_is_folded_to_1(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.conv(2, 4)
        n.node("Reshape", [n.last, n.constant([8, 64], np.int64)])
        n.quant(0.5, 4)
        n.matmul(64, 3)
        n.shape = (8, 2, 6, 6)

    model = network(build, 2, 6, 6, output=(8, 3))
    model.graph.value_info.append(helper.make_tensor_value_info("Conv_2_out", TensorProto.FLOAT, (8, 4, 4, 4)))
    frames = Network(2, 6, 6).frames(8)
    expected = execute_onnx(ModelWrapper(model).transform(InferShapes()), {"input": frames})
    found = read(model, tmp_path)
    assert found.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    np.testing.assert_array_equal(run_graph(found, frames), expected[model.graph.output[0].name])


def test_a_batch_that_is_mixed_is_refused(tmp_path: Path) -> None:
    def build(n: Network) -> None:
        n.quant(0.5, 4)
        n.add("Transpose", perm=[1, 0])
        n.shape = (8, 6)

    with pytest.raises(UnsupportedError, match="Transpose_1 moves the batch axis"):
        read(network(build, 6, output=(6, 8)), tmp_path)


def test_what_nothing_reads_is_not_judged(tmp_path: Path) -> None:
    model = network(dense, 6)
    model.graph.node.append(helper.make_node("Erf", ["Relu_4_out"], ["unread"]))
    assert "Erf" not in {node.op_type for node in read(model, tmp_path).graph.node}


def test_initializers_that_are_inputs_too_and_nodes_without_names(tmp_path: Path) -> None:
    model = network(dense, 6)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for node in model.graph.node:
        node.name = ""
    model.ir_version = 3
    loaded = read(model, tmp_path)
    assert [value.name for value in loaded.graph.input] == ["input"]
    assert [node.name for node in loaded.graph.node] == [node.output[0] for node in loaded.graph.node]


def test_a_second_reading_changes_nothing(tmp_path: Path) -> None:
    for build, shape in ((dense, (6,)), (images, (2, 6, 6))):
        once = read(network(build, *shape), tmp_path)
        assert read(once, tmp_path) == once


def by_onnxruntime(model: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {"input": frame[None]})[0] for frame in frames])


def test_qcdq_becomes_quantizers(tmp_path: Path) -> None:
    model = whole(qcdq, 3)
    frames = Network(6, seed=1).frames(20)
    loaded = read(model, tmp_path)
    assert [node.op_type for node in loaded.graph.node].count("Quant") == 4
    np.testing.assert_allclose(run_graph(loaded, frames), by_onnxruntime(model, frames), rtol=0, atol=1e-5)
    built(model, tmp_path)


def test_qcdq_as_others_write_it(tmp_path: Path) -> None:
    """A zero point, none, one tensor that is dequantized twice, a bias of 32 bits, a scale with an axis it does not need."""

    def build(n: Network) -> None:
        x = n.node("QuantizeLinear", ["input", n.constant(0.25), n.constant(4, np.uint8)])
        scale, zero = n.constant([0.25]), n.constant([4], np.uint8)
        a, b = (n.node("DequantizeLinear", [x, scale, zero], axis=1) for _ in range(2))
        integer = n.constant(n.rng.integers(-7, 8, (3, 6)), np.int8)
        weights = n.node(
            "DequantizeLinear", [integer, n.constant([0.25, 0.5, 1.0]), n.constant([0] * 3, np.int8)], axis=-2
        )
        bias = n.constant([100, -200, 300], np.int32)
        bias = n.node("DequantizeLinear", [bias, n.constant(0.0625)])
        n.node("Gemm", [n.node("Add", [a, b]), weights, bias], transB=1)

    model = network(build, 6)
    frames = np.round(8 * Network(6, seed=1).frames(20)) / 8  # a half is among them
    loaded = read(model, tmp_path)
    assert sorted(node.op_type for node in loaded.graph.node) == ["Add", "Clip", "Gemm", "Quant", "Quant"]
    np.testing.assert_allclose(run_graph(loaded, frames), by_onnxruntime(model, frames), rtol=0, atol=1e-5)
    built(model, tmp_path)


def test_one_tensor_quantized_in_two_ways(tmp_path: Path) -> None:
    """By nodes of one name, among tensors that have names which are made here."""

    def build(n: Network) -> None:
        scale, zero = n.constant(0.25), n.constant(0, np.int8)
        parts = []
        for low, high in ((-8, 7), (-128, 127)):
            x = n.node("QuantizeLinear", ["input", scale, zero])
            x = n.node("Clip", [x, n.constant(low, np.int8), n.constant(high, np.int8)])
            parts.append(n.node("DequantizeLinear", [x, scale, zero]))
        n.arrays[f"{parts[0]}_scale"] = np.float32(3)
        n.node("Mul", [n.node("Add", parts), f"{parts[0]}_scale"])

    model = network(build, 6, output=(1, 6))
    frames = Network(6, seed=1).frames(20)
    expected = by_onnxruntime(model, frames)
    for node in model.graph.node:
        node.name = "the same"
    np.testing.assert_allclose(run_graph(read(model, tmp_path), frames), expected, rtol=0, atol=1e-5)
