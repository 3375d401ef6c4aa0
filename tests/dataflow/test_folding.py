from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.folding import choose_foldings, divisors, foldings
from pipeline.dataflow.folding_config import FoldingConfig
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.mvau import MVAU

UINT4 = IntType(0, 15)


def convolution(height: int, width: int, channels: int, filters: int) -> LayerGraph:
    weights = np.ones((filters, 9 * channels), np.int64)
    frame, padded = (height, width, channels), (height + 2, width + 2, channels)
    return LayerGraph(
        "convolution",
        (
            FMPadding("FMPadding_0", ("in",), ("padded",), frame, UINT4, (1, 1, 1, 1)),
            ConvolutionInputGenerator(
                "ConvolutionInputGenerator_0", ("padded",), ("windows",), padded, UINT4, (3, 3), (1, 1)
            ),
            MVAU("MVAU_0", ("windows",), ("out",), weights, UINT4, IntType(0, 135 * channels), (height, width)),
        ),
        "in",
        "out",
    )


@given(st.integers(1, 500))
def test_divisors(number):
    assert divisors(number) == tuple(d for d in range(1, number + 1) if not number % d)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(1, 12), st.integers(1, 40_000))
@settings(deadline=None, max_examples=80)
def test_every_folding_divides_and_meets_the_budget_with_the_fewest_multipliers(
    height, width, channels, filters, budget
):
    graph = convolution(height, width, channels, filters)
    least = max(min(folding.cycles for folding in foldings(layer)) for layer in graph)
    if budget < least:
        with pytest.raises(ConfigError, match=rf"takes {least} cycles even when it is fully parallel"):
            choose_foldings(graph, budget)
        return
    chosen = choose_foldings(graph, budget)
    assert max(folding.cycles for folding in chosen) <= budget
    mvau, folding = graph.layers[-1], chosen[-1]
    assert mvau.mh % folding.fields["pe"] == 0 and mvau.mw % folding.fields["simd"] == 0
    assert channels % chosen[0].fields["simd"] == channels % chosen[1].fields["simd"] == 0
    cheaper = [other for other in foldings(mvau) if other.cycles <= budget and other.price < folding.price]
    assert not cheaper


@pytest.mark.parametrize("layer", convolution(4, 4, 6, 4).layers, ids=lambda layer: layer.name)
def test_cycles_are_those_of_the_folded_layer(layer):
    for folding in foldings(layer):
        folded = replace(layer, **folding.fields)
        assert folding.cycles == folded.cycles()
        assert (folding.input_lanes, folding.output_lanes) == (folded.input_lanes()[0], folded.output_lanes()[0])


def test_of_equal_foldings_the_one_without_converters_is_taken():
    # 18 multipliers can be 9, 3 or 18 wide; only what divides the 3 channels needs no converter behind the generator
    chosen = choose_foldings(convolution(32, 32, 3, 12), 1024 * 27 * 12 // 18)
    assert chosen[-1].price == 18
    assert [folding.fields["simd"] for folding in chosen] == [3, 3, 3]


def test_without_a_budget_everything_has_one_lane():
    chosen = choose_foldings(convolution(4, 4, 4, 4), None)
    assert chosen[-1].fields == {"pe": 1, "simd": 1}


def test_the_slowest_layer_is_named_with_what_can_be_reached():
    with pytest.raises(ConfigError, match=r"layer ConvolutionInputGenerator_0 takes 144 cycles.*target_fps to 0\.3472"):
        choose_foldings(convolution(4, 4, 4, 4), 50)


def test_a_configured_folding_comes_before_the_budget():
    config = FoldingConfig.parse({"MVAU_hls_0": {"PE": 1, "SIMD": 2}}, "f.json")
    chosen = choose_foldings(convolution(4, 4, 4, 4), 200, config)
    assert chosen[-1].fields == {"pe": 1, "simd": 2}


def test_what_a_configuration_leaves_open_meets_the_budget():
    config = FoldingConfig.parse({"MVAU_0": {"PE": 2}}, "f.json")
    folding = choose_foldings(convolution(4, 4, 4, 4), 400, config)[-1]
    assert folding.fields["pe"] == 2 and folding.cycles <= 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"MVAU_rtl_0": {"PE": 3}},
            r"file f\.json has MVAU_rtl_0: PE = 3, which does not divide the 4 rows \(MH\) of layer MVAU_0\. Choose one of 1, 2, 4\.",
        ),
        ({"MVAU_0": {"SIMD": 5}}, r"SIMD = 5.*36 columns \(MW\).*1, 2, 3, 4, 6, 9, 12, 18, 36"),
        ({"FMPadding_rtl_0": {"SIMD": 8}}, r"SIMD = 8.*4 channels"),
        ({"Defaults": {"PE": [3, ["MVAU_hls"]]}}, r"MVAU_0 \(Defaults\): PE = 3"),
    ],
)
def test_a_folding_that_does_not_divide_is_refused(content, message):
    with pytest.raises(ConfigError, match=message):
        choose_foldings(convolution(4, 4, 4, 4), None, FoldingConfig.parse(content, "f.json"))
