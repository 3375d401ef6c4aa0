from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import BuildConfig
from pipeline.dataflow import storage
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import Board, board_names, load_board
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError, ModelError, UnsupportedError
from pipeline.folding import fold as fold_stage
from pipeline.folding.fit import Bound, Fit
from pipeline.folding.fold import cycle_budget, fold, load, save, write_reports
from pipeline.kernels.matrix_vector import STYLES
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES
from tests.dataflow.residual import residual_network


def with_capacity(board: Board, **amounts: int) -> Board:
    return replace(board, capacity=replace(board.capacity, **amounts))


def lanes_agree(graph: LayerGraph) -> bool:
    written = {name: s.lanes for layer in graph for name, s in zip(layer.output_names, layer.outputs(), strict=True)}
    read = {name: s.lanes for layer in graph for name, s in zip(layer.input_names, layer.inputs(), strict=True)}
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
    converted = {layer.output_names[0] for layer in folded.graph if isinstance(layer, StreamingDataWidthConverter)}
    assert converted
    fed = [layer.input_names[0] for layer in folded.graph if isinstance(layer, StreamingFIFO)]
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
        *("ConvolutionInputGenerator_rtl_0.ram_style", "MVAU_hls_7"),
    }


def test_the_written_folding_gives_the_same_again(tmp_path):
    graph = residual_network(stride=2)
    folded = fold(graph, 400)
    write_reports(folded, tmp_path, 5.0)
    again = fold(graph, None, tmp_path / "auto_folding_config.json")
    assert again.cycles == folded.cycles
    assert [getattr(x, "depth", None) for x in again.graph] == [getattr(x, "depth", None) for x in folded.graph]
    assert again.ignored == ()


@pytest.mark.parametrize("budget", [1100, 3000])
def test_the_written_folding_of_every_style_and_memory_gives_the_same_again(tmp_path, budget):
    graph = residual_network(blocks=2)
    styles = {"MVAU_0": "sparse", "MVAU_1": "unrolled", "MVAU_2": "sparse", "MVAU_3": "auto"}
    folded = fold(graph, budget, mvau_style=styles, ram_style={"MVAU_0": "block", "MVAU_2": "ultra"})
    write_reports(folded, tmp_path, 5.0)
    written = tmp_path / "auto_folding_config.json"
    content = json.loads(written.read_text())
    assert content["MVAU_0"]["ram_style"] == "block" and content["MVAU_0"]["mem_mode"] == "internal_decoupled"
    assert content["MVAU_1"] == {
        "mvau_style": "unrolled",
        "digits": folded.graph.layer("MVAU_1").digits,
        "mem_mode": "internal_embedded",
    }
    for wanted in ("auto", {name: folded.graph.layer(name).style for name in styles}):
        again = fold(graph, None, written, mvau_style=wanted)
        assert again.ignored == ()
        assert again.cycles == folded.cycles
        for one, other in zip(folded.graph, again.graph, strict=True):
            assert one.finn_folding() == other.finn_folding() and one.inputs() == other.inputs()
            assert getattr(one, "depth", None) == getattr(other, "depth", None)


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
    lines: list[str] = []
    write_reports(fold(graph, 100, mvau_style="unrolled", tell=lines.append), tmp_path, 5.0)
    assert [line for line in lines if "looking for an adder graph of" in line]
    report = json.loads((tmp_path / "report" / "adder_graphs.json").read_text())["MVAU_0"]
    forms = list(np.eye(report["elements"], dtype=np.int64))
    for a, p, b, q, sign, lowest, highest in report["adders"]:
        forms.append((forms[a] << p) + sign * (forms[b] << q))
        digits = 2 ** (2 // report["digits"]) - 1
        assert (lowest, highest) == (digits * forms[-1].clip(max=0).sum(), digits * forms[-1].clip(min=0).sum())
    rows = [sign * (forms[node] << shift) if node >= 0 else 0 * forms[0] for node, shift, sign in report["results"]]
    np.testing.assert_array_equal(rows, graph.layer("MVAU_0").weights)


def test_a_style_that_is_left_open_is_chosen_and_explained():
    folded = fold(residual_network(), 700, mvau_style={"MVAU_0": "auto", "MVAU_1": "folded"})
    assert list(folded.choices) == ["MVAU_0"]
    choice = folded.choices["MVAU_0"]
    layer = folded.graph.layer("MVAU_0")
    assert layer.style == choice.style
    assert choice.cycles == layer.cycles() <= 700
    assert choice.lut == folded.estimates["MVAU_0"].lut
    assert choice.dsp == folded.estimates["MVAU_0"].dsp
    assert {choice.style, *choice.more_lut} == {choice.style, *choice.more_dsp} == set(STYLES)
    for style, more in choice.more_lut.items():
        assert more is None or more + 10 * choice.more_dsp[style] >= 0
    assert folded.graph.layer("MVAU_1").op_type == "MVAU"


def test_what_a_mapping_of_styles_does_not_name_is_left_open():
    assert list(fold(residual_network(), 700, mvau_style={"MVAU_0": "folded"}).choices) == ["MVAU_1"]


@pytest.mark.parametrize(("kind", "op_type"), [("lut", "MVAU"), ("dsp", "DspMVAU")])
def test_a_folding_file_comes_before_the_choice(kind, op_type):
    wanted = {"MVAU_0": {"PE": 4, "SIMD": 9, "resType": kind}}
    folded = fold(residual_network(), 700, wanted, mvau_style="auto")
    layer = folded.graph.layer("MVAU_0")
    assert (layer.op_type, layer.pe, layer.simd) == (op_type, 4, 9)
    assert list(folded.choices) == ["MVAU_1"] and not folded.ignored
    assert layer.finn_folding()["resType"] == kind


def test_the_fastest_that_fits_the_board():
    graph, board = residual_network(), load_board("KV260")
    fast = fold(graph, "max", mvau_style="auto", board=board)
    assert fast.max_cycles == 12  # the three pixels of half a row a cycle
    few = with_capacity(board, lut=900)
    slower = fold(graph, "max", mvau_style="auto", board=few)
    assert slower.max_cycles > fast.max_cycles
    # with FIFOs as deep as they turn out, and as much to spare as estimates were too low
    assert sum(estimate.lut for estimate in slower.estimates.values()) <= 0.92 * 900
    assert not slower.fit.exceeded


def test_the_fastest_says_what_keeps_it_from_more():
    graph, board = residual_network(), load_board("KV260")
    fast = fold(graph, "max", mvau_style="auto", board=board)
    assert fast.bound == Bound(fast.slowest, 12, {})
    assert "which takes 12 cycles with all the parallelism that it may have" in fast.bound.sentence
    assert fold(graph, 12, mvau_style="auto", board=board).bound is None
    with pytest.raises(ConfigError, match="cannot be reached"):
        fold(graph, 11, mvau_style="auto", board=board)
    for few, name in ((with_capacity(board, lut=900), "LUT"), (with_capacity(board, ff=900), "FF")):
        slower = fold(graph, "max", mvau_style="auto", board=few)
        (taken, there), bound = slower.bound.exceeded[name], slower.bound
        assert taken > there and bound.cycles < slower.max_cycles and list(bound.exceeded) == [name]
        assert bound.sentence.startswith(f"bound by {name}: {bound.cycles:,} cycles would take {taken:,} {name}")
        more = with_capacity(few, **{name.lower(): 2 * taken})
        assert fold(graph, "max", mvau_style="auto", board=more).max_cycles < slower.max_cycles


def test_dsps_are_of_the_board_for_all_layers_together():
    graph, board = residual_network(), load_board("KV260")
    free = fold(graph, 400, mvau_style="auto", board=board)
    taken = sum(estimate.dsp for estimate in free.estimates.values())
    assert [layer.style for layer in free.graph.accumulating] == ["dsp", "dsp"]
    few = fold(graph, 400, mvau_style="auto", board=with_capacity(board, dsp=int(taken) - 1))
    assert 0 < sum(estimate.dsp for estimate in few.estimates.values()) < taken and not few.fit.exceeded
    none = fold(graph, 400, mvau_style="auto", board=with_capacity(board, dsp=0))
    assert not any(layer.style == "dsp" for layer in none.graph.accumulating) and not none.fit.exceeded


def test_what_no_dsp_holds_is_computed_in_luts():
    weights, wide = np.random.default_rng(0).integers(-7, 8, (4, 8)), IntType.of_bits(20, signed=False)
    layer = MVAU("MVAU_0", ("in",), ("out",), weights, wide, IntType(-60 * wide.hi, 60 * wide.hi), (4, 4))
    graph = LayerGraph("one", (layer,), "in", "out")
    assert fold(graph, 64, mvau_style="auto").graph.layer("MVAU_0").style != "dsp"
    with pytest.raises(UnsupportedError, match="MVAU_0 cannot be computed in DSPs"):
        fold(graph, 64, mvau_style="dsp")


def test_what_does_not_fit_is_folded_and_says_what_would():
    graph, board = residual_network(), load_board("KV260")
    roomy = fold(graph, 400, board=board)
    assert roomy.fit == Fit("KV260", {})
    total = sum(roomy.estimates.values(), Resources())
    few = with_capacity(board, lut=round(0.7 * total.lut))
    folded = fold(graph, 400, board=few)
    assert folded.cycles == roomy.cycles and folded.estimates == roomy.estimates
    fit = folded.fit
    assert fit.exceeded == {"LUT": (round(total.lut), few.capacity.lut)}
    assert fit.boards == board_names()
    slower = fold(graph, fit.cycles, board=few)
    assert fit.cycles > 400 and not slower.fit.exceeded
    assert "DOES NOT FIT the KV260: " in fit.sentence(5.0)
    rate = float(re.search(r"target_fps ([\d,.]+) or less", fit.sentence(5.0))[1].replace(",", ""))
    assert 0.99 * 1e9 / (5 * fit.cycles) <= rate <= 1e9 / (5 * fit.cycles)


def test_a_style_that_would_fit_is_advised():
    graph, board = residual_network(), load_board("KV260")
    cheap, folded = (
        sum(fold(graph, 400, mvau_style=style, board=board).estimates.values(), Resources()).lut
        for style in ("auto", "folded")
    )
    tight = with_capacity(board, lut=round(cheap + 0.8 * (folded - cheap)), bram_18k=0, uram=0)
    fit = fold(graph, 400, board=tight).fit
    assert fit.exceeded and fit.settings == ("mvau_style auto",)
    assert "mvau_style auto at this rate" in fit.sentence(5.0)
    assert not fold(graph, 400, mvau_style="auto", board=tight).fit.exceeded


@pytest.mark.parametrize("mvau_style", ["folded", "auto"])
def test_what_fits_at_no_rate_says_so(mvau_style):
    tiny = with_capacity(load_board("KV260"), lut=100)
    folded = fold(residual_network(), "max", mvau_style=mvau_style, board=tiny)
    assert folded.fit.exceeded["LUT"][1] == 100 and folded.fit.cycles is None and folded.fit.settings == ()
    assert "target_fps" not in folded.fit.sentence(5.0) and "U250" in folded.fit.sentence(5.0)


def weights_in_blocks(**kwargs):
    """A layer whose weights synthesis would put into block RAM."""
    weights = np.random.default_rng(0).integers(-7, 8, (64, 576))
    lo, hi = -7 * 15 * 576, 7 * 15 * 576
    layer = MVAU("MVAU_0", ("in",), ("out",), weights, IntType(0, 15), IntType(lo, hi), (4, 4))
    return fold(LayerGraph("one", (layer,), "in", "out"), **{"budget": 64 * 576, **kwargs})


def test_memories_are_chosen_so_that_it_fits():
    board = load_board("KV260")
    free = weights_in_blocks(board=board)
    assert free.graph.layer("MVAU_0").ram_style == "auto" and free.estimates["MVAU_0"].bram_18k > 1
    no_blocks = weights_in_blocks(board=with_capacity(board, bram_18k=0))
    taken = no_blocks.estimates["MVAU_0"]
    assert no_blocks.graph.layer("MVAU_0").ram_style == "ultra" and taken.uram > 0 and taken.bram_18k == 0
    neither = weights_in_blocks(board=with_capacity(board, bram_18k=0, uram=0))
    assert neither.graph.layer("MVAU_0").ram_style == "distributed"
    assert neither.estimates["MVAU_0"].lut > taken.lut
    assert not no_blocks.fit.exceeded and not neither.fit.exceeded


def test_memories_are_chosen_with_the_styles():
    few = with_capacity(load_board("KV260"), bram_18k=0, lut=1800)
    folded = weights_in_blocks(board=few, mvau_style="auto")
    assert folded.choices["MVAU_0"].fields["ram_style"] == "ultra" and not folded.fit.exceeded
    total = sum(folded.estimates.values(), Resources())
    assert 0 < total.uram <= few.capacity.uram and total.lut <= 1800
    without = weights_in_blocks(board=with_capacity(few, uram=0), mvau_style="auto")
    assert without.fit.exceeded


def test_a_memory_that_is_asked_for_is_taken_and_one_that_would_fit_advised():
    board = with_capacity(load_board("KV260"), bram_18k=0)
    for style in ("distributed", "block", "ultra"):
        assert weights_in_blocks(ram_style=style).graph.layer("MVAU_0").ram_style == style
    folded = weights_in_blocks(ram_style={"MVAU_0": "block"}, board=board)
    assert folded.graph.layer("MVAU_0").ram_style == "block"
    assert set(folded.fit.exceeded) == {"BRAM_18K"} and "ram_style auto" in folded.fit.settings


def test_what_is_saved_is_loaded(tmp_path):
    folded = fold(residual_network(), 700, mvau_style="auto", board=with_capacity(load_board("KV260"), lut=100))
    save(folded, tmp_path)
    loaded = load(tmp_path)
    for field in (
        *("cycles", "slowest", "prediction", "deadlock_bounds"),
        *("estimates", "choices", "ignored", "raised", "fit", "bound"),
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


def test_the_line_has_the_cycles_that_a_frame_takes_and_not_the_slowest_layers(tmp_path: Path, monkeypatch) -> None:
    (declared,) = (stage for stage in STAGES if stage.name == "fold")
    storage.save_graph(residual_network(), tmp_path / "accumulators")
    results = []

    def line(more: int) -> str:
        def folded(*arguments, **options):
            result = fold(*arguments, **options)
            cycles = result.max_cycles + more
            results.append(replace(result, prediction=replace(result.prediction, cycles_between_frames=cycles)))
            return results[-1]

        monkeypatch.setattr(fold_stage, "fold", folded)
        folder = tmp_path / str(more)
        folder.mkdir()
        nothing = lambda *done: None
        values = declared_options(BuildConfig(synth_clk_period_ns=5), declared.reads)
        inputs = {"accumulators": tmp_path / "accumulators", "resolve": tmp_path / "resolve"}
        return declared.run(Context(folder, values, inputs, nothing, nothing, lambda name: tmp_path / name))

    said, waiting = line(0), line(1000)
    cycles, name = results[0].max_cycles, results[0].slowest
    assert said.startswith(
        f"{cycles} cycles between frames, {2e8 / cycles:,.0f} steady frames/s predicted at 5 ns; slowest is {name};"
    )
    rate = f"{2e8 / (cycles + 1000):,.0f} steady frames/s predicted at 5 ns"
    assert waiting.startswith(
        f"at most {cycles + 1000} cycles between frames, {rate}; slowest is {name} with {cycles};"
    )
