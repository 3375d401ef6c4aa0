"""cppsim: what it says when C++ and reference agree, and that it notices when they do not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen import hls
from pipeline.dataflow.types import IntType
from pipeline.errors import DeadlockError, ToolError, VerificationError
from pipeline.folding.fold import fold
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.tools import gxx
from pipeline.tools.gxx import Extremes, Program
from pipeline.verification import cppsim
from tests.dataflow.residual import residual_network

pytestmark = pytest.mark.xdist_group("cppsim")  # they share compiled layers


@pytest.fixture(scope="module")
def graph():
    return fold(residual_network(size=4, depth=1), 1000).graph


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(3).integers(0, 4, (12, 4, 4, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cppsim")


@pytest.fixture(scope="module")
def network(graph, folder):
    return hls.write_network(graph, folder / "hls", "finn_design")


def simulate(graph, network, frames, folder: Path, verified: Path, progress=None) -> cppsim.CppSimulation:
    witnesses = {layer.name: witness_inputs(layer) for layer in graph if isinstance(layer, MVAU)}
    return cppsim.run(
        graph,
        network,
        frames,
        range(len(frames)),
        witnesses,
        folder / "objects",
        verified,
        workers=2,
        log=lambda line: None,
        on_progress=lambda done, total, what: progress.append(what) if progress is not None else None,
    )


@pytest.fixture(scope="module")
def simulation(graph, network, frames, folder):
    return simulate(graph, network, frames, folder, folder / "verified")


def test_every_layer_and_the_network_are_exact(graph, frames, folder, simulation):
    assert list(simulation.layers) == [layer.name for layer in graph if layer.has_hls]
    given = np.load(folder / "verified" / "verify_cppsim_0_SUCCESS.npy")
    np.testing.assert_array_equal(given, graph.run(frames))
    assert (
        f"{len(simulation.layers)} layers and the network exact in C++: 1 frame in ap_int, 12 in" in simulation.summary
    )
    for layer in graph:
        if isinstance(layer, MVAU):
            run = simulation.layers[layer.name]
            assert run.witnesses == len(witness_inputs(layer)) > 0
            assert run.accumulator.observed == run.accumulator.proven


@pytest.mark.parametrize("style", ["folded", "unrolled"])
def test_a_residual_network_at_the_highest_rate_does_not_hang(style, tmp_path):
    """Both branches of each block have convolutions, and streams are as shallow as the rate allows."""
    fast = fold(residual_network(size=4, stride=2, depth=1, blocks=2), "max", mvau_style=style).graph
    assert max(layer.cycles() for layer in fast) <= 40
    images = np.random.default_rng(3).integers(0, 4, (4, 4, 4, 4))
    result = simulate(fast, hls.write_network(fast, tmp_path / "hls", "finn_design"), images, tmp_path, tmp_path)
    assert "no deadlock" in result.summary


def test_the_report_is_read_as_it_was_written(simulation, tmp_path):
    simulation.save(tmp_path)
    assert cppsim.load(tmp_path / cppsim.FILE) == simulation
    content = json.loads((tmp_path / cppsim.FILE).read_text())
    assert content["how"].startswith(f"compiled by g++ {gxx.version()}") and content["headers"] in content["how"]
    assert content["network"]["fast_frames"] == 12
    assert cppsim.load(tmp_path / "none.json") is None


def test_a_second_run_compiles_nothing(graph, network, frames, folder, simulation, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in (folder / "objects").iterdir()}
    progress: list[str] = []
    simulate(graph, network, frames, folder, tmp_path, progress)
    assert {path: path.stat().st_mtime_ns for path in (folder / "objects").iterdir()} == before
    assert "runs" in progress and "units compiled" not in progress


def test_weights_that_differ_from_the_references_are_found_in_their_layer(
    graph, network, frames, folder, simulation, tmp_path
):
    """Of the reference, two weights of a row change places: the C++ has the wrong ones then."""
    unit = next(layer for layer in graph if isinstance(layer, MVAU))
    weights = unit.weights.copy()
    ones, twos = np.flatnonzero(weights[1] == 1), np.flatnonzero(weights[1] == 2)
    weights[1, [ones[0], twos[0]]] = 2, 1
    changed = replace(
        graph, layers=tuple(replace(unit, weights=weights) if layer is unit else layer for layer in graph)
    )
    with pytest.raises(VerificationError, match=f"^layer {unit.name} alone in C.., in .*, differs") as error:
        simulate(changed, network, frames, folder, tmp_path)
    assert f"channel 1 of {unit.name}: " in str(error.value)
    assert str(error.value).endswith(". Wrong as well: the whole network")
    given = np.load(tmp_path / "verify_cppsim_0_FAIL.npy")
    np.testing.assert_array_equal(given, graph.run(frames))


def test_an_accumulator_that_is_a_bit_too_narrow_is_named(graph, frames, folder, simulation, tmp_path):
    unit = next(layer for layer in graph if isinstance(layer, MVAU))
    bits = max(unit.exact_accumulator_bits()) - 1
    narrow = replace(unit, accumulator_bits=(bits,) * unit.mh)
    changed = replace(graph, layers=tuple(narrow if layer is unit else layer for layer in graph))
    network = hls.write_network(changed, tmp_path / "hls", "finn_design")
    message = rf"^layer {unit.name}: accumulator \d+ is {bits} bits wide and has to hold -?\d+"
    with pytest.raises(VerificationError, match=message):
        simulate(changed, network, frames, folder, tmp_path / "verified")


def unit(input_type: IntType) -> MVAU:
    return MVAU("MVAU_3", ("in",), ("out",), np.array([[3, -2], [1, 1]]), input_type, IntType(-99, 99), (1, 1), pe=2)


def test_partial_sums_count_where_zero_is_a_possible_input():
    seen = [Extremes(4, (-9, 7), (-8, 7)), Extremes(4, None, None)]
    with pytest.raises(VerificationError, match="layer MVAU_3: accumulator 0 is 4 bits wide and has to hold -9"):
        cppsim.check_extremes(unit(IntType(0, 3)), seen)
    assert cppsim.check_extremes(unit(IntType(1, 3)), seen) == (-8, 7)


def test_the_last_sum_must_fit_whatever_the_input():
    seen = [Extremes(5, (-9, 7), (-8, 7)), Extremes(4, (0, 8), (0, 8))]
    for input_type in (IntType(0, 3), IntType(1, 3)):
        with pytest.raises(VerificationError, match="accumulator 1 is 4 bits wide and has to hold 8"):
            cppsim.check_extremes(unit(input_type), seen)


def test_accumulators_that_were_not_seen_are_no_proof():
    with pytest.raises(VerificationError, match="layer MVAU_3: the C.. simulation saw none of its accumulators"):
        cppsim.check_extremes(unit(IntType(0, 3)), [Extremes(4, None, None)])


def test_without_a_compiler_the_error_names_it(graph, network, frames, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"needs g\+\+, which is not on PATH"):
        simulate(graph, network, frames, folder, tmp_path)


def simulate_edited(graph, network, frames, folder: Path, path: str, before: str, after: str) -> None:
    """The simulation of a copy of `network` in `folder`, in which one line of the file `path` is another."""
    shutil.copytree(network.folder, folder / "hls")
    edited = hls.describe_network(graph, folder / "hls", "finn_design")
    text = (edited.folder / path).read_text()
    assert text.count(before) == 1
    (edited.folder / path).write_text(text.replace(before, after))
    simulate(graph, edited, frames, folder, folder / "verified")


@pytest.mark.usefixtures("simulation")  # whose objects are used again
def test_layers_that_wait_for_each_other_are_named_with_their_streams(graph, network, frames, folder, tmp_path):
    """The stream beside the convolution is too shallow for what that takes before it gives anything back."""
    (fifo,) = (layer for layer in graph if isinstance(layer, StreamingFIFO) and layer.input_names == ("s1",))
    shutil.copytree(folder / "objects", tmp_path / "objects")
    with pytest.raises(DeadlockError, match="^the C.. of finn_design is stuck, .* in frame 1 of 6 ") as error:
        simulate_edited(graph, network, frames, tmp_path, "finn_design.cpp", f'("s1", {fifo.depth});', '("s1", 4);')
    assert (
        "DuplicateStreams_0 waits for room in s1 (full, 4 of 4 beats); AddStreams_0 waits for a beat of s4 (0 of 3 beats)"
        in str(error.value)
    )


def test_a_window_generator_that_waits_for_input_while_it_could_send_is_found(graph, network, frames, tmp_path):
    waiting = (
        r"DuplicateStreams_0 waits for room in s1 \(full, .*; ConvolutionInputGenerator_0 waits for a beat of s2_dwc0"
    )
    with pytest.raises(DeadlockError, match=waiting):
        simulate_edited(
            graph,
            network,
            frames,
            tmp_path,
            "include/convolution_input_generator.hpp",
            " && (!sends || !in.empty());",
            ";",
        )


def test_what_ap_int_says_against_its_use_is_an_error(graph, network, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'WARNING: Hi(40)out of bound(8) in range()'\n")
    program.chmod(0o755)
    layer = network.layers[0]
    inputs = [np.zeros((1, *port.shape), np.int64) for port in layer.inputs]
    with pytest.raises(VerificationError, match=rf"layer {layer.layer}: WARNING: Hi\(40\)out of bound"):
        Program(program, {layer.layer: layer}).run(layer.layer, inputs, "strict")
