"""The Verilator model of the accelerator: a shared library with the C interface of hw/tb/board_tb.cpp."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import numpy as np

from pipeline.errors import InputError

__all__ = ["OKAY", "Model"]

OKAY = 0  # of the responses of AXI4-Lite

_SEED = 0  # with which the processor does not pause between the beats of an access
_TLAST = 1  # how board_run says that the output has ended

_BYTES = ctypes.POINTER(ctypes.c_uint8)
_U32 = ctypes.c_uint32
_U64 = ctypes.c_uint64
_FUNCTIONS = {
    "board_new": (ctypes.c_void_p, [_U64]),
    "board_free": (None, [ctypes.c_void_p]),
    "board_read": (ctypes.c_int, [ctypes.c_void_p, _U32, ctypes.POINTER(_U32)]),
    "board_write": (ctypes.c_int, [ctypes.c_void_p, _U32, _U32]),
    "board_input_bytes": (_U32, []),
    "board_output_bytes": (_U32, []),
    "board_run": (
        _U64,
        [ctypes.c_void_p, _U64, _BYTES, _U64, ctypes.c_int, ctypes.POINTER(_U64)]
        + [_BYTES, _U64, ctypes.POINTER(_U64), ctypes.POINTER(ctypes.c_int)],
    ),
}


class Model:
    """An accelerator out of reset. `folder` holds the memory files that it reads when it is made.

    Calls are not to overlap. Raises InputError for a library that cannot be loaded, or does not find its memory files.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self._library = _load(library)
        with contextlib.chdir(folder):
            self._handle = self._library.board_new(_SEED)
        if not self._handle:
            raise InputError(f"{library} could not be started with the memory files of {folder}: see what it said.")
        self.input_bytes: int = self._library.board_input_bytes()
        self.output_bytes: int = self._library.board_output_bytes()

    def close(self) -> None:
        """Free it; it is not to be used any more."""
        self._library.board_free(self._handle)
        self._handle = None

    def read(self, offset: int) -> tuple[int, int]:
        """The register at `offset`, and the response that came with it; a response of -1 is none."""
        value = _U32()
        response = self._library.board_read(self._handle, offset, ctypes.byref(value))
        return value.value, response

    def write(self, offset: int, value: int) -> int:
        """Write the register at `offset`. Returns the response; -1 is none."""
        return self._library.board_write(self._handle, offset, value)

    def run(self, cycles: int, words_in: np.ndarray, last: bool, words_out: np.ndarray) -> tuple[int, int, int, bool]:
        """See `pipeline.board_sim.dma.Stream`."""
        taken, given, ended = _U64(), _U64(), ctypes.c_int()
        ran = self._library.board_run(
            *(self._handle, cycles),
            *(_pointer(words_in), len(words_in), last, ctypes.byref(taken)),
            *(_pointer(words_out), len(words_out), ctypes.byref(given), ctypes.byref(ended)),
        )
        return ran, taken.value, given.value, ended.value == _TLAST


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(os.path.abspath(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise InputError(f"{path} is not a library that pipeline.tools.board_model has built: {error}.") from error
    return library


def _pointer(words: np.ndarray) -> ctypes._Pointer[ctypes.c_uint8] | None:
    return words.ctypes.data_as(_BYTES) if len(words) else None
