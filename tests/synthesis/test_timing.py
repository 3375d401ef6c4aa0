from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import BuildConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.errors import ToolError
from pipeline.folding import fold
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES
from pipeline.static_timing import estimate
from pipeline.synthesis import synth, timing
from pipeline.tools import nextpnr
from pipeline.tools.nextpnr import Routed
from tests.dataflow.residual import residual_network
from tests.kernels.matrices import matrix_layer
from tests.static_timing.netlists import design, module
from tests.static_timing.test_paths import flip_flop
from tests.tools import vivado_stand_in

UINT4 = IntType(0, 15)
KV260 = load_board("KV260")


def mvaus(*kinds: tuple[type[MatrixVector], dict]) -> LayerGraph:
    """A chain of MVAUs of 4 × 4 weights, and a FIFO at its end."""
    layers = [
        replace(
            matrix_layer(kind, 4, 4, UINT4, 3, 15, **fields),
            name=f"MVAU_{i}",
            source=f"conv{i}",
            input_names=(f"s{i}",),
            output_names=(f"s{i + 1}",),
        )
        for i, (kind, fields) in enumerate(kinds)
    ]
    end = f"s{len(layers)}"
    last = layers[-1]
    layers.append(
        StreamingFIFO("FIFO", (end,), ("out",), shape=(2, 3, 4), type=UINT4, lanes=last.outputs()[0].lanes, depth=2)
    )
    return LayerGraph("mvaus", tuple(layers), "s0", "out")


FOLDED, PARALLEL = (MVAU, {}), (MVAU, {"pe": 4, "simd": 4})
LOADED = (MVAU, {"ram_style": "ultra"})


@pytest.fixture
def without_vivado(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """Stands in for nextpnr: 100 MHz with the first seed, 10 less with each other. Gives the units it was given."""
    units: list[str] = []

    def routed(top, sources, *, seeds, **options) -> Routed:
        units.append(sources[-1].read_text())
        return Routed(tuple(110.0 - 10 * seed for seed in seeds), len(units), 0, 0, 0, 0)

    monkeypatch.setattr(nextpnr, "route", routed)
    return units


def run(graph: LayerGraph, tmp_path: Path, **options) -> timing.TimingReport:
    options = {"clock_period_ns": 5.0, "seeds": 3} | options
    return timing.run(graph, KV260, tmp_path / "report", cache=tmp_path / "cache", **options)


@pytest.mark.usefixtures("without_vivado")
def test_equal_mvaus_are_routed_once_and_nothing_else_is(runs, tmp_path):
    report = run(mvaus(FOLDED, PARALLEL, FOLDED), tmp_path, workers=1)
    assert len(runs) == 2 and all("mvau #(" in text for text in runs)
    assert [layer.ecp5.lut4 for layer in report.layers.values()] == [1, 2, 1]
    assert list(report.layers) == ["MVAU_0", "MVAU_1", "MVAU_2"]
    assert report.seeds == (1, 2, 3) and report.layers["MVAU_0"].ecp5.median_mhz == 90.0


@pytest.mark.usefixtures("without_vivado")
def test_a_debug_build_is_another_unit(runs, tmp_path):
    run(mvaus(FOLDED), tmp_path)
    run(mvaus(FOLDED), tmp_path, check_overflow=True)
    assert ["output wire [0:0] overflow" in text for text in runs] == [False, True]


@pytest.mark.usefixtures("without_vivado")
def test_the_file_has_every_figure_and_where_it_is_of(runs, tmp_path):
    report = run(mvaus(FOLDED), tmp_path, seeds=2)
    content = json.loads((tmp_path / "report" / "timing.json").read_text())
    assert content["device"] == "ECP5-85F, speed grade 6" and content["seeds"] == [1, 2]
    assert "nextpnr" in content["method"] and "synth_ecp5 -nodsp" in content["method"]
    layer = content["layers"]["MVAU_0"]
    assert layer["op_type"] == "MVAU" and layer["vivado"] is None
    assert layer["ecp5"]["mhz"] == [100.0, 90.0] and layer["ecp5"]["median_mhz"] == 95.0
    assert timing.load(tmp_path / "report" / "timing.json") == report
    assert timing.load(tmp_path / "timing.json") is None


@pytest.mark.usefixtures("without_vivado")
def test_the_sentence_names_the_slowest_and_another_device(monkeypatch, tmp_path):
    cells = {"lut4": 1, "carry": 0, "ff": 0, "lutram": 0, "bram_18k": 0}
    reached = {
        "Pe(1)": Routed((100.0,), **cells),
        "Pe(4)": Routed((), **cells, problem="does not fit"),
        "Pe(2)": Routed((80.0,), **cells),
    }

    def routed(top, sources, **options) -> Routed:
        (route,) = (result for lanes, result in reached.items() if f".{lanes}" in sources[-1].read_text())
        return route

    monkeypatch.setattr(nextpnr, "route", routed)
    report = run(mvaus(FOLDED, PARALLEL, (MVAU, {"pe": 2})), tmp_path, workers=1, seeds=1)
    assert report.slowest == "MVAU_2" and report.slowest_by_vivado is None
    assert report.summary == (
        "slowest is MVAU_2, 80 MHz on ECP5-85F, speed grade 6 (1 without a figure), which is another device than the "
        "board's"
    )
    nothing = replace(report, layers={"MVAU_1": report.layers["MVAU_1"]})
    assert nothing.slowest is None and nothing.summary.startswith("no MVAU could be placed and routed on ECP5-85F")


def test_vivado_measures_the_same_units_on_the_part_of_the_board(runs, monkeypatch, tmp_path):
    stand_in = vivado_stand_in.install(tmp_path, monkeypatch, wns="-0.250")
    steps: list[tuple[int, int]] = []
    lines: list[str] = []
    report = run(mvaus(FOLDED, PARALLEL, FOLDED), tmp_path, on_progress=lambda *s: steps.append(s), log=lines.append)
    assert stand_in.of("synth_design") == [["-mode", "out_of_context", "-top", "harness", "-part", KV260.part]] * 2
    measured = [layer.vivado for layer in report.layers.values()]
    assert measured[0] == measured[1] == measured[2]
    assert (measured[0].version, measured[0].part, measured[0].period_ns) == ("2024.2", KV260.part, 5.0)
    assert measured[0].fmax_mhz == pytest.approx(1000 / 5.25)
    assert report.summary.endswith(f"; on {KV260.part} by Vivado 2024.2 MVAU_0, 190 MHz alone")
    assert steps[-1] == (4, 4)
    assert timing.load(tmp_path / "report" / "timing.json") == report


def test_a_failure_of_vivado_ends_the_stage(runs, monkeypatch, tmp_path):
    vivado_stand_in.install(tmp_path, monkeypatch, failing="synth_design", message="[Synth 8-439] module not found")
    with pytest.raises(ToolError, match=r"Vivado ended with status 1: ERROR: \[Synth 8-439\]"):
        run(mvaus(FOLDED), tmp_path)
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("without_vivado")
def test_an_mvau_whose_weights_are_loaded_is_routed_by_nextpnr_itself(tmp_path):
    """Its stream of weights is one more port to drive."""
    report = run(mvaus(LOADED), tmp_path, seeds=1)
    reached = report.layers["MVAU_0"].ecp5
    assert reached.problem == "" and 20 < reached.median_mhz < 400
    assert reached.lut4 > 20 and reached.ff > 32  # no less than the register of the stream of weights


def registered_layer() -> bytes:
    """The netlist of a layer of two inputs and two outputs, which a register stands behind everywhere."""
    inputs, outputs = {"ap_clk": [1]}, {}
    bit = iter(range(10, 100))
    for side, from_outside, to_outside in (("s_axis", inputs, outputs), ("m_axis", outputs, inputs)):
        for i in range(2):
            from_outside |= {f"{side}_{i}_{signal}": [next(bit)] for signal in ("tvalid", "tdata")}
            to_outside[f"{side}_{i}_tready"] = [next(bit)]
    taken = [bits[0] for port, bits in inputs.items() if port != "ap_clk"]
    given = [bits[0] for bits in outputs.values()]
    cells = [flip_flop(bit, 200 + i) for i, bit in enumerate(taken)] + [flip_flop(200, bit) for bit in given]
    text = json.dumps(design(module(cells, inputs, outputs, {"u_layer.taken_q": range(200, 200 + len(taken))})))
    return gzip.compress(text.encode())


@pytest.fixture
def stage(tmp_path):
    """Runs the stage timing of a small residual network whose layers are each `registered_layer`."""
    folded = fold.fold(residual_network())
    fold.save(folded, tmp_path / "fold")
    netlists = tmp_path / "synth" / "netlists"
    netlists.mkdir(parents=True)
    (netlists / "one.json.gz").write_bytes(registered_layer())
    files = {layer.name: "one.json.gz" for layer in folded.graph}
    (netlists / "netlists.json").write_text(json.dumps(files))

    def run(**options) -> tuple[str, Path]:
        (declared,) = (stage for stage in STAGES if stage.name == "timing")
        folder = tmp_path / "timing"
        folder.mkdir()
        inputs = {"fold": tmp_path / "fold", "synth": tmp_path / "synth"}
        values = declared_options(BuildConfig(**options), declared.reads)
        ignore = lambda *done: None
        return declared.run(Context(folder, values, inputs, ignore, ignore, lambda name: tmp_path / name)), folder

    return run


def test_every_build_has_an_estimate_that_is_called_one_and_nothing_is_routed_unasked(stage):
    said, folder = stage()
    assert said.startswith("estimated ")
    assert (
        " optimistic on UltraScale+, speed grade -2 (xck26-sfvc784-2LV-c is of grade -2LV, with other delays), slowest is"
        in said
    )
    assert said.endswith("the clock wanted, 300 MHz, is within reach of both")
    assert [path.name for path in (folder / "report").iterdir()] == ["timing_estimate.json"]
    content = json.loads((folder / "report" / "timing_estimate.json").read_text())
    assert content["known"] == "estimated" and "no placement, no routing" in content["method"]
    assert re.search(r"for a net [\d.]+ ns or [\d.]+ ns and [\d.]+ ns more for each doubling of", content["method"])
    assert content["mhz"]["pessimistic"] < content["mhz"]["optimistic"]
    estimated = timing.load_estimate(folder / "report" / "timing_estimate.json")
    assert estimated.layers["MVAU_0"].op_type == "MVAU" and estimated.worst[0].ns == max(
        layer.ns["pessimistic"] for layer in estimated.layers.values()
    )


def test_a_clock_that_the_estimate_does_not_carry_is_said_so(stage):
    said, _ = stage(board="U250", synth_clk_period_ns=0.6)
    assert "the clock wanted, 1667 MHz, is OUT OF REACH even so (" in said


def test_boards_of_another_family_have_its_delays(stage):
    said, _ = stage(board="PYNQ-Z2")
    assert "optimistic on 7-series, speed grade -1, slowest is" in said


def test_every_connection_of_a_build_joins_ports_that_are_there(tmp_path):
    fifo = {"shape": (4, 4, 2), "type": UINT4, "lanes": 2, "depth": 6}
    graph = LayerGraph(
        "padded",
        (
            FMPadding("FMPadding_0", ("a",), ("b",), shape=(4, 4, 2), type=UINT4, pads=(1, 1, 1, 1), simd=2),
            StreamingFIFO("StreamingFIFO_0", ("b",), ("c",), **fifo | {"shape": (6, 6, 2)}),
        ),
        "a",
        "c",
    )
    synth.run(graph, KV260, tmp_path / "report", cache=tmp_path / "cache", netlists=tmp_path / "netlists")
    netlists = synth.load_netlists(tmp_path / "netlists")
    estimated = timing.run_estimate(graph, KV260, netlists, tmp_path / "report", clock_period_ns=5.0)
    assert set(estimated.layers) == {"FMPadding_0", "StreamingFIFO_0", "accelerator_shell"}
    assert len(estimated.worst) == 10 and estimated.worst[0].ns == max(
        layer.ns["pessimistic"] for layer in estimated.layers.values()
    )
    network = estimate.network_of(netlists, estimate.connections(graph, ["accelerator_shell"]), "xcup")
    assert network.drivers["FMPadding_0", "s_axis_0_tvalid"] == ("accelerator_shell", "core_in_valid_o")
    assert network.drivers["StreamingFIFO_0", "m_axis_0_tready"] == ("accelerator_shell", "core_out_ready_o")
    assert network.drivers["FMPadding_0", "m_axis_0_tready"] == ("StreamingFIFO_0", "s_axis_0_tready")
    assert len(network.drivers) == 9
    for (reader, read), (writer, written) in network.drivers.items():
        assert read in network.units[reader].circuit.inputs and written in network.units[writer].circuit.outputs
