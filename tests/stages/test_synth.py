from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.boards import load_board
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ToolError
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stages import synth
from pipeline.tools import yosys
from pipeline.tools.yosys import SynthesisResult, Utilization

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
        share = Utilization(lut=luts, ff=1, bram_18k=1)
        return SynthesisResult(share, {"ooc": Utilization(), "streaming_fifo": share})

    monkeypatch.setattr(yosys, "synthesize", lambda units, family, cache: [one(unit) for unit in units])
    return tops


def test_equal_layers_are_synthesized_once_and_counted_each(runs, tmp_path):
    report = synth.run(fifos(4, 8, 4, 4), KV260, tmp_path, cache=tmp_path / "cache")
    assert len(runs) == 2
    assert [layer.total.lut for layer in report.layers.values()] == [4, 8, 4, 4]
    assert report.total == Utilization(lut=20, ff=4, bram_18k=4)
    assert report.whole is None


def test_names_of_layers_and_streams_do_not_matter(runs, tmp_path):
    graph = fifos(4)
    other = replace(graph.layers[0], name="other", inputs=("x",), outputs=("y",), source="conv")
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
    assert content["utilization"]["BRAM_18K"] == 1 / (2 * KV260.bram36)
    assert synth.load(tmp_path / synth.FILE) == report


def test_a_resource_that_a_part_lacks_has_no_utilization(runs, tmp_path):
    report = synth.run(fifos(4), load_board("Pynq-Z1"), tmp_path, cache=tmp_path)
    assert report.capacity["URAM"] == 0 and report.utilization["URAM"] is None
    assert "-family xc7" in report.method


def test_a_network_that_is_too_large_is_said_to_be(runs, tmp_path):
    report = synth.run(fifos(4, 8), KV260, tmp_path, cache=tmp_path)
    assert report.exceeded == ()
    small = replace(KV260, luts=report.total.lut - 1, bram36=0)
    assert synth.run(fifos(4, 8), small, tmp_path, cache=tmp_path).exceeded == ("LUT", "BRAM_18K")


def test_progress_counts_runs(runs, tmp_path):
    told: list[tuple[int, int]] = []
    synth.run(fifos(4, 8, 4), KV260, tmp_path, cache=tmp_path, workers=1, on_progress=lambda *step: told.append(step))
    assert told[-1] == (2, 2)


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
    assert layer.total == report.total == sum(layer.modules.values(), Utilization())
    assert layer.total.lut > 5 and layer.total.ff > 5 and layer.total.dsp == 0
    assert set(layer.modules) <= {"fm_padding", "spill_register"}
