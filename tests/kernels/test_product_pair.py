"""Sizes of products. The module itself is simulated with the layers that are made of it."""

from __future__ import annotations

import pytest

from pipeline.dataflow.types import IntType
from pipeline.kernels.product_pair import product_adders, product_latency, product_width, recoded_digits, recodes_input


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("input_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("weight_bits", [2, 4, 7])
def test_every_product_fits_and_one_bit_less_does_not(input_bits, weight_bits, signed):
    input_, weight = IntType.of_bits(input_bits, signed=signed), IntType.of_bits(weight_bits, signed=True)
    products = [a * b for a in range(input_.lo, input_.hi + 1) for b in range(weight.lo, weight.hi + 1)]
    width = product_width(input_, weight)
    half = 1 << (width - 1)
    assert -half <= min(products) and max(products) < half
    assert min(products) < -half // 2 or max(products) >= half // 2


@pytest.mark.parametrize(("bits", "signed", "digits"), [(1, False, 1), (4, False, 3), (4, True, 2), (8, True, 4)])
def test_radix_4_digits_cover_a_factor(bits, signed, digits):
    factor = IntType.of_bits(bits, signed=signed)
    assert recoded_digits(factor) == digits
    reach = 2 * sum(4**i for i in range(digits))  # digits of -2 to 2
    assert -reach <= factor.lo and factor.hi <= reach


def test_the_factor_that_makes_fewer_adders_is_recoded():
    assert recodes_input(IntType(0, 1), IntType(-128, 127))
    assert not recodes_input(IntType(0, 255), IntType(-1, 0))
    assert product_latency(IntType(0, 1), IntType(-128, 127)) == 1
    assert product_adders(IntType(0, 1), IntType(-128, 127)) == 10  # a row of 8 bits and two
