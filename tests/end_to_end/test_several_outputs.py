"""Networks with several outputs: against QONNX's executor, in the simulated hardware, and as the driver gives them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from a2q_driver.transforms import Transforms, load_transforms, save_transforms
from pipeline.codegen import hls
from pipeline.codegen.rtl import write_design
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.errors import UnsupportedError
from pipeline.folding.fold import fold
from pipeline.frontend.conversion import dataflow
from pipeline.frontend.conversion.walk import find_obstacles
from pipeline.frontend.streamline import streamline
from pipeline.frontend.streamline.executor import run_graph
from pipeline.frontend.streamline.reading import read_model
from pipeline.stages import accumulators
from pipeline.verification import cppsim, rtlsim
from tests.dataflow.networks import Network

FRAMES = np.random.default_rng(0).integers(-9, 9, (5, 2, 4, 4)).astype(np.float32) / 8


def two_scales() -> Network:
    """Maps of 2 × 2 and of 4 × 4 pixels, and a quantized tensor between layers, which is an output twice."""
    network = Network(2, 4, 4)
    network.quant(0.125, 5)
    network.conv(2, 4, pads=[1, 1, 1, 1])
    shared = network.quant(0.5, 3, signed=0)
    coarse = network.conv(4, 3, kernel=2, strides=[2, 2])
    again = network.add("Identity", at=shared)
    network.conv(4, 5, kernel=1, at=shared)
    network.more_outputs = (shared, coarse, again)
    return network


def read(network: Network, folder) -> onnx.ModelProto:
    model = ModelWrapper(network.model()).transform(InferShapes()).model
    onnx.save(model, folder / "network.onnx")
    return read_model(folder / "network.onnx")


def converted(network: Network, folder, frames=FRAMES, top1=None):
    model = read(network, folder)
    streamlined = streamline.streamline(model, frames, run_graph(model, frames)).model
    return dataflow.convert(streamlined, frames, top1=top1)


def by_qonnx(network: Network, frames: np.ndarray) -> dict[str, np.ndarray]:
    wrapper = ModelWrapper(with_types(network))
    results = [execute_onnx(wrapper, {"input": frame[None]}) for frame in frames]
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def transforms(graph) -> Transforms:
    after = graph.output_transform
    return Transforms(graph.input_transform, None, after.scale, after.bias, several=graph.outputs)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    result = converted(two_scales(), tmp_path_factory.mktemp("network"))
    assert not result.top1
    return result.graph


def test_each_output_is_that_of_qonnx_by_its_name_and_shape(graph, tmp_path):
    """Also after the graph and the driver's file are written and read."""
    save_graph(graph, tmp_path)
    save_transforms(tmp_path / "transform.npz", transforms(load_graph(tmp_path)))
    got = load_transforms(tmp_path / "transform.npz").outputs(graph.run(graph.input_transform.apply(FRAMES)))
    expected = by_qonnx(two_scales(), FRAMES)
    assert list(got) == list(expected) and len(got) == 4
    for name, values in expected.items():
        assert got[name].shape == values.shape and np.abs(values).max() > 0
        np.testing.assert_array_equal(got[name], values)


def test_the_hardware_is_exact_and_does_not_wait_for_ever(graph, tmp_path):
    """As fast as can be and slow, with random stalls too, in RTL and in C++."""
    assigned = accumulators.assign(graph)[0]
    integers = graph.input_transform.apply(FRAMES)
    for budget in (220, 900):
        folded, folder = fold(assigned, budget).graph, tmp_path / str(budget)
        design = write_design(folded.layers, [folded.input], [folded.output], folder / "stitched", "stitched")
        rtlsim.run_network(design, folded, integers, folder, folder / "verified", stall_seed=1, log=lambda line: None)
    result = cppsim.run(
        folded,
        hls.write_network(folded, tmp_path / "hls", "finn_design"),
        integers,
        range(len(integers)),
        {},
        tmp_path / "objects",
        tmp_path / "verified",
        workers=1,
        log=lambda line: None,
        on_progress=lambda done, total, what: None,
    )
    assert "no deadlock" in result.summary


def ends_of_their_own() -> Network:
    """Outputs behind one quantizer: probabilities, logits, their two largest with the places, a mask of classes, a map with a
    scale for each pixel, and a tensor that a layer reads as well."""
    network = Network(2, 4, 4)
    network.quant(0.125, 5)
    network.conv(2, 4, pads=[1, 1, 1, 1])
    shared = network.quant(0.5, 3, signed=0)
    maps = network.conv(4, 3, kernel=1, scale=0.125)
    mask = network.add("ArgMax", at=maps, axis=1, keepdims=0)
    scaled = network.add("Mul", np.arange(1, 17).reshape(1, 1, 4, 4) / 8, at=maps)
    gates = network.add("Sigmoid", at=shared)
    network.conv(4, 5, kernel=4, at=shared)
    logits = network.add("Flatten")
    probabilities = network.add("Softmax", at=logits, axis=1)
    network.nodes.append(helper.make_node("TopK", [logits, network.constant([2], np.int64)], ["most", "places"], "top"))
    network.add("Mul", 0.5, at=logits)
    network.add("Tanh")
    network.more_outputs = (mask, probabilities, "places", logits, gates, scaled, "most")
    return network


def with_types(network: Network) -> onnx.ModelProto:
    model = network.model()
    for value in model.graph.output:
        integers = value.name == "places" or value.name.startswith("ArgMax")
        value.type.tensor_type.elem_type = onnx.TensorProto.INT64 if integers else onnx.TensorProto.FLOAT
    return ModelWrapper(model).transform(InferShapes()).model


def test_each_output_may_end_on_the_host(tmp_path):
    network = ends_of_their_own()
    onnx.save(with_types(network), tmp_path / "network.onnx")
    model = read_model(tmp_path / "network.onnx")
    streamlined = streamline.streamline(model, FRAMES, run_graph(model, FRAMES)).model
    result = dataflow.convert(streamlined, FRAMES, top1=None)
    for operator in ("ArgMax", "Softmax", "TopK", "Sigmoid", "Tanh", "Mul"):
        assert f"{operator} node" in result.on_host
    save_graph(result.graph, tmp_path)
    graph = load_graph(tmp_path)
    save_transforms(tmp_path / "transform.npz", transforms(graph))
    got = load_transforms(tmp_path / "transform.npz").outputs(graph.run(graph.input_transform.apply(FRAMES)))
    expected = by_qonnx(network, FRAMES)
    assert list(got) == list(expected) and len(got) == 8
    for (name, values), output in zip(expected.items(), graph.outputs, strict=True):
        assert got[name].shape == values.shape == (len(FRAMES), *output.shape) and np.ptp(values) > 0
        if values.dtype.kind == "i" or not output.steps:
            np.testing.assert_array_equal(got[name], values)
        else:
            np.testing.assert_allclose(got[name], values, rtol=3e-6, atol=1e-7)
    # what several outputs are made of streams once: the maps, the shared tensor, the logits and half of them
    assert graph.streams[graph.output].shape == (1, 1, 3 * 16 + 4 * 16 + 2 * 5)


def test_a_label_that_the_driver_does_not_compute_is_refused(graph, tmp_path):
    network = two_scales()
    network.more_outputs = (*network.more_outputs, network.last)
    network.add("Flatten")
    network.add("ArgMax", axis=1, select_last_index=1)
    model = network.model()
    model.graph.output[-1].CopyFrom(helper.make_tensor_value_info(network.last, onnx.TensorProto.INT64, (1, 1)))
    onnx.save(ModelWrapper(model).transform(InferShapes()).model, tmp_path / "network.onnx")
    with pytest.raises(
        UnsupportedError, match=r"ArgMax node ArgMax_\d+ gives one of 5 outputs .* Export Flatten_\d+_out"
    ):
        read_model(tmp_path / "network.onnx")
    with pytest.raises(UnsupportedError, match="It has 4 outputs .*, and a label is of one; build without the label"):
        converted(two_scales(), tmp_path, top1=True)


def test_a_function_that_the_driver_does_not_compute_is_refused_by_its_output(tmp_path):
    network = two_scales()
    network.more_outputs = (*network.more_outputs, network.last)
    name = network.add("Erf")
    with pytest.raises(UnsupportedError, match=f"The output {name} is a nonlinear function"):
        converted(network, tmp_path)


def test_what_is_in_the_way_before_several_ends_is_named(tmp_path):
    network = two_scales()
    network.node("LpNormalization", [network.last], axis=1)
    network.more_outputs = (*network.more_outputs, network.add("Sigmoid"))
    network.add("Softmax", axis=1)
    onnx.save(network.model(), tmp_path / "network.onnx")
    with pytest.raises(UnsupportedError, match=r"LpNormalization node LpNormalization_\d+ is not supported"):
        read_model(tmp_path / "network.onnx", find_obstacles)
