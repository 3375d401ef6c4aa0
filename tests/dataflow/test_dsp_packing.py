"""Rows side by side in a DSP, against a model of the DSP that knows nothing of lanes: exact at the bound, wrong a bit beyond."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.dsp_packing import (
    DSPS,
    Dsp,
    Packing,
    TapPacking,
    any_rows,
    any_taps,
    columns_that_fit,
    field_widths,
    lane_packings,
    pack_lanes,
    start_word,
)
from pipeline.dataflow.random_rows import draw_row
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

DSP48E2, DSP48E1 = DSPS["xcup"], DSPS["xc7"]
unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


def _cut(value: int, bits: int) -> int:
    """The number that the low `bits` of `value` are, two's complement."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _word(fields: list[int], widths: list[int], extents: list[int], port: int) -> int:
    """The number at a port of so many bits: fields of `widths`, with their signs repeated up to `extents`, the last one up to
    the port's end, bit by bit."""
    bits = ""
    for index, (field, width, extent) in enumerate(zip(fields, widths, extents, strict=True)):
        stored = [field >> i & 1 for i in range(width)]
        stored += [stored[-1]] * (port if index == len(fields) - 1 else max(extent - width, 0))
        bits += "".join(map(str, stored))[: None if index == len(fields) - 1 else extent]
    return _cut(int(bits[:port][::-1], 2), port)


def _sums(packing: Packing, fields: np.ndarray, inputs: np.ndarray, bias=None) -> list[int]:
    """What lanes hold after the columns of `fields` (rows, K) and `inputs` (pixels, K), pixel by pixel of a row: words of both
    factors built bit by bit, products added one after the other, lanes read as bits."""
    dsp, lanes = packing.dsp, packing.lanes
    offsets = [lane.offset for lane in lanes]
    rows = [above - below for below, above in pairwise([*offsets, dsp.a])]
    widths = [lane.field_bits for lane in lanes]
    bits = packing.input_type.bits + 1
    total = start_word(packing, bias)
    for column, elements in zip(fields.T.tolist(), np.atleast_2d(inputs).T.tolist(), strict=True):
        borrowed = [0, *(int(element < 0) for element in elements[:-1])]
        for pixel in range(1, len(elements)):  # an input is less what the one below has borrowed
            borrowed[pixel] = int(elements[pixel - 1] - borrowed[pixel - 1] < 0)
        pixels = [element - borrow for element, borrow in zip(elements, borrowed, strict=True)]
        b = _word(pixels, [bits] * len(pixels), [packing.stride] * len(pixels), dsp.b)
        total = _cut(total + _word(column, widths, rows, dsp.a) * b, dsp.p)
    places = [(lane, lane.offset + m * packing.stride) for lane in lanes for m in range(packing.pixels)]
    return [_cut((total >> place) ^ (1 << (lane.bits - 1)), lane.bits) for lane, place in places]


def _witnesses(row: np.ndarray, input_type: IntType) -> list[np.ndarray]:
    ends = input_type.lo, input_type.hi
    return [np.where(row > 0, *ends), np.where(row > 0, *ends[::-1])]


def _rows(count: int, bits: int, weight_bits: int, input_type: IntType) -> tuple[np.ndarray, np.ndarray]:
    """Rows (1, count, 25) and their biases (1, count): the sums of each reach an end of what `bits` hold."""
    rng = np.random.default_rng([count, bits, weight_bits])
    largest = max((1 << (weight_bits - 1)) - 1, 1)
    most = ((1 << bits) - 1) // (input_type.hi - input_type.lo)  # of the l1 norm, which the width of the range is of
    rows = np.array([draw_row(rng, 24, most - largest, 0.2, centred=False, largest=largest) for _ in range(count)])
    rows = np.concatenate([rows, np.full((count, 1), -largest)], axis=1)
    lows, highs = exact_range(rows, input_type)
    half = 1 << (bits - 1)
    bias = [-half - lo if row % 2 else half - 1 - hi for row, (lo, hi) in enumerate(zip(lows, highs, strict=True))]
    return rows[None], np.array(bias)[None]


# rows that a word takes at the accumulator's bits, and at most
BOUNDS = [
    # dsp, weight bits, input type, the bits that so many rows may have at most, rows
    (DSP48E2, 4, unsigned(4), 11, 3),
    (DSP48E2, 4, signed(4), 11, 3),
    (DSP48E2, 4, unsigned(4), 23, 2),
    (DSP48E2, 2, unsigned(2), 12, 3),
    (DSP48E2, 2, unsigned(2), 8, 4),
    (DSP48E2, 2, signed(3), 6, 5),
    (DSP48E2, 8, unsigned(8), 19, 2),
    (DSP48E2, 8, signed(8), 19, 2),
    (DSP48E1, 4, unsigned(4), 10, 3),
    (DSP48E1, 4, signed(4), 21, 2),
    (DSP48E1, 8, unsigned(8), 17, 2),
    (DSP48E1, 2, unsigned(1), 7, 4),
]


@pytest.mark.parametrize(("dsp", "weight_bits", "input_type", "bits", "rows"), BOUNDS)
def test_a_word_is_exact_at_the_bound_and_wrong_one_bit_beyond(dsp, weight_bits, input_type, bits, rows):
    weights, bias = _rows(rows, bits, weight_bits, input_type)
    columns = weights.shape[2]
    packing = Packing.of(weights, input_type, [bits] * rows, dsp, bias)
    packing.check(weights, bias)
    rng = np.random.default_rng(bits)
    vectors = [vector for row in weights[0] for vector in _witnesses(row, input_type)]
    vectors += list(rng.integers(input_type.lo, input_type.hi + 1, (5, columns)))
    for vector in vectors:
        order = rng.permutation(columns)
        sums = _sums(packing, packing.fields(weights)[0][:, order], vector[order], bias[0])
        assert sums == (weights[0] @ vector + bias[0]).tolist()

    with pytest.raises(ValueError, match="the port A|bits are more than"):  # one bit more is too much for the DSP
        Packing.of(weights, input_type, [bits + 1] * rows, dsp, bias)
    narrow = Packing.of(weights, input_type, [bits - 1] * rows, dsp, bias)  # and one less for the sums
    with pytest.raises(VerificationError, match=f"{bits - 1} bits, which do not hold its sums"):
        narrow.check(weights, bias)
    fields = narrow.fields(weights)[0]
    for row in range(rows):
        vectors = _witnesses(weights[0, row], input_type)
        right = [int(weights[0, row] @ vector + bias[0, row]) for vector in vectors]
        assert [_sums(narrow, fields, vector, bias[0])[row] for vector in vectors] != right


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_packed_is_exact(data):
    """Any widths of rows, weights, inputs; folds that share lanes; biases; whatever fits."""
    seed = data.draw(st.integers(0, 1 << 20))
    rng = np.random.default_rng(seed)
    folds, rows, columns = (data.draw(st.integers(1, most)) for most in (3, 5, 6))
    weight_bits, input_bits = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    input_type = IntType.of_bits(input_bits, signed=data.draw(st.booleans()))
    dsp = data.draw(st.sampled_from([DSP48E2, DSP48E1, Dsp("small", 12, 10, 24)]))
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, (folds, rows, columns))  # the lowest weight too, which meets borrows
    bias = rng.integers(-40, 40, (folds, rows)) if data.draw(st.booleans()) else None
    lows, highs = exact_range(weights.reshape(-1, columns), input_type, None if bias is None else bias.ravel())
    widths = np.array(list(map(range_bits, lows, highs))).reshape(folds, rows).max(axis=0).tolist()
    counts = pack_lanes(widths, _lane_fields(weights), input_type, dsp)
    ends = np.cumsum(counts).tolist()
    assert ends[-1] == rows
    for count, end in zip(counts, ends, strict=True):
        members = slice(end - count, end)
        starts = None if bias is None else bias[:, members]
        packing = Packing.of(weights[:, members], input_type, widths[members], dsp, starts)
        packing.check(weights[:, members], starts)
        fields = packing.fields(weights[:, members])
        for fold in range(folds):
            block = weights[fold, members]
            start = 0 if starts is None else starts[fold]
            vectors = [vector for row in block for vector in _witnesses(row, input_type)]
            for vector in [*vectors, rng.integers(input_type.lo, input_type.hi + 1, columns)]:
                expected = (block @ vector + start).tolist()
                assert _sums(packing, fields[fold], vector, None if starts is None else start) == expected
    for count, end in zip(counts[:-1], ends, strict=False):  # a word takes all that fit
        members = slice(end - count, end + 1)
        with pytest.raises(ValueError, match="port A|bits are more|do not hold fields"):
            Packing.of(weights[:, members], input_type, widths[members], dsp)


def _lane_fields(weights: np.ndarray) -> np.ndarray:
    """The bits of the fields of `weights` (folds, rows, K) by the rows below them in a word."""
    folds, rows, columns = weights.shape
    return field_widths(weights.reshape(-1, columns), rows).reshape(rows, folds, rows).max(axis=1)


PIXELS = [
    # dsp, weight bits, input type, the bits that lanes of so many rows and pixels may have at most, rows, pixels
    (DSP48E2, 4, unsigned(4), 11, 2, 2),
    (DSP48E2, 4, signed(4), 11, 2, 2),
    (DSP48E2, 4, unsigned(4), 13, 1, 2),
    (DSP48E2, 2, unsigned(2), 7, 1, 3),
    (DSP48E2, 2, signed(2), 6, 3, 2),
    (DSP48E1, 4, unsigned(4), 10, 2, 2),
]


@pytest.mark.parametrize(("dsp", "weight_bits", "input_type", "bits", "rows", "pixels"), PIXELS)
def test_pixels_side_by_side_are_exact_at_the_bound_and_wrong_one_bit_beyond(
    dsp, weight_bits, input_type, bits, rows, pixels
):
    weights, bias = _rows(rows, bits, weight_bits, input_type)
    packing = Packing.of(weights, input_type, [bits] * rows, dsp, bias, pixels=pixels)
    packing.check(weights, bias)
    rng = np.random.default_rng(bits)
    extremes = [vector for row in weights[0] for vector in _witnesses(row, input_type)]
    for _ in range(12):
        vectors = np.array([extremes[index] for index in rng.integers(0, len(extremes), pixels)])
        vectors[rng.random(vectors.shape) < rng.choice([0, 0.1, 1])] = rng.choice([input_type.lo, input_type.hi])
        expected = (weights[0] @ vectors.T + bias[0][:, None]).ravel().tolist()
        assert _sums(packing, packing.fields(weights)[0], vectors, bias[0]) == expected

    with pytest.raises(ValueError, match="the port [AB]|bits of . pixels are more than|do not hold fields"):
        Packing.of(weights, input_type, [bits + 1] * rows, dsp, bias, pixels=pixels)
    narrow = Packing.of(weights, input_type, [bits - 1] * rows, dsp, bias, pixels=pixels)
    with pytest.raises(VerificationError, match=f"{bits - 1} bits, which do not hold its sums"):
        narrow.check(weights, bias)
    vectors = np.array([_witnesses(weights[0, 0], input_type)] * pixels)[:, 0]
    for vector in _witnesses(weights[0, 0], input_type):
        vectors = np.array([vector] * pixels)
        if _sums(narrow, narrow.fields(weights)[0], vectors, bias[0])[0] != weights[0, 0] @ vector + bias[0, 0]:
            break
    else:
        pytest.fail("a lane that is too narrow is right")


def test_a_lane_holds_segments_of_a_row_that_it_does_not_hold():
    rng = np.random.default_rng(4)
    weights = rng.integers(-7, 8, (2, 3, 48))
    weights[0, 0, 8:16] = 7  # eight products of 4 by 4 bits are the most that 11 bits hold of any
    ends = max(map(range_bits, *exact_range(weights.reshape(-1, 48), unsigned(4))))
    assert ends > 11
    segments = tuple(range(0, 48, 8))
    packing = Packing.of(weights, unsigned(4), [11] * 3, DSP48E2, segments=segments)
    packing.check(weights)
    assert packing.lanes[0].hi == 8 * 7 * 15
    vector = rng.integers(0, 16, 48)
    for fold in range(2):
        parts = [
            _sums(packing, packing.fields(weights)[fold][:, first : first + 8], vector[first : first + 8])
            for first in segments
        ]
        assert np.sum(parts, axis=0).tolist() == (weights[fold] @ vector).tolist()
    longer = Packing.of(weights, unsigned(4), [11] * 3, DSP48E2, segments=(0, 24))
    with pytest.raises(VerificationError, match="has 11 bits, which do not hold its sums"):
        longer.check(weights)
    with pytest.raises(VerificationError, match="are not those of a row"):
        replace(packing, segments=(8, 16)).check(weights)


def test_a_field_is_the_weight_less_the_borrow_of_the_one_below():
    values = np.arange(-7, 8)
    weights = np.stack(np.meshgrid(values, values, values), axis=0).reshape(1, 3, -1)  # all triples
    packing = Packing.of(weights, unsigned(4), [9, 9, 9], DSP48E2)
    fields = packing.fields(weights)
    borrow = np.concatenate([np.zeros_like(fields[:, :1]), fields[:, :-1] < 0], axis=1)
    np.testing.assert_array_equal(fields, weights - borrow)
    assert [lane.field_bits for lane in packing.lanes] == [4, 4, 4]
    lowest = weights.copy()
    lowest[0, 1, 0] = -8  # below it is a -7, which borrows
    assert [lane.field_bits for lane in Packing.of(lowest, unsigned(4), [9, 9, 9], DSP48E2).lanes] == [4, 5, 4]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_is_said_of_any_rows_holds_for_each_and_no_more_rows_fit(data):
    """The rows that are the worst for a word are not packed where one more is said not to fit; lanes that do not hold a whole row
    hold as many of its columns as is said, and no more."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 20)))
    weight_bits, columns = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 12))
    input_type = IntType.of_bits(data.draw(st.integers(1, 8)), signed=data.draw(st.booleans()))
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, (6, columns))
    bits = max(map(range_bits, *exact_range(weights, input_type)))
    ends = IntType(int(weights.min()), int(weights.max()))
    for dsp in DSPS.values():
        packings = lane_packings(weights, input_type, bits, dsp)
        for said in [packing for packing in packings if packing.taps == 1]:
            count = len(said.offsets) // said.pixels
            segments = tuple(range(0, columns, said.columns))
            rows = weights[None, rng.integers(0, len(weights), count)]
            packing = Packing.of(rows, input_type, [said.bits] * count, dsp, pixels=said.pixels, segments=segments)
            packing.check(rows)
            assert tuple(packing.offsets()) == said.offsets
            if said.bits < bits:
                assert not any_rows(ends, input_type, said.bits + 1, dsp, count, said.pixels)
                assert columns_that_fit(weights, input_type, said.bits) == said.columns < columns
        for taps in (2, 3):
            said = [packing for packing in packings if packing.taps == taps]
            assert len(said) == any_taps(ends, input_type, bits, dsp, taps, 2)
            if said:
                (packed,) = said
                assert (packed.pixels, packed.bits, packed.columns) == (2, bits, columns)
                packing = TapPacking.of(weights[:taps], input_type, bits, dsp, 2)
                assert tuple(packing.offsets()) == packed.offsets
        one_more = 1 + sum(said.pixels == said.taps == 1 and said.bits == bits for said in packings)
        worst = np.full((1, one_more, 1), ends.lo)
        worst[:, -1] = ends.hi if ends.hi > -ends.lo else ends.lo
        worst = np.concatenate([worst, np.full_like(worst, ends.lo)], axis=2)
        with pytest.raises(ValueError, match="the port A|bits are more|do not hold fields"):
            Packing.of(worst, input_type, [bits] * one_more, dsp)


LIES = {
    "a range": ({"lo": -1}, "is for sums from -1 to"),
    "a lane that is too narrow": ({"bits": 3}, "do not fit|do not hold"),
    "an offset": ({"offset": 1}, "do not fit 48 bits side by side"),
    "fields": ({"field_bits": 2}, "the fields of lane 0 are wider, 2 bits"),
}


@pytest.mark.parametrize(("change", "message"), LIES.values(), ids=LIES)
def test_a_proof_that_does_not_hold_is_refused(change, message):
    weights = np.random.default_rng(0).integers(-7, 8, (1, 3, 9))
    packing = Packing.of(weights, unsigned(4), [11, 11, 11], DSP48E2)
    packing.check(weights)
    lie = replace(packing, lanes=(replace(packing.lanes[0], **change), *packing.lanes[1:]))
    with pytest.raises(VerificationError, match=message):
        lie.check(weights)
    with pytest.raises(VerificationError, match="which do not hold|its rows give"):
        packing.check(weights * 2)
    with pytest.raises(VerificationError, match="the port B does not hold the inputs, 2 bits"):
        replace(packing, dsp=replace(DSP48E2, b=2)).check(weights)
    with pytest.raises(VerificationError, match="the port A does not hold the weights side by side, 25 bits"):
        replace(packing, dsp=DSP48E1).check(weights)


def test_what_no_dsp_holds_is_said():
    weights = np.array([[1 << 30, -5]])
    with pytest.raises(ValueError, match="the port A of a DSP48E2, 27 bits, does not hold weights of 32"):
        pack_lanes([36], field_widths(weights, 1), unsigned(4), DSP48E2)
    with pytest.raises(ValueError, match="the port B of a DSP48E1, 18 bits, does not hold inputs of UINT18"):
        pack_lanes([19], np.array([[2]]), unsigned(18), DSP48E1)
    with pytest.raises(ValueError, match="lanes of 49 bits are more than the 48 of a DSP48E2"):
        pack_lanes([49], np.array([[2]]), unsigned(17), DSP48E2)
    with pytest.raises(ValueError, match="lanes of 4 bits are narrower than an input of UINT4 and its borrow"):
        pack_lanes([4], np.array([[2]]), unsigned(4), DSP48E2, pixels=2)


# -- columns of a kernel ----------------------------------------------------------------------------------------------


def _convolved(packing: TapPacking, fields: np.ndarray, rows: np.ndarray, bias: int = 0) -> list[int]:
    """What the lowest lanes hold after each word of `rows` (rows of the image, W, K) and of zeros behind each, for the `fields`
    (T, K): words of both factors built bit by bit, and each sum started from the one before, cut as bits."""
    dsp, bits, pixels, taps = packing.dsp, packing.bits, packing.pixels, len(fields)
    begins = sum((bias + (1 << bits - 1)) << bits * lane for lane in range(taps - 1, taps - 1 + pixels))
    extents = [bits] * taps
    read: list[int] = []
    word = sum((bias + (1 << bits - 1)) << bits * lane for lane in range(pixels, pixels + taps - 1))  # of zeros before
    for row in rows:
        for j in range(0, len(row) + pixels, pixels):
            vectors = row[j : j + pixels] if j < len(row) else np.zeros((pixels, row.shape[1]), int)
            word = begins + (word >> bits * pixels) % (1 << bits * (taps - 1))
            for column, elements in zip(fields.T.tolist(), vectors.T.tolist(), strict=True):
                borrow, stored = 0, []
                for element in elements:
                    stored.append(element - borrow)
                    borrow = int(stored[-1] < 0)
                b = _word(stored, [packing.input_type.bits + 1] * pixels, [bits] * pixels, dsp.b)
                word = (word + _word(column, list(packing.field_bits), extents, dsp.a) * b) % (1 << dsp.p)
            read += [_cut((word >> bits * lane) ^ (1 << bits - 1), bits) for lane in range(pixels)]
    return read


def _expected(weights: np.ndarray, rows: np.ndarray, pixels: int, bias: int) -> list[int]:
    """The same by the sums: `weights` (T, K), the last column first."""
    taps, sums = len(weights), []
    for row in rows:
        padded = np.concatenate([np.zeros((taps - 1, row.shape[1]), int), row, np.zeros((pixels, row.shape[1]), int)])
        for n in range(len(row) + pixels):
            sums.append(bias + int((weights[::-1] * padded[n : n + taps]).sum()))
    return sums


TAPS = [
    # dsp, weight bits, input type, the most bits of a lane, columns of the kernel, pixels
    (DSP48E2, 4, unsigned(4), 11, 3, 2),
    (DSP48E2, 4, signed(4), 11, 3, 2),
    (DSP48E2, 4, unsigned(4), 13, 2, 2),
    (DSP48E2, 4, signed(4), 13, 2, 2),
    (DSP48E2, 2, unsigned(2), 12, 3, 2),
    (DSP48E2, 2, signed(2), 7, 4, 3),
    (DSP48E1, 4, unsigned(4), 10, 3, 2),
    (DSP48E1, 8, unsigned(4), 13, 2, 2),
]


@pytest.mark.parametrize(("dsp", "weight_bits", "input_type", "bits", "taps", "pixels"), TAPS)
def test_columns_of_a_kernel_are_exact_at_the_bound_and_wrong_one_bit_beyond(
    dsp, weight_bits, input_type, bits, taps, pixels
):
    rows, (bias,) = (part[0] for part in _rows(1, bits, weight_bits, input_type))
    weights = np.resize(np.append(rows[0], np.zeros(-len(rows[0]) % taps, int)), (taps, -(-len(rows[0]) // taps)))
    packing = TapPacking.of(weights, input_type, bits, dsp, pixels, int(bias))
    packing.check(weights, int(bias))
    assert packing.offsets() == [bits * lane for lane in range(taps + pixels - 1)]
    rng = np.random.default_rng(bits)
    shape = (2, 2 * pixels, weights.shape[1])
    image = rng.integers(input_type.lo, input_type.hi + 1, (4, *shape))
    for index, witness in enumerate(_witnesses(weights[::-1], input_type)):  # a window that takes a sum to an end
        image[index, :, pixels - 1 : pixels - 1 + taps] = witness
    for frame in image:
        got = _convolved(packing, packing.fields(weights), frame, int(bias))
        assert got == _expected(weights, frame, pixels, int(bias))

    with pytest.raises(
        ValueError, match="the port A|the port B|bits are more than"
    ):  # one bit more is too much for the DSP
        TapPacking.of(weights, input_type, bits + 1, dsp, pixels, int(bias))
    narrow = TapPacking.of(weights, input_type, bits - 1, dsp, pixels, int(bias))  # and one less for the sums
    with pytest.raises(VerificationError, match=f"{bits - 1} bits, which do not hold the sums"):
        narrow.check(weights, int(bias))
    got = [_convolved(narrow, narrow.fields(weights), frame, int(bias)) for frame in image[:2]]
    assert got != [_expected(weights, frame, pixels, int(bias)) for frame in image[:2]]


def test_a_proof_of_columns_of_a_kernel_that_does_not_hold_is_refused():
    weights = np.random.default_rng(0).integers(-7, 8, (3, 4))
    packing = TapPacking.of(weights, unsigned(4), 11, DSP48E2, 2)
    packing.check(weights)
    for change, message in (
        ({"lo": -1}, "are for sums from -1 to"),
        ({"bits": 8}, "which do not hold the sums"),
        ({"field_bits": (3, 4, 4)}, r"the fields of \[3, 4, 4\] bits do not hold the weights"),
        ({"dsp": DSP48E1}, "the port A of a DSP48E1"),
        ({"pixels": 1}, "3 columns of a kernel are to be in 3 fields of a word of 1 pixels"),
        ({"input_type": IntType(1, 15)}, "no inputs of"),
    ):
        with pytest.raises(VerificationError, match=message):
            replace(packing, **change).check(weights)
    with pytest.raises(VerificationError, match="the row gives"):
        packing.check(weights * 2)
    with pytest.raises(ValueError, match="zeros beside rows are no inputs of"):
        TapPacking.of(weights, IntType(1, 15), 11, DSP48E2, 2)
    with pytest.raises(ValueError, match="4 columns of a kernel are more than one and the 2 pixels"):
        TapPacking.of(np.ones((4, 2), int), unsigned(2), 9, DSP48E2, 2)
    with pytest.raises(ValueError, match="lanes of 4 bits are narrower than an input of UINT4"):
        TapPacking.of(np.ones((2, 2), int), unsigned(4), 4, DSP48E2, 2)
