"""Chunks of packed frames through DMA and accelerator: buffers, transfers, and the way back from an error."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from a2q_driver.board import Board
from a2q_driver.dma import DmaEngine
from a2q_driver.errors import (
    BoardLostError,
    BusyError,
    DmaError,
    DriverError,
    MisalignedError,
    ReconfiguredError,
    TransferTimeoutError,
    WeightsError,
)
from a2q_driver.registers import DMA_CHANNEL, DmaStatus, Register, Status
from a2q_driver.shell import Counters, Shell
from a2q_driver.timeout import Timeout

__all__ = ["Transfers"]

_Result = TypeVar("_Result")


class Transfers:
    """Transfers of frames of `input_bytes` to the accelerator behind `shell`, and of `output_bytes` from it.

    `channels` gives pynq's object for the DMA whose registers `dma` knows; making it waits without end for a DMA that is
    halted, so that it is made when that runs. `limit` is the time in seconds in which a frame must move, and in which
    `weights`, uint8 in whole words of the stream to the accelerator, must be loaded; there may be none. There are two
    input and two output buffers; those of a side, 0 or 1, go together. `seconds` is what this machine took for what.
    """

    def __init__(
        self,
        board: Board,
        shell: Shell,
        dma: DmaEngine,
        channels: Callable[[], Any],
        *,
        input_bytes: int,
        output_bytes: int,
        weights: np.ndarray,
        limit: float,
    ) -> None:
        self._board = board
        self._shell = shell
        self._dma = dma
        self._make_channels = channels
        self._channels: Any = None
        self._input_bytes = input_bytes
        self._output_bytes = output_bytes
        self._weights = weights
        self._limit = limit
        self._buffers: _Buffers | None = None
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def batch(self, frames: int) -> Iterator[Counters]:
        """The accelerator to oneself for `frames` frames, and ready; yields what it has counted before.

        It has its weights then: those that are to be loaded are, unless they have been since the last reset. The block
        is to end with `finish`. After an error the accelerator is reset, unless it is not the same any more, or another
        program's. Raises BusyError, ReconfiguredError, DmaError, WeightsError and BoardLostError.
        """
        self._shell.check_same()
        if not self._shell.acquire(self._limit):
            self._reset()
        before = None
        try:
            if not (self._dma.ready and self._shell.has_weights):
                self._reset()
            if self._channels is None:
                with self._board.translated():
                    self._channels = self._make_channels()
            if not self._shell.has_weights:
                self._load_weights()
            self.seconds.clear()
            before = self._shell.counters()
            yield before
        except (BoardLostError, BusyError):
            raise
        except BaseException:
            self._shell.check_same()
            if before is not None:
                self._check_frames(before, most=frames)
            with suppress(DriverError):
                self.recover()
            raise
        self._shell.free()

    def finish(self, before: Counters, frames: int) -> Counters:
        """What was counted since `before`. Raises an error unless that is `frames`, with nothing noted against them."""
        self._shell.check_status()
        counted = self._shell.counters().since(before)
        if (counted.frames_in, counted.frames_out) != (frames, frames):
            raise ReconfiguredError(
                f"The accelerator has counted {counted.frames_in} frames in and {counted.frames_out} out, of {frames} that "
                "were sent: it was reset meanwhile."
            )
        return counted

    def recover(self) -> None:
        """Reset accelerator and DMA, whatever they do and whoever holds them; the lock is free then."""
        self._reset()
        self._shell.free()

    def prepare(self, frames: int) -> None:
        """See that there are buffers for chunks of `frames`. Raises MemoryFullError."""
        held = self._buffers.frames if self._buffers else 0
        if frames <= held <= 2 * frames:  # larger ones are slow where a buffer comes over the network as a whole
            return
        self.close()
        self._buffers = _Buffers(frames, [], [])
        for _ in range(2):
            self._buffers.inputs.append(self._board.allocate(frames * self._input_bytes))
            self._buffers.outputs.append(self._board.allocate(frames * self._output_bytes))

    def close(self) -> None:
        """Give the buffers back."""
        buffers, self._buffers = self._buffers, None
        if buffers is not None:
            for buffer in (*buffers.inputs, *buffers.outputs):
                self._board.free(buffer)

    def input(self, side: int) -> np.ndarray:
        """The memory to pack frames to, uint8."""
        return np.asarray(self._buffers.inputs[side])

    def output(self, side: int) -> np.ndarray:
        """The memory that holds the outputs after `fetch`, uint8."""
        return np.asarray(self._buffers.outputs[side])

    def start(self, side: int, count: int) -> None:
        """Start the transfers of the `count` frames that lie in `input(side)`."""
        source, target = self._buffers.inputs[side], self._buffers.outputs[side]
        self._shell.begin_transfer(count)
        with self._board.translated(DmaError):
            self.timed("send", self._channels.recvchannel.transfer, target, 0, count * self._output_bytes)
            self.timed("send", self._channels.sendchannel.transfer, source[: count * self._input_bytes])

    def wait(self, count: int) -> None:
        """Wait for the transfers that `start` began. Raises TransferTimeoutError, DmaError and MisalignedError."""
        self.timed("wait", self._wait, count)

    def fetch(self, side: int) -> None:
        """See that `output(side)` shows what the DMA wrote."""
        with self._board.translated():
            self.timed("fetch", self._buffers.outputs[side].invalidate)

    def flush(self, side: int) -> None:
        """See that the DMA finds what `input(side)` shows; `start` does it, too."""
        with self._board.translated():
            self.timed("flush", self._buffers.inputs[side].flush)

    def timed(self, what: str, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call `function`, and count the time that it takes in `seconds`."""
        begun = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self.seconds[what] += time.monotonic() - begun

    def _wait(self, count: int) -> None:
        timeout = Timeout(self._limit, self._shell.frames)
        expected = count * self._output_bytes
        for channel in ("S2MM", "MM2S"):  # the input was read when the output has come
            while not self._dma.done(channel):
                if timeout.expired:
                    raise TransferTimeoutError(self._described())
                timeout.pause()
            if channel == "S2MM" and self._dma.received() != expected:
                raise MisalignedError(
                    f"The accelerator ended a transfer after {self._dma.received()} bytes; expected {expected}."
                )

    def _load_weights(self) -> None:
        """Send the weights to the accelerator, which was reset. Raises WeightsError, DmaError and MemoryFullError."""
        buffer = self._board.allocate(len(self._weights))
        try:
            np.asarray(buffer)[:] = self._weights
            self._shell.begin_load()
            with self._board.translated(DmaError):
                self._channels.sendchannel.transfer(buffer)
            timeout = Timeout(self._limit, lambda: None)
            while not (self._dma.done("MM2S") and self._shell.has_weights):
                if timeout.expired:
                    raise WeightsError(self._described_load())
                timeout.pause()
            self._shell.end_load()
        finally:
            self._board.free(buffer)

    def _described_load(self) -> str:
        """What is known of weights that do not get where they should."""
        sent = "took them all" if self._dma.done("MM2S") else "hangs"
        return (
            f"The accelerator has not got its weights within {self._limit:g} s: STATUS reads "
            f"0x{self._shell.read(Register.STATUS):X}, expected 0x{int(Status.WEIGHTS_LOADED):X} (WEIGHTS_LOADED). It wants "
            f"{self._shell.read(Register.WEIGHT_WORDS)} words of 32 bits; {len(self._weights)} bytes were sent, and the "
            f"DMA's channel MM2S {sent}."
        )

    def _described(self) -> str:
        """What is known of a transfer that does not end."""
        statuses = {channel: self._dma.status(channel) for channel in DMA_CHANNEL}
        hanging = [channel for channel, status in statuses.items() if not status & DmaStatus.IDLE]
        channels = ", ".join(f"{channel} 0x{int(status):X}" for channel, status in statuses.items())
        return (
            f"The DMA's channel {' and '.join(hanging)} hangs: no frame went in or came out for {self._limit:g} s. The "
            f"channels' status: {channels}; the accelerator's 0x{self._shell.read(Register.STATUS):X}. It counted "
            f"{self._shell.counters()}."
        )

    def _reset(self) -> None:
        """Reset accelerator and DMA, and hold the lock. Raises BusyError where another program is faster."""
        self._shell.hold_in_reset()  # first, so that no word of what was reaches what comes
        if not self._shell.try_lock():
            raise BusyError("Another program took the accelerator while it was reset.")
        self._dma.reset()
        if self._channels is not None:
            with self._board.translated():
                for channel in (self._channels.sendchannel, self._channels.recvchannel):
                    channel.start()  # runs already, and knows now that its next transfer is the first
        self._shell.release_reset()

    def _check_frames(self, before: Counters, most: int) -> None:
        """Raise ReconfiguredError if more than `most` frames seem to be counted: the accelerator was reset by others."""
        counted = self._shell.counters().since(before)
        if max(counted.frames_in, counted.frames_out) > most:
            raise ReconfiguredError("The accelerator was reset in the middle of the batch.")


@dataclass
class _Buffers:
    """Two input and two output buffers of pynq's, for `frames` frames each."""

    frames: int
    inputs: list[Any]
    outputs: list[Any]
