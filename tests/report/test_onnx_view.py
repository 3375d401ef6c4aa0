from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from pipeline.report.onnx_view import DOMAIN, write_onnx_view
from tests.report.sample import sample_facts

GRAPH = sample_facts().folded.graph


def test_a_node_a_layer_and_a_tensor_a_stream(tmp_path: Path) -> None:
    write_onnx_view(GRAPH, tmp_path / "view.onnx")
    model = onnx.load(tmp_path / "view.onnx")
    onnx.checker.check_model(model)
    assert [(node.name, node.op_type, node.domain) for node in model.graph.node] == [
        (layer.name, layer.op_type, DOMAIN) for layer in GRAPH
    ]
    wrapper = ModelWrapper(model)
    for name, stream in GRAPH.streams.items():
        assert wrapper.get_tensor_shape(name) == [1, *stream.shape]
        assert wrapper.get_tensor_datatype(name).name == stream.type.name
    producers = {name: node.name for node in model.graph.node for name in node.output}
    for layer, node in zip(GRAPH, model.graph.node, strict=True):
        for name in layer.input_names:
            writer = GRAPH.writer(name)
            assert producers.get(name) == (writer.name if writer else None) and name in node.input


def test_weights_thresholds_and_folding_are_there(tmp_path: Path) -> None:
    write_onnx_view(GRAPH, tmp_path / "view.onnx")
    model = onnx.load(tmp_path / "view.onnx")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    for layer in GRAPH.accumulating:
        assert np.array_equal(constants[f"{layer.name}_weights"], layer.weights)
        assert np.array_equal(constants[f"{layer.name}_thresholds"], layer.thresholds)
        given = {a.name: onnx.helper.get_attribute_value(a) for a in nodes[layer.name].attribute}
        assert (given["PE"], given["SIMD"]) == (layer.pe, layer.simd)
        assert given["accDataType"] == f"INT{max(layer.accumulator_bits)}".encode()
    for fifo in GRAPH.fifos:
        (depth,) = (a.i for a in nodes[fifo.name].attribute if a.name == "depth")
        assert depth == fifo.depth
