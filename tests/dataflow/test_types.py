import numpy as np
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


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ([0, 255], True),
        ([-1], False),
        ([256], False),
        ([3.0], True),
        ([0.5], False),
        ([np.nan], False),
        ([np.inf], False),
    ],
)
def test_only_whole_numbers_of_the_interval_are_held(values: list, held: bool) -> None:
    assert IntType(0, 255).contains(np.array(values)) is held
    assert IntType(0, 255).contains(np.array(["1"])) is False
    with pytest.raises(ValueError, match="an integer of 0 bits; expected 1 or more"):
        IntType.of_bits(0, signed=True)


def test_narrow_and_names():
    assert IntType.of_bits(2, signed=True, narrow=True) == IntType(-1, 1)
    assert IntType(0, 0).name == "UINT1"
    assert IntType(-128, 127).name == "INT8"


@pytest.mark.parametrize(("lo", "hi", "name"), [(0, 256, "uint16"), (-129, 0, "int16"), (0, 1 << 32, "int64")])
def test_the_numpy_type_holds_the_interval(lo: int, hi: int, name: str) -> None:
    assert IntType(lo, hi).dtype == name
