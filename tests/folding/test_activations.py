"""The choice between thresholds and requantizers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.devices.boards import Board, load_board
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.folding.activations import activations
from pipeline.folding.fold import fold, load, save, write_reports
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.mvau import MVAU
from tests.dataflow.residual import residual_network
from tests.kernels.requantized import requantized_matrix, requantized_thresholding

GRAPH = residual_network()
UNITS = ["MVAU_0", "MVAU_1", "Thresholding_0"]


def _names(folded) -> list[str]:
    return [layer.name for layer in folded.requantized]


def _lut(folded) -> float:
    return sum(estimate.lut for estimate in folded.estimates.values())


def _uneven() -> LayerGraph:
    """A network of which one layer has thresholds that no requantizer is equal to."""
    layers = tuple(
        replace(layer, thresholds=np.tile([1, 2, 30], (layer.mh, 1))) if layer.name == "MVAU_1" else layer
        for layer in GRAPH
    )
    return replace(GRAPH, layers=layers)


def test_the_configuration_decides():
    assert _names(fold(GRAPH, 700, activation_style="thresholds")) == []
    assert _names(fold(GRAPH, 700, activation_style="requantize")) == UNITS
    mixed = fold(GRAPH, 700, activation_style={"MVAU_0": "requantize", "MVAU_1": "thresholds"})
    assert "MVAU_0" in _names(mixed) and "MVAU_1" not in _names(mixed)


@pytest.mark.parametrize("budget", [None, 700, 1200])
def test_what_is_open_takes_no_more_than_thresholds(budget):
    thresholds = fold(GRAPH, budget, activation_style="thresholds")
    assert _lut(fold(GRAPH, budget, activation_style="auto")) <= _lut(thresholds)


def test_thresholds_of_8_bits_are_replaced_and_those_of_few_steps_stay():
    wide = requantized_matrix(MVAU, 16, 8, IntType(0, 255), 8, 255, power=1)
    few = requantized_thresholding(16, IntType(0, 255), 3)
    graph = LayerGraph(
        "two",
        (
            replace(wide, name="MVAU_0", output_names=("s",), requantizer=None),
            replace(few, name="Thresholding_0", input_names=("s",), shape=(2, 3, 16), requantizer=None),
        ),
        "x",
        "y",
    )
    folded = fold(graph)
    assert _names(folded) == ["MVAU_0"]
    assert folded.graph.layer("Thresholding_0").threshold_styles()
    assert not folded.graph.layer("MVAU_0").threshold_styles()


@pytest.mark.parametrize("style", ["folded", "sparse", "unrolled"])
def test_the_graph_computes_the_same(style, tmp_path):
    folded = fold(GRAPH, 1200, mvau_style=style, activation_style="requantize")
    assert _names(folded) == UNITS
    frames = np.random.default_rng(0).integers(0, 4, (3, 6, 6, 4))
    np.testing.assert_array_equal(folded.graph.run(frames), GRAPH.run(frames))
    save(folded, tmp_path)
    again = load(tmp_path)
    assert _names(again) == UNITS
    assert [layer.parameters() for layer in again.graph] == [layer.parameters() for layer in folded.graph]


def test_what_has_no_requantizer_keeps_its_thresholds_or_is_refused():
    graph = _uneven()
    assert graph.layer("MVAU_1").with_requantizer() is None
    assert "MVAU_1" not in activations(graph, "auto").open
    with pytest.raises(UnsupportedError, match="layer MVAU_1 is to have a requantizer .* not evenly spaced"):
        fold(graph, 700, activation_style="requantize")
    assert "MVAU_1" not in _names(fold(graph, 700, activation_style={"MVAU_0": "requantize"}))


@pytest.mark.parametrize("name", ["MVAU_7", "FMPadding_0"])
def test_a_layer_without_thresholds_is_refused(name):
    with pytest.raises(ConfigError, match=f"activation_style names {name}, .* those with any are MVAU_0, MVAU_1, Thr"):
        fold(GRAPH, 700, activation_style={name: "requantize"})


def test_the_report_says_what_is_calculated_with(tmp_path):
    """Enough to compute the levels of a layer without its thresholds."""
    folded = fold(GRAPH, 700, activation_style={"MVAU_0": "requantize", "MVAU_1": "thresholds"})
    write_reports(folded, tmp_path, 5.0)
    said = json.loads((tmp_path / "report" / "requantizers.json").read_text())["MVAU_0"]
    layer = GRAPH.layer("MVAU_0")
    for channel, row in enumerate(layer.thresholds):
        m, b = said["multipliers"][channel], said["addends"][channel]
        assert said["rounding"] == "floor"
        for value in range(said["from"][channel], said["to"][channel] + 1):
            level = min(max((value * m + b) >> said["shift"], said["lowest"]), said["highest"])
            assert level == layer.output_type.lo + (value >= row).sum()


@pytest.mark.parametrize("style", ["thresholds", {"MVAU_0": "thresholds"}], ids=str)
def test_more_levels_than_thresholds_have_their_requantizer(style, tmp_path):
    """Whatever else is open; and the report says what is calculated with."""
    wide = requantized_matrix(MVAU, 4, 8, IntType(0, 4095), 4, 4095, power=1)
    graph = LayerGraph("one", (replace(wide, name="MVAU_0", source="conv1"),), "x", "y")
    with pytest.raises(UnsupportedError, match=r"layer MVAU_0 \(conv1\) is to have thresholds .* has 4,096 levels"):
        fold(graph, activation_style=style)
    for other in ("auto", "requantize"):
        folded = fold(graph, 200, activation_style=other)
        assert _names(folded) == ["MVAU_0"] and folded.graph.layer("MVAU_0").thresholds is None
    write_reports(folded, tmp_path, 5.0)
    said = json.loads((tmp_path / "report" / "requantizers.json").read_text())["MVAU_0"]
    assert (said["lowest"], said["highest"]) == (0, 4095)
    assert said["multipliers"] == wide.requantizer.multipliers.tolist()


# -- what multiplies ------------------------------------------------------------------------------------------------------


def _scaled() -> LayerGraph:
    """Two matrices with multipliers of many bits, between them thresholds that need no multiplication, and a LabelSelect."""
    wide = requantized_matrix(MVAU, 16, 8, IntType(0, 255), 8, 255, pe=1)
    halved = replace(requantized_thresholding(16, IntType(0, 255), 127, power=0), shape=(1, 1, 16))
    other = requantized_matrix(MVAU, 16, 16, IntType(0, 127), 8, 255, pe=1)
    layers = [
        replace(wide, name="MVAU_0", output_names=("s1",), pixels=(1, 1)),
        replace(halved, name="Thresholding_0", input_names=("s1",), output_names=("s2",)),
        replace(other, name="MVAU_1", input_names=("s2",), output_names=("s3",), pixels=(1, 1)),
    ]
    rng = np.random.default_rng(0)
    ends = (("s3",), ("label",))
    label = LabelSelect("LabelSelect_0", *ends, 16, IntType(0, 255), rng.integers(1 << 10, 1 << 11, 16))
    unrequantized = [replace(layer, requantizer=None) for layer in layers]
    return LayerGraph("scaled", (*unrequantized, label), "x", "label")


SCALED = _scaled()
ALL_SCALED = {"MVAU_0": 2, "Thresholding_0": 0, "MVAU_1": 1, "LabelSelect_0": 1}


def _dsps(folded) -> dict[str, int]:
    """The DSPs of the layers that have a requantizer, or are a LabelSelect."""
    return {
        layer.name: layer.dsps if isinstance(layer, LabelSelect) else layer.requantizer.dsps
        for layer in folded.graph
        if isinstance(layer, LabelSelect) or getattr(layer, "requantizer", None)
    }


def _few(dsps: int) -> Board:
    board = load_board("KV260")
    return replace(board, capacity=replace(board.capacity, dsp=dsps))


def test_multipliers_are_look_up_tables_where_they_are_to_be():
    assert not any(_dsps(fold(SCALED, scale_multiplier="lut")).values())


@pytest.mark.parametrize("style", ["folded", "auto"])
def test_multipliers_are_in_dsps_where_that_takes_fewer_look_up_tables(style):
    in_luts = fold(SCALED, 600, mvau_style=style, scale_multiplier="lut")
    in_dsps = fold(SCALED, 600, mvau_style=style)
    assert _lut(in_dsps) < 0.8 * _lut(in_luts)
    assert all(_dsps(in_dsps)[name] == dsps for name, dsps in ALL_SCALED.items() if dsps)
    total = sum(estimate.dsp for estimate in in_dsps.estimates.values())
    total -= sum(layer.dsps for layer in in_dsps.graph if layer.op_type == "DspMVAU")
    assert total == sum(_lanes(layer) * dsps for layer in in_dsps.graph if (dsps := _dsps(in_dsps).get(layer.name)))


def _lanes(layer) -> int:
    return 1 if isinstance(layer, LabelSelect) else layer.outputs()[0].lanes


@pytest.mark.parametrize("dsps", [0, 1, 2, 3, 4])
def test_no_more_dsps_are_taken_than_the_board_has(dsps):
    folded = fold(SCALED, board=_few(dsps))
    taken = sum(estimate.dsp for estimate in folded.estimates.values())
    assert taken == dsps and not folded.fit.exceeded
    assert _lut(folded) <= _lut(fold(SCALED, scale_multiplier="lut")) - 100 * dsps


def test_multipliers_can_be_made_to_be_in_dsps():
    folded = fold(SCALED, activation_style="requantize", scale_multiplier="dsp")
    assert _dsps(folded) == ALL_SCALED
    frames = np.random.default_rng(0).integers(0, 256, (5, 1, 1, 8))
    np.testing.assert_array_equal(folded.graph.run(frames), SCALED.run(frames))
    some = fold(SCALED, activation_style="requantize", scale_multiplier={"MVAU_1": "dsp", "LabelSelect_0": "lut"})
    assert _dsps(some) == ALL_SCALED | {"LabelSelect_0": 0}
    too_many = fold(SCALED, activation_style="requantize", scale_multiplier="dsp", board=_few(3))
    assert too_many.fit.exceeded == {"DSP": (4, 3)}


def test_what_no_dsp_holds_is_refused_where_it_must_be_in_one():
    wide = requantized_thresholding(2, IntType.of_bits(27, signed=True), 15)
    graph = LayerGraph("wide", (replace(wide, name="Thresholding_0", requantizer=None),), "x", "y")
    assert _dsps(fold(graph, activation_style="requantize")) == {"Thresholding_0": 0}
    with pytest.raises(
        UnsupportedError, match="layer Thresholding_0 is to multiply in DSPs .* wider than two DSPs hold"
    ):
        fold(graph, activation_style="requantize", scale_multiplier="dsp")
    assert _dsps(fold(graph, scale_multiplier="dsp")) == {}  # it keeps its thresholds


def test_a_layer_without_scales_is_refused():
    with pytest.raises(
        ConfigError, match="scale_multiplier names FMPadding_0, which is no layer with thresholds or scales"
    ):
        fold(GRAPH, 700, scale_multiplier={"FMPadding_0": "dsp"})


def test_the_report_says_how_many_dsps_a_lane_has(tmp_path):
    folded = fold(SCALED, activation_style="requantize", scale_multiplier="dsp")
    write_reports(folded, tmp_path, 5.0)
    units = json.loads((tmp_path / "report" / "requantizers.json").read_text())
    assert {name: unit.get("dsps_per_lane", 0) for name, unit in units.items()} == {
        "MVAU_0": 2,
        "Thresholding_0": 0,
        "MVAU_1": 1,
    }
    resources = json.loads((tmp_path / "report" / "estimate_layer_resources.json").read_text())
    assert resources["MVAU_0"]["DSP"] == 2 and resources["total"]["DSP"] == 4
