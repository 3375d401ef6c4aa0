"""HLS C++: the files of a network, which are complete and stay untouched when nothing changed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.codegen import hls
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.folding.fold import fold
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.streaming_fifo import StreamingFIFO
from tests.dataflow.residual import residual_network

TOOLS_HEADERS = {"ap_int.h", "hls_stream.h", "cppsim.hpp", "processes.hpp"}  # of Vitis HLS, and of the simulation


@pytest.fixture(scope="module")
def graph():
    return fold(residual_network(depth=3), 1000).graph


@pytest.fixture(scope="module")
def network(graph, tmp_path_factory):
    return hls.write_network(graph, tmp_path_factory.mktemp("hls"), "finn_design")


def test_the_folder_has_all_that_its_files_include(network):
    files = [path for path in network.folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    included = {name for path in files for name in re.findall(r'#include ["<](\S+\.h(?:pp)?)[">]', path.read_text())}
    assert included - names == TOOLS_HEADERS
    assert not [path for path in files if str(Path.cwd()) in path.read_text()]


def test_every_layer_but_fifos_has_a_function_that_the_network_calls_once(graph, network):
    layers = [layer.name for layer in graph if not isinstance(layer, StreamingFIFO)]
    assert [layer.layer for layer in network.layers] == layers
    text = network.whole.source.read_text()
    top = text[text.index("// What Vitis HLS synthesizes.") : text.index("#ifndef __SYNTHESIS__")]
    assert re.findall(r"layers::(\w+)::call<a2q::strict>", top) == layers
    assert top.count("#pragma HLS dataflow") == 1
    assert f"void {network.whole.name}(" in top


def test_a_stream_is_as_deep_as_the_fifo_there_and_joins_two_layers(graph, network):
    text, simulation = network.whole.source.read_text().split("#ifndef __SYNTHESIS__")
    depths = {name: int(depth) for name, depth in re.findall(r"HLS stream variable=(\w+) depth=(\d+)", text)}
    fifos = {layer.input_names[0]: layer.depth for layer in graph if isinstance(layer, StreamingFIFO)}
    assert max(fifos.values()) > 16
    assert depths == {stream: max(fifos.get(stream, 2), 2) for stream in depths}
    assert {name: int(depth) for name, depth in re.findall(r' (\w+)\(".*", (\d+)\);', simulation)} == depths
    arguments = [word for call in re.findall(r"::call<a2q::strict>\((.*)\);", text) for word in call.split(", ")]
    assert sorted(arguments) == sorted([*depths, *depths, "in0_V", "out0_V"])


def test_every_pipeline_that_is_generated_is_flushed(network):
    text = "".join(path.read_text() for path in network.folder.rglob("*.[ch]pp"))
    pipelines = re.findall(r"#pragma HLS pipeline.*", text)
    assert pipelines and set(pipelines) == {"#pragma HLS pipeline style=flp II=1"}


def test_a_stream_that_is_too_wide_is_refused_by_name_before_anything_is_written(tmp_path):
    type_ = IntType(0, 255)
    wide = DuplicateStreams("Copy_0", ("a",), ("b", "c"), (1, 1, 513), type_, 2, 513)
    message = (
        r"^layer Copy_0 has no HLS C\+\+: its input a has words of 513 × 8 = 4,104 bits, .* at most 4,096\. .* lower PE"
    )
    with pytest.raises(ConfigError, match=message):
        hls.write_network(LayerGraph("wide", (wide,), "a", "b"), tmp_path / "hls", "finn_design")
    with pytest.raises(ConfigError, match=message):
        hls.write_layer(wide, tmp_path / "hls")
    assert not list(tmp_path.iterdir())
    hls.check_widths([replace(wide, shape=(1, 1, 512), pe=512)])
    fifo = StreamingFIFO("FIFO_0", ("b",), ("d",), shape=(1, 1, 513), type=type_, lanes=513, depth=2)
    hls.check_widths([fifo])  # it is no layer of the C++


def test_an_unchanged_file_is_not_written_again(graph, network):
    before = {path: path.stat().st_mtime_ns for path in network.folder.rglob("*")}
    assert hls.write_network(graph, network.folder, "finn_design") == network
    assert {path: path.stat().st_mtime_ns for path in network.folder.rglob("*")} == before
    assert hls.describe_network(graph, network.folder, "finn_design") == network
