from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.devices.resources import PART_KEYS, REPORT_KEYS, Resources

FIELDS = [field.name for field in fields(Resources)]
AMOUNTS = st.tuples(*(st.integers(0, 10**6) for _ in FIELDS)).map(lambda amounts: Resources(*amounts))


def test_every_field_has_a_key_in_reports():
    assert list(REPORT_KEYS.values()) == FIELDS and set(PART_KEYS) < set(REPORT_KEYS)


@given(AMOUNTS, AMOUNTS, st.integers(0, 9))
def test_resources_add_up_field_by_field(one, other, count):
    for name in FIELDS:
        assert getattr(one + other * count, name) == getattr(one, name) + getattr(other, name) * count


@given(AMOUNTS)
def test_what_is_written_to_a_report_is_read_from_it(resources):
    assert Resources.from_report(resources.to_report()) == resources


def test_keys_of_a_report_are_written_in_the_order_asked_for():
    assert list(Resources(lut=3, uram=1.5).to_report(("URAM", "LUT")).items()) == [("URAM", 1.5), ("LUT", 3)]


def test_a_report_without_a_key_is_refused():
    with pytest.raises(KeyError, match="FF"):
        Resources.from_report({"LUT": 1}, ("LUT", "FF"))


@pytest.mark.parametrize("key", PART_KEYS)
def test_a_part_holds_no_more_than_it_has(key):
    part = Resources(lut=10, ff=20, bram_18k=4, uram=2, dsp=6)
    most = Resources.from_report(part.to_report([key]), [key])
    more = most + Resources.from_report({key: 0.5}, [key])
    has = getattr(part, REPORT_KEYS[key])
    assert most.fits(part) and not more.fits(part)
    assert most.exceeded(part) == {} and more.exceeded(part) == {key: (has + 0.5, has)}


def test_luts_used_as_memory_have_no_limit_besides_that_of_luts():
    assert Resources(lut=10, lutram=6, srl=4, carry=3).fits(Resources(lut=10))


def test_halves_of_a_block_of_36_kb_occur():
    assert Resources(bram_18k=3).bram_36k == 1.5
