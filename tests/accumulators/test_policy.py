from __future__ import annotations

import numpy as np
import pytest

from pipeline.accumulators.policy import CHOICES, POLICIES, Policy
from pipeline.dataflow.bounds import BOUNDS, RowBounds, row_bounds
from pipeline.dataflow.types import IntType
from pipeline.errors import AccumulatorError, ConfigError

ROWS = (
    RowBounds(lo=-8, hi=7, l1_norm=3, weight_sum=1, exact=4, l1=6, a2q_plus=None, datatype=9),
    RowBounds(lo=0, hi=30, l1_norm=2, weight_sum=2, exact=6, l1=7, a2q_plus=None, datatype=9),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exact", (4, 6)),
        ("l1", (6, 7)),
        ("datatype", (9, 9)),
        ("fixed:32", (32, 32)),
        ("fixed: 6", (6, 6)),
        ("target", (6, 6)),
    ],
)
def test_widths(text, expected):
    assert Policy.parse(text).widths("MVAU_0", ROWS, 6) == expected


def test_a2q_plus_where_every_row_sums_to_zero():
    rows = row_bounds(np.array([[3, -3, 0], [1, 1, -2]]), IntType(0, 15), 4)
    # ‖w‖₁ / 2 · (2⁴ − 1) is 45 and 30; that of A2Q, ‖w‖₁ · 2⁴, 96 and 64
    assert Policy.parse("a2q_plus").widths("MVAU_0", rows, None) == (7, 6)
    assert Policy.parse("l1").widths("MVAU_0", rows, None) == (8, 8)
    assert Policy.parse("exact").widths("MVAU_0", rows, None) == (7, 6)


def test_a2q_plus_is_refused_where_a_row_does_not_sum_to_zero():
    rows = row_bounds(np.array([[3, -3, 0], [1, 1, -1], [2, 2, 2]]), IntType(0, 15), 4)
    with pytest.raises(
        AccumulatorError,
        match=r"MVAU_0: the weights of channel 1 sum to 1 \(2 of its 3 channels do not sum to zero\), but the bound a2q_plus",
    ):
        Policy.parse("a2q_plus").widths("MVAU_0", rows, None)


@pytest.mark.parametrize("kind", POLICIES)
def test_every_policy_can_be_written_and_is_among_the_choices(kind):
    text = "fixed:32" if kind == "fixed" else kind
    assert str(Policy.parse(text)) == text
    assert kind in CHOICES
    assert kind in {*BOUNDS, "target", "fixed"}
    with pytest.raises(ConfigError, match=rf"'none' is not known; choose .*{kind}"):
        Policy.parse("none")


def test_target_is_exact_where_the_model_states_none():
    assert Policy.parse("target").widths("MVAU_0", ROWS, None) == (4, 6)


def test_a_broken_promise_names_layer_channel_range_and_width():
    with pytest.raises(AccumulatorError) as caught:
        Policy.parse("target").widths("MVAU_3 (layer1.0.conv1)", ROWS, 5)
    for part in ("MVAU_3 (layer1.0.conv1)", "channel 1", "from 0 to 30", "6 bits", "P = 5"):
        assert part in str(caught.value)


def test_a_fixed_width_that_could_overflow_is_refused():
    with pytest.raises(AccumulatorError, match=r"fixed:3.*2 of its 2 channels") as caught:
        Policy.parse("fixed:3").widths("MVAU_0", ROWS, None)
    assert str(caught.value).endswith("do not fit. Use the policy exact, or fixed:6 or more, for this layer.")


def test_a_width_that_cannot_be_built_is_refused():
    wide = RowBounds(lo=0, hi=1, l1_norm=1, weight_sum=1, exact=2, l1=64, a2q_plus=None, datatype=64)
    with pytest.raises(AccumulatorError, match="64 bits"):
        Policy.parse("l1").widths("MVAU_0", (wide,), None)


@pytest.mark.parametrize("text", ["", "fixed", "fixed:0", "fixed:64", "fixed:-3", "Exact", "fixed:3.5"])
def test_an_unknown_policy_is_refused(text):
    with pytest.raises(ConfigError):
        Policy.parse(text)
