"""What is predicted, against the hardware in simulation."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.folding.fold import fold
from pipeline.folding.timing import predict, rates_of
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.tools.verilator import simulate
from tests.dataflow.residual import residual_network

FOLDS = {
    "folded": (residual_network(stride=2), 1000, "folded"),
    "unrolled": (residual_network(8, stride=2, blocks=2), 80, "unrolled"),
    "sparse": (residual_network(stride=2), 400, "sparse"),
    "mixed": (residual_network(stride=2), 300, {"MVAU_1": "unrolled"}),
}


@pytest.fixture(scope="module", params=FOLDS)
def budget(request):
    return FOLDS[request.param][1]


@pytest.fixture(scope="module")
def folded(budget):
    graph, _, style = next(entry for entry in FOLDS.values() if entry[1] == budget)
    return fold(graph, budget, mvau_style=style)


@pytest.fixture(scope="module")
def observed(folded, tmp_path_factory):
    frames = np.random.default_rng(2).integers(0, 4, (6, *folded.graph.streams[folded.graph.input].shape))
    folder = tmp_path_factory.mktemp("design")
    return frames, {
        stalls: simulate(folded.graph.layers, {"in": frames}, folder, stalls=stalls) for stalls in (None, 7)
    }


@pytest.mark.parametrize("stalls", [None, 7])
def test_a_residual_network_is_exact_and_never_stuck(folded, observed, stalls):
    frames, results = observed
    assert np.array_equal(results[stalls].outputs[folded.graph.output], folded.graph.run(frames))


def test_cycles_between_frames_are_as_predicted_and_within_the_budget(folded, observed, budget):
    frame_cycles = observed[1][None].frame_cycles
    steady = (frame_cycles[-1] - frame_cycles[1]) / (len(frame_cycles) - 2)
    assert abs(steady - folded.prediction.cycles_between_frames) <= 0.02 * folded.prediction.cycles_between_frames
    assert steady <= budget


def test_the_first_output_comes_when_predicted(folded, observed):
    assert abs(observed[1][None].first_output_cycle - folded.prediction.first_output) <= 20


def test_no_fifo_holds_more_than_its_depth(folded, observed):
    stats = observed[1][None].stats
    for layer in folded.graph:
        if isinstance(layer, StreamingFIFO):
            (peak,) = next(
                counters["peak"]
                for path, counters in stats.items()
                if f"u_{layer.name}" in path.split(".") and "peak" in counters
            )
            assert peak <= layer.depth


def test_the_prediction_is_that_of_the_depths_that_are_built(folded, budget):
    assert predict(folded.graph, rates_of(folded.graph, budget)) == folded.prediction


def test_a_layer_behind_a_converter_keeps_its_rate(tmp_path):
    """An MVAU takes a vector in a burst, three times faster here than the converter before it can send."""
    config = {"ConvolutionInputGenerator_0": {"SIMD": 2}, "MVAU_0": {"SIMD": 6, "PE": 1}}
    slow = fold(residual_network(depth=1), 864, config)
    assert slow.graph.layer("MVAU_0").cycles() == slow.max_cycles == 864
    frames = np.random.default_rng(2).integers(0, 4, (4, 6, 6, 4))
    result = simulate(slow.graph.layers, {"in": frames}, tmp_path)
    assert np.diff(result.frame_cycles)[-1] == slow.prediction.cycles_between_frames == 864
