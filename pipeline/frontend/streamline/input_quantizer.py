"""The quantizer that a network with a float input was given."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["InputQuantizer"]


@dataclass(frozen=True)
class InputQuantizer:
    """The quantizer that was inserted after `tensor`, and what it does to the outputs of golden inputs.

    It tells numbers from `low` to `high` apart, which the first `choosing` golden frames showed, or which were known where
    that is 0. Of the `frames` golden frames after them `same_top1` still have the same largest output, None where outputs
    are not a number for each class, and no real output differs by more than `largest_difference`.
    """

    tensor: str
    scale: float
    signed: bool
    low: float
    high: float
    choosing: int
    largest_difference: float
    same_top1: int | None
    frames: int

    def __str__(self) -> str:
        shown = f", as the first {self.choosing} frames show" if self.choosing else ""
        return f"{self.low:g} to {self.high:g}{shown}"
