"""What can go wrong, as one tree.

DriverError                   everything that this package raises on purpose
├── PackageError              the package is not as it was made: a file is missing, changed or not listed
├── DataError                 what is to be computed cannot be taken
│   ├── ShapeError            an array of another shape
│   ├── DtypeError            an array of another type
│   ├── RangeError            integers that do not fit the stream
│   └── FileError             a file that cannot be read as an array, or holds too little
├── BoardError                the board is not as it must be
│   ├── ClosedError           the accelerator was closed here before
│   ├── NotAnAcceleratorError what answers at the accelerator's address is none of ours
│   ├── WrongBitfileError     the accelerator on the board is of another build
│   ├── ReconfiguredError     somebody reset or reprogrammed the board meanwhile
│   ├── BusyError             another program holds the accelerator
│   ├── MemoryFullError       the board has no memory for buffers
│   ├── ProgrammingError      the board does not take the bitfile
│   ├── RemoteMissingError    this machine's pynq cannot drive a board over the network
│   └── BoardLostError        the board does not answer, or not any more
└── TransferError             a batch came to no good end
    ├── TransferTimeoutError  a DMA channel hangs
    ├── DmaError              a DMA channel stopped with an error
    ├── MisalignedError       frames ended where none should
    ├── WeightsError          the accelerator does not have its weights after they were sent
    └── OverflowFlagError     an accumulator left its width, in a build that watches for it

Each error's text says what was found and what was expected; the error's `advice`, which ends it, says what to do.
"""

from __future__ import annotations

__all__ = [
    "BoardError",
    "BoardLostError",
    "BusyError",
    "ClosedError",
    "DataError",
    "DmaError",
    "DriverError",
    "DtypeError",
    "FileError",
    "MemoryFullError",
    "MisalignedError",
    "NotAnAcceleratorError",
    "OverflowFlagError",
    "PackageError",
    "ProgrammingError",
    "RangeError",
    "ReconfiguredError",
    "RemoteMissingError",
    "ShapeError",
    "TransferError",
    "TransferTimeoutError",
    "WeightsError",
    "WrongBitfileError",
]


class DriverError(Exception):
    """The base of every error here. `fact` is a full sentence; `advice` is one, too."""

    advice = "See the README of the package."

    def __init__(self, fact: str) -> None:
        super().__init__(fact)
        self.fact = fact

    def __str__(self) -> str:
        return f"{self.fact} {self.advice}"


class PackageError(DriverError):
    """A file of the package is missing, changed, or not listed in the manifest."""

    advice = "Copy the folder deploy/ of the build again, the whole of it."


class DataError(DriverError, ValueError):
    """What is to be computed cannot be taken."""

    advice = "The README beside the driver says what goes in."


class ShapeError(DataError):
    """An array has another shape than the accelerator takes."""


class DtypeError(DataError):
    """An array has another type than can be taken."""

    advice = (
        "Give integers of the input stream, or frames of float32 as the network takes them, to execute, and uint8 "
        "images to predict."
    )


class RangeError(DataError):
    """An integer does not fit the stream's type."""

    advice = "Give the integers of the input stream, or frames as the network takes them, which are quantized here."


class FileError(DataError):
    """A file does not hold the array that it should."""

    advice = "Name a file that numpy.save wrote, or for outputs one in a folder that is there."


class BoardError(DriverError):
    """The board is not as it must be."""

    advice = (
        "On the board, run as root in PYNQ's environment; from another machine, name the board with --host (host=), and "
        "see that its PYNQ.remote server runs."
    )


class ClosedError(BoardError):
    """The accelerator was closed here before."""

    advice = "Open another Accelerator."


class NotAnAcceleratorError(BoardError):
    """ID or VERSION, or the widths of the streams, are not those of an accelerator that this driver knows."""

    advice = "Load the bitfile of this package: leave out --no-download (download=True)."


class WrongBitfileError(BoardError):
    """The accelerator on the board was built from another configuration than the package."""

    advice = "Load the bitfile of this package: leave out --no-download (download=True)."


class ReconfiguredError(BoardError):
    """The accelerator was reset or replaced while it was in use here."""

    advice = "Another program uses the board, too: agree with it, then open the accelerator again."


class BusyError(BoardError):
    """Another program holds the accelerator, and gets on with its work."""

    advice = "Try again when it has finished, or wait longer (--timeout, timeout_s)."


class MemoryFullError(BoardError):
    """The board has no contiguous memory for the buffers."""

    advice = "Take a smaller batch (--batchsize, batch), or end other programs that hold buffers."


class ProgrammingError(BoardError):
    """The board does not take the bitfile."""

    advice = "Use the package that was built for this board."


class RemoteMissingError(BoardError):
    """pynq is here, but not PYNQ.remote, which drives a board over the network."""

    advice = "Install what requirements.txt lists; or run this on the board itself, without --host (host=)."


class BoardLostError(BoardError):
    """The board, or the program on it that serves PYNQ.remote, does not answer."""

    advice = (
        "See that the board has power and network and its PYNQ.remote server runs; open the accelerator again then."
    )


class TransferError(DriverError):
    """A batch came to no good end. The accelerator has been reset; the next batch can be tried."""

    advice = "Try again; if it happens again, run validate.py, and build the package again if that fails, too."


class TransferTimeoutError(TransferError):
    """No frame went in or came out within the time limit."""

    advice = (
        "Wait longer (--timeout, timeout_s) if a frame takes that long; else run validate.py, and build the package "
        "again if that hangs, too."
    )


class DmaError(TransferError):
    """A DMA channel stopped with an error, or gave another number of bytes than frames have."""


class MisalignedError(TransferError):
    """The accelerator saw the end of a transfer where no frame ended."""


class WeightsError(TransferError):
    """The accelerator's UltraRAM was not filled by the weights that were sent to it."""

    advice = (
        "Try again; where that does not help, load the bitfile of this package once more: leave out --no-download "
        "(download=True)."
    )


class OverflowFlagError(TransferError):
    """An accumulator left its width. Only a build with overflow checks can tell."""

    advice = "The outputs are not to be trusted: build again with accumulators.policy: exact, which cannot overflow."
