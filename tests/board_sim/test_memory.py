"""DRAM: buffers have addresses of their own, stay in their bounds and are gone when they are freed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.board_sim.errors import OutOfMemoryError, RequestError, UnknownBufferError
from pipeline.board_sim.memory import BUFFER_LIMIT, MEMORY_LIMIT, PAGE_BYTES, Memory

BASE = 0x10000000


@pytest.fixture
def memory() -> Memory:
    return Memory(BASE, 2 * MEMORY_LIMIT)


def test_a_buffer_is_zeroed_and_aligned_to_pages(memory):
    buffers = [memory.allocate(size, True, "peer") for size in (1, PAGE_BYTES, PAGE_BYTES + 1, 10)]
    assert [buffer.address - BASE for buffer in buffers] == [0, PAGE_BYTES, 2 * PAGE_BYTES, 4 * PAGE_BYTES]
    assert [len(buffer.data) for buffer in buffers] == [1, PAGE_BYTES, PAGE_BYTES + 1, 10]
    assert not any(buffer.data.any() for buffer in buffers)
    assert memory.used == 5 * PAGE_BYTES


def test_an_address_is_found_in_its_buffer_only(memory):
    buffer = memory.allocate(100, True, "peer")
    buffer.data[:] = np.arange(100)
    assert memory.view(buffer.address, 100).tolist() == list(range(100))
    assert memory.view(buffer.address + 98, 2).tolist() == [98, 99]
    assert memory.view(buffer.address + 98, 3) is None
    assert memory.view(buffer.address - 1, 1) is None
    memory.view(buffer.address, 1)[0] = 7
    assert buffer.data[0] == 7


def test_a_freed_buffer_is_unknown_and_its_address_nobodys(memory):
    buffer = memory.allocate(PAGE_BYTES, True, "peer")
    memory.free(buffer.id, "peer")
    other = memory.allocate(PAGE_BYTES, True, "peer")
    assert other.address != buffer.address and other.id != buffer.id
    assert memory.view(buffer.address, 1) is None
    with pytest.raises(UnknownBufferError, match=f"no buffer '{buffer.id}'.*freed"):
        memory.find(buffer.id, "peer")
    with pytest.raises(UnknownBufferError):
        memory.free(buffer.id, "peer")


def test_limits_are_named(memory):
    with pytest.raises(RequestError, match="0 bytes was asked for"):
        memory.allocate(0, True, "peer")
    with pytest.raises(OutOfMemoryError, match=f"the largest has {BUFFER_LIMIT}"):
        memory.allocate(BUFFER_LIMIT + 1, True, "peer")
    held = [memory.allocate(BUFFER_LIMIT, True, "peer") for _ in range(MEMORY_LIMIT // BUFFER_LIMIT)]
    with pytest.raises(OutOfMemoryError, match=f"{MEMORY_LIMIT} of the board's {MEMORY_LIMIT} bytes are in use"):
        memory.allocate(1, True, "peer")
    memory.free(held[0].id, "peer")
    memory.allocate(1, True, "peer")


def test_memory_in_pieces_says_how_large_they_are():
    memory = Memory(BASE, 4 * PAGE_BYTES)
    pages = [memory.allocate(PAGE_BYTES, True, "peer") for _ in range(4)]
    for page in pages[::2]:
        memory.free(page.id, "peer")
    with pytest.raises(OutOfMemoryError, match=f"largest piece that is free has {PAGE_BYTES}"):
        memory.allocate(2 * PAGE_BYTES, True, "peer")


def test_buffers_of_who_is_gone_are_freed(memory):
    ours, theirs, taken_over = (memory.allocate(1, True, peer) for peer in ("us", "them", "them"))
    memory.find(taken_over.id, "us")
    memory.free_abandoned({"us"})
    assert memory.find(ours.id, "us") is ours and memory.find(taken_over.id, "us") is taken_over
    with pytest.raises(UnknownBufferError):
        memory.find(theirs.id, "us")


def test_buffers_of_a_connection_that_was_lost_are_freed_after_some_seconds(memory):
    ours, theirs = (memory.allocate(1, True, peer) for peer in ("us", "them"))
    begin = theirs.used
    memory.free_lost({"us", "them"}, begin + 60)
    memory.free_lost({"us"}, begin + 62)  # it may come back at once, as another connection
    assert memory.view(theirs.address, 1) is not None
    memory.free_lost({"us"}, begin + 70)
    assert memory.view(theirs.address, 1) is None and memory.view(ours.address, 1) is not None


def test_buffers_of_a_connection_that_ended_because_it_was_idle_stay(memory):
    """gRPC's own clients end one that nothing was asked on for half an hour."""
    buffer = memory.allocate(1, True, "idle")
    memory.free_lost({"idle"}, buffer.used + 1800)
    memory.free_lost(set(), buffer.used + 86400)
    assert memory.find(buffer.id, "back") is buffer
    memory.free_abandoned(set())
    assert memory.view(buffer.address, 1) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * PAGE_BYTES), st.integers(0, 100)), max_size=40))
def test_buffers_never_overlap(steps):
    memory = Memory(BASE, 16 * PAGE_BYTES)
    held = []
    for free, size, which in steps:
        if free and held:
            memory.free(held.pop(which % len(held)).id, "peer")
            continue
        try:
            held.append(memory.allocate(size, True, "peer"))
        except OutOfMemoryError:
            assert held
    held.sort(key=lambda buffer: buffer.address)
    assert all(BASE <= buffer.address and buffer.end <= BASE + 16 * PAGE_BYTES for buffer in held)
    assert all(left.end <= right.address for left, right in pairwise(held))
