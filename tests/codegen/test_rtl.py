"""codegen: FINN's port names, memory files beside the top module, and files that stay untouched when nothing changed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pipeline.codegen.rtl import rtl_sources, write_design
from pipeline.dataflow.types import IntType
from pipeline.folding.fold import fold
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.tools.verilator import lint
from tests.dataflow.residual import residual_network


@pytest.fixture(scope="module")
def graph():
    return fold(residual_network(stride=2), 2000).graph


def test_the_generated_top_lints_clean(graph, tmp_path):
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path, "top")
    assert lint(design.sources, "top") == ""


def test_ports_are_finns_and_padded_to_bytes(graph, tmp_path):
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path, "top")
    text = (tmp_path / "top.sv").read_text()
    for port in ("ap_clk", "ap_rst_n", "s_axis_0_tvalid", "s_axis_0_tready", "m_axis_0_tdata"):
        assert port in text
    (port,) = design.inputs
    assert f"[{port.bytes * 8 - 1}:0] s_axis_0_tdata" in text
    assert port.bits <= port.bytes * 8 < port.bits + 8


def test_every_layer_is_an_instance_and_every_module_is_there(graph, tmp_path):
    design = write_design(graph.layers, [graph.input], [graph.output], tmp_path, "top")
    assert sorted(design.instances.values()) == sorted(layer.name for layer in graph)
    modules = {path.stem for path in rtl_sources()}
    assert {layer.module for layer in graph} <= modules


@pytest.mark.parametrize(
    "name", ["a\nendmodule", "synthesis translate_off", "verilator lint_off WIDTH", "a\\", "é\u2028\x7f", "??/"]
)
def test_what_a_user_called_a_layer_stays_a_comment(graph, tmp_path, name):
    layers = [replace(layer, source=name if layer.op_type == "MVAU" else "") for layer in graph.layers]
    write_design(layers, [graph.input], [graph.output], tmp_path / "named", "top")
    write_design(graph.layers, [graph.input], [graph.output], tmp_path / "plain", "top")
    named, plain = ((tmp_path / folder / "top.sv").read_text().splitlines() for folder in ("named", "plain"))
    comments = [line for line in named if line not in plain]
    assert comments and all(re.fullmatch(r'  // "[ -~]*"', line) for line in comments)
    assert [line for line in named if line not in comments] == plain


def test_an_unchanged_file_is_not_written_again(graph, tmp_path):
    write_design(graph.layers, [graph.input], [graph.output], tmp_path, "top")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write_design(graph.layers, [graph.input], [graph.output], tmp_path, "top")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert any(path.suffix == ".mem" for path in before)


def test_ends_of_a_stream_that_disagree_are_refused(tmp_path):
    wide = StreamingFIFO("wide", ("in",), ("middle",), (1, 1, 4), IntType(0, 3), lanes=4, depth=2)
    narrow = StreamingFIFO("narrow", ("middle",), ("out",), (1, 1, 4), IntType(0, 3), lanes=2, depth=2)
    with pytest.raises(ValueError, match="stream middle: one end is"):
        write_design([wide, narrow], ["in"], ["out"], tmp_path, "top")
