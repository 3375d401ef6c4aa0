"""The board: memory, registers, DMA and accelerator, used in turns, and the thread in which simulated time goes by.

Time goes by while a DMA transfer is under way, in slices of some milliseconds, and clients get their turns in between. It
stands still otherwise, but for the cycles that an access to the accelerator's registers takes. A transfer that moves
nothing, and that nobody asks about, such as one of a client that went away, stops the clock as well until somebody does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from a2q_driver.manifest import ACCELERATOR, DMA
from pipeline.board_sim.dma import Dma
from pipeline.board_sim.errors import BusError, OutOfMemoryError, RequestError
from pipeline.board_sim.fair_lock import FairLock
from pipeline.board_sim.files import Files
from pipeline.board_sim.memory import Buffer, Memory
from pipeline.board_sim.model import OKAY, Model
from pipeline.board_sim.package import Package
from pipeline.board_sim.registers import ProcessorRegisters, Window
from pipeline.errors import InputError

__all__ = ["Board"]

# Memory for buffers, in the low DRAM that every master reaches: (base, size).
_DRAM = {"xc7": (0x10000000, 0x10000000), "xcup": (0x40000000, 0x20000000)}
_DMA_REGISTERS = 0x60  # bytes, after which there are none
_CONFIG_REGISTERS = (0x08, 0x0C, 0x10, 0x14)
_SLICE_SECONDS = 0.005
_SLICE_CYCLES = (1 << 3, 1 << 20)  # least and most
_ATTENTION_SECONDS = 5.0
_LOOK_SECONDS = 2.0  # between looks at which clients there are


class Board:
    """The board that holds `package`, with `library` as its accelerator; not programmed yet.

    Raises InputError for a library of another package. All methods may be called from any thread.
    """

    def __init__(self, package: Package, library: Path) -> None:
        self._package = package
        self._library = library
        self._check_library()
        self.files = Files(package.board, package.family, self._program)
        self._processor = ProcessorRegisters(package.family, package.pll_multiplier)
        self._windows = [*self._processor.windows, *package.address_map.values()]
        self._memory = Memory(*_DRAM[package.family])
        self._model: Model | None = None  # the logic, once it is programmed
        self._dma: Dma | None = None
        self._slice = _SLICE_CYCLES[0]
        self._attention = 0.0  # until when time goes by although nothing moves
        self._closed = threading.Event()
        self._watchers: list[threading.Thread] = []
        self._lock = FairLock()
        self._asked = threading.Event()  # something since the clock last stood still
        self._clock = threading.Thread(target=self._run, name="clock", daemon=True)
        self._clock.start()

    def close(self) -> None:
        """Stop the clock and free the model, whatever is under way."""
        with self._held():
            self._closed.set()
        for thread in (self._clock, *self._watchers):
            thread.join()
        with self._held():
            self._clear()

    def watch(self, connections: Callable[[], set[str]]) -> None:
        """From now on free buffers of owners that are not among `connections` any more; see `pipeline.board_sim.memory`."""

        def look() -> None:
            while not self._closed.wait(_LOOK_SECONDS):
                owners = connections()
                with self._lock:  # it is nothing that a client asks for, so the clock may stand still
                    self._memory.free_lost(owners, time.monotonic())

        self._watchers.append(threading.Thread(target=look, name="watch", daemon=True))
        self._watchers[-1].start()

    def window(self, address: int, length: int) -> Window:
        """A window of `length` bytes from `address` on. Raises BusError unless one thing answers in all of it."""
        for owner in self._windows:
            if length > 0 and owner.holds(address, length):
                return Window(owner.name, address, length)
        known = ", ".join(f"{owner.name} at 0x{owner.base:08X}" for owner in self._windows)
        raise BusError(f"Nothing answers at {length} bytes from 0x{address:08X} on. There are {known}.")

    def read_register(self, address: int) -> int:
        """The 32-bit word at `address`. Raises BusError."""
        with self._held():
            owner = self._owner(address)
            if owner.name == DMA:
                return self._logic()[1].read(address - owner.base)
            if owner.name != ACCELERATOR:
                return self._processor.read(address)
            value, response = self._logic()[0].read(address - owner.base)
            _check_response(response, f"reading 0x{address:08X}")
            return value

    def write_register(self, address: int, value: int) -> None:
        """Write the 32-bit word at `address`. Raises BusError."""
        with self._held():
            owner = self._owner(address)
            if owner.name == DMA:
                self._logic()[1].write(address - owner.base, value)
            elif owner.name == ACCELERATOR:
                response = self._logic()[0].write(address - owner.base, value)
                _check_response(response, f"writing 0x{address:08X}")
            else:
                self._processor.write(address, value)

    def allocate(self, size: int, cacheable: bool, owner: str, connections: Callable[[], set[str]]) -> Buffer:
        """See `Memory.allocate`. Where there is no room, buffers of owners that are not among `connections` make some."""
        with self._held():
            try:
                return self._memory.allocate(size, cacheable, owner)
            except OutOfMemoryError:
                self._memory.free_abandoned(connections())
                return self._memory.allocate(size, cacheable, owner)

    def buffer(self, buffer_id: str, owner: str) -> Buffer:
        """See `Memory.find`."""
        with self._held():
            return self._memory.find(buffer_id, owner)

    def free(self, buffer_id: str, owner: str) -> None:
        """See `Memory.free`."""
        with self._held():
            self._memory.free(buffer_id, owner)

    def read_buffer(self, buffer_id: str, owner: str, start: int, end: int) -> bytes:
        """Bytes `start` to `end` of a buffer, fewer if it ends before. Raises UnknownBufferError."""
        with self._held():
            return self._memory.find(buffer_id, owner).data[start:end].tobytes()

    def write_buffer(self, buffer_id: str, owner: str, start: int, data: bytes) -> None:
        """Write `data` from byte `start` on. Raises RequestError if the buffer ends before it."""
        with self._held():
            buffer = self._memory.find(buffer_id, owner)
            if start + len(data) > len(buffer.data):
                raise RequestError(
                    f"{len(data)} bytes from byte {start} on do not fit a buffer of {len(buffer.data)} bytes."
                )
            buffer.data[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def _program(self, data: bytearray) -> None:
        with self._held():
            self._clear()
            self._package.check_firmware(data)
            self._model = Model(self._library, self._package.rtl_folder)
            self._dma = Dma(self._memory, self._model)

    def _clear(self) -> None:
        """The logic as it is without a bitstream."""
        if self._model is not None:
            self._model.close()
        self._model = self._dma = None

    def _logic(self) -> tuple[Model, Dma]:
        """The accelerator and the DMA at addresses of which `_owner` says that they answer."""
        assert self._model is not None and self._dma is not None
        return self._model, self._dma

    def _owner(self, address: int) -> Window:
        """The owner of `address`. A real bus hangs where the logic is not programmed; this one raises an error."""
        owner = next((window for window in self._windows if window.holds(address)), None)
        if owner is None or (owner.name == DMA and address >= owner.base + _DMA_REGISTERS):
            raise BusError(f"Nothing answers at 0x{address:08X}.")
        if owner.name in self._package.address_map and self._model is None:
            raise BusError(
                f"{owner.name} does not answer at 0x{address:08X}: the logic is not programmed. Download the bitfile "
                "of the board's package first."
            )
        return owner

    def _check_library(self) -> None:
        """Raises InputError unless the library is an accelerator of the package's configuration."""
        model = Model(self._library, self._package.rtl_folder)
        digits = "".join(f"{model.read(offset)[0]:08x}" for offset in _CONFIG_REGISTERS)
        widths = (model.input_bytes, model.output_bytes)
        model.close()
        expected = self._package.config_hash[: len(digits)]
        if digits != expected or widths != (self._package.input_bytes, self._package.output_bytes):
            raise InputError(
                f"{self._library} is the accelerator {digits} with streams of {widths} bytes; the package's is "
                f"{expected} with ({self._package.input_bytes}, {self._package.output_bytes}). Build the library of "
                "this package."
            )

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The board between two slices of time."""
        with self._lock:
            try:
                yield
            finally:
                self._attention = time.monotonic() + _ATTENTION_SECONDS
                self._asked.set()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            with self._lock:
                if self._closed.is_set():
                    return
                begin = time.monotonic()
                if self._dma is None or not self._dma.under_way or begin > self._attention:
                    self._asked.clear()
                    continue
                ran, moved = self._dma.step(self._slice)
                if moved:
                    self._attention = begin + _ATTENTION_SECONDS
                self._adapt(ran, time.monotonic() - begin)

    def _adapt(self, cycles: int, seconds: float) -> None:
        """Make slices long enough to be worth a call, and short enough for a client to wait.

        `cycles` have taken `seconds`. A slice in which a transfer ended says nothing of how long a whole one takes.
        """
        least, most = _SLICE_CYCLES
        if seconds > 2 * _SLICE_SECONDS:
            self._slice = max(self._slice // 2, least)
        elif cycles == self._slice and seconds < _SLICE_SECONDS / 2:
            self._slice = min(self._slice * 2, most)


def _check_response(response: int, what: str) -> None:
    if response != OKAY:
        answer = "did not answer" if response < 0 else f"answered with the error {response} (2 is SLVERR)"
        raise BusError(f"{ACCELERATOR} {answer} when {what}: see the registers in the package's README.")
