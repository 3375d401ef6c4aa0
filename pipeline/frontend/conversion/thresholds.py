"""From a chain of float operations that ends in a quantizer to integer thresholds, or a requantizer, exactly.

FINN's conversion to MultiThreshold rounds halves up while the network rounds them to even, and solves for thresholds
in closed form; here the chain itself is asked, by bisection, for the smallest integer that reaches each level. Of levels
that are more than hardware has thresholds, the thresholds are there a block at a time, and a requantizer remains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.dataflow.requantize import MOST_MULTIPLIER_BITS, Requantizer, find_requantizer
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError

__all__ = ["derive_requantizer", "derive_thresholds", "shared"]

Levels = Callable[[np.ndarray], np.ndarray]

_BLOCK = 1 << 19  # thresholds of all channels at a time
_BETWEEN = 256  # levels whose thresholds are first guessed on a line between two that are known
_STEPS = 3  # from a guess on, until it is bisection again


def derive_thresholds(levels: Levels, lo: np.ndarray, hi: np.ndarray) -> tuple[IntType, np.ndarray]:
    """The type of the levels, and thresholds (C, T) with level = type.lo + number of thresholds t with x >= t.

    `levels` maps integers of shape (..., C) to levels of that shape and must be non-decreasing in every channel over
    [lo, hi], int64 arrays of shape (C,). The type holds every level reached, and zero, which padding needs; where
    that is all, one is added, so that there is a threshold. A level that a channel never reaches gets the threshold
    hi + 1, one that it always reaches gets lo.
    """
    out = _type(levels, lo, hi)
    wanted = np.arange(out.lo + 1, out.hi + 1, dtype=np.int64)
    return out, np.ascontiguousarray(_bisected(levels, hi, wanted, lo, hi + 1).T)


def derive_requantizer(
    source: str, levels: Levels, lo: np.ndarray, hi: np.ndarray
) -> tuple[IntType, Requantizer | None]:
    """The type of the levels, as `derive_thresholds` has it, and the requantizer that gives the same levels; None where
    there is none of MOST_MULTIPLIER_BITS. `source` is what messages call the quantizer.

    It is compared with `levels` again: at both ends of each channel, and for every level at the smallest integer that
    reaches it and one below. Raises VerificationError where they differ.
    """
    out = _type(levels, lo, hi)
    known = np.unique([*range(out.lo + 1, out.hi, _BETWEEN), out.hi])
    ends = _bisected(levels, hi, known, lo, hi + 1)

    def blocks() -> Iterator[np.ndarray]:
        """The thresholds of all levels above the lowest, int64 (C, K) each, of consecutive levels."""
        size = max(_BLOCK // len(lo), _BETWEEN)
        for first in range(out.lo + 1, out.hi + 1, size):
            wanted = np.arange(first, min(first + size, out.hi + 1), dtype=np.int64)
            left = np.searchsorted(known[1:-1], wanted, side="right")
            right = np.minimum(left + 1, len(known) - 1)
            part = (wanted - known[left]) / np.maximum(known[right] - known[left], 1)
            guesses = ends[left] + np.rint((ends[right] - ends[left]) * part[:, None]).astype(np.int64)
            yield np.ascontiguousarray(_bisected(levels, hi, wanted, ends[left], ends[right], guesses).T)

    requantizer = find_requantizer(blocks(), lo, hi, out.lo, MOST_MULTIPLIER_BITS)
    if requantizer is None:
        return out, None
    lowest = out.lo
    for block in blocks():
        if difference := requantizer.first_difference(block, lo, hi, lowest):
            channel, value = difference
            raise VerificationError(
                f"{source}: the requantizer that was found differs from the quantizer in channel {channel} at {value}."
            )
        lowest += block.shape[1]
    return out, requantizer


def shared(activation: Mapping[str, Any]) -> dict[str, Any]:
    """The fields "thresholds" and "requantizer" of `activation` with one row where all channels have the same."""
    fields = dict(activation)
    thresholds, requantizer = fields.get("thresholds"), fields.get("requantizer")
    if thresholds is not None and (thresholds == thresholds[:1]).all():
        fields["thresholds"] = thresholds[:1]
    if requantizer is not None and requantizer.one_of_all:
        fields["requantizer"] = requantizer.of_channels(np.array([0]))
    return fields


def _type(levels: Levels, lo: np.ndarray, hi: np.ndarray) -> IntType:
    ends = levels(np.stack([lo, hi]))
    lowest = min(int(ends.min()), 0)
    return IntType(lowest, max(int(ends.max()), lowest + 1, 0))


def _bisected(
    levels: Levels,
    hi: np.ndarray,
    wanted: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    guesses: np.ndarray | None = None,
) -> np.ndarray:
    """The smallest integers (K, C), from `first` to `last`, that reach the levels `wanted` (K,); `last`, which may be hi +
    1, does or is never asked. With `guesses` of them, the first steps are from these on."""
    shape = (len(wanted), len(hi))
    first, last = (np.broadcast_to(end, shape).copy() for end in (first, last))
    rows = np.arange(len(wanted))
    step = 0
    while (rows := rows[(first[rows] < last[rows]).any(axis=1)]).size:
        low, high = first[rows], last[rows]
        open_ = low < high
        middle = (low + high) >> 1
        if guesses is not None and step < _STEPS:
            middle = np.clip(guesses[rows], low, np.maximum(high - 1, low))
        reached = levels(np.minimum(middle, hi)) >= wanted[rows, None]
        # at low == high the answer stands
        last[rows] = np.where(open_ & reached, middle, high)
        first[rows] = np.where(open_ & ~reached, middle + 1, low)
        if guesses is not None:
            guesses[rows] = middle + np.where(reached, -1, 1)
        step += 1
    return first
