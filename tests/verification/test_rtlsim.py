"""rtlsim: what it says when hardware and reference agree, and that it notices when they do not."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.codegen.layer_bench import write_layer_bench
from pipeline.codegen.rtl import write_design
from pipeline.errors import DeadlockError, VerificationError
from pipeline.folding.fold import fold
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.tools.verilator import build_model
from pipeline.verification import rtlsim
from tests.dataflow.residual import residual_network


def _silent(line: str) -> None:
    del line


@pytest.fixture(scope="module")
def graph():
    return fold(residual_network(stride=2), 1000).graph


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(3).integers(0, 4, (4, 6, 6, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rtlsim")


@pytest.fixture(scope="module")
def layer_runs(graph, frames, folder):
    witnesses = {layer.name: witness_inputs(layer) for layer in graph if isinstance(layer, MVAU)}
    return rtlsim.run_layers(graph, frames, witnesses, folder, stall_seed=1, log=_silent)


@pytest.fixture(scope="module")
def design(graph, folder):
    return write_design(graph.layers, [graph.input], [graph.output], folder / "stitched", "stitched")


@pytest.fixture(scope="module")
def network_run(design, graph, frames, folder):
    run = rtlsim.run_network(design, graph, frames, folder, folder / "verified", stall_seed=1, log=_silent)
    return run, np.load(folder / "verified" / "verify_stitched_ip_rtlsim_0_SUCCESS.npy")


def test_the_network_with_faster_products_is_the_hardware_in_every_cycle(design, graph, frames, folder):
    """The stage simulates it so."""
    models = [build_model(design, folder / "models", simulation_models=faster) for faster in (False, True)]
    assert models[0].executable != models[1].executable
    as_synthesized, faster = (model.run({graph.input: frames}, stalls=5) for model in models)
    assert np.array_equal(as_synthesized.outputs[graph.output], faster.outputs[graph.output])
    assert as_synthesized.cycles == faster.cycles
    assert as_synthesized.frames == faster.frames
    assert as_synthesized.stats == faster.stats


def test_every_layer_is_simulated_alone_at_its_predicted_rate(graph, layer_runs):
    assert [run.layer for run in layer_runs] == [layer.name for layer in graph]
    for run in layer_runs:
        assert run.observed_cycles is not None
        assert run.observed_cycles <= run.predicted_cycles + 10, run


def test_witnesses_drive_accumulators_to_both_ends_of_the_proven_range(graph, layer_runs):
    runs = {run.layer: run for run in layer_runs}
    for layer in graph:
        if isinstance(layer, MVAU):
            run = runs[layer.name]
            assert run.witnesses > 0
            assert run.accumulator.observed == run.accumulator.proven
        else:
            assert runs[layer.name].accumulator is None


def test_two_builds_that_share_a_folder_do_not_get_each_others_memories(graph, frames, folder, layer_runs):
    """The other build begins when the first has written and compiled its layers, and has other weights in them."""
    other = replace(
        graph,
        layers=tuple(
            replace(layer, weights=layer.weights[::-1].copy()) if isinstance(layer, MVAU) else layer for layer in graph
        ),
    )
    interrupted = []

    def interrupt(line: str) -> None:
        if line.startswith("compiled"):
            interrupted.append(rtlsim.run_layers(other, frames, {}, folder, stall_seed=1, log=_silent))

    runs = rtlsim.run_layers(graph, frames, {}, folder, stall_seed=1, log=interrupt)
    assert [run.layer for run in runs] == [run.layer for run in layer_runs]
    assert len(interrupted) == 1


def test_the_network_is_exact_and_its_fifos_hold_their_peaks(graph, frames, network_run):
    run, outputs = network_run
    np.testing.assert_array_equal(outputs, graph.run(frames))
    assert run.frames == len(frames)
    assert run.steady_cycles <= 1000
    assert run.fifo_peaks.keys() == {layer.name for layer in graph if isinstance(layer, StreamingFIFO)}
    assert all(peak <= depth + 2 for peak, depth in run.fifo_peaks.values())


def test_a_network_that_loads_its_weights_runs_as_one_that_has_them(graph, frames, folder, network_run):
    loading = replace(
        graph,
        layers=tuple(replace(layer, ram_style="ultra") if isinstance(layer, MVAU) else layer for layer in graph),
    )
    design = write_design(loading.layers, [graph.input], [graph.output], folder / "loading", "loading")
    run = rtlsim.run_network(design, loading, frames, folder, folder / "loaded", stall_seed=1, log=_silent)
    assert run.weight_words == len(design.weight_words) > 0
    constant = network_run[0]
    assert constant.weight_words == 0
    assert np.diff(run.frame_cycles).tolist() == np.diff(constant.frame_cycles).tolist()
    # the padding's first rows, which need no input, leave while weights are loaded
    assert constant.first_frame_cycle - 20 < run.first_frame_cycle <= constant.first_frame_cycle
    assert rtlsim.run_layers(loading, frames, {}, folder, stall_seed=1, log=_silent)


def test_performance_has_finns_keys_and_the_configured_clock(network_run):
    performance = network_run[0].performance(5.0)
    assert performance["fclk[mhz]"] == 200
    assert performance["N"] == 4
    assert performance["stable_throughput[images/s]"] == pytest.approx(1e9 / (5 * network_run[0].steady_cycles))


def test_a_layer_that_computes_something_else_is_named(graph, frames, folder, layer_runs):
    """The hardware of the first MVAU is compared with a reference whose weights differ in one element."""
    unit = next(layer for layer in graph if isinstance(layer, MVAU))
    weights = unit.weights.copy()
    weights[0, 0] += 1 if weights[0, 0] < 0 else -1
    changed = replace(unit, weights=weights)
    design, layers = write_layer_bench(graph, folder / "layers")
    model = rtlsim.build_model(design, folder / "models")
    bench = tuple(
        replace(changed, input_names=layer.input_names, output_names=layer.output_names)
        if layer.name == unit.name
        else layer
        for layer in layers
    )
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.integers(stream.type.lo, stream.type.hi + 1, (2, *stream.shape))
        for layer in layers
        for name, stream in zip(layer.input_names, layer.inputs(), strict=True)
    }
    with pytest.raises(VerificationError, match=f"layer {unit.name} alone"):
        rtlsim._run_bench(model, bench, inputs, None, "at full speed")


def test_a_network_with_a_damaged_memory_fails_and_leaves_what_it_gave(graph, frames, design, folder, network_run):
    """The weights of one layer are all zero in the hardware."""
    unit = [layer for layer in graph if isinstance(layer, MVAU)][-1]
    file = design.folder / f"{unit.name}_WeightFile.mem"
    content = file.read_text()
    file.write_text("".join(f"{'0' * len(line)}\n" for line in content.split()))
    try:
        with pytest.raises(VerificationError, match="differs from the reference"):
            rtlsim.run_network(design, graph, frames, folder, folder / "damaged", stall_seed=1, log=_silent)
    finally:
        file.write_text(content)
    given = np.load(folder / "damaged" / "verify_stitched_ip_rtlsim_0_FAIL.npy")
    assert given.shape == graph.run(frames).shape
    assert not np.array_equal(given, graph.run(frames))


def test_a_fifo_that_is_too_shallow_is_a_deadlock_that_names_it(graph, frames, tmp_path):
    """The shortcut's FIFO holds less than the main path needs before its first output."""
    folded = fold(residual_network(depth=3), 1000)
    bound = {name: depth for name, depth in folded.deadlock_bounds.items() if depth > 8}
    layers = tuple(replace(layer, depth=2) if layer.name in bound else layer for layer in folded.graph)
    shallow = replace(folded.graph, layers=layers)
    design = write_design(layers, [shallow.input], [shallow.output], tmp_path / "design", "shallow")
    with pytest.raises(DeadlockError, match="full") as error:
        rtlsim.run_network(design, shallow, frames, tmp_path, tmp_path / "verified", stall_seed=1, log=_silent)
    assert any(name in str(error.value) for name in bound)


def test_where_a_layer_and_the_network_are_wrong_the_layer_is_told(graph, frames, design, tmp_path, monkeypatch):
    """It is nearer to the cause, whichever is known first."""
    network_failed = threading.Event()

    def run_layers(*given: object, **options: object) -> None:
        assert network_failed.wait(10)
        raise VerificationError("layer MVAU_0 alone")

    def run_network(*given: object, **options: object) -> None:
        network_failed.set()
        raise DeadlockError("the stitched network is stuck")

    monkeypatch.setattr(rtlsim, "run_network", run_network)
    with monkeypatch.context() as patch:
        patch.setattr(rtlsim, "run_layers", lambda *given, **options: [])
        with pytest.raises(DeadlockError, match="stitched"):
            rtlsim.run(design, graph, frames, {}, tmp_path, tmp_path, stall_seed=1, log=_silent)
    network_failed.clear()
    monkeypatch.setattr(rtlsim, "run_layers", run_layers)
    with pytest.raises(VerificationError, match="MVAU_0 alone"):
        rtlsim.run(design, graph, frames, {}, tmp_path, tmp_path, stall_seed=1, log=_silent)
