"""The bounds against every input there is, on layers small enough to try them all."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.bounds import exact_range, l1_norms, magnitude_bits, range_bits, row_bounds
from pipeline.dataflow.types import IntType


@st.composite
def rows(draw, most: int = 4):
    """One row of weights, an input type of few values and a start value."""
    bits = draw(st.integers(1, 3))
    weights = draw(st.lists(st.integers(-8, 7), min_size=1, max_size=most))
    return np.array([weights]), IntType.of_bits(bits, signed=draw(st.booleans())), draw(st.integers(-20, 20))


def all_sums(weights: np.ndarray, type_: IntType, bias: int) -> list[int]:
    values = range(type_.lo, type_.hi + 1)
    return [
        bias + sum(w * x for w, x in zip(weights[0].tolist(), xs, strict=True))
        for xs in product(values, repeat=weights.size)
    ]


@given(rows())
@settings(deadline=None, max_examples=60)
def test_the_exact_range_is_reached_and_never_left(case):
    weights, type_, bias = case
    sums = all_sums(weights, type_, bias)
    assert exact_range(weights, type_, np.array([bias])) == ((min(sums),), (max(sums),))


@given(rows())
@settings(deadline=None, max_examples=60)
def test_no_bound_is_below_the_exact_width(case):
    weights, type_, bias = case
    weight_bits = range_bits(int(weights.min()), int(weights.max()))
    (row,) = row_bounds(weights, type_, weight_bits, np.array([bias]))
    assert row.exact <= row.l1 <= row.datatype
    if row.weight_sum == 0:
        assert row.exact <= row.a2q_plus <= row.l1
    else:
        assert row.a2q_plus is None


@given(rows(most=4), st.data())
@settings(deadline=None, max_examples=60)
def test_every_order_of_summation_is_exact_modulo_the_width(case, data):
    weights, type_, bias = case
    inputs = [data.draw(st.integers(type_.lo, type_.hi)) for _ in range(weights.size)]
    lo, hi = exact_range(weights, type_, np.array([bias]))
    width = range_bits(lo[0], hi[0])
    half, whole = 1 << (width - 1), 1 << width

    def wrap(value: int) -> int:
        return (value + half) % whole - half

    terms = [bias, *(w * x for w, x in zip(weights[0].tolist(), inputs, strict=True))]
    for order in permutations(terms):
        total = 0
        for term in order:
            total = wrap(total + wrap(term))
        assert total == sum(terms)


@given(st.integers(-(10**30), 10**30), st.integers(0, 10**30))
def test_range_bits_is_the_smallest_that_holds_both_ends(lo, span):
    hi = lo + span
    bits = range_bits(lo, hi)
    assert -(1 << (bits - 1)) <= lo and hi < 1 << (bits - 1)
    if bits > 1:
        half = 1 << (bits - 2)
        assert lo < -half or hi >= half


@given(st.integers(0, 10**30))
def test_magnitude_bits_is_the_smallest_of_a2q(magnitude):
    bits = magnitude_bits(magnitude)
    assert (1 << (bits - 1)) - 1 >= magnitude
    if bits > 1:
        assert (1 << (bits - 2)) - 1 < magnitude


def test_widths_beyond_64_bits_are_exact():
    weights = np.array([[(1 << 62), -(1 << 62), 1]])
    (row,) = row_bounds(weights, IntType.of_bits(32, signed=False), 64)
    assert row.hi == ((1 << 62) + 1) * ((1 << 32) - 1)
    assert row.lo == -(1 << 62) * ((1 << 32) - 1)
    assert l1_norms(weights) == ((1 << 63) + 1,)


def test_a_float32_width_would_be_wrong_here():
    # 2^24 + 1 has no float32: a width from log2 in single precision is one bit short
    weights = np.array([[(1 << 24) + 1]])
    (row,) = row_bounds(weights, IntType(0, 1), 26)
    assert (row.hi, row.exact) == ((1 << 24) + 1, 26)


@pytest.mark.parametrize(
    ("norm", "bits", "signed", "expected"),
    # ‖w‖₁ ≤ (2^(P − 1) − 1) / 2^(N − signed): 511 is the largest norm for P = 14, N = 4 unsigned
    [(511, 4, False, 14), (512, 4, False, 15), (1023, 4, True, 14), (127, 4, False, 12), (128, 4, False, 13)],
)
def test_the_a2q_bound_at_its_edge(norm, bits, signed, expected):
    (row,) = row_bounds(np.array([[norm]]), IntType.of_bits(bits, signed=signed), 12)
    assert row.l1 == expected


def test_the_a2q_plus_bound_at_its_edge():
    # ‖w‖₁ ≤ (2^P − 2) / (2^N − 1): 1092 for P = 14, N = 4
    for norm, expected in ((1092, 14), (1094, 15)):
        (row,) = row_bounds(np.array([[norm // 2, -norm // 2]]), IntType(0, 15), 12)
        assert row.a2q_plus == expected
