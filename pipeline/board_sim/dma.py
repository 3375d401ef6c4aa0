"""The AXI DMA in direct register mode (PG021, AXI DMA v7.1), without realignment engine and scatter/gather.

MM2S carries memory to the accelerator's input stream, S2MM its output stream to memory. What PG021 leaves undefined
and what would take down a real system ends in an error bit here, and in a line of the log that says why:

- DMAIntErr: a length of 0; an address that is not aligned to the data width; a packet longer than S2MM_LENGTH.
- DMADecErr: a transfer that does not lie in one buffer, from its start on or since the buffer was freed.

An error halts its channel until the DMA is reset.
"""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np

from pipeline.board_sim.memory import Memory

__all__ = ["LENGTH_BITS", "Dma", "Stream"]

LENGTH_BITS = 26  # the parameter c_sg_length_width

_S2MM = 0x30  # where the second channel's registers begin
_DMACR, _DMASR, _ADDRESS, _ADDRESS_MSB, _LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28  # DMA control and status register, …
_WORD = 0xFFFFFFFF

_RUN, _ALWAYS_ONE, _RESET = 1 << 0, 1 << 1, 1 << 2
_THRESHOLD = 0xFF << 16
_KEPT = 1 << 3 | 1 << 12 | 1 << 13 | 1 << 14 | _THRESHOLD | 0xFF << 24  # of DMACR, beside RS: they drive no interrupt

_HALTED, _IDLE = 1 << 0, 1 << 1
_INTERNAL_ERROR, _DECODE_ERROR = 1 << 4, 1 << 6
_IOC_IRQ, _DELAY_IRQ, _ERROR_IRQ = 1 << 12, 1 << 13, 1 << 14

_LOG = logging.getLogger(__name__)


class Stream(Protocol):
    """The accelerator between the two channels. A word that is offered and not taken is offered again."""

    input_bytes: int  # of a word of the input stream
    output_bytes: int

    def run(self, cycles: int, words_in: np.ndarray, last: bool, words_out: np.ndarray) -> tuple[int, int, int, bool]:
        """Run for `cycles` at most; offer `words_in`, the last with TLAST if `last`, and fill `words_out`.

        Both are uint8 of shape (words, bytes of a word). Returns how many cycles ran, how many words were taken, how
        many were given, and whether the last of those came with TLAST; none is given after that. Offering none withdraws
        what was offered.
        """


class Dma:
    """The registers of a DMA between `memory` and `stream`, and the transfers that they start."""

    def __init__(self, memory: Memory, stream: Stream) -> None:
        self._stream = stream
        self._mm2s = _Channel("MM2S", memory, stream.input_bytes)
        self._s2mm = _Channel("S2MM", memory, stream.output_bytes)

    @property
    def under_way(self) -> bool:
        """Whether a channel has a transfer to do."""
        return self._mm2s.active or self._s2mm.active

    def read(self, offset: int) -> int:
        """The register at `offset`; reserved ones read as 0."""
        return self._channel(offset).read(offset % _S2MM)

    def write(self, offset: int, value: int) -> None:
        """Write the register at `offset`. Writing a LENGTH starts a transfer; resetting either channel resets both."""
        if offset % _S2MM == _DMACR and value & _RESET:
            self._mm2s.reset()
            self._s2mm.reset()
            self._stream.run(0, *self._mm2s.words_to_send(), self._s2mm.room())
        else:
            self._channel(offset).write(offset % _S2MM, value)

    def step(self, cycles: int) -> tuple[int, bool]:
        """Let what is under way go on for `cycles` at most. Returns how many ran, and whether a word was moved."""
        words_in, last = self._mm2s.words_to_send()
        words_out = self._s2mm.room()
        if not self.under_way:  # the memory of what was is gone
            return 0, False
        ran, taken, given, ended = self._stream.run(cycles, words_in, last, words_out)
        if taken:
            self._mm2s.sent(taken)
        if given:
            self._s2mm.received(words_out[:given], ended)
        return ran, taken + given > 0

    def _channel(self, offset: int) -> _Channel:
        return self._s2mm if offset >= _S2MM else self._mm2s


class _Channel:
    def __init__(self, name: str, memory: Memory, word_bytes: int) -> None:
        self._name = name
        self._memory = memory
        self._word_bytes = word_bytes
        self._width = max(word_bytes, 4)  # of the memory's side
        self.reset()

    def reset(self) -> None:
        """The reset state; a transfer that is under way is forgotten."""
        self._control = 1 << 16
        self._halted = True
        self._idle = False
        self._errors = 0
        self._interrupts = 0
        self._address = 0
        self._length = 0
        self._begin = 0  # of the transfer, which the address register may leave behind
        self._done = 0  # bytes of it
        self.active = False

    def read(self, offset: int) -> int:
        match offset:
            case 0x00:
                return self._control | _ALWAYS_ONE
            case 0x04:
                status = self._errors | self._interrupts
                return status | (_HALTED if self._halted else _IDLE if self._idle else 0)
            case 0x18:
                return self._address & _WORD
            case 0x1C:
                return self._address >> 32
            case 0x28:
                return self._length
        return 0

    def write(self, offset: int, value: int) -> None:
        if offset == _DMACR:
            self._write_control(value)
        elif offset == _DMASR:
            self._interrupts &= ~value
        elif offset == _ADDRESS:
            self._address = self._address & ~_WORD | value
        elif offset == _ADDRESS_MSB:
            self._address = self._address & _WORD | value << 32
        elif offset == _LENGTH:
            self._write_length(value & (1 << LENGTH_BITS) - 1)

    def words_to_send(self) -> tuple[np.ndarray, bool]:
        """The words that are left, and whether the transfer ends with them; they may be all but an incomplete one."""
        data = self._rest()
        whole = len(data) // self._word_bytes
        if whole or not len(data):
            words = data[: whole * self._word_bytes].reshape(whole, self._word_bytes)
            return words, whole * self._word_bytes == len(data)
        word = np.zeros((1, self._word_bytes), np.uint8)
        word[0, : len(data)] = data
        return word, True

    def room(self) -> np.ndarray:
        """The place of the words for which there is room; a word apart if there is room for part of one."""
        data = self._rest()
        whole = len(data) // self._word_bytes
        if whole or not len(data):
            return data[: whole * self._word_bytes].reshape(whole, self._word_bytes)
        return np.empty((1, self._word_bytes), np.uint8)

    def sent(self, words: int) -> None:
        """The stream has taken `words`."""
        self._done = min(self._done + words * self._word_bytes, self._length)
        if self._done == self._length:
            self._complete()

    def received(self, words: np.ndarray, ended: bool) -> None:
        """The stream has given `words`, the last of its packet among them if `ended`."""
        left = self._length - self._done
        if words.size > left:
            self._rest()[:] = words.reshape(-1)[:left]
        self._done += min(words.size, left)
        if words.size > left or (words.size == left and not ended):
            self._fail(_INTERNAL_ERROR, f"a packet came that is longer than the {self._length} bytes of S2MM_LENGTH")
        elif ended:
            self._length = self._done
            self._complete()

    def _rest(self) -> np.ndarray:
        """The memory of the transfer that is left; none without a transfer. Memory that was freed is an error."""
        if not self.active:
            return np.empty(0, np.uint8)
        data = self._memory.view(self._begin + self._done, self._length - self._done)
        if data is None:
            self._fail(_DECODE_ERROR, f"the buffer at 0x{self._begin:X} was freed in the middle of the transfer")
            return np.empty(0, np.uint8)
        return data

    def _write_control(self, value: int) -> None:
        threshold = value & _THRESHOLD or self._control & _THRESHOLD  # writing 0 has no effect
        run = value & _RUN if not self._errors else 0  # only a reset leaves an error
        self._control = value & _KEPT & ~_THRESHOLD | threshold | run
        if run:
            self._halted = False
        elif not self.active:
            self._halt()

    def _write_length(self, length: int) -> None:
        if self.active:
            return  # the channel looks at this register between transfers only
        self._length = length
        if self._halted:
            return
        self._begin, self._done = self._address, 0
        self._idle = False
        if length == 0:
            self._fail(_INTERNAL_ERROR, f"the length is 0 in its {LENGTH_BITS} bits")
        elif self._address % self._width:
            self._fail(_INTERNAL_ERROR, f"0x{self._address:X} is not aligned to the data width of {self._width} bytes")
        elif self._memory.view(self._address, length) is None:
            self._fail(_DECODE_ERROR, f"no buffer holds {length} bytes from 0x{self._address:X} on")
        else:
            self.active = True

    def _complete(self) -> None:
        self.active = False
        self._idle = True
        self._interrupts |= _IOC_IRQ
        if not self._control & _RUN:
            self._halt()

    def _fail(self, error: int, reason: str) -> None:
        _LOG.warning("%s halts: %s", self._name, reason)
        self.active = False
        self._errors |= error
        self._interrupts |= _ERROR_IRQ
        self._control &= ~_RUN
        self._halt()

    def _halt(self) -> None:
        self._halted = True
        self._idle = False
