from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache import Slot
from pipeline.dataflow.storage import save_graph
from pipeline.devices.boards import load_board
from pipeline.devices.resources import Resources
from pipeline.errors import ModelError
from pipeline.finn.estimate import estimate
from pipeline.folding import fold
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU
from pipeline.report import report
from pipeline.report.facts import BuildFacts
from pipeline.synthesis import bitfile, synth, timing
from pipeline.tools import yosys
from pipeline.tools.yosys import SynthesisResult
from pipeline.verification import rtlsim
from pipeline.verification.rtlsim import NetworkRun
from tests.report.sample import STAGES, sample_facts

FACTS = sample_facts()


@pytest.fixture
def results(tmp_path: Path, monkeypatch) -> dict[str, Path]:
    """The folders of a build's stages, written by the stages' own functions."""
    folders = {name: tmp_path / name for name in STAGES}
    for cost in FACTS.stages:
        folders[cost.name].mkdir()
    FACTS.model.save(folders["resolve"])
    np.save(folders["resolve"] / "golden.npy", np.zeros((1, 4, 6, 6), np.float32))
    (folders["streamline"] / "input_quantizer.json").write_text(json.dumps(asdict(FACTS.input_quantizer)))
    FACTS.seen.save(folders["dataflow"])
    save_graph(FACTS.folded.graph, folders["dataflow"])
    FACTS.accuracy.save(folders["accuracy"] / "report")
    FACTS.certificate.write(folders["accumulators"] / "report" / "accumulators.json")
    fold.save(FACTS.folded, folders["fold"])
    network = FACTS.network
    depths = {x.name: x.depth for x in FACTS.folded.graph if x.name in network.fifo_peaks}
    run = NetworkRun(
        frames=network.frames,
        first_output_cycle=network.first_output_cycle,
        first_frame_cycle=network.first_frame_cycle,
        frame_cycles=[network.first_frame_cycle],
        steady_cycles=network.steady_cycles,
        total_cycles=network.total_cycles,
        stalled_cycles=9999,
        stalled_frames=network.stalled_frames,
        fifo_peaks={name: (peak, depths[name]) for name, peak in network.fifo_peaks.items()},
    )
    FACTS.cpp.save(folders["cppsim"] / "report")
    rtlsim.write_report(list(FACTS.layers.values()), run, 5.0, folders["rtlsim"] / "report")
    verified = folders["rtlsim"] / "verification_output"
    verified.mkdir()
    np.save(verified / FACTS.verified[0].file, np.zeros((10, 1, 1, 1), np.int64))
    share = Resources(lut=7)
    monkeypatch.setattr(yosys, "synthesize", lambda units, *a, **k: [SynthesisResult(share, {"m": share})] * len(units))
    synth.run(FACTS.folded.graph, load_board("KV260"), folders["synth"] / "report", cache=tmp_path)
    (folders["timing"] / "report").mkdir()
    (folders["timing"] / "report" / timing.ESTIMATE_FILE).write_text(json.dumps(FACTS.estimated.to_json()))
    made = folders["bitfile"] / "bitfile"
    bitfile.run(
        tmp_path, load_board("KV260"), 5.0, made, input_stream_bytes=4, output_stream_bytes=1, layers={}, work=tmp_path
    )
    for cost in FACTS.stages:
        folder = folders[cost.name]
        slot = Slot(None, folder.rename(folder.with_suffix(".partial")), folder)
        slot.commit(cost.summary, cost.seconds, cost.peak_mib)
    return folders


def test_reads_what_the_stages_wrote_and_writes_the_page_and_its_figures(results, tmp_path):
    facts: BuildFacts = report.run(results, tmp_path / "out", load_board("KV260"), target_fps=1000.0)
    same = (
        "model",
        "input_quantizer",
        "seen",
        "certificate",
        "layers",
        "network",
        "cpp",
        "estimated",
        "verified",
        "stages",
    )
    for name in same:
        assert getattr(facts, name) == getattr(FACTS, name), name
    assert facts.resources.total.lut == 7 * len(FACTS.folded.graph.layers)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {"luts_per_layer.png", "cycles_per_layer.png", "accumulator_widths.png"}
    assert names == {"summary.md", "report.html", "report", "intermediate_models"} | figures
    views = sorted(path.name for path in (tmp_path / "out" / "intermediate_models").iterdir())
    assert views == ["hardware_graph.onnx", "integer_graph.onnx"]
    assert (tmp_path / "out" / "report" / "board.yaml").read_bytes() == load_board("KV260").file.read_bytes()
    assert all(f"({name})" in (tmp_path / "out" / "summary.md").read_text() for name in figures)


def test_finns_own_estimate_of_each_layer_is_written(results, tmp_path):
    facts = report.run(results, tmp_path / "out", load_board("KV260"), target_fps=1000.0)
    content = json.loads((tmp_path / "out" / "report" / report.FINN_FILE).read_text())
    assert "FINN" in content.pop("how")
    assert set(content) == {layer.name for layer in FACTS.folded.graph}
    mvau = next(layer for layer in FACTS.folded.graph if isinstance(layer, MVAU))
    estimates = estimate(mvau, load_board("KV260"))
    hls, rtl = estimates["MVAU_hls"], estimates["MVAU_rtl"]
    assert content[mvau.name]["MVAU_hls"] == {"LUT": hls.lut, "BRAM_18K": hls.bram_18k, "URAM": 0, "DSP": 0}
    assert content[mvau.name]["MVAU_rtl"]["DSP"] == rtl.dsp > 0
    assert content[next(layer.name for layer in FACTS.folded.graph if isinstance(layer, FMPadding))] is None
    assert facts.finn[mvau.name] == estimates


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_a_damaged_result_is_named(results, tmp_path, content):
    damaged = results["rtlsim"] / "report" / "rtlsim_performance.json"
    damaged.unlink()  # the result is read-only
    damaged.write_text(content)
    with pytest.raises(ModelError, match="report needs cannot be read.*Build it again"):
        report.run(results, tmp_path / "out", load_board("KV260"), target_fps=1000.0)
