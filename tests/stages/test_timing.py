from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.boards import load_board
from pipeline.config import BuildConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ToolError
from pipeline.flow import Context
from pipeline.kernels.matrix_vector import MatrixVector
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.plan import STAGES
from pipeline.stages import timing
from pipeline.tools import nextpnr
from pipeline.tools.nextpnr import Routed
from tests.kernels.matrices import matrix_layer
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
            inputs=(f"s{i}",),
            outputs=(f"s{i + 1}",),
        )
        for i, (kind, fields) in enumerate(kinds)
    ]
    end = f"s{len(layers)}"
    last = layers[-1]
    layers.append(
        StreamingFIFO("FIFO", (end,), ("out",), shape=(2, 3, 4), type=UINT4, lanes=last.output_lanes()[0], depth=2)
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
        (found,) = (result for lanes, result in reached.items() if f".{lanes}" in sources[-1].read_text())
        return found

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
    told: list[tuple[int, int]] = []
    lines: list[str] = []
    report = run(mvaus(FOLDED, PARALLEL, FOLDED), tmp_path, on_progress=lambda *s: told.append(s), log=lines.append)
    assert stand_in.of("synth_design") == [["-mode", "out_of_context", "-top", "harness", "-part", KV260.part]] * 2
    measured = [layer.vivado for layer in report.layers.values()]
    assert measured[0] == measured[1] == measured[2]
    assert (measured[0].version, measured[0].part, measured[0].period_ns) == ("2024.2", KV260.part, 5.0)
    assert measured[0].fmax_mhz == pytest.approx(1000 / 5.25)
    assert report.summary.endswith(f"; on {KV260.part} by Vivado 2024.2 MVAU_0, 190 MHz alone")
    assert told[-1] == (4, 4)
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
    found = report.layers["MVAU_0"].ecp5
    assert found.problem == "" and 20 < found.median_mhz < 400
    assert found.lut4 > 20 and found.ff > 32  # no less than the register of the stream of weights


def test_a_build_that_does_not_ask_for_it_is_told_how_to(tmp_path):
    (stage,) = (stage for stage in STAGES if stage.name == "timing")
    options = BuildConfig().read(stage.reads)
    said = stage.run(Context(tmp_path, options, {}, print, print, lambda name: tmp_path))
    assert said == "none: no place and route was asked for (timing: {place_and_route: true})"
    assert not list(tmp_path.iterdir())
