"""FIFO depths, against a token by token execution with bounded FIFOs that fires layers in random order."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codegen.rtl import write_design
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.folding.deadlock import deadlock_bounds
from pipeline.folding.fifo_depths import fifo_depths
from pipeline.folding.fold import fold
from pipeline.folding.stitching import stitch, with_depths
from pipeline.folding.timing import predict, rates_of
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding
from pipeline.tools.verilator import build_model
from tests.dataflow.residual import residual_network
from tests.dataflow.u_net import u_net_graph


def runs_to_the_end(graph: LayerGraph, seed: int, frames: int = 2) -> bool:
    """Whether `frames` frames pass through `graph`, whose layers fire one at a time in random order.

    A layer stores nothing: it takes beats only for the output beat it sends next, and streams without a FIFO hold one
    beat. Not to fire for long is a stall, so all stalls are tried that random orders give.
    """
    rng = random.Random(seed)
    layers = [layer for layer in graph if not isinstance(layer, StreamingFIFO)]
    behind = {layer.output_names[0]: layer for layer in graph if isinstance(layer, StreamingFIFO)}
    queues: dict[str, list[int]] = {}  # stream a layer writes → [beats in it, room for]
    reads: dict[str, list[str]] = {}
    for layer in layers:
        for stream in layer.output_names:
            queues[stream] = [0, 1]
        reads[layer.name] = [behind[s].input_names[0] if s in behind else s for s in layer.input_names]
    for fifo in behind.values():
        queues[fifo.input_names[0]][1] = fifo.depth
    first = next(layer for layer in layers if graph.input in layer.input_names)
    queues[graph.input] = [frames * first.inputs()[0].beats, 0]
    last = queues[graph.output]
    last[1] = 1 << 60
    needed = {layer.name: layer.needed_of(frames + 1).tolist() for layer in layers}
    turns = {layer.name: layer.turns() for layer in layers}
    taken, sent = dict.fromkeys(needed, 0), dict.fromkeys(needed, 0)
    active = list(layers)
    while active:
        layer = rng.choice(active)
        name, progress = layer.name, False
        for _ in range(rng.randint(1, 8)):
            if taken[name] < needed[name][sent[name]]:
                turn = turns[name]
                wanted = reads[name] if turn is None else [reads[name][turn[taken[name] % len(turn)]]]
                if not all(queues[stream][0] for stream in wanted):
                    break
                for stream in wanted:
                    queues[stream][0] -= 1
                taken[name] += 1
            else:
                if not all(queues[stream][0] < queues[stream][1] for stream in layer.output_names):
                    break
                for stream in layer.output_names:
                    queues[stream][0] += 1
                sent[name] += 1
            progress = True
        if progress:
            active = list(layers)
        else:
            active = [other for other in active if other is not layer]
    return last[0] == frames * layers[-1].outputs()[0].beats


GRAPHS = {
    "identity": lambda: residual_network(depth=2),
    "one convolution": lambda: residual_network(depth=1, channels=2),
    "strided shortcut": lambda: residual_network(stride=2),
    "two blocks": lambda: residual_network(size=5, channels=2, depth=1, blocks=2),
    "U-Net": lambda: u_net_graph(channels=2),
}


@pytest.fixture(params=GRAPHS)
def folded(request) -> LayerGraph:
    return fold(GRAPHS[request.param](), 1500).graph


def at_least(graph: LayerGraph, depths: dict[str, int]) -> LayerGraph:
    """`graph` with FIFOs of these depths, and of one beat where none is given."""
    fifos = (layer.name for layer in graph if isinstance(layer, StreamingFIFO))
    return with_depths(graph, dict.fromkeys(fifos, 1) | depths)


def test_the_bounds_cannot_deadlock(folded):
    graph = at_least(folded, deadlock_bounds(folded))
    assert all(runs_to_the_end(graph, seed) for seed in range(4))


@pytest.mark.parametrize("name", ["identity", "one convolution", "two blocks", "U-Net"])
@pytest.mark.parametrize("budget", [None, 1500])
def test_one_beat_less_than_the_bound_of_an_identity_shortcut_deadlocks(name, budget):
    graph = fold(GRAPHS[name](), budget).graph
    bounds = deadlock_bounds(graph)
    for fifo, bound in bounds.items():
        if bound > 1:
            assert not any(runs_to_the_end(at_least(graph, bounds | {fifo: bound - 1}), seed) for seed in range(3))
    assert max(bounds.values()) > 1


def test_a_join_with_a_converter_before_it():
    graph = residual_network(channels=4, depth=1)
    layers = tuple(replace(layer, pe=4) if layer.op_type == "DuplicateStreams" else layer for layer in graph)
    stitched = stitch(replace(graph, layers=layers))
    bounds = deadlock_bounds(stitched)
    assert runs_to_the_end(with_depths(stitched, bounds), 0)


def test_an_identity_shortcut_waits_for_the_window_of_the_other_branch():
    # the first 3×3 window over 6×6 pixels padded by 1 needs a row and two pixels, of 4 beats each, before an output
    stitched = stitch(residual_network(size=6, channels=4, depth=1))
    assert max(deadlock_bounds(stitched).values()) == 32


def test_a_chain_needs_no_bound():
    graph = residual_network(depth=1)
    chain = LayerGraph("chain", graph.layers[1:4], graph.layers[0].output_names[0], graph.layers[3].output_names[0])
    assert deadlock_bounds(stitch(chain)) == {}


def test_depths_hold_the_bounds_and_the_peaks(folded):
    """Two beats beyond the peak are a margin: in simulation the peak alone is enough, see below, so that only this
    notices where they are not there."""
    sized = fifo_depths(folded)
    for name, depth in sized.depths.items():
        assert depth == max(2, sized.deadlock_bounds.get(name, 1), sized.prediction.fifo_peaks[name] + 2)


def test_the_peak_is_what_the_hardware_needs_for_its_full_rate(tmp_path):
    """A beat moves in every cycle; the shortcut's FIFO holds what is under way in the other branch."""
    shape, uint2 = (6, 6, 1), IntType(0, 3)
    layers = (
        DuplicateStreams("fork", ("in",), ("a", "b"), shape=shape, type=uint2, copies=2),
        Thresholding("quantizer", ("a",), ("c",), shape, uint2, uint2, np.array([[1, 2, 3]])),
        AddStreams("join", ("c", "b"), ("out",), shape, (uint2, uint2)),
    )
    graph = stitch(LayerGraph("full_rate", layers, "in", "out"))
    shortcut = next(layer.name for layer in graph if isinstance(layer, StreamingFIFO) and layer.input_names == ("b",))
    peak = predict(graph, rates_of(graph)).fifo_peaks[shortcut]
    frames = np.random.default_rng(0).integers(0, 4, (5, *shape))
    intervals = []
    for depth in (peak, peak - 1):
        sized = with_depths(graph, {shortcut: depth})
        folder = tmp_path / str(depth)
        design = write_design(sized.layers, [sized.input], [sized.output], folder, "full_rate")
        ends = build_model(design, folder).run({sized.input: frames}).frame_cycles
        intervals.append(set(np.diff(ends).tolist()))
    assert intervals[0] == {36} and min(intervals[1]) > 36


def test_frames_follow_each_other_as_fast_as_the_slowest_layer_allows(folded):
    slowest = max(layer.cycles() for layer in folded)
    assert slowest <= predict(folded, rates_of(folded)).cycles_between_frames <= 1500


def test_the_first_output_waits_for_all_it_depends_on():
    graph = residual_network(size=6, channels=4, depth=1)
    stitched = stitch(graph)
    prediction = predict(stitched, rates_of(stitched))
    window = graph.layer("ConvolutionInputGenerator_0").inputs_needed()[35]
    assert prediction.first_output > window
    assert prediction.first_frame > graph.layer("MVAU_0").cycles()
