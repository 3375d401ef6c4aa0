"""FINN's own streamlining of a network, and the layers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from pipeline.api import build
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.storage import load_graph
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.finn import record
from pipeline.finn.cross_check import _ending, _floats, compare, cross_check, streamlined
from pipeline.finn.model import to_finn
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.walk import convert_graph
from pipeline.frontend.streamline.reading import read_model
from pipeline.kernels.mvau import MVAU
from pipeline.models import resolve
from tests.dataflow.networks import Network
from tests.frontend.streamline.test_finn_nodes import convolution, frames_for


def residual(scale: float = 0.45) -> Network:
    """A block as ResNets have it, and a classifier."""
    net = Network(3, 6, 6)
    net.quant(0.5, 8)
    net.conv(3, 4, scale=0.125, pads=[1] * 4)
    net.batch_norm(4)
    net.add("Relu")
    start = net.quant(0.25, signed=0)
    net.conv(4, 4, scale=0.125, pads=[1] * 4)
    net.batch_norm(4)
    net.add("Relu")
    net.quant(0.25, signed=0)
    net.node("Add", [net.last, start])
    net.add("Relu")
    net.quant(scale, signed=0)
    net.node("Reshape", [net.last, net.constant([1, -1], np.int64)])
    net.matmul(144, 5)
    net.add("Add", net.rng.normal(size=5))
    net.output_shape = (1, 5)
    return net


def converted(net: Network, folder: Path) -> tuple[onnx.ModelProto, LayerGraph, np.ndarray]:
    """The network as it is read, its layers, and frames."""
    onnx.save(net.model(), folder / "net.onnx")
    model, frames = read_model(folder / "net.onnx"), net.frames(2)
    return model, dataflow.convert(model, frames, top1=None, name="net").graph, frames


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> tuple[onnx.ModelProto, LayerGraph, np.ndarray]:
    return converted(residual(), tmp_path_factory.mktemp("cross_check"))


def with_layer(graph: LayerGraph, name: str, **fields) -> LayerGraph:
    return replace(graph, layers=tuple(replace(x, **fields) if x.name == name else x for x in graph))


@pytest.fixture(scope="module")
def changed(network) -> Callable[..., None]:
    """Compares the network with its layers, one of them changed."""
    model, graph, frames = network
    theirs, conversion = streamlined(model), convert_graph(model, top1=graph.gives_labels, name="net")
    return lambda name, **fields: compare(theirs, conversion, with_layer(graph, name, **fields), frames)


def test_a_network_with_a_branch_is_the_same_in_every_tensor(network, tmp_path):
    done = []
    model, graph, frames = network
    result = cross_check(model, graph, frames, tmp_path, version="1", on_progress=lambda *at: done.append(at))
    assert (result.tensors, result.frames, result.missing, result.floats) == (5, 2, (), ())
    assert str(result) == (
        "FINN's own streamlining of the network (finn-plus 1) gives the same integers in 5 tensors of 2 frames"
    )
    assert done == [(1, 2), (2, 2)]
    assert record.load_cross_check(tmp_path) == result and record.load_cross_check(tmp_path / "report") is None


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_layer_with_another_weight_is_named(network, changed, index):
    unit = [layer for layer in network[1] if isinstance(layer, MVAU)][index]
    weights = unit.weights.copy()
    weights[:, weights.shape[1] // 2] *= -1
    with pytest.raises(
        VerificationError, match=rf"^layer {unit.name} \(.*FINN's own streamlining .*, and all that is compared"
    ):
        changed(unit.name, weights=weights)


def test_a_layer_with_another_threshold_is_named(network, changed):
    unit = next(layer for layer in network[1] if isinstance(layer, MVAU))
    with pytest.raises(VerificationError, match=rf"^layer {unit.name} "):
        changed(unit.name, thresholds=unit.thresholds + 1)


def test_halves_which_finn_rounds_up_are_told_apart(tmp_path):
    model, graph, frames = converted(residual(scale=0.5), tmp_path)  # of sums of two multiples of 0.25
    with pytest.raises(
        VerificationError, match=r"^layer Thresholding_0 .* each of them is a half, which QONNX rounds to even"
    ):
        cross_check(model, graph, frames, tmp_path, version="1")


def test_a_scale_that_finn_leaves_where_it_is_is_named():
    net = Network(2)
    net.node("Add", [net.add("Mul", 0.5), "input"])
    net.add("Mul", 0.25)
    model = ModelWrapper(net.model())
    model.set_tensor_datatype("input", DataType["INT4"])
    assert list(_floats(model)) == ["Mul_0 (Mul), which it cannot move past Add_1 (Add)"]
    result = record.CrossCheck("1", 1, 3, ("q0", "q1", "q2", "q3"), tuple(_floats(model)))
    assert str(result) == (
        "FINN's own streamlining of the network (finn-plus 1) gives the same integers in 3 tensors of 1 frame; not compared, as "
        "FINN has no integers of them: q0, q1, q2 and 1 more; FINN left in floats: Mul_0 (Mul), which it cannot move past "
        "Add_1 (Add)"
    )


def test_a_transformation_without_an_end_is_stopped():
    class Endless(Transformation):
        def apply(self, model):
            return model, True

    ending = _ending(Endless(), count(1), 3)
    with pytest.raises(RuntimeError, match="it comes to no end, Endless changes the graph again and again"):
        ModelWrapper(Network(2).model()).transform(ending)


def test_what_finn_has_no_rule_for_is_named(tmp_path):
    net = Network(4, 4, 4)
    net.quant(0.5, 4)
    net.node("AveragePool", [net.last], kernel_shape=[2, 4], strides=[2, 4])
    net.add("Trunc", 0.0625, 0.0, 8.0, 0.5, 4.0, signed=1, narrow=0, rounding_mode="FLOOR")
    net.conv(4, 4, kernel=1)
    net.output_shape = (1, 4, 2, 1)
    model, graph, frames = converted(net, tmp_path)
    with pytest.raises(
        UnsupportedError, match=r"its ConvertQONNXtoFINN stops at Trunc_0 \(Trunc, Trunc_\d+_out\): FINN only"
    ):
        cross_check(model, graph, frames, tmp_path, version="1")


def test_a_build_says_it_and_keeps_it_in_its_key(tmp_path):
    options = {"golden_frames": 4, "simulation": {"frames": 2}, "until": "finn", "progress": False}
    plain = build("quant_tfc_w2a2", out=tmp_path / "b", **options)
    asked = build("quant_tfc_w2a2", out=tmp_path / "b", verify={"finn": True}, **options)
    assert plain.stages[-1].summary.startswith("none: ")
    assert "gives the same integers in 5 tensors of 2 frames" in asked.stages[-1].summary
    assert [run.cached for run in asked.stages] == [True] * 6 + [False]
    assert json.loads((tmp_path / "b" / "report" / record.CROSS_CHECK).read_text())["tensors"] == 5

    graph = load_graph(asked.results["accumulators"])
    _, frames = resolve.load(asked.results["resolve"])
    unit = [layer for layer in graph if isinstance(layer, MVAU)][2]
    changed = with_layer(graph, unit.name, weights=-unit.weights)
    model = onnx.load(asked.results["streamline"] / "model.onnx")
    with pytest.raises(VerificationError, match=rf"^layer {unit.name} \(features.6"):
        cross_check(model, changed, frames[:1], tmp_path, version="1")


def test_finn_executes_a_model_of_its_nodes_itself(tmp_path):
    options = {"golden_frames": 4, "simulation": {"frames": 2}, "until": "finn", "progress": False}
    build("quant_tfc_w2a2", out=tmp_path / "b", finn=True, **options)
    path = tmp_path / "b" / "finn" / "model.onnx"
    options |= {"golden_inputs": tmp_path / "b" / "finn" / "input.npy", "verify": {"finn": True}}
    read = build(path, out=tmp_path / "read", **options)
    assert "FINN's own execution of its nodes (finn-plus" in read.stages[-1].summary
    assert "gives the same integers in 4 tensors of 2 frames" in read.stages[-1].summary
    assert "not compared" not in read.stages[-1].summary

    graph = load_graph(read.results["accumulators"])
    _, frames = resolve.load(read.results["resolve"])
    network, nodes = onnx.load(read.results["streamline"] / "model.onnx"), onnx.load(path)
    unit = [layer for layer in graph if isinstance(layer, MVAU)][1]
    changed = with_layer(graph, unit.name, weights=-unit.weights)
    with pytest.raises(
        VerificationError, match=rf"^layer {unit.name} .* where FINN's own execution of its nodes gives"
    ):
        cross_check(network, changed, frames[:1], tmp_path, version="1", nodes=nodes)
    nodes.graph.node[1].op_type += "_hls"
    nodes.graph.node[1].domain += ".hls"
    with pytest.raises(UnsupportedError, match=r"FINN executes .*_hls.* in a simulation of HLS or RTL only"):
        cross_check(network, graph, frames[:1], tmp_path, version="1", nodes=nodes)


@pytest.fixture
def of_finn(tmp_path) -> tuple[ModelWrapper, onnx.ModelProto, LayerGraph, np.ndarray]:
    """A convolution as FINN's nodes, as the network that is read from them, its layers, and frames."""
    graph = convolution()
    nodes = to_finn(graph, graph, 10**9).model
    onnx.save(nodes.model, tmp_path / "net.onnx")
    model, frames = read_model(tmp_path / "net.onnx"), frames_for(graph).astype(np.float32)
    return nodes, model, dataflow.convert(model, frames, top1=None, name="net").graph, frames


def test_images_of_a_model_of_finns_nodes_are_compared_pixel_by_pixel(of_finn, tmp_path):
    nodes, model, layers, frames = of_finn
    result = cross_check(model, layers, frames, tmp_path, version="1", nodes=nodes.model)
    assert result.missing == () and result.tensors >= 2
    unit = next(layer for layer in layers if isinstance(layer, MVAU))
    changed = with_layer(layers, unit.name, weights=-unit.weights)
    with pytest.raises(VerificationError, match=rf"^layer {unit.name} "):
        cross_check(model, changed, frames, tmp_path, version="1", nodes=nodes.model)


def test_what_finn_cannot_execute_is_said_with_its_node(of_finn, tmp_path):
    nodes, model, layers, frames = of_finn
    thresholds = nodes.graph.node[3].input[1]
    nodes.set_initializer(thresholds, nodes.get_initializer(thresholds)[:, :, None])
    said = r"FINN cannot execute this network: it stops at .*Thresholding.*leave verify.finn out"
    with pytest.raises(UnsupportedError, match=said):
        cross_check(model, layers, frames, tmp_path, version="1", nodes=nodes.model)
