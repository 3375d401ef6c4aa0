"""A board of hw/tb/board_tb.cpp from Python, and frames as its memory holds them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from a2q_driver.packing import slot_bytes, stream_bytes
from pipeline.codegen.accelerator import TOP, write_accelerator
from pipeline.codegen.rtl import Design, Port, write_design
from pipeline.dataflow.layer import Layer
from pipeline.dataflow.packing import pack, unpack
from pipeline.tools.board_model import build_library

__all__ = ["HASH", "OKAY", "SLVERR", "Accelerator", "Board", "Register", "Run", "build_accelerator", "to_words"]

OKAY, SLVERR = 0, 2
HASH = "0123456789abcdef8796a5b4c3d2e1f0" + "5a" * 16


class Register:
    """Addresses in bytes."""

    ID, VERSION, CONFIG0, CONTROL, STATUS, BATCH = 0x00, 0x04, 0x08, 0x18, 0x1C, 0x20
    FRAMES_IN, FRAMES_OUT, LOCK, CYCLES_LO, CYCLES_HI = 0x24, 0x28, 0x2C, 0x30, 0x34
    INPUT_STARVED, INPUT_STALLED, OUTPUT_STALLED = 0x38, 0x3C, 0x40
    OVERFLOW_FLAGS, INPUT_WORDS, OUTPUT_WORDS, WEIGHT_WORDS = 0x44, 0x48, 0x4C, 0x50


@dataclass(frozen=True)
class Run:
    """What a call of board_run did."""

    cycles: int
    taken: int
    words: np.ndarray  # uint8 (n, bytes a word)
    ended: int  # 0 open, 1 with TLAST, 2 full


@dataclass(frozen=True)
class Accelerator:
    """A chain of layers as an accelerator, compiled."""

    layers: tuple[Layer, ...]
    design: Design
    library: Path

    def board(self, seed: int = 0) -> Board:
        with chdir(self.design.folder):
            return Board(self.library, seed)

    def frames(self, count: int, seed: int = 0) -> np.ndarray:
        """Random frames, int64 (count, H, W, C)."""
        (port,) = self.design.inputs
        return np.random.default_rng(seed).integers(port.type.lo, port.type.hi + 1, (count, *port.shape))

    def words(self, frames: np.ndarray) -> np.ndarray:
        return to_words(self.design.inputs[0], frames)

    def expected(self, frames: np.ndarray) -> np.ndarray:
        """The words that the reference's output makes."""
        result = frames
        for layer in self.layers:
            (result,) = layer.reference(result)
        port = self.design.outputs[0]
        words = to_words(port, result)
        beats = words.reshape(-1, slot_bytes(port.bytes))[:, : port.bytes]
        np.testing.assert_array_equal(unpack(beats, port.type, port.lanes, port.shape), result)
        return words


def to_words(port: Port, frames: np.ndarray) -> np.ndarray:
    """`frames` (N, H, W, C) as uint8 stream words (n, bytes a word): every beat in a slot, padded with zeros."""
    beats = pack(frames, port.type, port.lanes)
    slots = np.zeros((len(beats), slot_bytes(port.bytes)), np.uint8)
    slots[:, : port.bytes] = beats
    return slots.reshape(-1, stream_bytes(port.bytes))


def build_accelerator(layers: Sequence[Layer], folder: Path, *, check_overflow: bool = False) -> Accelerator:
    """`layers`, of which the first reads x and the last gives y, in `folder`."""
    design = write_design(layers, ["x"], ["y"], folder, "finn_design_wrapper", check_overflow=check_overflow)
    top = write_accelerator(design, folder, HASH)
    library = build_library(folder, TOP, [*design.sources, top], folder / "models")
    return Accelerator(tuple(layers), design, library)


class Board:
    """One board of a library; freed with the object."""

    def __init__(self, library: Path, seed: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.board_new.restype = ctypes.c_void_p
        self._library.board_cycles.restype = self._library.board_run.restype = ctypes.c_uint64
        self.input_bytes: int = self._library.board_input_bytes()
        self.output_bytes: int = self._library.board_output_bytes()
        self._handle: int | None = None
        self._handle = self._library.board_new(ctypes.c_uint64(seed))
        if self._handle is None:
            raise RuntimeError("board_new gave no board")

    def __del__(self) -> None:
        if self._handle is not None:
            self._library.board_free(ctypes.c_void_p(self._handle))

    @property
    def cycles(self) -> int:
        return self._library.board_cycles(ctypes.c_void_p(self._handle))

    def try_read(self, address: int) -> tuple[int, int]:
        """The response and the data."""
        data = ctypes.c_uint32(0xDEAD)
        response = self._library.board_read(ctypes.c_void_p(self._handle), ctypes.c_uint32(address), ctypes.byref(data))
        return response, data.value

    def read(self, address: int) -> int:
        response, data = self.try_read(address)
        assert response == OKAY, hex(address)
        return data

    def try_write(self, address: int, data: int) -> int:
        return self._library.board_write(ctypes.c_void_p(self._handle), ctypes.c_uint32(address), ctypes.c_uint32(data))

    def write(self, address: int, data: int) -> None:
        assert self.try_write(address, data) == OKAY, hex(address)

    def reset(self) -> None:
        self.write(Register.CONTROL, 1)
        self.write(Register.CONTROL, 0)

    def run(self, cycles: int, words: np.ndarray | None = None, room: int = 0, *, last: bool = True) -> Run:
        """Offer `words`, uint8 (n, bytes a word), and take up to `room` of the output."""
        given = np.empty((0, self.input_bytes), np.uint8) if words is None else np.ascontiguousarray(words)
        out = np.zeros((room, self.output_bytes), np.uint8)
        taken, got, ended = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_int()
        ran = self._library.board_run(
            ctypes.c_void_p(self._handle),
            ctypes.c_uint64(cycles),
            given.ctypes.data_as(ctypes.c_void_p) if len(given) else None,
            ctypes.c_uint64(len(given)),
            ctypes.c_int(last),
            ctypes.byref(taken),
            out.ctypes.data_as(ctypes.c_void_p) if room else None,
            ctypes.c_uint64(room),
            ctypes.byref(got),
            ctypes.byref(ended),
        )
        return Run(ran, taken.value, out[: got.value], ended.value)
