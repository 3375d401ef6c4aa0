"""Requantizers: equal to thresholds at every integer of a range, narrow, and absent where there is none."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.dataflow import requantize
from pipeline.dataflow.requantize import Requantizer, find_requantizer
from pipeline.kernels.threshold_search import count_thresholds

_FEW_BITS = 3  # of multipliers that are all tried


def _one(value: int) -> np.ndarray:
    return np.array([value])


def _everywhere(requantizer: Requantizer, thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, lowest: int) -> None:
    """Compare at every integer of the range of each channel, by the definition of both."""
    for channel, row in enumerate(thresholds):
        m, b = int(requantizer.multipliers[channel]), int(requantizer.addends[channel])
        values = np.arange(lo[channel], hi[channel] + 1)
        expected = lowest + count_thresholds(values[:, None], row[None])[:, 0]
        sums = [value * m + b for value in values.tolist()]
        levels = [total // (1 << requantizer.shift) for total in sums]
        if requantizer.half_even:
            half = Fraction(1, 2)
            levels = [round(Fraction(total, 1 << requantizer.shift) - half) for total in sums]
        assert [min(max(level, lowest), lowest + len(row)) for level in levels] == expected.tolist()


@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=7),
    st.integers(-30, 30),
    st.integers(0, 45),
    st.sampled_from([0, -1, -4, 3]),
)
def test_any_thresholds(thresholds: list[int], lo: int, reach: int, lowest: int):
    """Thresholds at random have a requantizer that is equal everywhere, or none at all of few bits."""
    rows, ends = np.sort(thresholds)[None], (_one(lo), _one(lo + reach))
    result = find_requantizer(rows, *ends, lowest)
    if result is not None:
        _everywhere(result, rows, *ends, lowest)
        assert result.first_difference(rows, *ends, lowest) is None
    narrow = _least_bits(rows[0], lo, lo + reach, lowest)
    if result is None:
        assert narrow is None
    else:
        assert (narrow is None) == (result.multiplier_bits > _FEW_BITS)  # one channel is common to itself
        assert narrow in (None, result.multiplier_bits)


def _least_bits(row: np.ndarray, lo: int, hi: int, lowest: int) -> int | None:
    """The bits of the narrowest multiplier, by trying each of few bits with each shift and rounding."""
    values = np.arange(lo, hi + 1)
    levels = lowest + (values[:, None] >= row).sum(axis=1)
    highest = lowest + len(row)
    for m, shift, odd in product(range(1 << _FEW_BITS), range(12), (0, 1)):
        # what makes w = v·m + b end at the level of each v, if that is not where it is clipped
        least = (levels << shift) + odd * (levels & 1) - values * m
        most = (levels + 1 << shift) + odd * (levels + 1 & 1) - 1 - values * m
        lower, upper = least[levels > lowest], most[levels < highest]
        if shift >= odd and (not lower.size or not upper.size or lower.max() <= upper.min()):
            return max(m.bit_length(), 1)
    return None


@st.composite
def _quantizers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Thresholds of quantizers with a scale and a bias a channel, rounded half to even, exactly."""
    channels = draw(st.integers(1, 4))
    count, lowest = draw(st.sampled_from([(1, 0), (2, -1), (15, 0), (14, -7), (63, 0), (255, -128)]))
    power = draw(st.booleans())
    rows, lows, highs = [], [], []
    for _ in range(channels):
        scale = Fraction(1, 1 << draw(st.integers(0, 6)) if power else draw(st.integers(1, 60)))
        bias = Fraction(draw(st.integers(-300, 300)), 1 << draw(st.integers(0, 6)))
        bias += 0 if power else Fraction(1, 127)  # no halves: where all of them go to even, only powers of two follow
        lo = draw(st.integers(-1000, 200))
        hi = lo + draw(st.integers(0, 2000))
        values = [round(value * scale + bias) for value in range(lo, hi + 1)]
        # the first integer of each level; those that are never reached are one beyond
        rows.append([lo + int(np.searchsorted(values, lowest + 1 + i)) for i in range(count)])
        lows.append(lo)
        highs.append(hi)
    return np.array(rows), np.array(lows), np.array(highs), lowest


@given(_quantizers())
def test_quantizers_with_scales(quantizer: tuple[np.ndarray, np.ndarray, np.ndarray, int]):
    """What rounds a product with a scale has a requantizer, whatever the range cuts off."""
    thresholds, lo, hi, lowest = quantizer
    result = find_requantizer(thresholds, lo, hi, lowest)
    assert result is not None
    _everywhere(result, thresholds, lo, hi, lowest)
    assert result.first_difference(thresholds, lo, hi, lowest) is None


@given(_quantizers(), st.data())
def test_a_wrong_requantizer_is_noticed(quantizer: tuple[np.ndarray, np.ndarray, np.ndarray, int], data: st.DataObject):
    """A threshold that is moved by one, within the range, is a difference that is named."""
    thresholds, lo, hi, lowest = quantizer
    result = find_requantizer(thresholds, lo, hi, lowest)
    assert result is not None
    inside = np.argwhere((thresholds > lo[:, None]) & (thresholds < hi[:, None]))
    assume(len(inside))
    channel, place = data.draw(st.sampled_from(inside.tolist()))
    moved = thresholds.copy()
    moved[channel, place:] = np.maximum(thresholds[channel, place:], thresholds[channel, place] + 1)
    difference = result.first_difference(moved, lo, hi, lowest)
    assert difference == (channel, int(thresholds[channel, place]))


def test_powers_of_two_that_round_half_to_even_need_no_multiplier():
    """Thresholds 63 and 65 apart by turns have no floor of few bits, and a multiplier of 1 where halves go to even."""
    levels = np.arange(1, 256)
    thresholds = (64 * levels - 32 + levels % 2)[None]
    assert set(np.diff(thresholds[0])) == {63, 65}
    result = find_requantizer(thresholds, _one(-20_000), _one(20_000), 0)
    assert result is not None
    assert (result.common_multiplier, result.shift, result.half_even) == (1, 6, True)


def test_channels_share_a_multiplier_where_there_is_one():
    """A channel of one level, and one of two, take the multiplier of the others; so do channels of one scale."""
    thresholds = np.array([[64 * n for n in range(1, 16)], [5000] * 15, [-5000] * 15, [990] + [5000] * 14])
    result = find_requantizer(thresholds, np.full(4, -1000), np.full(4, 1000), 0)
    assert result is not None
    assert result.common_multiplier == 1
    assert result.addend_zeros > 0 and not (result.addends % (1 << result.addend_zeros)).any()
    _everywhere(result, thresholds, np.full(4, -1000), np.full(4, 1000), 0)
    scaled = np.array([[-((500 + offset - 1000 * n) // 77) for n in range(1, 16)] for offset in range(8)])
    result = find_requantizer(scaled, np.full(8, -1000), np.full(8, 1000), 0)
    assert result is not None
    assert result.common_multiplier is not None and result.multiplier_bits > 1
    _everywhere(result, scaled, np.full(8, -1000), np.full(8, 1000), 0)


@pytest.mark.parametrize("reach", [1 << 20, 1 << 31, 1 << 44])
def test_ranges_of_any_width(reach: int):
    """Beyond 64 bits on the way the numbers are Python's: the same thresholds have the same requantizer, far apart."""
    levels = np.arange(1, 16)
    thresholds = (levels * (reach >> 5))[None]
    result = find_requantizer(thresholds, _one(-reach), _one(reach), 0)
    assert result is not None
    assert result.common_multiplier == 1
    points = np.concatenate([thresholds[0], thresholds[0] - 1, [-reach, reach]])
    expected = count_thresholds(points[:, None], thresholds)
    np.testing.assert_array_equal(result.levels(points[:, None], 0, 15), expected)


def test_none_for_values_that_are_too_wide():
    """A scale that is no power of two, on values of 60 bits, needs multipliers of as many."""
    levels = np.arange(1, 16, dtype=object)
    thresholds = (levels * (1 << 55) * 10 // 7).astype(np.int64)[None]
    reach = (1 << 59) - 1
    assert find_requantizer(thresholds, _one(-reach), _one(reach), 0) is None
    narrow = thresholds >> 45
    assert find_requantizer(narrow, _one(-reach >> 45), _one(reach >> 45), 0) is not None


def test_none_where_steps_are_not_uniform():
    thresholds = np.array([[0, 1, 2, 100, 200, 201]])
    assert find_requantizer(thresholds, _one(-300), _one(300), 0) is None


def test_none_of_few_bits():
    """A slope of 7 levels in 100 has no multiplier of 2 bits."""
    thresholds = np.array([[-(-100 * n // 7) for n in range(1, 30)]])
    ends = _one(-500), _one(500)
    assert find_requantizer(thresholds, *ends, 0, most_bits=2) is None
    result = find_requantizer(thresholds, *ends, 0)
    assert result is not None and result.multiplier_bits > 2


@pytest.mark.parametrize(
    ("multipliers", "addends", "shift", "half_even", "message"),
    [
        ([1, 2], [0], 0, False, "one of each a channel"),
        ([-1], [0], 0, False, "must be 0 or more"),
        ([1], [0], -1, False, "shift of -1"),
        ([1], [0], 0, True, "must be 1 or more"),
    ],
)
def test_what_is_no_requantizer(multipliers, addends, shift, half_even, message):
    with pytest.raises(ValueError, match=message):
        Requantizer(np.array(multipliers), np.array(addends), shift, half_even)


@given(
    st.lists(st.lists(st.integers(-40, 40), min_size=9, max_size=9), min_size=1, max_size=3),
    st.integers(-30, 30),
    st.integers(0, 45),
    st.sampled_from([0, -1, -4, 3]),
    st.integers(1, 9),
)
def test_the_corners_decide(rows: list[list[int]], lo: int, reach: int, lowest: int, block: int):
    """Of thresholds at random, in blocks or at once, and whatever is left out as no corner, the requantizer is the same."""
    thresholds = np.sort(rows, axis=1)
    ends = np.full(len(rows), lo), np.full(len(rows), lo + reach)
    expected = find_requantizer(thresholds, *ends, lowest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requantize, "_FEW", 0)
        for many in (1, 1 << 10):
            patch.setattr(requantize, "_MANY", many)
            found = find_requantizer((thresholds[:, i : i + block] for i in range(0, 9, block)), *ends, lowest)
            assert (found is None) == (expected is None)
            if found and expected:
                assert (found.shift, found.half_even) == (expected.shift, expected.half_even)
                np.testing.assert_array_equal(found.multipliers, expected.multipliers)
                np.testing.assert_array_equal(found.addends, expected.addends)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("scale", [(1, 4), (1, 5), (3, 13)], ids=str)
def test_many_levels_at_every_integer(bits: int, scale: tuple[int, int]):
    """Of 2^18 integers; scales of odd denominators are moved off the halves, which go to even for powers of two."""
    numerator, denominator = scale
    lo, hi = -(1 << 17), (1 << 17) - 1
    lowest, count = -(1 << (bits - 1)), (1 << bits) - 1
    levels = lowest + 1 + np.arange(count)
    sums = (2 * levels - 1) * denominator - (denominator % 2) * 3  # twice the numerator of what reaches a level
    thresholds = -(-sums // (2 * numerator))
    thresholds += (thresholds * 2 * numerator == sums) & (levels % 2 == 1) & (denominator % 2 == 0)
    result = find_requantizer(thresholds[None], _one(lo), _one(hi), lowest, 32)
    assert result is not None
    values = np.arange(lo, hi + 1)[:, None]
    np.testing.assert_array_equal(
        result.levels(values, lowest, lowest + count), lowest + count_thresholds(values, thresholds[None])
    )
    assert result.multiplier_bits == 1 or denominator % 2
    assert result.first_difference(thresholds[None], _one(lo), _one(hi), lowest) is None


def test_none_of_many_uneven_steps_is_soon_known():
    """Steps of a curve are corners, every one of them: a part of them is enough to see that there is none."""
    curve = np.rint(np.sqrt(np.arange(1, 1 << 14)) * 5000).astype(np.int64)[None]
    started = []
    with pytest.MonkeyPatch.context() as patch:
        solve = requantize._Problem.solve
        patch.setattr(
            requantize._Problem,
            "solve",
            lambda problem, *bits, **how: started.append(problem.reached.values.size) or solve(problem, *bits, **how),
        )
        assert find_requantizer(curve, _one(0), _one(1 << 20), 0) is None
    assert len(started) == 2 and max(started) < 100


def test_values_between_those_that_occur_are_free():
    """Of sums that are all multiples of 7 a threshold may lie anywhere above the last one below."""
    thresholds = np.array([[7 * (3 * n // 2) for n in range(1, 12)]])
    ends = _one(0), _one(140)
    missed = thresholds - 7
    result = find_requantizer(thresholds, *ends, 0, missed=missed)
    alone = find_requantizer(thresholds, *ends, 0)
    values = np.arange(0, 141, 7)[:, None]
    assert result is not None
    np.testing.assert_array_equal(result.levels(values, 0, 11), count_thresholds(values, thresholds))
    assert alone is None or alone.multiplier_bits > result.multiplier_bits
