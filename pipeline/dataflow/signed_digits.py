"""The digits that multiplications by constants are sums of."""

from __future__ import annotations

import numpy as np

__all__ = ["csd_digits"]


def csd_digits(weights: np.ndarray) -> np.ndarray:
    """The digits other than 0 of each weight in canonical signed-digit form: the terms that its products are sums of.

    >>> csd_digits(np.array([0, 1, 7, -7, 11]))
    array([0, 1, 2, 2, 3])
    """
    size = np.abs(weights)
    changed = size ^ (3 * size)  # Reitwiesner, "Binary arithmetic", 1960: n + 2n carries where the digits are
    digits: np.ndarray = np.bitwise_count(changed).astype(np.int64)
    return digits
