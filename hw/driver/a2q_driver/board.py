"""The board as pynq gives it: its device, the overlay, registers and buffers. What pynq raises becomes an error here.

pynq is imported where it is needed, as all of this package but for this and `remote` works without it.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from a2q_driver.errors import (
    BoardError,
    BusyError,
    DriverError,
    MemoryFullError,
    PackageError,
    ProgrammingError,
    RemoteMissingError,
)

__all__ = ["Board", "Registers"]

_DMA_REACH = 1 << 32  # bytes from address 0 on: the DMA has addresses of 32 bits
_WORD = 0xFFFFFFFF
_FIRMWARE = "/lib/firmware/"
_TURN_SECONDS = 120.0
# of a processing system in a hardware handoff: the frequency of its clock 0, and of its crystal (PG201, PG082)
_CLOCK_PARAMETERS = (
    ("PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ", "PSU__PSS_REF_CLK__FREQMHZ"),
    ("PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ", "PCW_CRYSTAL_PERIPHERAL_FREQMHZ"),
)


class Registers:
    """32-bit registers of one block, by their offset in bytes."""

    def __init__(self, mmio: Any, translated: Callable[[], Any]) -> None:
        self._mmio = mmio
        self._translated = translated

    def read(self, offset: int) -> int:
        with self._translated():
            return int(self._mmio.read(int(offset))) & _WORD  # pynq 3.1 gives signed words over the network

    def write(self, offset: int, value: int) -> None:
        with self._translated():
            self._mmio.write(int(offset), int(value))


class Board:
    """A board: the one that this runs on, `device` of pynq, or the one whose PYNQ.remote server listens at `host`.

    Raises BoardLostError where nothing answers there, RemoteMissingError where pynq cannot ask, BoardError where this is
    no board that pynq knows.
    """

    def __init__(self, host: str | None, port: int, device: Any = None) -> None:
        self._connection = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of pynq's own dependencies about each other
                import pynq
        except ImportError as error:
            raise _without_pynq(error) from error
        if host is not None:
            try:
                from a2q_driver.remote import Connection
            except ImportError as error:  # before pynq 3.1
                raise RemoteMissingError(
                    f"A board over the network takes PYNQ.remote, which the pynq {pynq.__version__} here does not have "
                    f"({error})."
                ) from error
            self._connection = Connection(host, port)
            device = self._connection.device
        with self.translated():
            if device is not None:
                pynq.Device.active_device = device  # parts of pynq, such as registers of the ports' widths, ask for it
            self.device = pynq.Device.active_device
            # pynq keeps the clocks of the first device that a process meets, also when that is not connected any more
            if "_real_instance" in vars(pynq.Clocks):
                del pynq.Clocks._real_instance

    @property
    def name(self) -> str:
        """The board's name, as its device tree has it."""
        return str(getattr(self.device, "name", "the board"))

    @property
    def simulated(self) -> bool:
        """Whether it says that it is a simulation."""
        return "simulated" in self.name

    def load(self, bitfile: Path, download: bool) -> Any:
        """The overlay of `bitfile`, and of the .hwh beside it; it is loaded onto the board if `download`.

        Raises ProgrammingError where the board does not take it.
        """
        with self.translated(ProgrammingError), _one_program():
            import pynq

            _forget_lost_bitfile()
            overlay = pynq.Overlay(str(bitfile.absolute()), download=False, device=self.device)
            if download:
                if self._connection is not None:
                    # pynq sends it only if the board has no file of that name, be it another one or a part of one
                    self.device.write_file(f"{_FIRMWARE}{bitfile.stem}.bin", overlay.parser.bin_data)
                overlay.download()
        return overlay

    def registers(self, base: int, size: int) -> Registers:
        """The registers of `size` bytes from the address `base` on."""
        with self.translated():
            import pynq

            return Registers(pynq.MMIO(base, size, device=self.device), self.translated)

    def allocate(self, size: int) -> Any:
        """A buffer of pynq's of `size` bytes that the DMA reaches. Raises MemoryFullError where there is no room."""
        with self.translated(MemoryFullError):
            buffer = self.device.allocate((size,), np.uint8, cacheable=1)
            if getattr(buffer, "buffer_id", None) == "":  # PYNQ.remote's answer where allocation failed
                raise MemoryFullError(f"The board has no {size} bytes of contiguous memory left.")
            end = buffer.physical_address + size
            if end > _DMA_REACH:
                self.free(buffer)
                raise MemoryFullError(
                    f"The board gave a buffer of {size} bytes that ends at 0x{end:X}; the DMA reaches the first 4 GiB."
                )
        return buffer

    def free(self, buffer: Any) -> None:
        """Give `buffer` back, which is not to be looked at any more."""
        with self.translated():
            import pynq

            buffer.freebuffer()
            if pynq.__version__.startswith("2."):  # which keeps it as long as the program runs
                from pynq.pl_server import xrt_device

                xrt_device._free_bo(self.device, buffer.bo, buffer.virtual_address, buffer.nbytes)

    def clock_ratio(self, overlay: Any) -> float:
        """What the processing system's clock 0 is, by its registers, to what `overlay` was made for.

        Raises PackageError for a hardware handoff without its frequency.
        """
        with self.translated():
            import pynq

            running = float(pynq.Clocks.fclk0_mhz)
            assumed = float(pynq.Clocks._instance._ref_clk_mhz)  # the crystal of pynq's own boards
            parameters = [cell.get("parameters", {}) for cell in overlay.ip_dict.values()]
        for frequency, crystal in _CLOCK_PARAMETERS:
            for values in parameters:
                if frequency in values and crystal in values:
                    return running * float(values[crystal]) / assumed / float(values[frequency])
        expected = " or ".join(frequency for frequency, _ in _CLOCK_PARAMETERS)
        raise PackageError(f"The hardware handoff does not say what clock it was made for; expected {expected}.")

    def close(self) -> None:
        """End the connection, where there is one."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def translated(self, refused: type[DriverError] = BoardError) -> Iterator[None]:
        """What pynq raises in the block becomes a BoardLostError, or `refused` where it is the board that refuses."""
        try:
            yield
        except ImportError as error:  # parts of pynq are imported when they are used
            raise _without_pynq(error) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise refused(f"pynq refuses: {str(error).rstrip('.')}.") from error
        except Exception as error:
            translated = self._connection.translated(error, refused) if self._connection is not None else None
            if translated is None:
                raise
            raise translated from error


def _without_pynq(error: ImportError) -> BoardError:
    return BoardError(f"pynq cannot be imported ({error}); requirements.txt lists what is needed.")


def _forget_lost_bitfile() -> None:
    """pynq 3.0 loads nothing any more once the bitfile that it loaded last is deleted, until the board starts again."""
    try:
        from pynq.pl_server import global_state
    except ImportError:  # 2.7 has a server instead
        return
    if global_state.global_state_file_exists():
        try:
            global_state.load_global_state()
        except FileNotFoundError:
            global_state.clear_global_state()


@contextmanager
def _one_program() -> Iterator[None]:
    """pynq keeps what it knows of a bitfile in files beside its own modules: programs are to take turns with them."""
    import fcntl

    import pynq

    end = time.monotonic() + _TURN_SECONDS
    folder = os.open(Path(pynq.__file__).parent, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise BusyError(f"Another program here has loaded a bitfile for {_TURN_SECONDS:g} s.") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(folder)
