"""FINN's form of a network, with MultiThreshold in place of quantizers: every integer is QONNX's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from finn.transformation.streamline import Streamline
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, RemoveStaticGraphInputs
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model

from pipeline.errors import InputError
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from tests.dataflow.networks import Network
from tests.frontend.streamline.damage import reference

MODELS = Path(os.environ.get("A2Q_DATA", "")) / "models"


def threshold(n: Network, rows: int, count: int, layout: str, **options) -> str:
    levels = np.sort(n.rng.integers(-30, 30, (rows, count)) / 4, axis=1)
    name = n.add("MultiThreshold", levels, out_dtype="INT8", data_layout=layout, **options)
    n.nodes[-1].domain = "qonnx.custom_op.general"
    return name


def check(model: onnx.ModelProto, frames: np.ndarray, folder: Path) -> None:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    read = read_model(path)
    expected = reference(model, frames)
    streamlined = streamline.streamline(read, frames, run_graph(read, frames))
    graph = dataflow.convert(streamlined.model, frames, top1=False).graph
    found = graph.run(graph.input_transform.apply(frames)) * graph.output_transform.scale + graph.output_transform.bias
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=1e-5)
    assert len(np.unique(found)) > 3


@pytest.mark.parametrize(
    ("rows", "options"),
    [(3, {}), (1, {}), (3, {"out_bias": -7.0}), (3, {"out_scale": 2.0, "out_bias": -15.0}), (3, {"out_scale": 0.25, "out_bias": -1.0})],
)  # fmt: skip
def test_thresholds_between_layers(rows: int, options: dict[str, float], tmp_path: Path) -> None:
    n = Network(2, 5, 5)
    n.quant(0.25, 6)
    n.conv(2, 3)
    threshold(n, rows, 15, "NCHW", **options)
    n.conv(3, 2, pads=[1, 1, 1, 1])
    n.output_shape = (1, 2, 3, 3)
    check(n.model(), n.frames(8), tmp_path)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("rows", [1, 3])
def test_more_thresholds_than_hardware_has(rows: int, layout: str, tmp_path: Path) -> None:
    """Evenly spaced ones of 10 bits, in whatever order they stand."""
    n = Network(*((2, 4, 4) if layout == "NCHW" else (4, 4, 2)))
    n.quant(0.25, 8)
    n.conv(2, 3, 1) if layout == "NCHW" else n.add("MatMul", n.weights(2, 3, bits=4))
    steps = (np.arange(1023) - 511.5 + np.array([[0], [3], [-9]])[:rows]) / 4
    n.add("MultiThreshold", n.rng.permuted(steps, axis=1), out_dtype="INT10", data_layout=layout, out_bias=-512.0)
    n.nodes[-1].domain = "qonnx.custom_op.general"
    n.output_shape = (1, 3, 4, 4) if layout == "NCHW" else (1, 4, 4, 3)
    frames = 8 * n.frames(8)
    if layout == "NCHW":
        check(n.model(), frames, tmp_path)
        return
    path = tmp_path / "net.onnx"
    path.write_bytes(n.model().SerializeToString())
    np.testing.assert_array_equal(run_graph(read_model(path), frames), reference(n.model(), frames))


def test_thresholds_whose_channels_are_last(tmp_path: Path) -> None:
    n = Network(4, 5, 2)
    n.quant(0.25, 6)
    n.add("MatMul", n.weights(2, 3))
    threshold(n, 3, 15, "NHWC", out_bias=-8.0)
    n.add("MatMul", n.weights(3, 2))
    n.output_shape = (1, 4, 5, 2)
    model, frames = n.model(), n.frames(8)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(run_graph(read_model(path), frames), reference(model, frames))


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({"out_scale": 0.25, "out_bias": -0.3}, 3, "of which the bias is a multiple"),
        ({"out_scale": -1.0}, 3, "expected a positive scale"),
        ({}, 2, r"thresholds \S+ of shape \(2, 15\)"),
        ({"my_bias": 1.0}, 3, "has the attribute my_bias"),
    ],
)
def test_what_has_no_exact_form_is_refused(options: dict[str, float], rows: int, message: str, tmp_path: Path) -> None:
    n = Network(2, 5, 5)
    n.quant(0.25, 6)
    n.conv(2, 3)
    threshold(n, rows, 15, "NCHW", **options)
    n.output_shape = (1, 3, 3, 3)
    path = tmp_path / "net.onnx"
    path.write_bytes(n.model().SerializeToString())
    with pytest.raises(InputError, match=f"MultiThreshold_3 .*{message}"):
        read_model(path)


@pytest.mark.skipif(not (MODELS / "TFC_2W2A.onnx").is_file(), reason="A2Q_DATA does not name a folder with TFC_2W2A")
def test_what_finn_streamlines_is_the_network(tmp_path: Path) -> None:
    """TFC as FINN's streamlining leaves it: integer weights, thresholds that hold scales and normalisations."""
    model = cleanup_model(ModelWrapper(str(MODELS / "TFC_2W2A.onnx"))).transform(ConvertQONNXtoFINN())
    for step in (
        InferShapes(), FoldConstants(), GiveUniqueNodeNames(), GiveReadableTensorNames(), InferDataTypes(),
        RemoveStaticGraphInputs(), Streamline(),
    ):  # fmt: skip
        model = model.transform(step)
    assert [node.op_type for node in model.graph.node].count("MultiThreshold") == 4
    levels = np.random.default_rng(0).integers(0, 256, (6, 1, 28, 28))
    frames = (levels / np.float32(255)).astype(np.float32)
    expected = reference(model.model, frames)
    path = tmp_path / "tfc.onnx"
    model.save(str(path))
    read = read_model(path)
    result = streamline.streamline(read, frames, run_graph(read, frames), ends=(np.float32(0), np.float32(1)))
    graph = dataflow.convert(result.model, frames, top1=True).graph
    labels = graph.run(graph.input_transform.apply(frames)).ravel()
    assert np.array_equal(labels, expected.argmax(axis=1))
