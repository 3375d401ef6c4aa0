"""The DMA's registers as PG021 has them, and transfers through a stream that gives back what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.board_sim.dma import Dma
from pipeline.board_sim.memory import Memory

MM2S, S2MM = 0x00, 0x30
DMACR, DMASR, ADDRESS, ADDRESS_MSB, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 1, 4
HALTED, IDLE, INTERNAL, DECODE, IOC, ERROR = 1, 2, 1 << 4, 1 << 6, 1 << 12, 1 << 14


class Loopback:
    """Gives every word back that it takes, packets and all; holds `depth` words."""

    def __init__(self, word_bytes: int, depth: int = 1 << 20) -> None:
        self.input_bytes = self.output_bytes = word_bytes
        self.depth = depth
        self.held: list[tuple[bytes, bool]] = []
        self.withdrawn = 0

    def run(self, cycles, words_in, last, words_out):
        self.withdrawn += not len(words_in)
        taken = given = 0
        ended = False
        for _ in range(cycles):
            if taken < len(words_in) and len(self.held) < self.depth:
                self.held.append((words_in[taken].tobytes(), last and taken == len(words_in) - 1))
                taken += 1
            if given < len(words_out) and self.held and not ended:
                word, ended = self.held.pop(0)
                words_out[given] = np.frombuffer(word, np.uint8)
                given += 1
        return cycles, taken, given, ended


class Setup:
    def __init__(self, word_bytes: int = 4, depth: int = 1 << 20) -> None:
        self.memory = Memory(0x10000000, 1 << 24)
        self.stream = Loopback(word_bytes, depth)
        self.dma = Dma(self.memory, self.stream)
        self.source = self.memory.allocate(4096, True, "peer")
        self.target = self.memory.allocate(4096, True, "peer")
        self.source.data[:] = np.random.default_rng(0).integers(0, 256, 4096)

    def start(self, channel: int, address: int, length: int) -> None:
        self.dma.write(channel + DMACR, RUN)
        self.dma.write(channel + ADDRESS, address & 0xFFFFFFFF)
        self.dma.write(channel + ADDRESS_MSB, address >> 32)
        self.dma.write(channel + LENGTH, length)

    def finish(self, cycles: int = 1 << 20) -> None:
        for _ in range(10_000):
            if not self.dma.under_way or not self.dma.step(cycles)[1]:
                return
        raise AssertionError("it does not end")

    def status(self, channel: int) -> int:
        return self.dma.read(channel + DMASR)


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.mark.parametrize("channel", [MM2S, S2MM])
def test_registers_after_reset(setup, channel):
    assert setup.dma.read(channel + DMACR) == 0x00010002
    assert setup.status(channel) == HALTED
    assert [setup.dma.read(channel + offset) for offset in (0x18, 0x1C, 0x28)] == [0, 0, 0]
    assert [setup.dma.read(channel + offset) for offset in (0x08, 0x10, 0x14, 0x20, 0x2C)] == [0] * 5


@pytest.mark.parametrize("channel", [MM2S, S2MM])
def test_running_is_not_idle_before_the_first_transfer(setup, channel):
    setup.dma.write(channel + DMACR, RUN)
    assert setup.status(channel) == 0
    setup.dma.write(channel + DMACR, 0)
    assert setup.status(channel) == HALTED
    assert setup.status(S2MM - channel) == HALTED


def test_control_keeps_its_fields_and_a_threshold_of_0_does_nothing(setup):
    setup.dma.write(DMACR, 0x12347001)
    assert setup.dma.read(DMACR) == 0x12347003
    setup.dma.write(DMACR, 0x00001001)
    assert setup.dma.read(DMACR) == 0x00341003


def test_both_channels_carry_a_packet(setup):
    setup.start(S2MM, setup.target.address, 4096)
    setup.start(MM2S, setup.source.address + 64, 1024)
    assert (setup.status(MM2S), setup.status(S2MM)) == (0, 0)
    setup.finish()
    assert (setup.status(MM2S), setup.status(S2MM)) == (IDLE | IOC, IDLE | IOC)
    assert setup.dma.read(S2MM + LENGTH) == 1024  # the bytes that came
    assert setup.dma.read(MM2S + LENGTH) == 1024
    np.testing.assert_array_equal(setup.target.data[:1024], setup.source.data[64:1088])
    assert not setup.target.data[1024:].any()


def test_interrupts_are_cleared_by_writing_ones(setup):
    setup.start(MM2S, setup.source.address, 64)
    setup.finish()
    setup.dma.write(DMASR, ERROR)
    assert setup.status(MM2S) == IDLE | IOC
    setup.dma.write(DMASR, 0xFFFFFFFF)
    assert setup.status(MM2S) == IDLE


def test_transfers_follow_one_another(setup):
    for start in (0, 256, 512):
        setup.start(MM2S, setup.source.address + start, 256)
        assert not setup.status(MM2S) & IDLE
        setup.start(S2MM, setup.target.address + start, 256)
        setup.finish()
        assert setup.status(S2MM) & IDLE
    np.testing.assert_array_equal(setup.target.data[:768], setup.source.data[:768])


def test_a_length_while_a_transfer_is_under_way_is_lost(setup):
    setup.start(MM2S, setup.source.address, 64)
    setup.dma.write(ADDRESS, setup.source.address + 256)
    setup.dma.write(LENGTH, 1024)
    setup.start(S2MM, setup.target.address, 4096)
    setup.finish()
    assert setup.dma.read(S2MM + LENGTH) == 64
    np.testing.assert_array_equal(setup.target.data[:64], setup.source.data[:64])


@pytest.mark.parametrize("channel", [MM2S, S2MM])
def test_a_halted_channel_does_not_start(setup, channel):
    setup.dma.write(channel + ADDRESS, setup.source.address)
    setup.dma.write(channel + LENGTH, 64)
    assert setup.status(channel) == HALTED and not setup.dma.under_way


def test_stopping_waits_for_the_transfer(setup):
    setup.start(S2MM, setup.target.address, 64)
    setup.dma.write(S2MM + DMACR, 0)
    assert setup.status(S2MM) == 0
    setup.start(MM2S, setup.source.address, 64)
    setup.finish()
    assert setup.status(S2MM) == HALTED | IOC
    np.testing.assert_array_equal(setup.target.data[:64], setup.source.data[:64])


@pytest.mark.parametrize("channel", [MM2S, S2MM])
@pytest.mark.parametrize(
    ("offset", "length", "error"),
    [
        (0, 0, INTERNAL),
        (0, 1 << 26, INTERNAL),  # more than the register's bits
        (2, 64, INTERNAL),  # not aligned
        (0, 4100, DECODE),
        (8192, 64, DECODE),
        (-64, 64, DECODE),
        (1 << 32, 64, DECODE),
    ],
)
def test_a_transfer_that_cannot_be_halts_its_channel(setup, channel, offset, length, error, caplog):
    setup.dma.write(S2MM - channel + DMACR, RUN)
    setup.start(channel, setup.target.address + offset if offset >= 0 else setup.source.address + offset, length)
    assert setup.status(channel) == HALTED | error | ERROR
    assert setup.dma.read(channel + DMACR) & RUN == 0
    assert setup.status(S2MM - channel) == 0 and not setup.dma.under_way
    assert "halts" in caplog.text
    setup.dma.write(channel + DMACR, RUN)  # does not help
    setup.dma.write(channel + DMASR, 0xFFFFFFFF)
    assert setup.status(channel) == HALTED | error
    setup.dma.write(channel + DMACR, RESET)
    assert setup.status(channel) == HALTED


def test_a_packet_longer_than_its_room_is_an_internal_error(setup):
    setup.start(S2MM, setup.target.address, 64)
    setup.start(MM2S, setup.source.address, 128)
    setup.finish()
    assert setup.status(S2MM) == HALTED | INTERNAL | ERROR
    assert setup.status(MM2S) == IDLE | IOC
    np.testing.assert_array_equal(setup.target.data[:64], setup.source.data[:64])
    assert not setup.target.data[64:].any()


def test_room_for_part_of_a_word_takes_part_of_it():
    setup = Setup(word_bytes=8)
    setup.start(S2MM, setup.target.address, 20)
    setup.start(MM2S, setup.source.address, 24)
    setup.finish()
    assert setup.status(S2MM) == HALTED | INTERNAL | ERROR
    np.testing.assert_array_equal(setup.target.data[:20], setup.source.data[:20])
    assert not setup.target.data[20:].any()


def test_a_length_that_ends_in_a_word_is_padded_with_zeros():
    setup = Setup(word_bytes=8)
    setup.start(S2MM, setup.target.address, 4096)
    setup.start(MM2S, setup.source.address, 20)
    setup.finish()
    assert setup.dma.read(S2MM + LENGTH) == 24
    np.testing.assert_array_equal(setup.target.data[:20], setup.source.data[:20])
    assert not setup.target.data[20:24].any()


@pytest.mark.parametrize("channel", [MM2S, S2MM])
def test_a_reset_of_either_channel_resets_both(setup, channel):
    setup.start(S2MM, setup.target.address, 64)
    setup.start(MM2S, setup.source.address, 4096)
    setup.dma.step(8)
    setup.dma.write(channel + DMACR, RESET | RUN)
    assert (setup.status(MM2S), setup.status(S2MM)) == (HALTED, HALTED)
    assert setup.dma.read(DMACR) == setup.dma.read(S2MM + DMACR) == 0x00010002
    assert not setup.dma.under_way
    assert setup.stream.withdrawn == 1


@pytest.mark.parametrize("freed", ["source", "target"])
def test_memory_that_is_freed_under_a_transfer_is_a_decode_error(setup, freed):
    setup.start(S2MM, setup.target.address, 4096)
    setup.start(MM2S, setup.source.address, 4096)
    setup.dma.step(8)
    setup.memory.free(getattr(setup, freed).id, "peer")
    setup.finish()
    failed, other = (MM2S, S2MM) if freed == "source" else (S2MM, MM2S)
    assert setup.status(failed) == HALTED | DECODE | ERROR
    assert not setup.status(other) & DECODE


@given(
    st.sampled_from([1, 2, 4, 16, 64]),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.integers(1, 200),
    st.integers(1, 64),
)
def test_slices_of_time_and_full_streams_change_nothing(word_bytes, packets, cycles, depth):
    """Whatever the size of packets, slices and buffers on the way, what was sent arrives, packet by packet."""
    setup = Setup(word_bytes, depth)
    sent, received = 0, 0
    for words in packets:
        length = words * word_bytes
        if sent + max(length, 64) > 4096:
            break
        setup.start(MM2S, setup.source.address + sent, length)
        setup.start(S2MM, setup.target.address + sent, 4096 - sent)
        setup.finish(cycles)
        assert setup.status(S2MM) & IDLE and setup.dma.read(S2MM + LENGTH) == length
        np.testing.assert_array_equal(setup.target.data[sent : sent + length], setup.source.data[sent : sent + length])
        sent += -(-length // 64) * 64
        received += 1
    assert received
