"""The parts of layers that are drawn at random, in the sizes that networks have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.dataflow.types import IntType

__all__ = ["Draw", "divisors"]


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, in rising order.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    return tuple(d for d in range(1, number + 1) if number % d == 0)


class Draw:
    """A source of sizes, types and streams; the same ones in the same order for the same `seed`."""

    def __init__(self, seed: int | tuple[int, ...]) -> None:
        self.random = np.random.default_rng(seed)

    def one_of(self, values: Sequence[int]) -> int:
        return int(self.random.choice(values))

    def lanes(self, channels: int, most: int) -> int:
        return self.one_of([d for d in divisors(channels) if d <= most])

    def element(self) -> IntType:
        return IntType.of_bits(self.one_of([1, 2, 3, 4, 4, 4, 4, 5, 8]), signed=bool(self.random.random() < 0.15))

    def stream(self) -> dict[str, Any]:
        """The fields `shape` and `type` of a layer."""
        side = self.one_of([4, 8, 16, 32])
        return {"shape": (side, side, self.one_of([3, 8, 16, 32, 64])), "type": self.element()}
