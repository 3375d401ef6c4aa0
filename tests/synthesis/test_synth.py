from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.codegen import hls
from pipeline.config import BuildConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError, ToolError
from pipeline.folding.fold import fold, save
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stage import Context, declared_options
from pipeline.stages import STAGES
from pipeline.synthesis import synth
from pipeline.tools import vitis_hls, yosys
from pipeline.tools.yosys import SynthesisResult
from tests.dataflow.residual import residual_network
from tests.hls.test_kernels import LAYERS, WARNINGS
from tests.kernels.matrices import matrix_layer
from tests.tools import vitis_hls_stand_in

UINT4 = IntType(0, 15)
KV260 = load_board("KV260")


def fifos(*depths: int) -> LayerGraph:
    layers = tuple(
        StreamingFIFO(
            f"StreamingFIFO_{i}", (f"s{i}",), (f"s{i + 1}",), shape=(4, 4, 2), type=UINT4, lanes=1, depth=depth
        )
        for i, depth in enumerate(depths)
    )
    return LayerGraph("fifos", layers, "s0", f"s{len(depths)}")


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """Stands in for Yosys: a FIFO counts as many LUTs as it is deep. Gives the tops it was given."""
    tops: list[str] = []

    def one(unit: yosys.Unit) -> SynthesisResult:
        text = unit.sources[-1].read_text()
        tops.append(text)
        luts = sum(map(int, re.findall(r"\.Depth\((\d+)\)", text)))
        share = Resources(lut=luts, ff=1, bram_18k=1)
        return SynthesisResult(share, {"ooc": Resources(), "streaming_fifo": share})

    def netlist(unit: yosys.Unit, family: str, cache: Path) -> Path:
        path = cache / f"{unit.key(family)}.netlist.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of " + unit.top.encode())
        return path

    def synthesize(units, family, *, cache, workers, on_progress) -> list[SynthesisResult]:
        distinct = {unit.key(family): unit for unit in units}
        results = {key: one(unit) for key, unit in distinct.items()}
        if on_progress:
            on_progress(len(distinct), len(distinct))
        return [results[unit.key(family)] for unit in units]

    monkeypatch.setattr(yosys, "synthesize", synthesize)
    monkeypatch.setattr(yosys, "netlist", netlist)
    return tops


def test_equal_layers_are_synthesized_once_and_counted_each(runs, tmp_path):
    report = synth.run(fifos(4, 8, 4, 4), KV260, tmp_path, cache=tmp_path / "cache")
    assert len(runs) == 2
    assert [layer.total.lut for layer in report.layers.values()] == [4, 8, 4, 4]
    assert report.total == Resources(lut=20, ff=4, bram_18k=4)
    assert report.whole is None


def test_names_of_layers_and_streams_do_not_matter(runs, tmp_path):
    graph = fifos(4)
    other = replace(graph.layers[0], name="other", input_names=("x",), output_names=("y",), source="conv")
    synth.run(graph, KV260, tmp_path, cache=tmp_path)
    synth.run(LayerGraph("other", (other,), "x", "y"), KV260, tmp_path, cache=tmp_path)
    assert runs[0] == runs[1]


def test_the_stitched_network_is_counted_too_where_it_is_asked_for(runs, tmp_path):
    report = synth.run(fifos(4, 8), KV260, tmp_path, cache=tmp_path, whole=True)
    assert len(runs) == 3
    assert report.whole is not None and report.whole.lut == 12
    assert synth.load(tmp_path / synth.FILE) == report


def test_the_file_has_finns_keys_and_reads_back(runs, tmp_path):
    report = synth.run(fifos(4), KV260, tmp_path, cache=tmp_path)
    content = json.loads((tmp_path / "ooc_synth_and_timing.json").read_text())
    assert {key: content[key] for key in ("LUT", "FF", "BRAM_18K", "URAM", "DSP")} == {
        "LUT": 4, "FF": 1, "BRAM_18K": 1, "URAM": 0, "DSP": 0,
    }  # fmt: skip
    assert content["layers"]["StreamingFIFO_0"]["modules"] == {
        "streaming_fifo": content["layers"]["StreamingFIFO_0"]["modules"]["streaming_fifo"]
    }
    assert "synth_xilinx -family xcup -nodsp" in content["method"] and "no timing" in content["method"]
    assert content["utilization"]["BRAM_18K"] == 1 / KV260.capacity.bram_18k
    assert synth.load(tmp_path / synth.FILE) == report


def test_a_resource_that_a_part_lacks_has_no_utilization(runs, tmp_path):
    report = synth.run(fifos(4), load_board("Pynq-Z1"), tmp_path, cache=tmp_path)
    assert report.capacity.uram == 0 and report.utilization["URAM"] is None
    assert "-family xc7" in report.method


def test_a_network_that_is_too_large_is_said_to_be(runs, tmp_path):
    report = synth.run(fifos(4, 8), KV260, tmp_path, cache=tmp_path)
    assert report.exceeded == ()
    small = replace(KV260, capacity=replace(KV260.capacity, lut=report.total.lut - 1, bram_18k=0))
    assert synth.run(fifos(4, 8), small, tmp_path, cache=tmp_path).exceeded == ("LUT", "BRAM_18K")


def test_netlists_are_kept_of_each_layer_and_of_what_stands_around_the_network(runs, tmp_path):
    report = synth.run(fifos(4, 8, 4), KV260, tmp_path, cache=tmp_path / "cache", netlists=tmp_path / "netlists")
    netlists = synth.load_netlists(tmp_path / "netlists")
    assert list(netlists) == ["StreamingFIFO_0", "StreamingFIFO_1", "StreamingFIFO_2", "accelerator_shell"]
    assert netlists["StreamingFIFO_0"] == netlists["StreamingFIFO_2"] != netlists["StreamingFIFO_1"]
    assert netlists["accelerator_shell"].read_bytes() == b"of accelerator_shell"
    assert "accelerator_shell" not in report.layers and report.total.lut == 16, "the shell is not counted"


def test_a_board_without_processors_has_no_shell(runs, tmp_path):
    synth.run(fifos(4), load_board("U250"), tmp_path, cache=tmp_path / "cache", netlists=tmp_path / "netlists")
    assert list(synth.load_netlists(tmp_path / "netlists")) == ["StreamingFIFO_0"]


def test_beats_wider_than_a_word_of_the_dma_have_a_converter():
    wide = replace(fifos(4).layers[0], shape=(4, 4, 512), lanes=512)
    around = synth.surroundings(LayerGraph("wide", (wide,), "s0", "s1"))
    assert list(around) == ["accelerator_shell", "input_converter", "output_converter"]
    assert around["input_converter"].parameters["OutputWidth"] == around["output_converter"].parameters["InputWidth"]


def test_progress_counts_runs(runs, tmp_path):
    steps: list[tuple[int, int]] = []
    synth.run(fifos(4, 8, 4), KV260, tmp_path, cache=tmp_path, workers=1, on_progress=lambda *step: steps.append(step))
    assert steps[-1] == (2, 2)


def test_the_first_failure_ends_the_stage(monkeypatch, tmp_path):
    def failing(*unused, **options):
        raise ToolError("synthesis of ooc by Yosys ended with status 1")

    monkeypatch.setattr(yosys, "synthesize", failing)
    with pytest.raises(ToolError, match="ended with status 1"):
        synth.run(fifos(4, 8, 16), KV260, tmp_path, cache=tmp_path, workers=1)
    assert not (tmp_path / synth.FILE).exists()


def test_counts_of_yosys_itself(tmp_path: Path):
    padding = FMPadding("FMPadding_0", ("a",), ("b",), shape=(4, 4, 2), type=UINT4, pads=(1, 1, 1, 1), simd=1)
    graph = LayerGraph("padding", (padding,), "a", "b")
    report = synth.run(graph, KV260, tmp_path, cache=tmp_path / "cache")
    (layer,) = report.layers.values()
    assert layer.total == report.total == sum(layer.modules.values(), Resources())
    assert layer.total.lut > 5 and layer.total.ff > 5 and layer.total.dsp == 0
    assert set(layer.modules) <= {"fm_padding", "spill_register"}


def mvaus(*folds: int) -> LayerGraph:
    """A chain of MVAUs of 4 × 4 weights, MVAU_0 and on, each with a SIMD of its own."""
    layers = tuple(
        replace(
            matrix_layer(MVAU, 4, 4, UINT4, 3, 15, simd=simd),
            name=f"MVAU_{i}",
            source=f"conv{i}",
            input_names=(f"s{i}",),
            output_names=(f"s{i + 1}",),
        )
        for i, simd in enumerate(folds)
    )
    return LayerGraph("mvaus", layers, "s0", f"s{len(layers)}")


@pytest.fixture
def without_vitis_hls(monkeypatch, tmp_path):
    monkeypatch.setattr(vitis_hls, "find", lambda: None)


def in_hls(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "hls")


def test_what_is_hls_has_vitis_hls_estimate_beside_the_count(runs, monkeypatch, tmp_path):
    stand_in = vitis_hls_stand_in.install(tmp_path / "stand-in", monkeypatch, LUT="321")
    graph = mvaus(1, 2, 1)
    options = {"styles": in_hls("MVAU_0", "MVAU_2"), "clock_period_ns": 4.0, "cache": tmp_path / "cache"}
    report = synth.run(graph, KV260, tmp_path, **options)
    assert len(stand_in.of("csynth_design")) == 1, "equal layers once"
    assert stand_in.of("create_clock") == [["-period", "4"]]
    assert [layer.impl_style for layer in report.layers.values()] == ["hls", "rtl", "hls"]
    first, second, _ = report.layers.values()
    assert first.hls is not None and first.hls.utilization.lut == 321 and second.hls is None
    assert first.how == "counted by Yosys, of its RTL" and second.how == "counted by Yosys"
    assert report.total == sum((layer.total for layer in report.layers.values()), Resources())
    assert report.in_hls == "2 layers in HLS C++ 642 LUT, estimated by Vitis HLS 2022.2; in RTL 0"
    entry = json.loads((tmp_path / synth.FILE).read_text())["layers"]["MVAU_0"]
    assert (entry["LUT"], entry["how"]) == (0, "counted by Yosys, of its RTL")
    assert (entry["hls"]["LUT"], entry["hls"]["how"]) == (321, "estimated by Vitis HLS 2022.2")
    assert entry["hls"]["period_ns"] == 4.0 and entry["hls"]["interval_cycles"] == 2310
    assert synth.load(tmp_path / synth.FILE) == report
    assert synth.run(graph, KV260, tmp_path, **options) == report and len(stand_in.of("csynth_design")) == 1


@pytest.mark.usefixtures("without_vitis_hls")
def test_where_vitis_hls_is_not_there_that_is_said_and_the_count_is_what_there_is(runs, tmp_path):
    report = synth.run(mvaus(1, 2), KV260, tmp_path, cache=tmp_path / "cache", styles=in_hls("MVAU_1"))
    reason = "counted by Yosys, of its RTL, as there is no vitis_hls on PATH"
    assert [layer.how for layer in report.layers.values()] == ["counted by Yosys", reason]
    assert report.in_hls == "1 layer of style hls counted in RTL, as there is no vitis_hls on PATH"
    assert json.loads((tmp_path / synth.FILE).read_text())["layers"]["MVAU_1"]["how"] == reason
    assert synth.run(mvaus(1, 2), KV260, tmp_path, cache=tmp_path / "cache").in_hls == ""


def test_a_layer_that_vitis_hls_does_not_take_is_named(runs, monkeypatch, tmp_path):
    failing = {"failing": "csynth_design", "message": "[HLS 214-1] no"}
    vitis_hls_stand_in.install(tmp_path / "stand-in", monkeypatch, **failing)
    with pytest.raises(
        ToolError, match=r"(?s)layer MVAU_1 in HLS C\+\+: Vitis HLS ended with status 1; .*\[HLS 214-1\] no"
    ):
        synth.run(mvaus(1, 2), KV260, tmp_path, cache=tmp_path / "cache", styles=in_hls("MVAU_1"))


@pytest.fixture
def stage(tmp_path: Path):
    """Runs a stage of a build, of which the folded graph is there, with options; gives its line and its folder."""
    save(fold(residual_network()), tmp_path / "fold")

    def run(name: str, **options) -> tuple[str, Path]:
        (declared,) = (stage for stage in STAGES if stage.name == name)
        folder = tmp_path / name
        folder.mkdir()
        values = declared_options(BuildConfig(**options), declared.reads)
        shared = lambda name: tmp_path / "shared" / name
        inputs = {"fold": tmp_path / "fold"}
        return declared.run(Context(folder, values, inputs, print, lambda *done: None, shared)), folder

    return run


def test_a_style_that_cannot_be_had_is_refused_before_anything_is_simulated(stage):
    with pytest.raises(ConfigError, match="preferred_impl_style names MVAU_9"):
        stage("codegen", preferred_impl_style={"MVAU_9": "hls"})


@pytest.fixture
def file_of_styles(tmp_path: Path) -> Path:
    """FINN's file of styles, with a layer that the network has and one that it lacks."""
    file = tmp_path / "styles.json"
    file.write_text('{"MVAU_0": {"preferred_impl_style": "hls"}, "MVAU_9": {"preferred_impl_style": "hls"}}')
    return file


def test_what_of_the_styles_has_no_effect_is_said_where_code_is_written(stage, file_of_styles):
    line, _ = stage("codegen", specialize_layers_config_file=file_of_styles)
    assert line.endswith("; 1 of style hls; of no effect in the file of styles: MVAU_9")


def test_code_comes_with_scripts_for_the_part_and_the_clock_of_the_build(stage):
    _, folder = stage("codegen", board="ZCU104", synth_clk_period_ns=8)
    script = (folder / "hls" / "MVAU_0.tcl").read_text()
    assert "create_clock -period 8\n" in script and "set_part xczu7ev-ffvc1156-2-e\n" in script


@pytest.mark.usefixtures("without_vitis_hls")
def test_synthesis_says_that_there_is_no_vitis_hls(runs, stage, file_of_styles):
    line, _ = stage("synth", specialize_layers_config_file=file_of_styles)
    assert line.endswith("counted by Yosys; 1 layer of style hls counted in RTL, as there is no vitis_hls on PATH")


@pytest.fixture
def generated(tmp_path: Path) -> hls.HlsNetwork:
    """A residual network in HLS C++, with the scripts, in a folder called `hls code`."""
    graph = fold(residual_network()).graph
    folder = tmp_path / "hls code"
    network = hls.write_network(graph, folder, "finn_design")
    vitis_hls.write_scripts(network, KV260.part, 4.0)
    return network


def test_scripts_run_by_themselves_where_the_sources_are(generated, monkeypatch, tmp_path):
    assert generated.include == generated.folder / "include"
    assert {path.stem for path in generated.folder.glob("*.tcl")} == {
        path.stem for path in generated.folder.glob("*.cpp")
    }
    stand_in = vitis_hls_stand_in.install(tmp_path / "stand-in", monkeypatch)
    for name, folder, script in (
        ("MVAU_0", generated.folder, "MVAU_0.tcl"),
        ("finn_design", tmp_path, generated.folder / "finn_design.tcl"),
    ):
        subprocess.run(["vitis_hls", "-f", script], cwd=folder, env={**os.environ}, check=True, capture_output=True)
        assert (generated.folder / f"{name}_prj" / "solution1" / "syn" / "report" / "csynth.xml").is_file()
    assert stand_in.of("set_part") == [[KV260.part]] * 2 and stand_in.of("create_clock") == [["-period", "4"]] * 2
    added = [words[-1] for words in stand_in.of("add_files")]
    assert added == ["MVAU_0.cpp", "finn_design.cpp", *(f"{layer.name}.cpp" for layer in generated.layers)]


def test_every_kernel_compiles_as_it_is_read_for_synthesis(tmp_path):
    """With __SYNTHESIS__, without what simulation alone has."""
    kernels = {layer.module: layer for layer in LAYERS.values()}
    written = [hls.write_layer(replace(layer, name=f"layer_{name}"), tmp_path) for name, layer in kernels.items()]
    every = tmp_path / "every.cpp"
    every.write_text("".join(f'#include "{layer.source.name}"\n' for layer in written))
    headers = [flag for folder in vitis_hls_stand_in.synthesis_headers(tmp_path) for flag in ("-isystem", str(folder))]
    options = [f"-I{hls.HLS}", "-D__SYNTHESIS__", "-fsyntax-only"]
    done = subprocess.run(
        ["g++", "-std=c++14", *options, *WARNINGS, *headers, every], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
