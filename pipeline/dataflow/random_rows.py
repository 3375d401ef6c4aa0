"""Rows of integer weights at random, within the bound of an accumulator."""

from __future__ import annotations

import numpy as np

__all__ = ["draw_row"]

_MEAN_MAGNITUDE = 2.5  # of the weights that are not zero, where the bound allows it


def draw_row(
    generator: np.random.Generator, size: int, bound: int, sparsity: float, *, centred: bool, largest: int = 7
) -> np.ndarray:
    """`size` integers of magnitude up to `largest`, int64: ‖w‖₁ at most `bound`, about `sparsity` zeros, a sum of 0 if
    `centred`.

    Sums so long that the bound forbids this many non-zeros are sparser.
    """
    count = min(max(round((1 - sparsity) * size), 2), max(bound * 2 // 3, min(bound, 2)), size)
    budget = min(bound, round(_MEAN_MAGNITUDE * count))
    row = np.zeros(size, np.int64)
    places = generator.permutation(size)[:count]
    if centred:
        half = count // 2
        row[places[:half]] = _magnitudes(generator, half, budget // 2, largest)
        row[places[half : 2 * half]] = -_magnitudes(generator, half, budget // 2, largest)
    else:
        row[places] = _magnitudes(generator, count, budget, largest) * generator.choice((-1, 1), count)
    return row


def _magnitudes(generator: np.random.Generator, count: int, budget: int, largest: int) -> np.ndarray:
    """`count` integers from 1 to `largest` that sum to the lesser of `budget` and `largest`·`count`."""
    values = np.ones(count, np.int64)
    left = min(budget, largest * count) - count
    while left > 0:
        open_places = np.flatnonzero(values < largest)
        chosen = generator.choice(open_places, min(left, len(open_places)), replace=False)
        chosen = chosen[: max(len(chosen) // 2, 1)]
        values[chosen] += 1
        left -= len(chosen)
    return values
