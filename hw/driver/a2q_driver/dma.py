"""AXI DMA in direct register mode, both channels, by its registers: every wait has a limit, unlike those of pynq.

Transfers are started by pynq's own channels; what pynq would wait for without end is done here.
"""

from __future__ import annotations

import time

from a2q_driver.board import Registers
from a2q_driver.errors import DmaError, ReconfiguredError
from a2q_driver.registers import DMA_CHANNEL, Dma, DmaControl, DmaStatus

__all__ = ["DmaEngine"]

_RESET_SECONDS = 1.0  # PG021: a reset ends what is under way on the memory's side, microseconds
_KNOWN = sum(DmaStatus)
_ERRORS = {
    DmaStatus.INTERNAL_ERROR: "internal error: the accelerator sent more than was asked for, or the length was 0",
    DmaStatus.SLAVE_ERROR: "slave error: the memory refused an access",
    DmaStatus.DECODE_ERROR: "decode error: there is no memory at the address",
}


class DmaEngine:
    """The DMA whose `registers` these are. Channels are MM2S, to the accelerator, and S2MM, from it."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    def status(self, channel: str) -> DmaStatus:
        return DmaStatus(self._registers.read(DMA_CHANNEL[channel] + Dma.STATUS) & _KNOWN)

    def received(self) -> int:
        """Bytes that the last transfer from the accelerator brought."""
        return self._registers.read(DMA_CHANNEL["S2MM"] + Dma.LENGTH)

    @property
    def ready(self) -> bool:
        """Whether both channels have done a transfer and wait for the next."""
        return all(self.status(channel) == DmaStatus.IDLE for channel in DMA_CHANNEL)

    def done(self, channel: str) -> bool:
        """Whether the channel's transfer is complete.

        Raises DmaError if it stopped with an error instead, ReconfiguredError if another program stopped it.
        """
        status = self.status(channel)
        for error, meaning in _ERRORS.items():
            if status & error:
                raise DmaError(f"The DMA's channel {channel} stopped with an {meaning}.")
        if status & DmaStatus.HALTED:
            raise ReconfiguredError(f"The DMA's channel {channel} was stopped: another program reset it, or the board.")
        return bool(status & DmaStatus.IDLE)

    def reset(self) -> None:
        """Forget what is under way, and start both channels anew. Raises DmaError if they do not start."""
        self._registers.write(DMA_CHANNEL["MM2S"] + Dma.CONTROL, DmaControl.RESET)  # of both channels
        for channel, base in DMA_CHANNEL.items():
            self._await(base + Dma.CONTROL, DmaControl.RESET, f"{channel} does not come out of reset")
        for channel, base in DMA_CHANNEL.items():
            self._registers.write(base + Dma.CONTROL, DmaControl.RUN)
            self._await(base + Dma.STATUS, DmaStatus.HALTED, f"{channel} does not start")

    def _await(self, offset: int, bit: int, otherwise: str) -> None:
        end = time.monotonic() + _RESET_SECONDS
        while self._registers.read(offset) & bit:
            if time.monotonic() > end:
                raise DmaError(f"The DMA's channel {otherwise} within {_RESET_SECONDS:g} s.")
            time.sleep(0.001)
