"""Models of FINN's hardware nodes, read back into layers that compute the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import InferElementwiseBinaryOperation
from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from finn.transformation.move_reshape import RemoveCNVtoFCFlatten
from finn.transformation.streamline.absorb import AbsorbConsecutiveTransposes
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import SortGraph
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.api import build
from pipeline.dataflow.finn_node import DOMAIN
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ModelError, UnsupportedError
from pipeline.finn import check
from pipeline.finn.cross_check import streamlined
from pipeline.finn.model import to_finn
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline.finn_nodes import finn_folding
from pipeline.frontend.streamline.reading import read_model
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour
from pipeline.kernels.vvau import VVAU
from tests.dataflow.networks import Network

PART = "xck26-sfvc784-2LV-c"
UINT4 = IntType(0, 15)
RNG = np.random.default_rng(0)
SHAPE = (4, 4, 6)


def graph_of(*layers) -> LayerGraph:
    return LayerGraph("net", layers, layers[0].input_names[0], layers[-1].output_names[0])


def matrix(stream: str, rows: int, columns: int, pixels=(4, 4), **fields) -> MVAU:
    given = {
        "weights": RNG.integers(-7, 8, (rows, columns)), "input_type": UINT4, "output_type": UINT4, "pixels": pixels,
        "thresholds": np.sort(RNG.integers(-200, 200, (rows, 15))), "accumulator_bits": (15,) * rows,
    } | fields  # fmt: skip
    return MVAU("MVAU_0", (stream,), ("y",), **given)


def windows(stream: str, shape, kernel=(3, 3), stride=(1, 1), **fields) -> ConvolutionInputGenerator:
    return ConvolutionInputGenerator(
        "ConvolutionInputGenerator_0",
        (stream,),
        ("w",),
        shape=shape,
        type=UINT4,
        kernel=kernel,
        stride=stride,
        **fields,
    )


def convolution() -> LayerGraph:
    padding = FMPadding("FMPadding_0", ("x",), ("p",), shape=(4, 4, 2), type=UINT4, pads=(1, 0, 1, 2), simd=2)
    return graph_of(padding, windows("p", (6, 6, 2), stride=(2, 1), simd=1), matrix("w", 6, 18, (2, 4), pe=3, simd=6))


def depthwise() -> LayerGraph:
    unit = VVAU(
        "VVAU_0", ("w",), ("y",), weights=RNG.integers(-7, 8, (4, 9)), input_type=UINT4,
        output_type=IntType.of_bits(12, signed=True), pixels=(4, 4), accumulator_bits=(12,) * 4, pe=2,
    )  # fmt: skip
    return graph_of(windows("x", (6, 6, 4), simd=2, depthwise=True), unit)


def pooled(kernel, function, shift=0) -> LayerGraph:
    first = windows("x", (4, 4, 4), kernel, kernel, simd=2)
    pool = Pool(
        "Pool_0", ("w",), ("y",), pixels=first.output_pixels, channels=4, window=kernel[0] * kernel[1], type=UINT4,
        function=function, shift=shift, pe=2,
    )  # fmt: skip
    return graph_of(first, pool)


def joined(kind: str) -> LayerGraph:
    """A tensor and another one of the same scale, of thresholds."""
    copies = DuplicateStreams("DuplicateStreams_0", ("x",), ("a", "b"), shape=SHAPE, type=UINT4, copies=2)
    levels = np.sort(RNG.integers(0, 16, (6, 15)))
    other = Thresholding("Thresholding_0", ("b",), ("c",), SHAPE, UINT4, UINT4, levels, pe=3)
    types = (UINT4, UINT4)
    join = {
        "add": lambda: AddStreams("AddStreams_0", ("a", "c"), ("y",), shape=SHAPE, types=types, pe=2),
        "scaled": lambda: AddStreams("AddStreams_0", ("a", "c"), ("y",), shape=SHAPE, types=types, multipliers=(3, 2)),
        "mul": lambda: ElementwiseMul("ElementwiseMul_0", ("a", "c"), ("y",), shape=SHAPE, types=types),
        "concat": lambda: StreamingConcat(
            "StreamingConcat_0", ("a", "c"), ("y",), pixels=SHAPE[:2], channels=(6, 6), types=types
        ),
    }[kind]()
    if kind != "mul":
        return graph_of(copies, other, join)
    levels = np.sort(RNG.integers(0, 226, (6, 15)))
    return graph_of(
        copies,
        other,
        join,
        Thresholding("Thresholding_1", ("y",), ("z",), SHAPE, join.outputs()[0].type, UINT4, levels),
    )


def signed() -> LayerGraph:
    levels = np.sort(RNG.integers(0, 16, (6, 7)))
    return graph_of(Thresholding("Thresholding_0", ("x",), ("y",), SHAPE, UINT4, IntType(-4, 3), levels, pe=2))


def classifier() -> LayerGraph:
    sums = matrix("x", 5, 6, (1, 1), thresholds=None, output_type=IntType.of_bits(15, signed=True))
    scales = {"multipliers": np.array([1, 2, 3, 1, 2]), "offsets": np.array([0, -3, 4, 9, 0])}
    return graph_of(sums, LabelSelect("LabelSelect_0", ("y",), ("l",), labels=5, input_type=sums.output_type, **scales))


NETWORKS: dict[str, Callable[[], LayerGraph]] = {
    "convolution": convolution,
    "depthwise": depthwise,
    "max pool": lambda: pooled((2, 2), "max"),
    "sum": lambda: pooled((2, 2), "sum"),
    "shifted sum": lambda: pooled((2, 2), "sum", 2),
    "whole image": lambda: pooled((4, 4), "sum"),
    "signed": signed,
    "classifier": classifier,
    "upsample": lambda: graph_of(
        UpsampleNearestNeighbour("U_0", ("x",), ("u",), shape=(2, 2, 6), type=UINT4, factors=(2, 2)),
        matrix("u", 3, 6, (4, 4)),
    ),
    "crop": lambda: graph_of(
        Crop("Crop_0", ("x",), ("c",), shape=(6, 6, 6), type=UINT4, start=(1, 0, 0), size=(4, 4, 6)), matrix("c", 3, 6)
    ),
    **{kind: (lambda kind=kind: joined(kind)) for kind in ("add", "scaled", "mul", "concat")},
}


def read(model: ModelWrapper, folder: Path, frames: np.ndarray, *, top1: bool) -> LayerGraph:
    model.save(str(folder / "model.onnx"))
    converted = read_model(folder / "model.onnx")
    assert not any(node.domain.startswith("finn") for node in converted.graph.node)
    return dataflow.convert(converted, frames.astype(np.float32), top1=top1, name="net").graph


def frames_for(graph: LayerGraph) -> np.ndarray:
    stream = graph.streams[graph.input]
    return RNG.integers(stream.type.lo, stream.type.hi + 1, (3, *stream.shape))


def same(graph: LayerGraph, model: ModelWrapper, folder: Path) -> LayerGraph:
    frames = frames_for(graph)
    back = read(model, folder, frames, top1=graph.gives_labels)
    transform = back.input_transform
    assert transform is not None and np.array_equal(transform.apply(frames.astype(np.float32)), frames)
    assert np.array_equal(back.run(frames).ravel(), graph.run(frames).ravel())
    return back


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_is_read_back_equal(name, tmp_path):
    graph = NETWORKS[name]()
    same(graph, to_finn(graph, graph, 10**9).model, tmp_path)


def test_nodes_of_hls_and_rtl_and_what_stands_between_them_are_read(tmp_path):
    graph = convolution()
    model = check.specialized(to_finn(graph, graph, 10**9), PART)
    model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
    kinds = {node.op_type for node in model.graph.node}
    assert "MVAU_hls" in kinds and "StreamingFIFO" in kinds and "StreamingDataWidthConverter" in kinds
    back = same(graph, model, tmp_path)
    assert [layer.op_type for layer in back] == ["FMPadding", "ConvolutionInputGenerator", "MVAU"]


def test_the_folding_of_nodes_goes_by_the_sources_of_layers(tmp_path):
    graph = convolution()
    model = to_finn(graph, graph, 10**9).model
    back = same(graph, model, tmp_path)
    folding = finn_folding(read_model(tmp_path / "model.onnx"))
    values = {layer.op_type: folding[layer.source][layer.finn_operator] for layer in back}
    assert values["FMPadding"] == {"SIMD": 2} and values["ConvolutionInputGenerator"] == {"SIMD": 1}
    assert (values["MVAU"]["PE"], values["MVAU"]["SIMD"]) == (3, 6)


def test_a_build_of_such_a_model_is_folded_as_its_nodes_are(tmp_path):
    graph = convolution()
    to_finn(graph, graph, 10**9).model.save(str(tmp_path / "net.onnx"))
    options = {"golden_frames": 4, "target_fps": 1e6, "until": "fold", "progress": False}
    folded = build(tmp_path / "net.onnx", out=tmp_path / "b", **options)
    units = [layer for layer in folded.graph if layer.finn_operator == "MVAU"]
    assert [(unit.pe, unit.simd) for unit in units] == [(3, 6)]  # not what a million frames a second would take
    assert "a model of FINN's hardware nodes, folded as they are" in folded.stages[0].summary
    (tmp_path / "other.json").write_text('{"MVAU_0": {"PE": 6, "SIMD": 9, "resType": "lut"}}')
    other = build(tmp_path / "net.onnx", out=tmp_path / "b", folding_config_file=tmp_path / "other.json", **options)
    units = [layer for layer in other.graph if layer.finn_operator == "MVAU"]
    assert [(unit.pe, unit.simd) for unit in units] == [(6, 9)]


OLDER = {
    "MVAU": ["StreamingFCLayer_Batch", "MatrixVectorActivation"],
    "Thresholding": ["Thresholding_Batch", "Thresholding_Binary_Search"],
    "FMPadding": ["FMPadding_Batch"],
    "ConvolutionInputGenerator": ["ConvolutionInputGenerator"],
}


@pytest.mark.parametrize("index", [0, 1])
def test_operators_go_by_their_names_of_older_releases_too(index, tmp_path):
    graph = convolution()
    model = to_finn(graph, graph, 10**9).model
    for node in model.graph.node:
        node.op_type = OLDER[node.op_type][index % len(OLDER[node.op_type])]
    same(graph, model, tmp_path)


def hand_made(nodes, shapes, constants, output=None) -> ModelWrapper:
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    first, last = next(iter(values)), output or list(values)[-1]
    graph = helper.make_graph(
        [helper.make_node(*node[:3], name=f"{node[0]}_{i}", domain=DOMAIN, **node[3]) for i, node in enumerate(nodes)],
        "net",
        [values[first]],
        [values[last]],
        value_info=[value for name, value in values.items() if name not in (first, last)],
    )
    model = ModelWrapper(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)])
    )
    for name, array in constants.items():
        model.set_initializer(name, np.asarray(array, np.float32))
    return model


MLP = {"MW": 6, "MH": 4, "PE": 2, "SIMD": 3, "inputDataType": "UINT4", "weightDataType": "INT4", "accDataType": "INT12"}


def test_a_matrix_with_thresholds_of_its_own_on_a_vector_and_streams_that_are_added(tmp_path):
    weights, levels = RNG.integers(-7, 8, (6, 4)), np.sort(RNG.integers(-90, 90, (4, 3)))
    attributes = MLP | {"noActivation": 0, "outputDataType": "INT2", "ActVal": -2}
    model = hand_made(
        [
            ("DuplicateStreams_Batch", ["x"], ["a", "b"], {"NumChannels": 6, "PE": 1, "inputDataType": "UINT4"}),
            ("AddStreams_Batch", ["a", "b"], ["s"], {"NumChannels": 6, "PE": 2, "inputDataType": "UINT4"}),
            ("MatrixVectorActivation", ["s", "weights", "levels"], ["y"], attributes | {"inputDataType": "UINT5"}),
        ],
        {"x": [1, 6], "a": [1, 6], "b": [1, 6], "s": [1, 6], "y": [1, 4]},
        {"weights": weights, "levels": levels},
    )
    frames = RNG.integers(0, 16, (5, 6))
    back = read(model, tmp_path, frames, top1=False)
    sums = (2 * frames) @ weights
    expected = (sums[:, :, None] >= levels).sum(axis=2) - 2
    real = back.output_transform.real(back.run(frames.reshape(5, 1, 1, 6)))
    assert np.array_equal(real.reshape(5, 4), expected)


def test_what_finns_own_flow_makes_of_a_network_is_read(tmp_path):
    net = Network(2, 6, 6)
    net.quant(1.0, 4, signed=0)
    net.conv(2, 4, pads=[1] * 4)
    net.add("Relu")
    net.quant(0.3, signed=0)
    net.node("MaxPool", [net.last], kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    net.node("Reshape", [net.last, net.constant([1, -1], np.int64)])
    net.matmul(36, 3)
    net.output_shape = (1, 3)
    onnx.save(net.model(), tmp_path / "net.onnx")
    model = streamlined(read_model(tmp_path / "net.onnx")).model
    for step in (
        *(
            InferThresholdingLayer,
            InferQuantizedMatrixVectorActivation,
            InferPool,
            InferConvInpGen,
            RemoveCNVtoFCFlatten,
        ),
        *(InferElementwiseBinaryOperation, AbsorbConsecutiveTransposes, RemoveCNVtoFCFlatten, InferShapes, SortGraph),
    ):
        model = model.transform(step())
    # what FINN leaves to the host: the transposition, and here the input's quantizer
    nodes = list(model.graph.node)
    while nodes[0].op_type != "FMPadding":
        start = nodes.pop(0).output[0]
    (info,) = (value for value in model.graph.value_info if value.name == start)
    model.graph.input[0].CopyFrom(info)
    model.graph.value_info.remove(info)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert [node.op_type for node in nodes][-3:] == ["Pool", "MVAU", "ElementwiseMul"]

    frames = RNG.integers(0, 16, (3, 6, 6, 2)).astype(np.float32)
    expected = [execute_onnx(model, {start: frame[None]})[model.graph.output[0].name] for frame in frames]
    back = read(model, tmp_path, frames, top1=False)
    real = back.output_transform.real(back.run(frames.astype(np.int64)))
    assert np.abs(real.reshape(3, 3) - np.concatenate(expected)).max() < 1e-5  # of one product in float32


def test_every_node_without_a_layer_is_named(tmp_path):
    shapes = {"x": [1, 4], "a": [1, 4], "b": [1, 4], "y": [1, 4]}
    nodes = [
        ("Lookup", ["x", "table"], ["a"], {"inputDataType": "UINT4"}),
        ("Shuffle", ["x"], ["b"], {"data_type": "UINT4"}),
        ("AddStreams", ["a", "b"], ["y"], {}),
    ]
    hand_made(nodes, shapes, {"table": np.zeros((4, 2))}).save(str(tmp_path / "model.onnx"))
    with pytest.raises(UnsupportedError) as error:
        read_model(tmp_path / "model.onnx")
    assert str(error.value).count("Lookup_0") == 1
    assert "Shuffle_1" in str(error.value) and "AddStreams_2" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda m: m.graph.node[2].attribute.append(helper.make_attribute("binaryXnorMode", 1)), UnsupportedError, "counts XNORs"),
        (lambda m: m.set_initializer("MVAU_0_param0", m.get_initializer("MVAU_0_param0") / 2), UnsupportedError, "no integers of INT4"),
        (lambda m: m.set_initializer("MVAU_0_param0", m.get_initializer("MVAU_0_param0") * 2), UnsupportedError, "no integers of INT4"),
        (lambda m: getCustomOp(m.graph.node[1]).set_nodeattr("depthwise", 1), UnsupportedError, "only a VVAU or a Pool"),
        (lambda m: getCustomOp(m.graph.node[2]).set_nodeattr("MW", 3), UnsupportedError, r"says that they are \(MW, MH\) = \(3, "),
        (lambda m: getCustomOp(m.graph.node[2]).set_nodeattr("SIMD", 0), UnsupportedError, "MVAU_0 has SIMD = 0; expected"),
        (lambda m: getCustomOp(m.graph.node[3]).set_nodeattr("numSteps", 9), UnsupportedError, "15 thresholds a channel, and says that they are 9"),
        (lambda m: getCustomOp(m.graph.node[3]).set_nodeattr("outputDataType", "UINT1"), UnsupportedError, "outputDataType, UINT1, does not hold"),
        (lambda m: getCustomOp(m.graph.node[3]).set_nodeattr("NumChannels", 64), UnsupportedError, "NumChannels = 64, and its output has"),
        (lambda m: getCustomOp(m.graph.node[3]).set_nodeattr("inputDataType", "UINT2"), UnsupportedError, "as UINT2, and the node before gives INT"),
        (lambda m: getCustomOp(m.graph.node[2]).set_nodeattr("outputDataType", "INT4"), UnsupportedError, "sums from .* outputDataType, INT4, does not hold"),
        (lambda m: getCustomOp(m.graph.node[2]).set_nodeattr("outputDataType", "FOO7"), Exception, "FOO7"),
        (lambda m: getCustomOp(m.graph.node[2]).set_nodeattr("runtime_writeable_weights", 1), UnsupportedError, "weights that can change"),
        (lambda m: m.graph.node[0].ClearField("attribute"), UnsupportedError, "FMPadding_0 has the data type .none."),
        (lambda m: m.graph.node[2].input.__setitem__(1, "p"), UnsupportedError, "MVAU_0.* takes input 1 from a stream"),
        (lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop(), ModelError, "has the shape"),
        (lambda m: m.graph.node.append(helper.make_node("Relu", ["y"], ["z"], "act")), ModelError, "act is no hardware node"),
        (lambda m: m.graph.node.pop(), ModelError, "none gives the output"),
    ],
)  # fmt: skip
def test_what_is_no_such_model_is_said(change, kind, message, tmp_path):
    graph = convolution()
    model = to_finn(graph, graph, 10**9).model
    change(model)
    onnx.save(model.model, tmp_path / "model.onnx")
    with pytest.raises(kind, match=message):
        read_model(tmp_path / "model.onnx")


def test_a_network_without_finn_keeps_no_folding_that_it_claims(tmp_path):
    graph = replace(convolution())
    model = to_finn(graph, graph, 10**9).model
    model.save(str(tmp_path / "model.onnx"))
    read_once = read_model(tmp_path / "model.onnx")
    onnx.save(read_once, tmp_path / "again.onnx")
    assert finn_folding(read_once) and finn_folding(read_model(tmp_path / "again.onnx")) is None
