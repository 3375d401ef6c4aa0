"""Registers of the processing system: the clocks pynq computes from them, and nothing beside."""

from __future__ import annotations

import pytest

from pipeline.board_sim.errors import BusError
from pipeline.board_sim.registers import ProcessorRegisters, Window


def test_a_window_holds_whole_words():
    window = Window("dma", 0x1000, 0x100)
    assert window.holds(0x1000) and window.holds(0x10FC) and window.holds(0x1000, 0x100)
    assert not window.holds(0xFFC) and not window.holds(0x10FD) and not window.holds(0x1000, 0x101)


def test_zynq_7_boots_with_100_mhz():
    registers = ProcessorRegisters("xc7", 20)
    io_pll, clock = registers.read(0xF8000108), registers.read(0xF8000170)
    assert 50 * (io_pll >> 12 & 0x7F) / (clock >> 8 & 0x3F) / (clock >> 20 & 0x3F) == 100


def test_zynq_ultrascale_boots_with_100_mhz():
    registers = ProcessorRegisters("xcup", 45)
    io_pll, clock = registers.read(0xFF5E0020), registers.read(0xFF5E00C0)
    source = 33.333 * (io_pll >> 8 & 0x7F) / (1 + (io_pll >> 16 & 1))
    assert source / (clock >> 8 & 0x3F) / (clock >> 16 & 0x3F) == pytest.approx(99.999)


@pytest.mark.parametrize(("family", "address"), [("xc7", 0xF8000170), ("xcup", 0xFD615000), ("xcup", 0xFF9B0014)])
def test_what_is_written_is_kept(family, address):
    registers = ProcessorRegisters(family, 45)
    registers.write(address, 0x12345678)
    assert registers.read(address) == 0x12345678
    assert ProcessorRegisters(family, 45).read(address) != 0x12345678
    assert any(window.holds(address) for window in registers.windows)


@pytest.mark.parametrize(("family", "address"), [("xc7", 0xF8000000), ("xcup", 0xFF5E0024), ("xcup", 0xF8000170)])
def test_other_addresses_are_refused_by_name(family, address):
    registers = ProcessorRegisters(family, 45)
    with pytest.raises(BusError, match=f"Reading 0x{address:08X}"):
        registers.read(address)
    with pytest.raises(BusError, match=f"Writing 0x{address:08X}"):
        registers.write(address, 0)
