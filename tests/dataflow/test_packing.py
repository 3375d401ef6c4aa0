"""Packing is the border between the reference and the hardware: what goes in must come out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.dataflow.packing import beat_bytes, pack, pack_word, unpack
from pipeline.dataflow.types import IntType

types = st.builds(
    lambda bits, signed, narrow: IntType.of_bits(bits, signed=signed, narrow=narrow and bits > 1),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
)


@given(st.data(), types, st.integers(1, 9), st.integers(1, 3))
def test_unpack_inverts_pack(data, type_, lanes, groups):
    shape = (2, 2, 1, lanes * groups)
    values = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(type_.lo, type_.hi)))
    beats = pack(values, type_, lanes)
    assert beats.shape == (4 * groups, beat_bytes(lanes, type_.bits))
    assert np.array_equal(unpack(beats, type_, lanes, shape[1:]), values)


def test_lane_zero_is_in_the_least_significant_bits():
    values = np.array([1, 2, -1]).reshape(1, 1, 1, 3)
    assert pack(values, IntType(-8, 7), 3).tolist() == [[0x21, 0x0F]]


def test_a_value_outside_of_the_type_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        pack(np.array([[[[16]]]]), IntType(0, 15), 1)


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=40))
def test_a_memory_word_holds_its_fields(values):
    word = pack_word(np.array(values), 4)
    fields = [(word >> (4 * i)) & 15 for i in range(len(values))]
    assert [f - 16 if f > 7 else f for f in fields] == values
