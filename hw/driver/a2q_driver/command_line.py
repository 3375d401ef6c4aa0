"""What driver.py and validate.py have in common: options, arrays from files, and how errors are told."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from a2q_driver.accelerator import PYNQ_PORT, Accelerator
from a2q_driver.errors import DriverError, FileError
from a2q_driver.manifest import read_manifest

__all__ = [
    "FAILED",
    "FAULT",
    "add_batch_option",
    "add_board_options",
    "load_array",
    "open_accelerator",
    "run",
    "start_file",
]

FAILED = 2  # the exit status of what could not be run, as argparse has it
FAULT = 70  # that of a fault of this program: EX_SOFTWARE of sysexits.h
_TIMEOUT, _SIMULATED_TIMEOUT = 10.0, 120.0  # seconds
_PACKAGE = Path(__file__).resolve().parents[2]


def add_board_options(parser: argparse.ArgumentParser) -> None:
    """Options that say where the accelerator is, and how it is driven."""
    parser.add_argument(
        "--bitfile", type=Path, metavar="FILE", help="a bitfile of a package (default: that of this one)"
    )
    parser.add_argument("--host", help="the address of a board whose PYNQ.remote server runs (default: this board)")
    parser.add_argument("--port", type=_positive, default=PYNQ_PORT, help="its port (default: %(default)s)")
    parser.add_argument(
        "--no-download", action="store_true", help="do not load the bitfile: it is on the board already"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="within which a frame must go in or come out, and weights be loaded (default: "
        f"{_TIMEOUT:g}; {_SIMULATED_TIMEOUT:g} for a package without a bitstream, on the simulated board)",
    )


def add_batch_option(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--batchsize", type=_positive, metavar="FRAMES", help=what)


def open_accelerator(options: argparse.Namespace, batch: int | None) -> Accelerator:
    """The accelerator that the options name, with `batch` frames a transfer at most. Raises DriverError."""
    package = options.bitfile or _PACKAGE
    timeout = options.timeout
    if timeout is None:
        simulated = options.bitfile is None and read_manifest(_PACKAGE)["bitstream"].get("kind") == "simulation"
        timeout = _SIMULATED_TIMEOUT if simulated else _TIMEOUT
    download = not options.no_download
    return Accelerator(package, options.host, options.port, download=download, timeout_s=timeout, batch=batch)


def load_array(path: Path) -> np.ndarray:
    """The array in a .npy file. Raises FileError for a file that is missing, cut short, or something else."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, and cannot be read as numpy does it
        raise FileError(f"{path} cannot be read as a .npy file: it is no regular file.")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FileError(f"{path} cannot be read as a .npy file: {what}.") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise FileError(f"{path} holds no array of frames.")
    return array


def start_file(path: Path) -> None:
    """Empty the file `path`: one of another run is not to be taken for this one's. Raises FileError if that cannot be."""
    if path.is_fifo():  # it would wait for who reads it
        raise FileError(f"{path} cannot be written: it is a pipe.")
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error


def run(main: Callable[[], int]) -> None:
    """Run `main`, and exit with what it returns; with one line and FAILED for an error of the driver, of a file or of
    the machine, and with FAULT for any other, whose traceback is kept in a file that the line names.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # whatever the terminal's encoding
    try:
        status = main()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = _tell("interrupted", 130)
    except BrokenPipeError:  # who read what is printed has read enough
        status = FAILED
    except DriverError as error:
        status = _tell(f"error: {error}", FAILED)
    except MemoryError:
        status = _tell(
            "error: There is not enough memory. Take fewer frames at once (--batchsize), or a smaller file.", FAILED
        )
    except OSError as error:
        where = "Standard output" if error.filename is None else error.filename
        status = _tell(f"error: {where} cannot be used: {error.strerror or error}.", FAILED)
    except Exception as error:  # noqa: BLE001  the net, for whoever runs this
        status = _tell(f"error: {_fault(error)}", FAULT)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # Python would report it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _tell(line: str, status: int) -> int:
    with contextlib.suppress(OSError):  # nobody reads it
        print(line, file=sys.stderr, flush=True)
    return status


def _fault(error: Exception) -> str:
    """What to say of an `error` that nobody foresaw; its traceback is in the file that this names."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    said = " ".join(str(error).split())
    what = f"{Path(sys.argv[0]).name} broke off with {type(error).__name__}{f' ({said})' if said else ''}"
    whose = "this is a fault of the driver, not of what it was given"
    try:
        handle, name = tempfile.mkstemp(prefix="a2q-driver-", suffix=".txt")
        with os.fdopen(handle, "w", errors="replace") as stream:
            stream.write(text)
    except OSError:
        return f"{what}: {whose}. Please report it with the traceback that follows.\n{text}"
    return f"{what}: {whose}. Please report it with {name}, which has the traceback."


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value
