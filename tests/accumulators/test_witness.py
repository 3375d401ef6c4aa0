"""Witnesses reach the ends of the range, through the layer's own reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.accumulators.witness import Witness, lane_witnesses, witness_inputs
from pipeline.dataflow.bounds import exact_range
from pipeline.dataflow.types import IntType
from pipeline.kernels.mvau import MVAU


@st.composite
def units(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 20))
    weights = np.array(draw(st.lists(st.integers(-8, 7), min_size=rows * columns, max_size=rows * columns)), np.int64)
    bias = draw(st.none() | st.lists(st.integers(-99, 99), min_size=rows, max_size=rows))
    return MVAU(
        "MVAU_0",
        ("a",),
        ("b",),
        weights=weights.reshape(rows, columns),
        input_type=IntType.of_bits(draw(st.integers(1, 4)), signed=draw(st.booleans())),
        output_type=IntType(-(10**6), 10**6),
        pixels=(1, 1),
        bias=None if bias is None else np.array(bias, np.int64),
        pe=draw(st.sampled_from([pe for pe in range(1, rows + 1) if rows % pe == 0])),
    )


@given(units())
@settings(deadline=None, max_examples=80)
def test_every_lane_reaches_both_ends_of_its_range(unit):
    lo, hi = exact_range(unit.weights, unit.input_type, unit.bias)
    inputs = witness_inputs(unit)
    assert unit.input_type.contains(inputs)
    (sums,) = unit.reference(inputs[:, None, None, :])
    for lane in range(unit.pe):
        of_lane = sums[:, 0, 0, lane :: unit.pe]
        assert of_lane.min() == min(lo[lane :: unit.pe])
        assert of_lane.max() == max(hi[lane :: unit.pe])


@given(units())
@settings(deadline=None, max_examples=40)
def test_a_witness_states_the_sum_it_gives(unit):
    for witness in lane_witnesses(unit):
        vector = witness.vector(unit.input_type, unit.mw)
        (sums,) = unit.reference(vector[None, None, None, :])
        assert sums[0, 0, 0, witness.channel] == witness.value


def test_no_vector_is_sent_twice():
    unit = MVAU("m", ("a",), ("b",), weights=np.ones((4, 3), np.int64), input_type=IntType(0, 1),
                output_type=IntType(0, 3), pixels=(1, 1), pe=4)  # fmt: skip
    assert witness_inputs(unit).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_bit_i_of_the_witness_is_element_i():
    assert Witness(0, 0, 0b101).vector(IntType(-2, 1), 4).tolist() == [1, -2, 1, -2]
