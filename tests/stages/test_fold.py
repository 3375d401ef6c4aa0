from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stages.fold import cycle_budget, fold, load, save, write_reports
from tests.dataflow.residual import residual_network


def lanes_agree(graph: LayerGraph) -> bool:
    written = {s: n for layer in graph for s, n in zip(layer.outputs, layer.output_lanes(), strict=True)}
    read = {s: n for layer in graph for s, n in zip(layer.inputs, layer.input_lanes(), strict=True)}
    return all(written[stream] == read[stream] for stream in written.keys() & read.keys())


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("budget", [None, 5000, 700, 400])
def test_the_folded_graph_computes_the_same_and_its_lanes_agree(stride, budget):
    graph = residual_network(stride=stride)
    folded = fold(graph, budget)
    frames = np.random.default_rng(1).integers(0, 4, (3, 6, 6, 4))
    assert np.array_equal(folded.graph.run(frames), graph.run(frames))
    assert lanes_agree(folded.graph)
    assert folded.max_cycles == max(folded.cycles.values()) == folded.graph.layer(folded.slowest).cycles()
    assert budget is None or folded.max_cycles <= budget


def test_a_fifo_stands_on_every_stream_between_two_layers_and_behind_every_converter():
    graph = residual_network()
    folded = fold(graph, 700)
    between = {stream.name for stream in graph.streams.values() if stream.producer and stream.consumer}
    converted = {layer.outputs[0] for layer in folded.graph if isinstance(layer, StreamingDataWidthConverter)}
    assert converted
    fed = [layer.inputs[0] for layer in folded.graph if isinstance(layer, StreamingFIFO)]
    assert sorted(fed) == sorted(between | converted)


def test_two_converters_where_neither_width_divides_the_other():
    graph = residual_network(channels=6, depth=1)
    config = {"ConvolutionInputGenerator_0": {"SIMD": 2}, "MVAU_0": {"SIMD": 3}}
    folded = fold(graph, None, config)
    converters = [(x.in_lanes, x.out_lanes) for x in folded.graph if x.op_type == "StreamingDataWidthConverter"]
    assert (2, 6) in converters and (6, 3) in converters
    frames = np.random.default_rng(1).integers(0, 4, (2, 6, 6, 6))
    assert np.array_equal(folded.graph.run(frames), graph.run(frames))


def test_a_folding_file_of_finn(tmp_path):
    path = tmp_path / "folding.json"
    path.write_text(
        json.dumps(
            {
                "Defaults": {},
                "ConvolutionInputGenerator_rtl_0": {"SIMD": 2, "ram_style": "distributed"},
                "MVAU_hls_0": {
                    "PE": 2,
                    "SIMD": 2,
                    "ram_style": "auto",
                    "resType": "lut",
                    "mem_mode": "internal_decoupled",
                },
                "Thresholding_rtl_0": {"PE": 4},
                "StreamingFIFO_rtl_0": {"depth": 99},
                "StreamingFIFO_rtl_1": {"depth": 2},
                "MVAU_hls_7": {"PE": 2},
            }
        )
    )
    folded = fold(residual_network(depth=1), None, path)
    mvau = folded.graph.layer("MVAU_0")
    assert (mvau.pe, mvau.simd) == (2, 2)
    assert folded.graph.layer("ConvolutionInputGenerator_0").simd == 2
    assert folded.graph.layer("Thresholding_0").pe == 4
    assert folded.graph.layer("StreamingFIFO_0").depth == 99
    shallow = folded.deadlock_bounds["StreamingFIFO_1"]
    assert folded.raised == {"StreamingFIFO_1": shallow} and folded.graph.layer("StreamingFIFO_1").depth == shallow > 2
    assert set(folded.ignored) == {
        *("ConvolutionInputGenerator_rtl_0.ram_style", "MVAU_hls_0.ram_style", "MVAU_hls_0.resType"),
        *("MVAU_hls_0.mem_mode", "MVAU_hls_7"),
    }


def test_the_written_folding_gives_the_same_again(tmp_path):
    graph = residual_network(stride=2)
    folded = fold(graph, 400)
    write_reports(folded, tmp_path, 5.0)
    again = fold(graph, None, tmp_path / "auto_folding_config.json")
    assert again.cycles == folded.cycles
    assert [getattr(x, "depth", None) for x in again.graph] == [getattr(x, "depth", None) for x in folded.graph]
    assert again.ignored == ()


def test_reports_have_the_keys_of_finn(tmp_path):
    folded = fold(residual_network(), 700)
    write_reports(folded, tmp_path, 5.0)
    report = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "report").iterdir()}
    assert report["estimate_layer_cycles"] == folded.cycles
    performance = report["estimate_network_performance"]
    assert performance["max_cycles_node_name"] == folded.slowest
    assert performance["estimated_throughput_fps"] == 1e9 / (5.0 * folded.max_cycles)
    assert performance["estimated_latency_ns"] == 5.0 * performance["critical_path_cycles"]
    resources = report["estimate_layer_resources"]
    assert set(resources) == {layer.name for layer in folded.graph} | {"total", "how"}
    assert resources["MVAU_0"]["LUT"] == round(folded.estimates["MVAU_0"].lut)
    counts = report["op_and_param_counts"]
    assert counts["MVAU_0"]["op_mac_2bx3b"] == 36 * 36 * 4
    assert counts["total"]["param_weight_3b"] == 2 * 36 * 4
    assert counts["total"]["weight_memory_bits"] == 2 * 36 * 4 * 3


def test_the_graph_of_an_unrolled_layer_can_be_checked_from_its_report(tmp_path):
    graph = residual_network()
    write_reports(fold(graph, 100, mvau_style="unrolled"), tmp_path, 5.0)
    report = json.loads((tmp_path / "report" / "adder_graphs.json").read_text())["MVAU_0"]
    forms = list(np.eye(report["elements"], dtype=np.int64))
    for a, p, b, q, sign, lowest, highest in report["adders"]:
        forms.append((forms[a] << p) + sign * (forms[b] << q))
        digits = 2 ** (2 // report["digits"]) - 1
        assert (lowest, highest) == (digits * forms[-1].clip(max=0).sum(), digits * forms[-1].clip(min=0).sum())
    rows = [sign * (forms[node] << shift) if node >= 0 else 0 * forms[0] for node, shift, sign in report["results"]]
    np.testing.assert_array_equal(rows, graph.layer("MVAU_0").weights)


def test_a_style_that_is_left_open_is_chosen_and_explained():
    folded = fold(residual_network(), 700, mvau_style={"MVAU_0": "auto"})
    assert list(folded.choices) == ["MVAU_0"]
    choice = folded.choices["MVAU_0"]
    layer = folded.graph.layer("MVAU_0")
    assert {"MVAU": "folded", "UnrolledMVAU": "unrolled", "SparseMVAU": "sparse"}[layer.op_type] == choice.style
    assert choice.cycles == layer.cycles() <= 700
    assert choice.lut == folded.estimates["MVAU_0"].lut
    assert {choice.style, *choice.more_lut} == {"folded", "unrolled", "sparse"}
    assert all(more is None or more >= 0 for more in choice.more_lut.values())
    assert folded.graph.layer("MVAU_1").op_type == "MVAU"


def test_a_folding_file_comes_before_the_choice():
    folded = fold(residual_network(), 700, {"MVAU_0": {"PE": 4, "SIMD": 9}}, mvau_style="auto")
    layer = folded.graph.layer("MVAU_0")
    assert (layer.op_type, layer.pe, layer.simd) == ("MVAU", 4, 9)
    assert list(folded.choices) == ["MVAU_1"]


def test_the_fastest_that_fits_the_board():
    graph, board = residual_network(), load_board("KV260")
    fast = fold(graph, "max", mvau_style="auto", board=board)
    assert fast.max_cycles == 42  # a pixel a cycle and one of the border in each row
    few = replace(board, luts=900)
    slower = fold(graph, "max", mvau_style="auto", board=few)
    assert slower.max_cycles > 42
    # with FIFOs as deep as they turn out, and as much to spare as estimates were too low
    assert sum(estimate.lut for estimate in slower.estimates.values()) <= 0.92 * 900
    with pytest.raises(ConfigError, match="does not fit the board"):
        fold(graph, 42, mvau_style="auto", board=few)
    with pytest.raises(ConfigError, match="FIFOs"):  # the layers alone would fit
        fold(graph, "max", mvau_style="auto", board=replace(board, luts=600))


def test_what_is_saved_is_loaded(tmp_path):
    folded = fold(residual_network(), 700, mvau_style="auto")
    save(folded, tmp_path)
    loaded = load(tmp_path)
    for field in (
        *("cycles", "slowest", "prediction", "deadlock_bounds"),
        *("estimates", "choices", "ignored", "raised"),
    ):
        assert getattr(loaded, field) == getattr(folded, field)
    assert [layer.name for layer in loaded.graph] == [layer.name for layer in folded.graph]
    (tmp_path / "folded.json").write_text("{}")
    with pytest.raises(ModelError, match="Build it again"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("fps", "period", "cycles"),
    [(10_000, 5.0, 20_000), (1000, 10, 100_000), (30_000, 5, 6666), (0.1, 3.3, 3_030_303_030)],
)
def test_the_budget_is_the_cycles_of_a_frame(fps, period, cycles):
    assert cycle_budget(fps, period) == cycles


@pytest.mark.parametrize(("fps", "period"), [(0, 5.0), (-1, 5.0), (100, 0), (1e10, 5.0)])
def test_a_budget_that_cannot_be_is_refused(fps, period):
    with pytest.raises(ConfigError):
        cycle_budget(fps, period)
