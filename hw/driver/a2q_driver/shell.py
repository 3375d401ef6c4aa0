"""The accelerator's own registers: who it is, what it has counted, and its lock."""

from __future__ import annotations

import time
from dataclasses import dataclass

from a2q_driver.board import Registers
from a2q_driver.errors import (
    BoardError,
    BoardLostError,
    BusyError,
    MisalignedError,
    NotAnAcceleratorError,
    OverflowFlagError,
    ReconfiguredError,
    WrongBitfileError,
)
from a2q_driver.registers import ID, VERSION, Control, Register, Status
from a2q_driver.timeout import Timeout

__all__ = ["Counters", "Shell"]

_CONFIG = (Register.CONFIG0, Register.CONFIG1, Register.CONFIG2, Register.CONFIG3)
_STALLS = (Register.INPUT_STARVED, Register.INPUT_STALLED, Register.OUTPUT_STALLED)
_WRAP = 1 << 32  # counters have 32 bits
_MAJOR = 16  # bits of the minor version, below the major one


@dataclass(frozen=True)
class Counters:
    """What the accelerator counts. `cycles` are those in which a frame was in it; see the registers for the others."""

    frames_in: int
    frames_out: int
    cycles: int
    input_starved: int
    input_stalled: int
    output_stalled: int

    def since(self, before: Counters) -> Counters:
        """What was counted after `before`."""
        counts = {name: (value - getattr(before, name)) % _WRAP for name, value in vars(self).items()}
        return Counters(**{**counts, "cycles": self.cycles - before.cycles})

    def __str__(self) -> str:
        return ", ".join(f"{name.upper()} {value}" for name, value in vars(self).items())


class Shell:
    """The accelerator whose `registers` these are, of the configuration `config_hash`, 64 hexadecimal digits.

    `words` are those of the DMA's streams that a frame takes, in and out; `weight_words` the words of 32 bits of the
    weights that are to be loaded, 0 where there are none.
    """

    def __init__(self, registers: Registers, config_hash: str, words: tuple[int, int], weight_words: int) -> None:
        self._registers = registers
        self._config = config_hash[: 8 * len(_CONFIG)]
        self._words = words
        self._weight_words = weight_words

    def check_identity(self) -> None:
        """Raise NotAnAcceleratorError or WrongBitfileError unless this is the accelerator that is meant."""
        try:
            identity, version = self.read(Register.ID), self.read(Register.VERSION)
        except BoardLostError:
            raise
        except BoardError as error:
            raise NotAnAcceleratorError(f"Nothing answers at the accelerator's address: {error.fact}") from error
        if identity != ID:
            raise NotAnAcceleratorError(f"The accelerator's ID reads 0x{identity:08X}; expected 0x{ID:08X}.")
        if version >> _MAJOR != VERSION >> _MAJOR or version < VERSION:
            raise NotAnAcceleratorError(
                f"The accelerator's registers are of version 0x{version:08X}; this driver knows 0x{VERSION:08X}."
            )
        config = "".join(f"{self.read(word):08x}" for word in _CONFIG)
        if config != self._config:
            raise WrongBitfileError(
                f"The accelerator on the board is of the configuration {config}; the package is of {self._config}."
            )
        words = self.read(Register.INPUT_WORDS), self.read(Register.OUTPUT_WORDS)
        if words != self._words:
            raise NotAnAcceleratorError(
                f"The accelerator's frames are {words[0]} words of its input stream and {words[1]} of its output "
                f"stream; the package says {self._words[0]} and {self._words[1]}."
            )
        weight_words = self.read(Register.WEIGHT_WORDS)
        if weight_words != self._weight_words:
            raise NotAnAcceleratorError(
                f"The accelerator's WEIGHT_WORDS reads {weight_words}; the package has {self._weight_words} words of "
                "weights to load."
            )

    def check_same(self) -> None:
        """Raise ReconfiguredError unless the accelerator is still on the board."""
        try:
            self.check_identity()
        except (NotAnAcceleratorError, WrongBitfileError) as error:
            raise ReconfiguredError(f"Another accelerator is on the board than before. {error.fact}") from error

    def counters(self) -> Counters:
        frames = self.frames()
        low = self.read(Register.CYCLES_LO)  # keeps the upper half
        cycles = self.read(Register.CYCLES_HI) << 32 | low
        return Counters(*frames, cycles, *(self.read(register) for register in _STALLS))

    def frames(self) -> tuple[int, int]:
        """Frames taken and given: what changes while the accelerator works."""
        return self.read(Register.FRAMES_IN), self.read(Register.FRAMES_OUT)

    def check_status(self) -> None:
        """Raise OverflowFlagError or MisalignedError if the accelerator noted one since it was reset."""
        status = Status(self.read(Register.STATUS) & sum(Status))
        if status & Status.OVERFLOW:
            flags = self.read(Register.OVERFLOW_FLAGS)
            layers = ", ".join(str(bit) for bit in range(32) if flags >> bit & 1)
            raise OverflowFlagError(f"Accumulators left their widths, in matrix layers {layers}, counted from 0.")
        if status & Status.MISALIGNED:
            raise MisalignedError("The accelerator saw a transfer to it end in the middle of a frame.")

    @property
    def has_weights(self) -> bool:
        """Whether all weights are there: they are loaded since the last reset, or need not be."""
        return not self._weight_words or bool(self.read(Register.STATUS) & Status.WEIGHTS_LOADED)

    def begin_load(self) -> None:
        """What is sent from now on are weights. No frame may be in the accelerator."""
        self._registers.write(Register.CONTROL, Control.LOAD)

    def end_load(self) -> None:
        """What is sent from now on are frames again."""
        self._registers.write(Register.CONTROL, 0)

    def begin_transfer(self, frames: int) -> None:
        """The next transfer from it ends with the last of `frames`."""
        self._registers.write(Register.BATCH, frames)

    def acquire(self, limit: float) -> bool:
        """Wait for the lock, and take it.

        Returns False where its holder has made no progress for `limit` seconds: it is gone, and the accelerator is to be
        reset. Raises BusyError where the holder gets on, but has not freed the lock by then.
        """
        end = time.monotonic() + limit
        timeout = Timeout(limit, self.frames)
        while not self.try_lock():
            if timeout.expired:
                return False
            if timeout.moved and time.monotonic() > end:
                raise BusyError(
                    f"Another program has held the accelerator for {limit:g} s, and gets on with its work (frames in and "
                    f"out: {self.frames()})."
                )
            timeout.pause()
        return True

    def try_lock(self) -> bool:
        """Take the lock if it is free. Returns whether it was."""
        return self.read(Register.LOCK) == 0

    def free(self) -> None:
        """Free the lock."""
        self._registers.write(Register.LOCK, 0)

    def hold_in_reset(self) -> None:
        """Reset the accelerator, and keep it there. That frees the lock."""
        self._registers.write(Register.CONTROL, Control.RESET)

    def release_reset(self) -> None:
        self._registers.write(Register.CONTROL, 0)

    def read(self, register: Register) -> int:
        return self._registers.read(register)
