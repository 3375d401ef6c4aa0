"""How integers lie in the beats of a stream: lane 0 in the least significant bits, beats padded to whole bytes.

The boards' driver packs the same beats, so that the work is done there: `hw/driver/a2q_driver/packing.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import SupportsInt

import numpy as np

from a2q_driver import packing
from a2q_driver.packing import beat_bytes
from pipeline.dataflow.types import IntType

__all__ = ["HLS_WORD_BITS", "beat_bytes", "pack", "pack_word", "unpack"]

HLS_WORD_BITS = 4096
"""The most bits of a beat in HLS C++, at a port and within: UG1399, "AXI4-Stream Interfaces" and AP_INT_MAX_W."""


def pack(values: np.ndarray, type_: IntType, lanes: int) -> np.ndarray:
    """`values`, integers of shape (N, H, W, C), as uint8 beats of shape (N·H·W·C / lanes, bytes a beat).

    Raises ValueError if a value lies outside of `type_`.
    """
    if not type_.contains(values):
        raise ValueError(f"values in [{values.min()}, {values.max()}] do not fit {type_}")
    return packing.pack(values, type_.bits, type_.signed, lanes, beat_bytes(lanes, type_.bits))


def unpack(beats: np.ndarray, type_: IntType, lanes: int, shape: tuple[int, int, int]) -> np.ndarray:
    """The inverse of `pack`: int64 values of shape (N, *shape)."""
    return packing.unpack(beats, type_.bits, type_.signed, lanes).astype(np.int64).reshape(-1, *shape)


def pack_word(values: Iterable[SupportsInt], bits: int) -> int:
    """One memory word: `values` as fields of `bits` each in two's complement, the first in the least significant."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (int(value) & mask) << (position * bits)
    return word
