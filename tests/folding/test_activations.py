"""The choice between thresholds and requantizers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.folding.activations import activations
from pipeline.folding.fold import fold, load, save, write_reports
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
