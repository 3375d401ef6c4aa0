"""The networks that others published, from file to layer graph. They are looked for in the folder A2Q_DATA names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from pipeline.errors import InputError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.models import export

DATA = Path(os.environ.get("A2Q_DATA", "")) / "models"

pytestmark = pytest.mark.skipif(
    "A2Q_DATA" not in os.environ or not DATA.is_dir(),
    reason="A2Q_DATA does not name a folder with the published networks in models/",
)

NETWORKS = {
    "TFC_2W2A": ((1, 28, 28), 4),
    "kwsmlp_w3a3": ((1, 10, 49), 4),
    "nn2fpga_resnet8_a4w4b32": ((3, 32, 32), 10),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_integer_is_the_networks(name: str, tmp_path: Path) -> None:
    shape, multiplications = NETWORKS[name]
    frames = np.random.default_rng(0).normal(0, 1, (4, *shape)).astype(np.float32)
    model, golden = export.take_qonnx(DATA / f"{name}.onnx", frames, tmp_path)
    result = streamline.streamline(model, golden.inputs, golden.outputs)
    converted = dataflow.convert(result.model, golden.inputs, top1=True, name=name)
    assert sum(layer.op_type == "MVAU" for layer in converted.graph) == multiplications
    assert converted.graph.layers[-1].op_type == "LabelSelect"


def test_published_keyword_gets_its_class(tmp_path: Path) -> None:
    frame = np.load(DATA / "kws_golden" / "input.npy").astype(np.float32).reshape(1, 1, 10, 49)
    expected = int(np.load(DATA / "kws_golden" / "expected_output.npy").ravel()[0])
    model, golden = export.take_qonnx(DATA / "kwsmlp_w3a3.onnx", frame, tmp_path)
    result = streamline.streamline(model, golden.inputs, golden.outputs)
    graph = dataflow.convert(result.model, golden.inputs, top1=True).graph
    assert graph.run(graph.input_transform.apply(frame)).item() == expected


def constant(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    """Another value for the initializer `name`."""

    def damage(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == name)
        array = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy()))
        tensor.CopyFrom(numpy_helper.from_array(array.reshape(array.shape if tensor.dims else ()), name))

    return damage


def one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[-1] = value
        return array

    return change


def size(value: onnx.ValueInfoProto, axis: int, number: int) -> None:
    value.type.tensor_type.shape.dim[axis].dim_value = number


def no_text(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Quant")
    next(a for a in node.attribute if a.name == "rounding_mode").s = b"\xff"


def other_tensor(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "MatMul").input[1] = "48"


def annotation(model: onnx.ModelProto) -> None:
    entry = model.graph.quantization_annotation.add(tensor_name="41").quant_parameter_tensor_names.add()
    entry.key, entry.value = "finn_datatype", "NO SUCH TYPE"


# damage to TFC_2W2A that ended in a traceback or in NaN: what it is, and the name that the refusal must have
DAMAGES: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "bit width 0": (constant("48", one(0)), "Quant_25 has a bit width of 0"),
    "bit width -1": (constant("48", one(-1)), "Quant_25 has a bit width of -1"),
    "bit width 1e9": (constant("48", one(1e9)), "Quant_25 has a bit width of 1e+09"),
    "NaN weight": (constant("41", one(np.nan)), "41"),
    "63 rows": (constant("41", lambda a: a[:-1]), "BatchNormalization node BatchNormalization_21"),
    "transposed": (constant("41", np.transpose), "MatMul"),
    "int8": (constant("41", lambda a: a.astype(np.int8)), "41"),
    "NaN epsilon": (constant("86", one(np.nan)), "86"),
    "NaN bias": (constant("features.15.bias", one(np.nan)), "features.15.bias"),
    "infinite bias": (constant("features.15.bias", one(np.inf)), "features.15.bias"),
    "short bias": (constant("features.7.bias", lambda a: a[:-1]), "features.7.bias"),
    "batch -28": (lambda m: size(m.graph.input[0], 0, -28), "input 0"),
    "batch 2**31": (lambda m: size(m.graph.input[0], 0, 1 << 31), "input 0"),
    "batch 2**62": (lambda m: size(m.graph.input[0], 0, 1 << 62), "input 0"),
    "output -1": (lambda m: size(m.graph.output[0], 1, -1), "declared"),
    "input string": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING), "string"),
    "input bool": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.BOOL), "bool"),
    "input double": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE), "double"),
    "no text": (no_text, "rounding_mode"),
    "another tensor": (other_tensor, "MatMul"),
    "annotation": (annotation, "41"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_file_is_refused_by_name(case: str, tmp_path: Path) -> None:
    damage, name = DAMAGES[case]
    model = onnx.load(DATA / "TFC_2W2A.onnx")
    damage(model)
    onnx.save(model, tmp_path / "tfc.onnx")
    with pytest.raises(InputError) as error:
        export.take_qonnx(tmp_path / "tfc.onnx", np.zeros((1, 1, 28, 28), np.float32), tmp_path / "out")
    assert "tfc.onnx" in str(error.value) and name in str(error.value)
