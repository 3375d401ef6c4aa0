import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataflow.types import IntType


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**70))
def test_bits_are_the_fewest_that_hold_the_interval(lo, span):
    type_ = IntType(lo, lo + span)
    full = IntType.of_bits(type_.bits, signed=type_.signed)
    assert full.lo <= type_.lo and type_.hi <= full.hi
    if type_.bits > 1:
        smaller = IntType.of_bits(type_.bits - 1, signed=type_.signed)
        assert type_.lo < smaller.lo or type_.hi > smaller.hi


def test_narrow_and_names():
    assert IntType.of_bits(2, signed=True, narrow=True) == IntType(-1, 1)
    assert IntType(0, 0).name == "UINT1"
    assert IntType(-128, 127).name == "INT8"


@pytest.mark.parametrize(("lo", "hi", "name"), [(0, 256, "uint16"), (-129, 0, "int16"), (0, 1 << 32, "int64")])
def test_the_numpy_type_holds_the_interval(lo: int, hi: int, name: str) -> None:
    assert IntType(lo, hi).dtype == name
