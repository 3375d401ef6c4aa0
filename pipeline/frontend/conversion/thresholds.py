"""From a chain of float operations that ends in a quantizer to integer thresholds, exactly.

FINN's conversion to MultiThreshold rounds halves up while the network rounds them to even, and solves for thresholds
in closed form; here the chain itself is asked, by bisection, for the smallest integer that reaches each level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["derive_thresholds"]


def derive_thresholds(
    levels: Callable[[np.ndarray], np.ndarray], lo: np.ndarray, hi: np.ndarray
) -> tuple[IntType, np.ndarray]:
    """The type of the levels, and thresholds (C, T) with level = type.lo + number of thresholds t with x >= t.

    `levels` maps integers of shape (..., C) to levels of that shape and must be non-decreasing in every channel over
    [lo, hi], int64 arrays of shape (C,). The type holds every level reached, and zero, which padding needs; where
    that is all, one is added, so that there is a threshold. A level that a channel never reaches gets the threshold
    hi + 1, one that it always reaches gets lo.
    """
    ends = levels(np.stack([lo, hi]))
    lowest = min(int(ends.min()), 0)
    out = IntType(lowest, max(int(ends.max()), lowest + 1, 0))
    level = np.arange(out.lo + 1, out.hi + 1, dtype=np.int64)[:, None]
    first = np.broadcast_to(lo, (len(level), len(lo))).copy()
    last = np.broadcast_to(hi + 1, first.shape).copy()
    while np.any(first < last):
        middle = (first + last) >> 1
        # at first == last the answer stands; hi + 1 itself is never asked
        reached = levels(np.minimum(middle, hi)) >= level
        open_ = first < last
        last = np.where(open_ & reached, middle, last)
        first = np.where(open_ & ~reached, middle + 1, first)
    return out, np.ascontiguousarray(first.T)
