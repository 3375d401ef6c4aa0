"""The same network in every style of MVAU."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.folding.estimate import ResourceModel
from pipeline.folding.fold import fold
from pipeline.folding.styles import with_whole_windows
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.tools.verilator import simulate
from tests.dataflow.residual import residual_network

STYLES = {
    "folded": (400, "folded"),
    "a_vector_a_cycle": (42, "unrolled"),
    "a_bit_a_cycle": (72, "unrolled"),
    "sparse": (4000, "sparse"),
    "sparse_and_fast": (1200, "sparse"),
    "mixed": (1300, {"MVAU_0": "sparse", "MVAU_1": "unrolled"}),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    graph = residual_network()
    frames = np.random.default_rng(3).integers(0, 4, (8, 6, 6, 4))
    simulated_outputs = {}
    for name, (budget, style) in STYLES.items():
        folded = fold(graph, budget, mvau_style=style).graph
        simulated = simulate(folded.layers, {"in": frames}, tmp_path_factory.mktemp(name))
        simulated_outputs[name] = simulated.outputs[folded.output]
    return graph.run(frames), simulated_outputs


@pytest.mark.parametrize("style", STYLES)
def test_the_hardware_of_every_style_gives_the_same(style, outputs):
    expected, simulated_outputs = outputs
    np.testing.assert_array_equal(simulated_outputs[style], expected)
    np.testing.assert_array_equal(simulated_outputs[style], simulated_outputs["folded"])


@pytest.mark.parametrize(("budget", "digits"), [(42, {1}), (71, {1}), (72, {1, 2}), (1000, {1, 2})])
def test_digits_are_taken_where_the_budget_allows_and_luts_are_saved(budget, digits):
    graph = residual_network()
    folded = fold(graph, budget, mvau_style="unrolled")
    assert folded.prediction.cycles_between_frames <= budget
    model = ResourceModel.load("xcup")
    for layer in folded.graph:
        if isinstance(layer, UnrolledMVAU):
            luts = {count: model.folded(graph.layer(layer.name), "unrolled", {"digits": count}).lut for count in digits}
            assert luts[layer.digits] == min(luts.values())


def test_padding_and_generator_become_whole_windows_only_before_what_is_unrolled():
    graph = residual_network()
    changed = with_whole_windows(graph, {"MVAU_1"})
    kinds = {layer.name: layer.op_type for layer in changed}
    assert kinds["ConvolutionInputGenerator_1"] == "ParallelWindow" and "FMPadding_1" not in kinds
    assert kinds["ConvolutionInputGenerator_0"] == "ConvolutionInputGenerator" and "FMPadding_0" in kinds
    frames = np.random.default_rng(3).integers(0, 4, (3, 6, 6, 4))
    np.testing.assert_array_equal(changed.run(frames), graph.run(frames))


def test_a_layer_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="mvau_style names MVAU_9, which is no MVAU of this network; it has MVAU_0"):
        fold(residual_network(), mvau_style={"MVAU_9": "unrolled"})
