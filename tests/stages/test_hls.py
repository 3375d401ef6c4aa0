"""HLS C++: the files of a network, which are complete and stay untouched when nothing changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.stages import hls
from pipeline.stages.fold import fold
from tests.dataflow.residual import residual_network

TOOLS_HEADERS = {"ap_int.h", "hls_stream.h", "cppsim.hpp"}  # of Vitis HLS, and of the simulation


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
    text = network.whole.source.read_text().split("#ifndef __SYNTHESIS__")[0]
    depths = {name: int(depth) for name, depth in re.findall(r"HLS stream variable=(\w+) depth=(\d+)", text)}
    fifos = {layer.inputs[0]: layer.depth for layer in graph if isinstance(layer, StreamingFIFO)}
    assert max(fifos.values()) > 16
    assert depths == {stream: max(fifos.get(stream, 2), 2) for stream in depths}
    arguments = [word for call in re.findall(r"::call<a2q::strict>\((.*)\);", text) for word in call.split(", ")]
    assert sorted(arguments) == sorted([*depths, *depths, "in0_V", "out0_V"])


def test_an_unchanged_file_is_not_written_again(graph, network):
    before = {path: path.stat().st_mtime_ns for path in network.folder.rglob("*")}
    assert hls.write_network(graph, network.folder, "finn_design") == network
    assert {path: path.stat().st_mtime_ns for path in network.folder.rglob("*")} == before
    assert hls.describe_network(graph, network.folder, "finn_design") == network
