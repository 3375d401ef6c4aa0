"""How integers lie in the beats of a stream: lane 0 in the least significant bits, beats padded to whole bytes."""

from __future__ import annotations

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["beat_bytes", "pack", "pack_word", "unpack"]


def beat_bytes(lanes: int, bits: int) -> int:
    """Bytes a beat takes on an AXI stream."""
    return (lanes * bits + 7) // 8


def pack(values: np.ndarray, type_: IntType, lanes: int) -> np.ndarray:
    """`values`, integers of shape (N, H, W, C), as uint8 beats of shape (N·H·W·C / lanes, bytes a beat).

    Raises ValueError if a value lies outside of `type_`.
    """
    if not type_.contains(values):
        raise ValueError(f"values in [{values.min()}, {values.max()}] do not fit {type_}")
    elements = np.ascontiguousarray(values).reshape(-1, lanes, 1)
    bits = ((elements >> np.arange(type_.bits)) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(len(elements), -1), axis=1, bitorder="little")


def unpack(beats: np.ndarray, type_: IntType, lanes: int, shape: tuple[int, int, int]) -> np.ndarray:
    """The inverse of `pack`: int64 values of shape (N, *shape)."""
    bits = np.unpackbits(beats, axis=1, count=lanes * type_.bits, bitorder="little")
    bits = bits.reshape(-1, type_.bits).astype(np.int64)
    weights = np.int64(1) << np.arange(type_.bits, dtype=np.int64)
    if type_.signed:
        weights[-1] = -weights[-1]
    return (bits @ weights).reshape(-1, *shape)


def pack_word(values: np.ndarray, bits: int) -> int:
    """One memory word: `values` as fields of `bits` each in two's complement, the first in the least significant."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (int(value) & mask) << (position * bits)
    return word
