"""Registers of the accelerator and of the DMA beside it: offsets in bytes, bits as masks."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["DMA_CHANNEL", "ID", "VERSION", "Control", "Dma", "DmaControl", "DmaStatus", "Register", "Status"]

ID = 0x41325131  # "A2Q1"
VERSION = 0x00010001  # major << 16 | minor; another minor has what this one has, and more


class Register(IntEnum):
    """Registers of the accelerator. Counters have 32 bits, CYCLES 64, and wrap."""

    ID = 0x00
    VERSION = 0x04
    CONFIG0 = 0x08  # the first 8 of the configuration's 64 hexadecimal digits
    CONFIG1 = 0x0C
    CONFIG2 = 0x10
    CONFIG3 = 0x14
    CONTROL = 0x18
    STATUS = 0x1C
    BATCH = 0x20  # frames a transfer; writing it starts a transfer
    FRAMES_IN = 0x24
    FRAMES_OUT = 0x28
    LOCK = 0x2C  # a read that gives 0 has taken it; writing 0 frees it
    CYCLES_LO = 0x30  # while BUSY; reading it latches the upper half
    CYCLES_HI = 0x34
    INPUT_STARVED = 0x38
    INPUT_STALLED = 0x3C
    OUTPUT_STALLED = 0x40
    OVERFLOW_FLAGS = 0x44  # bit i: the i-th matrix layer's accumulator left its width
    INPUT_WORDS = 0x48  # words of the DMA's stream a frame
    OUTPUT_WORDS = 0x4C
    WEIGHT_WORDS = 0x50  # 32-bit words of weights that are to be loaded


class Control(IntFlag):
    """Bits of CONTROL."""

    RESET = 1 << 0
    LOAD = 1 << 1  # what comes to the accelerator are weights


class Status(IntFlag):
    """Bits of STATUS."""

    BUSY = 1 << 0
    MISALIGNED = 1 << 1
    OVERFLOW = 1 << 2
    DEBUG = 1 << 3
    WEIGHTS_LOADED = 1 << 4


class Dma(IntEnum):
    """Registers of a channel of AXI DMA in direct register mode (PG021), from where the channel begins."""

    CONTROL = 0x00
    STATUS = 0x04
    LENGTH = 0x28


DMA_CHANNEL = {"MM2S": 0x00, "S2MM": 0x30}  # to the accelerator, and from it


class DmaControl(IntFlag):
    """Bits of a channel's control register."""

    RUN = 1 << 0
    RESET = 1 << 2


class DmaStatus(IntFlag):
    """Bits of a channel's status register."""

    HALTED = 1 << 0
    IDLE = 1 << 1
    INTERNAL_ERROR = 1 << 4
    SLAVE_ERROR = 1 << 5
    DECODE_ERROR = 1 << 6
