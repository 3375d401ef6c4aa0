"""The same network in every style of MVAU."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.devices.boards import load_board
from pipeline.errors import ConfigError
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fold import fold, write_reports
from pipeline.folding.styles import with_whole_windows
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.tools.verilator import simulate
from tests.dataflow.residual import residual_network

STYLES = {
    "folded": (400, "folded"),
    "a_vector_a_cycle": (42, "unrolled"),
    "a_bit_a_cycle": (72, "unrolled"),
    "in_dsps": (400, "dsp"),
    "sparse": (4000, "sparse"),
    "sparse_and_fast": (1200, "sparse"),
    "mixed": (1300, {"MVAU_0": "sparse", "MVAU_1": "unrolled"}),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    graph = residual_network()
    frames = np.random.default_rng(3).integers(0, 4, (8, 6, 6, 4))
    simulated_outputs = {}
    for name, (budget, style) in STYLES.items():
        folded = fold(graph, budget, mvau_style=style).graph
        simulated = simulate(folded.layers, {"in": frames}, tmp_path_factory.mktemp(name))
        simulated_outputs[name] = simulated.outputs[folded.output]
    return graph.run(frames), simulated_outputs


@pytest.mark.parametrize("style", STYLES)
def test_the_hardware_of_every_style_gives_the_same(style, outputs):
    expected, simulated_outputs = outputs
    np.testing.assert_array_equal(simulated_outputs[style], expected)
    np.testing.assert_array_equal(simulated_outputs[style], simulated_outputs["folded"])


@pytest.mark.parametrize(("budget", "digits"), [(42, {1}), (71, {1}), (72, {1, 2}), (1000, {1, 2})])
def test_digits_are_taken_where_the_budget_allows_and_luts_are_saved(budget, digits):
    graph = residual_network()
    folded = fold(graph, budget, mvau_style="unrolled")
    assert folded.prediction.cycles_between_frames <= budget
    model = ResourceModel.load("xcup")
    for layer in folded.graph:
        if isinstance(layer, UnrolledMVAU):
            luts = {count: model.folded(graph.layer(layer.name), "unrolled", {"digits": count}).lut for count in digits}
            assert luts[layer.digits] == min(luts.values())


def test_padding_and_generator_become_whole_windows_only_before_what_is_unrolled():
    graph = residual_network()
    changed = with_whole_windows(graph, {"MVAU_1"})
    kinds = {layer.name: layer.op_type for layer in changed}
    assert kinds["ConvolutionInputGenerator_1"] == "ParallelWindow" and "FMPadding_1" not in kinds
    assert kinds["ConvolutionInputGenerator_0"] == "ConvolutionInputGenerator" and "FMPadding_0" in kinds
    frames = np.random.default_rng(3).integers(0, 4, (3, 6, 6, 4))
    np.testing.assert_array_equal(changed.run(frames), graph.run(frames))


@pytest.mark.parametrize(("board", "family", "rows"), [("KV260", "xcup", 3), ("Pynq-Z1", "xc7", 2)])
def test_dsps_are_those_of_the_board_and_lanes_are_reported_with_their_proof(board, family, rows, tmp_path):
    network = residual_network()
    wide = {layer.name: layer.with_accumulator_bits((12,) * layer.mh) for layer in network.accumulating}
    graph = replace(network, layers=tuple(wide.get(layer.name, layer) for layer in network))
    wanted = {"MVAU_1": {"mvau_style": "dsp", "PE": 4, "SIMD": 2, "segments": 1}}
    styles = {layer.name: "folded" for layer in graph.accumulating} | {"MVAU_1": "dsp"}
    folded = fold(graph, None, wanted, mvau_style=styles, board=load_board(board))
    layer = folded.graph.layer("MVAU_1")
    assert (layer.family, layer.pe, layer.simd) == (family, 4, 2)
    assert max(len(packing.lanes) for packing in layer.packings) == rows
    assert folded.estimates["MVAU_1"].dsp == layer.dsps
    write_reports(folded, tmp_path, 5.0)
    said = json.loads((tmp_path / "report" / "dsp_packings.json").read_text())
    assert list(said) == ["MVAU_1"] and said["MVAU_1"]["dsps"] == layer.dsps
    first = said["MVAU_1"]["words"][0]
    assert first["offsets"] == [0, 12, 24][:rows] and first["lane_bits"] == [12] * rows
    estimated = json.loads((tmp_path / "report" / "estimate_layer_resources.json").read_text())
    assert estimated["total"]["DSP"] == layer.dsps


@pytest.mark.parametrize("word", ["mvau_style", "resType"])
def test_a_file_may_ask_for_dsps(word):
    graph = residual_network()
    asked = fold(graph, 400, {"Defaults": {}, "MVAU_0": {word: "dsp", "PE": 4, "SIMD": 2}}, mvau_style="auto")
    layer = asked.graph.layer("MVAU_0")
    assert (layer.op_type, layer.pe, layer.simd) == ("DspMVAU", 4, 2)
    assert layer.finn_folding()["resType"] == "dsp"
    again = fold(graph, 400, {"MVAU_0": layer.finn_folding()}, mvau_style="auto").graph.layer("MVAU_0")
    assert (again.op_type, again.pe, again.simd) == ("DspMVAU", 4, 2)


@pytest.mark.parametrize("in_one", [True, False])
def test_windows_of_a_column_are_made_by_one_layer_or_by_padding_and_generator(in_one):
    graph = residual_network()
    fields = {"pe": 4, "simd": 2, "m": 2, "taps": 3, "kernel_height": 3, "pad_left": 1, "pad_right": 1}
    columns = {"MVAU_0": (in_one, graph.layer("MVAU_0").styled("dsp", fields))}
    changed = with_whole_windows(graph, {"MVAU_0"}, {"ConvolutionInputGenerator_0": 2}, columns)
    kinds = {
        layer.name: (layer.op_type, layer.m) for layer in changed if layer.name.endswith(("Padding_0", "Generator_0"))
    }
    assert kinds == (
        {"ConvolutionInputGenerator_0": ("ParallelWindow", 2)}
        if in_one
        else {"FMPadding_0": ("FMPadding", 2), "ConvolutionInputGenerator_0": ("ConvolutionInputGenerator", 2)}
    )
    frames = np.random.default_rng(3).integers(0, 4, (3, 6, 6, 4))
    np.testing.assert_array_equal(changed.run(frames), graph.run(frames))


@pytest.mark.parametrize("simd", [1, 2])
def test_columns_of_a_kernel_share_dsps_where_a_file_asks_for_it(simd, tmp_path):
    graph = residual_network()
    wanted = {
        "MVAU_0": {"resType": "dsp", "taps": 3, "PE": 4, "SIMD": simd},
        "MVAU_1": {"resType": "dsp", "PE": 4, "SIMD": 2},
    }
    folded = fold(graph, 400, wanted, mvau_style="auto")
    layer, plain = folded.graph.layer("MVAU_0"), folded.graph.layer("MVAU_1")
    assert (layer.taps, layer.m, layer.simd, layer.pad_left, layer.pad_right) == (3, 2, simd, 1, 1)
    assert (plain.taps, plain.simd) == (1, 2)
    frames = np.random.default_rng(3).integers(0, 4, (6, 6, 6, 4))
    simulated = simulate(folded.graph.layers, {"in": frames}, tmp_path / "simulated", stalls=1)
    np.testing.assert_array_equal(simulated.outputs[folded.graph.output], graph.run(frames))
    write_reports(folded, tmp_path, 5.0)
    said = json.loads((tmp_path / "report" / "dsp_packings.json").read_text())["MVAU_0"]
    assert (said["dsps"], said["mac_per_dsp"]) == (layer.dsps, round(6 * simd / (simd + 1), 3))
    again = fold(graph, 400, json.loads((tmp_path / "auto_folding_config.json").read_text()), mvau_style="auto")
    assert [each.finn_folding() for each in again.graph] == [each.finn_folding() for each in folded.graph]
    with pytest.raises(ConfigError, match="MVAU_0: taps = 2, which layer MVAU_0 cannot have .* Choose one of 1, 3"):
        fold(graph, 400, {"MVAU_0": {"resType": "dsp", "taps": 2, "PE": 4, "SIMD": simd}}, mvau_style="auto")


def test_columns_of_a_kernel_share_dsps_where_that_is_cheapest():
    graph = residual_network()
    folded = fold(graph, 250, mvau_style="auto")
    assert [folded.graph.layer(name).finn_folding()["taps"] for name in ("MVAU_0", "MVAU_1")] == [3, 3]
    assert folded.prediction.cycles_between_frames <= 250
    rows = {name: {"resType": "dsp", "taps": 1} for name in ("MVAU_0", "MVAU_1")}
    total = {"lut": 1, "dsp": 10}
    cost = {
        name: sum(value * getattr(estimate, kind) for estimate in f.estimates.values() for kind, value in total.items())
        for name, f in (("taps", folded), ("rows", fold(graph, 250, rows, mvau_style="auto")))
    }
    assert cost["taps"] < cost["rows"]


def test_a_layer_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="mvau_style names MVAU_9, which is no MVAU of this network; it has MVAU_0"):
        fold(residual_network(), mvau_style={"MVAU_9": "unrolled"})
