"""The role of layers with thresholds. Code that asks for it knows none of the kernels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Self

import numpy as np

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.requantize import Requantizer, find_requantizer
from pipeline.dataflow.types import IntType

__all__ = ["Activating"]


class Activating(Layer):
    """A layer that puts out, for each of its values, output_type.lo + the number of thresholds that the value reaches.

    `thresholds` is int64 (C, T), non-decreasing along axis 1, a row for each channel or one for all, or None: then values
    go out as they are. `requantizer` is what finds the same levels in hardware, or None for a search among thresholds.
    The fields are those of the kernel's dataclass, in its order and with its defaults.
    """

    output_type: IntType
    thresholds: np.ndarray | None
    requantizer: Requantizer | None

    @abstractmethod
    def value_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest value that each row of `thresholds` is compared with, int64 of (C,)."""

    def with_requantizer(self) -> Self | None:
        """The layer, which has thresholds, with a requantizer that is equal to them for every value that there can be;
        None if there is none."""
        assert self.thresholds is not None
        requantizer = find_requantizer(self.thresholds, *self.value_range(), self.output_type.lo)
        if requantizer is None:
            return None
        values: dict[str, Any] = {"requantizer": requantizer}  # a field of the kernel's class
        return replace(self, **values)
