from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from pipeline.dataflow.signed_digits import csd_digits
from pipeline.dataflow.types import IntType
from pipeline.folding.estimate import COEFFICIENTS, ResourceModel
from pipeline.folding.fold import fold
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.matrix_vector import kind_of
from pipeline.kernels.mvau import MVAU
from pipeline.synthesis import synth
from pipeline.tools import yosys
from tests.dataflow.residual import residual_network


def test_signed_digits_are_as_few_as_possible():
    fewest, reached = {0: 0}, {0}
    for digits in range(1, 6):
        reached = {value + sign * 2**power for value in reached for sign in (-1, 1) for power in range(10)}
        fewest = dict.fromkeys(reached, digits) | fewest
    numbers = np.arange(-300, 300)
    assert csd_digits(numbers).tolist() == [fewest[number] for number in numbers.tolist()]


@pytest.mark.parametrize("style", ["folded", "unrolled", "sparse"])
def test_a_layer_and_a_folding_of_it_are_estimated_alike(style):
    layer = next(layer for layer in residual_network() if isinstance(layer, MVAU))
    model = ResourceModel.load("xcup")
    for folding in layer.foldings_in(style, budget=200):
        assert model.layer(layer.styled(style, folding.fields)) == model.folded(layer, style, folding.fields)


def test_what_is_done_to_a_demand_does_not_reach_the_next():
    layer = next(layer for layer in residual_network() if isinstance(layer, MVAU))
    of_styles = {"folded": {"pe": 1, "simd": 3}, "sparse": {"pe": 1, "simd": 3, "lanes": 1}, "unrolled": {"digits": 1}}
    for style, fields in of_styles.items():
        first = kind_of(style).demand_of(layer, fields, "xcup")
        terms, blocks = dict(first.terms), first.bram_18k
        first.add(layer=1, counters=1)
        first.bram_18k += 1
        again = kind_of(style).demand_of(layer, fields, "xcup")
        assert (dict(again.terms), again.bram_18k) == (terms, blocks)


def test_estimates_come_near_to_what_is_counted(tmp_path):
    styles = {"MVAU_0": "unrolled", "MVAU_1": "sparse", "MVAU_2": "folded"}
    graph = fold(residual_network(stride=2), 400, mvau_style=styles).graph
    counted = synth.count(graph.layers, "xcup", cache=tmp_path)
    model = ResourceModel.load("xcup")
    estimates = [model.layer(layer) for layer in graph]
    assert sum(e.lut for e in estimates) == pytest.approx(sum(c.lut for c in counted), rel=0.25)
    assert sum(e.ff for e in estimates) == pytest.approx(sum(c.ff for c in counted), rel=0.25)
    assert sum(e.bram_18k for e in estimates) == sum(c.bram_18k for c in counted)


@pytest.mark.parametrize(("offsets", "varying"), [([0, 5, 4], 2), ([-8, 7, -1], 4), ([-8, -8, -8], 0), ([6, -2, 6], 1)])
def test_bits_of_constants_that_never_change_are_no_memory(offsets, varying):
    layer = LabelSelect("layer", ("x",), ("y",), labels=3, input_type=IntType(-8, 7), offsets=np.array(offsets))
    assert layer.demand("xcup").terms["constants"] == varying


def test_more_lanes_take_more():
    layer = next(layer for layer in residual_network() if isinstance(layer, MVAU))
    model = ResourceModel.load("xc7")
    few, many = (model.layer(replace(layer, pe=lanes, simd=3 * lanes)) for lanes in (1, 4))
    assert 2 * few.lut < many.lut


def test_every_kind_of_layer_has_factors_and_says_how_good_they_are():
    families = json.loads(COEFFICIENTS.read_text())["families"]
    assert set(families) == set(yosys.FAMILIES)
    for family in families.values():
        assert all(factors["lut"] and factors["ff"] for factors in family.values())
        assert median(factors["lut_error"]["median"] for factors in family.values()) < 0.1
