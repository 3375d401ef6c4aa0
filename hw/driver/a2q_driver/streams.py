"""The two streams of an accelerator, as io_shape_dict.json describes them with FINN's keys."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from a2q_driver import packing
from a2q_driver.errors import PackageError, ShapeError
from a2q_driver.manifest import DMA

__all__ = ["Stream", "io_shape_dict", "streams_of", "type_name"]


@dataclass(frozen=True)
class Stream:
    """Frames of `shape` (height, width, channels), integers of `bits` bits, `lanes` a beat, a beat in `slot` bytes."""

    shape: tuple[int, int, int]
    bits: int
    signed: bool
    lanes: int
    slot: int

    @property
    def beats(self) -> int:
        """Beats a frame."""
        return math.prod(self.shape) // self.lanes

    @property
    def frame_bytes(self) -> int:
        """Bytes that a frame takes in memory."""
        return self.beats * self.slot

    @property
    def word_bytes(self) -> int:
        """Bytes of a word of the DMA's stream."""
        return min(self.slot, packing.WIDEST_STREAM)

    @property
    def words(self) -> int:
        """Words of the DMA's stream a frame."""
        return self.frame_bytes // self.word_bytes

    def pack(self, frames: np.ndarray, memory: np.ndarray) -> None:
        """Write `frames`, integers of shape (N, *shape), to `memory`, uint8 of at least N · frame_bytes.

        Raises ShapeError, DtypeError and RangeError.
        """
        self.check_shape(frames)
        slots = memory[: len(frames) * self.frame_bytes].reshape(-1, self.slot)
        packing.pack(frames, self.bits, self.signed, self.lanes, self.slot, out=slots)

    def unpack(self, memory: np.ndarray, count: int) -> np.ndarray:
        """The first `count` frames in `memory`, uint8, as int64 of shape (count, *shape)."""
        slots = memory[: count * self.frame_bytes].reshape(-1, self.slot)
        values = packing.unpack(slots, self.bits, self.signed, self.lanes)
        return values.astype(np.int64).reshape(count, *self.shape)

    def check_shape(self, frames: np.ndarray) -> None:
        """Raise ShapeError unless `frames` have the shape (N, *shape)."""
        if frames.shape[1:] != self.shape or frames.ndim != 4:
            raise ShapeError(f"Frames of shape {frames.shape}; the input stream takes (N, {_listed(self.shape)}).")


def io_shape_dict(input_: Stream, output: Stream) -> dict[str, Any]:
    """The description of both streams, with FINN's keys; shapes begin with the batch, 1."""
    content: dict[str, Any] = {
        "idt": [type_name(input_.bits, input_.signed)],
        "odt": [type_name(output.bits, output.signed)],
    }
    for kind, shape_of in (("normal", lambda s: s.shape), ("folded", _folded), ("packed", _packed)):
        for side, stream in (("i", input_), ("o", output)):
            content[f"{side}shape_{kind}"] = [[1, *shape_of(stream)]]
    return {
        **content,
        "input_dma_name": [DMA],
        "output_dma_name": [DMA],
        "num_inputs": 1,
        "num_outputs": 1,
        "number_of_external_weights": 0,
    }


def streams_of(content: Mapping[str, Any]) -> tuple[Stream, Stream]:
    """The input and the output stream that an io_shape_dict describes. Raises PackageError for another description."""
    try:
        streams = tuple(_stream(content, side) for side in "io")
        if io_shape_dict(*streams) != content:
            raise ValueError(f"it describes {streams} and something else")
        for stream in streams:
            if stream.slot != packing.slot_bytes(packing.beat_bytes(stream.lanes, stream.bits)):
                raise ValueError(f"{stream} has another slot")
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
        raise PackageError(f"io_shape_dict.json does not describe two streams: {error!r}.") from error
    return streams


def type_name(bits: int, signed: bool) -> str:
    """QONNX's name of an integer type.

    >>> type_name(4, signed=False), type_name(1, signed=False), type_name(12, signed=True)
    ('UINT4', 'BINARY', 'INT12')
    """
    if (bits, signed) == (1, False):
        return "BINARY"
    return f"{'INT' if signed else 'UINT'}{bits}"


def _stream(content: Mapping[str, Any], side: str) -> Stream:
    name = content[f"{side}dt"][0]
    match = re.fullmatch(r"(U?)INT(\d+)", "UINT1" if name == "BINARY" else name)
    if match is None:
        raise ValueError(f"the type {name!r}")
    _, height, width, channels = content[f"{side}shape_normal"][0]
    lanes, slot = content[f"{side}shape_folded"][0][-1], content[f"{side}shape_packed"][0][-1]
    return Stream((height, width, channels), int(match[2]), not match[1], lanes, slot)


def _folded(stream: Stream) -> list[int]:
    height, width, channels = stream.shape
    if channels % stream.lanes:  # a beat holds lanes of several pixels
        return [stream.beats, stream.lanes]
    return [height, width, channels // stream.lanes, stream.lanes]


def _packed(stream: Stream) -> list[int]:
    return [*_folded(stream)[:-1], stream.slot]


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
