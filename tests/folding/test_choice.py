from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.layer import Folding
from pipeline.dataflow.random_layers import divisors
from pipeline.dataflow.types import IntType
from pipeline.devices.resources import Resources
from pipeline.errors import ConfigError
from pipeline.folding import pixels
from pipeline.folding.choice import FoldingProblem, fastest, slowest
from pipeline.folding.folding_config import FoldingConfig
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.matrix_vector import STYLES
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


def price(total: Resources) -> float:
    """LUTs, and ten for a DSP."""
    return total.lut + 10 * total.dsp


def choose_foldings(graph: LayerGraph, budget: int | None, config: FoldingConfig | None = None) -> tuple[Folding, ...]:
    return FoldingProblem(graph, budget, config).solve().layers


@given(st.integers(1, 500))
def test_divisors(number):
    assert divisors(number) == tuple(d for d in range(1, number + 1) if not number % d)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(1, 12), st.integers(1, 40_000))
@settings(max_examples=60)
def test_every_folding_divides_and_meets_the_budget_with_the_fewest_luts(height, width, channels, filters, budget):
    graph = convolution(height, width, channels, filters)
    least = max(min(folding.cycles for folding in layer.foldings()) for layer in graph)
    if budget < least:  # several pixels side by side may be fast enough
        try:
            chosen = choose_foldings(graph, budget)
        except ConfigError as error:
            reached = re.search(r"takes (\d+) cycles even when it is fully parallel", str(error))
            assert reached and budget < int(reached[1]) <= least
        else:
            assert max(folding.cycles for folding in chosen) <= budget
        return
    problem = FoldingProblem(graph, budget)
    chosen = problem.solve().layers
    assert max(folding.cycles for folding in chosen) <= budget
    mvau, folding = graph.layers[-1], chosen[-1]
    assert mvau.mh % folding.fields["pe"] == 0 and mvau.mw % folding.fields["simd"] == 0
    assert channels % chosen[0].fields["simd"] == channels % chosen[1].fields["simd"] == 0
    lanes = folding.input_lanes, folding.output_lanes
    for other in mvau.foldings():
        if other.cycles <= budget and (other.input_lanes, other.output_lanes) == lanes:
            assert problem.estimate(mvau, folding).lut <= problem.estimate(mvau, other).lut


@pytest.mark.parametrize("layer", convolution(4, 4, 6, 4).layers, ids=lambda layer: layer.name)
def test_cycles_are_those_of_the_folded_layer(layer):
    for folding in layer.foldings():
        folded = replace(layer, **folding.fields)
        assert folding.cycles == folded.cycles()
        assert (folding.input_lanes, folding.output_lanes) == (folded.inputs()[0].lanes, folded.outputs()[0].lanes)


def test_a_converter_is_avoided_where_the_layer_itself_costs_as_much():
    # 18 multipliers can be 9, 3 or 18 wide; only what divides the 3 channels needs no converter behind the generator
    chosen = choose_foldings(convolution(32, 32, 3, 12), 1024 * 27 * 12 // 18)
    assert [folding.fields["simd"] for folding in chosen[1:]] == [3, 3]


@pytest.mark.parametrize("budget", [20, 36, 100, 600, 5000])
def test_of_all_styles_the_cheapest_is_taken(budget):
    graph = convolution(4, 4, 4, 4)
    totals = {}
    for styles in (*((style,) for style in STYLES), STYLES):
        try:
            chosen = FoldingProblem(graph, budget, styles={"MVAU_0": styles}).solve()
        except ConfigError:  # too fast for this style
            continue
        totals[styles] = price(chosen.total)
        assert max(folding.cycles for folding in chosen.layers) <= budget
    best = totals.pop(STYLES)
    assert best == pytest.approx(min(totals.values()))


def test_what_is_unrolled_has_whole_windows_and_nothing_else_has():
    graph = convolution(4, 4, 4, 4)
    fast = FoldingProblem(graph, 20, styles={"MVAU_0": ("folded", "unrolled")}).solve().layers
    assert [folding.style for folding in fast] == ["whole", "whole", "unrolled"]
    slow = FoldingProblem(graph, 5000, styles={"MVAU_0": ("folded", "sparse")}).solve().layers
    assert "whole" not in {folding.style for folding in slow}


def test_a_dsp_holds_two_pixels_where_many_products_a_cycle_make_that_cheaper(monkeypatch):
    def chosen(budget: int) -> Folding:
        return FoldingProblem(convolution(8, 8, 16, 16), budget, styles={"MVAU_0": ("dsp",)}).solve().layers[-1]

    assert "m" not in chosen(600).fields  # 246 products a cycle
    pair = chosen(100)  # a pixel a cycle would be more than enough: 64 cycles
    assert (pair.fields["m"], pair.fields.get("taps", 1)) == (2, 1)
    monkeypatch.setattr(pixels, "_MANY", 10**9)
    assert "m" not in chosen(100).fields


def test_two_pixels_of_windows_are_no_wider_than_words_of_hls_may_be():
    problem = FoldingProblem(convolution(8, 8, 64, 64), 640, styles={"MVAU_0": ("dsp",)})
    assert {folding.input_pixels for folding in problem.domains[-1]} == {1}


def test_the_other_styles_cost_more_or_cannot_be():
    graph = convolution(4, 4, 4, 4)
    problem = FoldingProblem(graph, 600, styles={"MVAU_0": STYLES})
    chosen = problem.solve()
    others = problem.others(chosen, ["MVAU_0"])["MVAU_0"]
    assert set(others) == set(STYLES) - {chosen.layers[-1].style}
    assert all(price(total) >= price(chosen.total) for total in others.values() if total)
    fast = FoldingProblem(graph, 20, styles={"MVAU_0": STYLES})
    chosen = fast.solve()
    others = fast.others(chosen, ["MVAU_0"])["MVAU_0"]
    assert others["sparse"] is None
    assert all(price(total) > price(chosen.total) for total in others.values() if total)


def test_the_fastest_that_fits_is_found():
    graph = convolution(8, 8, 4, 8)

    def fits(capacity: Resources):
        return lambda cycles: FoldingProblem(graph, cycles, styles={"MVAU_0": STYLES}).fits(capacity)

    assert fastest(fits(Resources(lut=1e9, ff=1e9, bram_18k=1e9)), 0, slowest(graph)) == 16  # two beats a row
    fewest = FoldingProblem(graph, 1000, styles={"MVAU_0": STYLES}).solve().total
    small = Resources(lut=fewest.lut, ff=1e9, bram_18k=1e9, dsp=fewest.dsp)
    budget = fastest(fits(small), 0, slowest(graph))
    assert 16 < budget <= 1000
    assert fits(small)(budget) and not fits(small)(budget - 1)
    near = fastest(fits(small), 16, slowest(graph), precision=0.02)
    assert budget <= near <= 1.03 * budget and fits(small)(near)
    assert fastest(fits(Resources(lut=10, ff=1e9, bram_18k=1e9)), 0, slowest(graph)) is None


def test_without_a_budget_everything_has_one_lane():
    chosen = choose_foldings(convolution(4, 4, 4, 4), None)
    assert chosen[-1].fields == {"pe": 1, "simd": 1}


def test_the_slowest_layer_is_named_with_what_can_be_reached():
    with pytest.raises(ConfigError, match=r"layer ConvolutionInputGenerator_0 takes 8 cycles.*target_fps to 0\.625"):
        choose_foldings(convolution(4, 4, 4, 4), 5)


def test_a_configured_folding_comes_before_the_budget():
    config = FoldingConfig.parse({"MVAU_hls_0": {"PE": 1, "SIMD": 2}}, "f.json")
    chosen = choose_foldings(convolution(4, 4, 4, 4), 200, config)
    assert chosen[-1].fields == {"pe": 1, "simd": 2}


def test_what_a_configuration_leaves_open_meets_the_budget():
    config = FoldingConfig.parse({"MVAU_0": {"PE": 2}}, "f.json")
    folding = choose_foldings(convolution(4, 4, 4, 4), 400, config)[-1]
    assert folding.fields["pe"] == 2 and folding.cycles <= 400


@pytest.mark.parametrize(
    ("style", "content", "fields"),
    [
        ("sparse", {"PE": 4, "SIMD": 2, "lanes": 2}, {"pe": 4, "simd": 2, "lanes": 2}),
        ("sparse", {"PE": 3, "SIMD": 1, "lanes": 1}, {"pe": 3, "simd": 1, "lanes": 1}),
        ("unrolled", {"digits": 2}, {"digits": 2}),
    ],
)
def test_a_configured_folding_of_another_style(style, content, fields):
    config = FoldingConfig.parse({"MVAU_0": {"mvau_style": style, **content}}, "f.json")
    for budget in (None, 5000):
        problem = FoldingProblem(convolution(4, 4, 4, 4), budget, config, {"MVAU_0": (style,)})
        assert problem.solve().layers[-1].fields == fields
    folded = FoldingProblem(convolution(4, 4, 4, 4), 5000, config, {"MVAU_0": ("folded",)}).solve().layers[-1]
    assert folded == choose_foldings(convolution(4, 4, 4, 4), 5000)[-1]


@pytest.mark.parametrize(
    ("style", "content", "message"),
    [
        ("sparse", {"PE": 3, "lanes": 2}, r"lanes = 2, which the sparse layer MVAU_0 cannot have\. Choose one of 1\."),
        (
            "unrolled",
            {"digits": 3},
            r"digits = 3, which the unrolled layer MVAU_0 cannot have\. Choose one of 1, 2, 4\.",
        ),
    ],
)
def test_a_folding_that_the_style_cannot_have_is_refused(style, content, message):
    config = FoldingConfig.parse({"MVAU_0": {"mvau_style": style, **content}}, "f.json")
    with pytest.raises(ConfigError, match=message):
        FoldingProblem(convolution(4, 4, 4, 4), 5000, config, {"MVAU_0": (style,)})


@pytest.mark.parametrize("style", ["folded", "sparse"])
def test_of_the_memories_that_are_offered_the_cheapest_that_fits_is_taken(style):
    graph, names = convolution(4, 4, 32, 32), {"MVAU_0": (style,)}
    alone = {
        kind: FoldingProblem(graph, 60_000, styles=names, memories={"MVAU_0": (kind,)}).solve().total
        for kind in ("distributed", "block", "ultra")
    }
    assert alone["distributed"].bram_18k < alone["block"].bram_18k and alone["block"].lut < alone["distributed"].lut
    assert alone["ultra"].uram > 0
    offered = FoldingProblem(graph, 60_000, styles=names, memories={"MVAU_0": tuple(alone)})
    for kind, total in alone.items():
        chosen = offered.solve(total)
        assert chosen.layers[-1].fields["ram_style"] == kind
        assert chosen.total.lut == pytest.approx(total.lut, rel=0.02)


def test_what_is_unrolled_has_no_memory_to_choose():
    memories = {"MVAU_0": ("block", "ultra")}
    problem = FoldingProblem(convolution(4, 4, 4, 4), 600, styles={"MVAU_0": ("unrolled",)}, memories=memories)
    assert all("ram_style" not in folding.fields for folding in problem.domains[-1])


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
