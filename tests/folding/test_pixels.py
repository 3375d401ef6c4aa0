"""Several pixels a cycle where one is too slow: what is chosen, what is built of it, and what a folding file says."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.folding.fold import fold, write_reports
from pipeline.folding.pixels import pixels_of_rows, pixels_within
from pipeline.folding.stitching import conversions
from pipeline.json_file import read_json
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.tools.verilator import simulate
from tests.dataflow.residual import residual_network

STYLES = {
    "unrolled": (20, "unrolled"),
    "folded": (24, "folded"),
    "sparse_rows_that_take_longer_than_a_pixel": (400, "sparse"),
    "whichever": (18, "auto"),
    "folded_parts_of_whole_windows": (150, "folded"),
}


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(3).integers(0, 4, (8, 6, 6, 4))


@pytest.mark.parametrize("name", STYLES)
def test_a_network_of_whole_windows_keeps_its_rate_and_is_exact(name, frames, tmp_path):
    graph, (budget, style) = residual_network(), STYLES[name]
    folded = fold(graph, budget, mvau_style=style)
    assert folded.prediction.cycles_between_frames <= budget
    kinds = {layer.op_type for layer in folded.graph}
    assert "ParallelWindow" in kinds and "ConvolutionInputGenerator" not in kinds
    assert (max(getattr(layer, "m", 1) for layer in folded.graph) > 1) == (budget < 36 or style == "sparse")
    result = simulate(folded.graph.layers, {"in": frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs[folded.graph.output], graph.run(frames))
    assert result.frame_cycles[-1] - result.frame_cycles[-2] == folded.prediction.cycles_between_frames
    stalled = simulate(folded.graph.layers, {"in": frames}, tmp_path, stalls=1)
    np.testing.assert_array_equal(stalled.outputs[folded.graph.output], graph.run(frames))


def test_one_pixel_a_beat_is_what_is_taken_where_it_is_fast_enough():
    graph = residual_network()
    assert set(pixels_within(graph, 42).values()) == {1}
    assert set(pixels_within(graph, None).values()) == {1}
    assert pixels_within(graph, 20)["MVAU_0"] == 2


def test_a_sparse_matrix_takes_as_many_pixels_as_its_longest_row_needs():
    graph = residual_network()
    layer = graph.layer("MVAU_1")
    longest = np.count_nonzero(layer.weights, axis=1).max()
    of_both = pixels_of_rows(graph, ["MVAU_1"], 36 * longest)
    assert of_both == {"MVAU_1": 2, "ConvolutionInputGenerator_1": 2, "FMPadding_1": 2}  # two rows for each walker
    assert pixels_of_rows(graph, ["MVAU_1"], 2 * 36 * longest)["MVAU_1"] == 1
    assert pixels_of_rows(graph, ["MVAU_1"], 20)["MVAU_1"] == 3  # the most windows that come side by side in rows of 6
    assert pixels_of_rows(graph, ["MVAU_1"], None) == {}


def test_the_written_folding_gives_the_same_again(tmp_path):
    graph = residual_network()
    folded = fold(graph, 20, mvau_style="auto")
    write_reports(folded, tmp_path, 5.0)
    written = read_json(tmp_path / "auto_folding_config.json", "the file")
    assert {entry.get("M", 1) for name, entry in written.items() if name.startswith("MVAU")} >= {2}
    again = fold(graph, 20, tmp_path / "auto_folding_config.json", mvau_style="auto")
    assert not again.ignored
    ends = [[(s.lanes, s.pixels) for s in (*layer.inputs(), *layer.outputs())] for layer in folded.graph]
    assert ends == [[(s.lanes, s.pixels) for s in (*layer.inputs(), *layer.outputs())] for layer in again.graph]


@pytest.mark.parametrize("style", ["folded", "sparse"])
def test_pixels_that_do_not_divide_a_row_are_refused(style):
    with pytest.raises(ConfigError, match=f"MVAU_1: M = 4, which layer MVAU_1 cannot have as {style}: M must divide"):
        fold(residual_network(), 400, {"MVAU_1": {"mvau_style": style, "M": 4}}, mvau_style="auto")


@pytest.mark.parametrize("style", ["unrolled", "sparse"])
def test_pixels_change_between_layers_where_a_layer_has_fewer(frames, style):
    graph = residual_network()
    wanted = {
        "MVAU_1": {"mvau_style": style, "M": 2},
        "ConvolutionInputGenerator_1": {"M": 2},
        "FMPadding_1": {"M": 2},
    }
    folded = fold(graph, 600, wanted, mvau_style="auto").graph
    assert isinstance(folded.layer("ConvolutionInputGenerator_1"), ParallelWindow)
    changed = {(layer.in_m, layer.out_m) for layer in folded if isinstance(layer, StreamingDataWidthConverter)}
    assert {(1, 2), (2, 1)} <= changed
    np.testing.assert_array_equal(folded.run(frames), graph.run(frames))


def test_beats_become_whole_pixels_where_their_number_changes():
    assert conversions((4, 1), (4, 1), 8) == [(4, 1)]
    assert conversions((2, 1), (3, 1), 6) == [(2, 1), (6, 1), (3, 1)]
    assert conversions((4, 2), (8, 2), 8) == [(4, 2), (8, 2)]
    assert conversions((4, 2), (6, 2), 6) == [(4, 2), (12, 2), (6, 2)]
    assert conversions((2, 1), (32, 4), 8) == [(2, 1), (8, 1), (32, 4)]
    assert conversions((8, 4), (2, 2), 4) == [(8, 4), (16, 4), (8, 2), (2, 2)]
    assert conversions((12, 2), (18, 3), 6) == [(12, 2), (36, 6), (18, 3)]
