"""The driver's packing against its definition, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from a2q_driver import packing
from a2q_driver.errors import DtypeError, RangeError
from a2q_driver.packing import beat_bytes, element_type, pack, slot_bytes, unpack


def defined(values: np.ndarray, bits: int, lanes: int, slot: int) -> np.ndarray:
    """The slots by definition: lane i in bits i · `bits` and up of a little-endian number."""
    rows = []
    for beat in values.reshape(-1, lanes).tolist():
        word = sum((value & ((1 << bits) - 1)) << (lane * bits) for lane, value in enumerate(beat))
        rows.append(list(word.to_bytes(slot, "little")))
    return np.array(rows, np.uint8).reshape(-1, slot)


def limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


@given(st.data(), st.integers(1, 64), st.booleans(), st.integers(1, 40), st.integers(0, 5), st.integers(0, 9))
def test_slots_are_as_defined_and_unpack_inverts_pack(data, bits, signed, lanes, beats, more):
    lo, hi = limits(bits, signed)
    dtype = data.draw(st.sampled_from([element_type(bits, signed), np.dtype(np.int64 if signed else np.uint64)]))
    values = data.draw(hnp.arrays(dtype, (beats, lanes), elements=st.integers(lo, hi)))
    slot = beat_bytes(lanes, bits) + more
    slots = pack(values, bits, signed, lanes, slot)
    assert slots.shape == (beats, slot)
    assert np.array_equal(slots, defined(values, bits, lanes, slot))
    unpacked = unpack(slots, bits, signed, lanes)
    assert unpacked.dtype == element_type(bits, signed)
    assert np.array_equal(unpacked, values)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(1, 33))
def test_every_width_in_blocks(bits, signed, monkeypatch):
    monkeypatch.setattr(packing, "_BLOCK", 64)
    lo, hi = limits(bits, signed)
    for lanes in (1, 2, 3, 8, 12, 27):
        values = np.random.default_rng(bits).integers(lo, hi + 1, (29, lanes))
        slot = slot_bytes(beat_bytes(lanes, bits))
        slots = pack(values, bits, signed, lanes, slot)
        assert np.array_equal(slots, defined(values, bits, lanes, slot)), lanes
        assert np.array_equal(unpack(slots, bits, signed, lanes), values), lanes


@settings(max_examples=30)
@given(st.integers(1, 16), st.integers(1, 9), st.integers(0, 2**32))
def test_the_memory_that_is_written_may_hold_anything(bits, lanes, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1 << bits, (7, lanes))
    slot = slot_bytes(beat_bytes(lanes, bits))
    memory = rng.integers(0, 256, (7, slot), np.uint8)
    assert pack(values, bits, False, lanes, slot, out=memory) is memory
    assert np.array_equal(memory, defined(values, bits, lanes, slot))


def test_what_lies_behind_a_beat_does_not_count():
    slots = pack(np.array([[1, 2, 3]]), 3, False, 3, 4)
    slots[0, 2:] = 0xFF
    assert unpack(slots, 3, False, 3).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("dtype", [">i4", ">u2", "<i8", "u1"])
def test_any_integer_type_and_any_layout(dtype):
    values = np.arange(24, dtype=dtype).reshape(4, 6)[:, ::2]
    assert np.array_equal(pack(values, 5, False, 3, 2), defined(values, 5, 3, 2))


def test_values_that_do_not_fit_are_refused():
    with pytest.raises(RangeError, match=r"from -1 to 8 do not fit unsigned 3-bit integers, 0 to 7"):
        pack(np.array([[-1, 8]]), 3, False, 2, 1)
    with pytest.raises(RangeError, match="do not fit signed 3-bit integers, -4 to 3"):
        pack(np.array([[4]], np.uint8), 3, True, 1, 1)
    with pytest.raises(DtypeError, match="float32"):
        pack(np.zeros((1, 2), np.float32), 3, False, 2, 1)
    with pytest.raises(ValueError, match="65 bits"):
        element_type(65, signed=False)


def test_a_beat_of_no_bytes_has_no_slot():
    with pytest.raises(ValueError, match="0 bytes"):
        slot_bytes(0)
