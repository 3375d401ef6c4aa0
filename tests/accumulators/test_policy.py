from __future__ import annotations

import pytest

from pipeline.accumulators.policy import Policy
from pipeline.dataflow.bounds import RowBounds
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


def test_target_is_exact_where_the_model_states_none():
    assert Policy.parse("target").widths("MVAU_0", ROWS, None) == (4, 6)


def test_a_broken_promise_names_layer_channel_range_and_width():
    with pytest.raises(AccumulatorError) as caught:
        Policy.parse("target").widths("MVAU_3 (layer1.0.conv1)", ROWS, 5)
    for part in ("MVAU_3 (layer1.0.conv1)", "channel 1", "from 0 to 30", "6 bits", "P = 5"):
        assert part in str(caught.value)


def test_a_fixed_width_that_could_overflow_is_refused():
    with pytest.raises(AccumulatorError, match=r"fixed:3.*2 of its 2 channels"):
        Policy.parse("fixed:3").widths("MVAU_0", ROWS, None)


def test_a_width_that_cannot_be_built_is_refused():
    wide = RowBounds(lo=0, hi=1, l1_norm=1, weight_sum=1, exact=2, l1=64, a2q_plus=None, datatype=64)
    with pytest.raises(AccumulatorError, match="64 bits"):
        Policy.parse("l1").widths("MVAU_0", (wide,), None)


@pytest.mark.parametrize("text", ["", "fixed", "fixed:0", "fixed:64", "fixed:-3", "Exact", "fixed:3.5"])
def test_an_unknown_policy_is_refused(text):
    with pytest.raises(ConfigError):
        Policy.parse(text)
