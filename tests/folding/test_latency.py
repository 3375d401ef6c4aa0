"""target_latency_ns: foldings that meet it, in simulation as predicted, and an error where none does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.errors import ConfigError
from pipeline.folding.fold import fold
from pipeline.folding.latency import LatencyTarget
from pipeline.frontend.conversion import dataflow
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.static_timing.delays import CELL_DELAYS
from pipeline.tools.verilator import simulate
from tests.dataflow.networks import Network


def mlp(top1: bool = True, sizes: tuple[int, ...] = (16, 12, 10, 5), bits: int = 4) -> LayerGraph:
    """Layers of `sizes` with weights of `bits`, scales that are powers of two, and a bias a layer, as QKeras and hls4ml have
    them."""
    network = Network(16)
    network.quant(2.0**-3, 6)
    for inputs, outputs in pairwise(sizes):
        network.matmul(inputs, outputs, scale=2.0**-3, bits=bits)
        bias = network.quant(2.0**-4, 6, at=network.constant(network.rng.normal(size=outputs)))
        network.add("Add", bias, at=network.nodes[-2].output[0])
        if outputs != 5:
            network.add("Relu")
            network.quant(2.0**-2, 5, signed=0)
    return dataflow.convert(network.model(), network.frames(8), top1=top1).graph


def frames_of(graph: LayerGraph, count: int) -> np.ndarray:
    (stream,) = (layer.inputs()[0] for layer in graph if graph.input in layer.input_names)
    return np.random.default_rng(1).integers(stream.type.lo, stream.type.hi + 1, (count, *stream.shape))


@pytest.mark.parametrize("top1", [True, False], ids=["a label", "logits"])
def test_a_result_a_cycle_after_the_latency_that_is_predicted(top1, tmp_path):
    """One pipeline of all layers, which holds whatever is on its way when the reader stalls."""
    graph = mlp(top1)
    folded = fold(graph, 1, mvau_style="unrolled", latency=LatencyTarget(60, 5, 4))
    layers = list(folded.graph)
    assert [layer.op_type for layer in layers] == ["UnrolledMVAU"] * 3 + ["LabelSelect"] * top1
    assert [layer.pushes for layer in layers[:3]] == [True, True, top1]
    frames = frames_of(graph, 60)
    expected = graph.run(frames)
    assert len(np.unique(expected)) > 2
    result = simulate(layers, {graph.input: frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs[folded.graph.output], expected)
    assert result.frame_cycles[0] == folded.prediction.first_frame <= 12
    assert set(np.diff(result.frame_cycles)) == {1}
    for stalls in range(4):
        stalled = simulate(layers, {graph.input: frames}, tmp_path, stalls=stalls)
        np.testing.assert_array_equal(stalled.outputs[folded.graph.output], expected)


def test_no_more_is_done_than_the_target_asks_for():
    """Nothing where it is met anyway; then what costs no look-up tables; then more parallel hardware."""
    graph = mlp()
    without = fold(graph, 60, mvau_style="unrolled")
    cycles = without.prediction.first_frame

    def within(nanoseconds, budget=60):
        return fold(graph, budget, mvau_style="unrolled", latency=LatencyTarget(nanoseconds, 5, 4))

    easy = within(5 * cycles)
    assert easy.prediction == without.prediction and easy.graph.layers[0].adders_per_stage == 1
    units = [layer for layer in within(5 * cycles - 5).graph if isinstance(layer, UnrolledMVAU)]
    assert [unit.digits for unit in units] == [unit.digits for unit in without.graph if isinstance(unit, UnrolledMVAU)]
    assert units[0].adders_per_stage == 2
    hard = within(90)
    assert hard.prediction.first_frame <= 18 < cycles
    total = [sum(one.lut for one in folded.estimates.values()) for folded in (without, hard, within(60))]
    assert total == sorted(total)


def test_what_is_out_of_reach_is_refused_with_what_can_be_reached():
    graph = mlp()
    with pytest.raises(
        ConfigError, match=r"30 ns, 6 cycles of 5 ns, cannot be reached: it takes (\d+) cycles"
    ) as error:
        fold(graph, 1000, mvau_style="unrolled", latency=LatencyTarget(30, 5, 4))
    assert all(f"{name} " in str(error.value) for name in ("MVAU_0", "MVAU_1", "MVAU_2", "LabelSelect_0"))
    with pytest.raises(ConfigError, match="let mvau_style be unrolled or auto"):
        fold(graph, 1000, mvau_style="folded", latency=LatencyTarget(100, 5, 4))
    assert fold(graph, 1000, mvau_style="folded", latency=LatencyTarget(1000, 5, 4)).prediction.first_frame <= 200


def test_a_network_of_the_jet_taggers_shape_takes_20_cycles_at_200_mhz():
    """16-64-32-32-5 with dense weights of 6 bits: a result every cycle."""
    graph = mlp(sizes=(16, 64, 32, 32, 5), bits=6)
    folded = fold(graph, 1, mvau_style="unrolled", latency=LatencyTarget(100, 5, 4))
    assert folded.prediction.first_frame <= 20 and folded.prediction.cycles_between_frames == 1
    assert [layer.op_type for layer in folded.graph] == ["UnrolledMVAU"] * 4 + ["LabelSelect"]


def test_how_many_adders_a_clock_leaves_time_for():
    """By docs/timing.md, pessimistic: 1.7 ns each in UltraScale+, two nets among them, and 0.58 ns once."""
    of = CELL_DELAYS["xcup"].adders_between_registers
    assert [of(period) for period in (1.0, 10 / 3, 4, 5, 10)] == [1, 1, 2, 2, 5]
    assert CELL_DELAYS["xc7"].adders_between_registers(10) == 3


def test_a_layer_of_a_pipeline_stands_alone_with_both_handshakes():
    folded = fold(mlp(), 1, mvau_style="unrolled", latency=LatencyTarget(60, 5, 4))
    unit, label = folded.graph.layers[1], folded.graph.layers[-1]
    assert isinstance(unit, UnrolledMVAU) and unit.pushes and unit.ahead == folded.graph.layers[0].latency()
    assert (unit.alone.pushes, unit.alone.ahead) == (False, 0) and replace(unit.alone, pushes=True, ahead=unit.ahead)
    assert isinstance(label, LabelSelect) and label.in_tree and label.ahead and label.alone.ahead == 0
