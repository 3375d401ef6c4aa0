"""Depthwise separable convolutions from ONNX to folded hardware, in the styles and rates that there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen.hls import write_network
from pipeline.codegen.rtl import write_design
from pipeline.errors import ConfigError
from pipeline.folding.choice import slowest
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fold import fold
from pipeline.frontend.conversion.dataflow import convert
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.vvau import VVAU
from pipeline.stages.accumulators import assign
from pipeline.tools.verilator import build_model
from pipeline.verification import cppsim, rtlsim
from tests.dataflow.networks import Network

CHANNELS = 4


def _network() -> Network:
    """A first convolution with a stride, a depthwise separable one in a residual block, and one of two rows a channel."""
    network = Network(1, 9, 6)
    network.quant(0.5, 4)
    network.conv(1, CHANNELS, (4, 2), strides=[2, 1], pads=[1, 0, 2, 1])
    network.add("Relu")
    skipped = network.quant(1.0, 4, signed=0)
    network.conv(CHANNELS, CHANNELS, group=CHANNELS, pads=[1, 1, 1, 1])
    network.batch_norm(CHANNELS)
    network.add("Relu")
    network.quant(0.5, 4, signed=0)
    network.conv(CHANNELS, CHANNELS, 1)
    network.node("Add", [network.quant(1.0, 4), skipped])
    network.quant(4.0, 3)
    network.conv(CHANNELS, 2 * CHANNELS, (3, 1), group=CHANNELS, strides=[1, 2], bias=network.rng.normal(size=8))
    network.quant(1.0, 4)
    network.conv(2 * CHANNELS, 3, 1)
    return network


@pytest.fixture(scope="module")
def network():
    """The layer graph, frames of its input stream, and what QONNX calculates of them."""
    network = _network()
    model, raw = network.model(), network.frames(4)
    graph = assign(convert(model, raw, top1=False).graph)[0]
    wrapper = ModelWrapper(model).transform(InferShapes())
    outputs = [execute_onnx(wrapper, {"input": frame[None]})[network.last] for frame in raw]
    real = np.concatenate(outputs).transpose(0, 2, 3, 1)
    transform = graph.output_transform
    integers = np.rint((real - transform.bias) / transform.scale).astype(np.int64)
    return graph, graph.input_transform.apply(raw), integers


def _depthwise(graph) -> list[VVAU]:
    return [layer for layer in graph if isinstance(layer, VVAU)]


# by name: the most cycles a frame, the styles, and the operators that compute the two depthwise convolutions then
FOLDINGS = {
    "some_channels": (600, "folded", ["VVAU", "VVAU"]),
    "whole_windows": (240, "folded", ["VVAU", "VVAU"]),
    "unrolled": (240, {"VVAU_0": "unrolled"}, ["UnrolledMVAU", "VVAU"]),
    "one_multiplier_and_sparse_matrices": (4000, "sparse", ["VVAU", "VVAU"]),
}


@pytest.mark.parametrize("name", FOLDINGS)
def test_the_hardware_gives_what_qonnx_calculates(name, network, tmp_path):
    graph, frames, expected = network
    budget, style, operators = FOLDINGS[name]
    np.testing.assert_array_equal(graph.run(frames), expected)
    folded = fold(graph, budget, mvau_style=style)
    assert [layer.op_type for layer in folded.graph if layer.name.startswith("VVAU")] == operators
    np.testing.assert_array_equal(folded.graph.run(frames), expected)
    design = write_design(folded.graph.layers, ["input"], [folded.graph.output], tmp_path, "network")
    model = build_model(design, tmp_path)
    for result in (full_speed := model.run({"input": frames}), model.run({"input": frames}, stalls=3)):
        np.testing.assert_array_equal(result.outputs[folded.graph.output], expected)
    assert full_speed.frame_cycles[-1] - full_speed.frame_cycles[-2] <= (budget or slowest(graph))


def test_windows_have_the_lanes_of_their_unit_and_no_converter(network):
    graph, _, _ = network
    folded = fold(graph, 600).graph
    for unit in _depthwise(folded):
        windows = folded.writer(folded.writer(unit.input_names[0]).input_names[0])
        assert windows.depthwise and windows.simd == unit.pe // unit.multiplier
        assert max(windows.cycles(), unit.cycles()) <= 600
    assert folded.layer("VVAU_0").pe == 2


def test_the_fastest_folding_takes_a_cycle_a_window(network):
    graph, _, _ = network
    fast = fold(graph, "max").graph
    first, *_ = _depthwise(fast)
    assert first.m * first.cycles() == first.pixels[0] * first.pixels[1] < 9 * 30 < slowest(graph)
    assert fast.writer(first.input_names[0]).op_type == "ParallelWindow"


def test_witnesses_reach_the_ends_in_both_simulations(network, tmp_path):
    graph, frames, _ = network
    folded = fold(graph, 2000).graph
    witnesses = {layer.name: witness_inputs(layer) for layer in folded if isinstance(layer, MVAU)}
    runs = rtlsim.run_layers(folded, frames, witnesses, tmp_path, stall_seed=1, log=lambda line: None)
    extremes = {run.layer: run.accumulator for run in runs if run.accumulator is not None}
    code = write_network(folded, tmp_path / "hls", "finn_design")
    silent = {"workers": 1, "log": lambda line: None, "on_progress": lambda done, total, what: None}
    simulation = cppsim.run(
        folded, code, frames, range(len(frames)), witnesses, tmp_path / "objects", tmp_path / "out", **silent
    )
    for unit in _depthwise(folded):
        lo, hi = unit.accumulator_range()
        for seen in (extremes[unit.name], simulation.layers[unit.name].accumulator):
            assert seen.observed == seen.proven == (lo.min(), hi.max())


# -- what is asked --------------------------------------------------------------------------------------------------------


def test_a_folding_file_of_finn_sets_pe_and_the_windows_follow(network):
    graph, _, _ = network
    folded = fold(graph, folding_config={"Defaults": {}, "VVAU_hls_0": {"PE": 2}}).graph
    assert folded.layer("VVAU_0").pe == 2
    made = {"Defaults": {}, "VVAU_hls_0": {"PE": 4, "SIMD": 9}}
    whole = fold(graph, folding_config=made).graph
    assert whole.writer(whole.layer("VVAU_0").input_names[0]).op_type == "ParallelWindow"
    windows = graph.writer(graph.layer("VVAU_0").input_names[0]).name
    with pytest.raises(ConfigError, match=f"{windows}: SIMD = 1, which is not the PE of VVAU_0"):
        fold(graph, folding_config={"Defaults": {}, "VVAU_0": {"PE": 2}, windows: {"SIMD": 1}})
    with pytest.raises(ConfigError, match="SIMD = 3, which layer VVAU_0 .* cannot have with this PE"):
        fold(graph, folding_config={"Defaults": {}, "VVAU_0": {"PE": 4, "SIMD": 3}})


def test_a_unit_without_zeros_is_not_made_sparse_nor_one_of_other_inputs_packed(network):
    graph, _, _ = network
    with pytest.raises(ConfigError, match="VVAU_1 is to be sparse; it can be folded or unrolled"):
        fold(graph, mvau_style={"VVAU_1": "sparse"})
    with pytest.raises(ConfigError, match="it can be folded or unrolled: a VVAU has rows that see different inputs"):
        fold(graph, mvau_style={"VVAU_1": "dsp"})


def test_it_is_cheaper_than_a_matrix_with_zeros(network):
    graph, _, _ = network
    model = ResourceModel.load("xcup")
    unit = _depthwise(graph)[0]
    as_matrix = unit.dense.folded({"pe": 1, "simd": CHANNELS})
    assert unit.cycles() == as_matrix.cycles()
    assert model.layer(unit).lut < model.layer(as_matrix).lut
    np.testing.assert_array_equal(unit.styled("unrolled", {"digits": 1}).weights, unit.dense.weights)
    assert replace(unit, pe=unit.mh).weight_memory_bits() * CHANNELS == as_matrix.weight_memory_bits()
