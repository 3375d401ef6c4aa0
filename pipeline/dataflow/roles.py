"""Roles: what some kernels say beside what every layer says. Code that asks for a role knows none of these kernels.

A role declares the fields that it needs, and the kernel's dataclass defines them, in its order and with its defaults.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.layer import Layer, Shape
from pipeline.dataflow.requantize import Requantizer, find_requantizer
from pipeline.dataflow.types import IntType
from pipeline.devices.dsps import multiplier_dsps

__all__ = ["Accumulating", "Activating", "Fifo", "Scaling"]


class Fifo(Layer):
    """A layer that keeps beats until they are read: `depth` beats of `lanes` channels of frames of `shape`."""

    shape: Shape
    type: IntType
    lanes: int
    depth: int

    is_fifo: ClassVar[bool] = True
    between_layers: ClassVar[bool] = True


class Accumulating(Layer):
    """A layer with accumulators: each row of `weights`, int64 (rows, K), times K elements of a pixel of the one input.

    The sum of row r starts from `bias`[r], where there is a bias, int64 (rows,). `accumulator_bits` gives the width of
    each row's accumulator, two's complement; None is the smallest that is exact for all rows. Channel r of the output
    follows from the sum of row r.
    """

    weights: np.ndarray
    input_type: IntType
    bias: np.ndarray | None
    accumulator_bits: tuple[int, ...] | None

    has_overflow: ClassVar[bool] = True

    @abstractmethod
    def lane_accumulator_bits(self) -> tuple[int, ...]:
        """The width of each accumulator; row r is summed up by the r-th of them, modulo how many there are."""

    @abstractmethod
    def pixel_of(self, row: int, elements: np.ndarray) -> np.ndarray:
        """A pixel of the input, int64 (channels,), from which row `row` sums up `elements`, int64 (K,); or a row of the image,
        int64 (W, channels), in which it does."""

    @property
    def weight_type(self) -> IntType:
        """The smallest signed type that holds the weights."""
        return IntType(min(int(self.weights.min()), -1), max(int(self.weights.max()), 0))

    def weight_memory_bits(self) -> int:
        """Bits that the weights take in memories, with what says where each belongs; 0 where they are the circuit."""
        return 0

    def accumulator_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest sum of each row, int64 of (rows,), exact over all inputs of `input_type`."""
        lo, hi = self._ends
        return np.array(lo), np.array(hi)

    def exact_accumulator_bits(self) -> tuple[int, ...]:
        """The fewest bits, two's complement, that hold `accumulator_range` of each row."""
        return tuple(map(range_bits, *self._ends))

    def with_accumulator_bits(self, bits: tuple[int, ...]) -> Self:
        """The layer with accumulators of these widths, row by row."""
        values: dict[str, Any] = {"accumulator_bits": bits}  # a field of the kernel's class
        return replace(self, **values)

    @cached_property
    def _ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return exact_range(self.weights, self.input_type, self.bias)


class Scaling(Layer):
    """A layer that multiplies by scales, one a channel or one for all: in look-up tables, or in DSPs."""

    @property
    @abstractmethod
    def scales(self) -> bool:
        """Whether there is anything to multiply by."""

    @abstractmethod
    def with_multipliers_in_dsps(self, family: str) -> Self | None:
        """The layer, which `scales`, with its multiplications in DSPs of Yosys' `family`; None where those do not hold them."""


class Activating(Scaling):
    """A layer that puts out, for each of its values, output_type.lo + the number of thresholds that the value reaches.

    `thresholds` is int64 (C, T), non-decreasing along axis 1, a row for each channel or one for all. `requantizer` is what
    finds the same levels in hardware, or None for a search among thresholds. A `requantizer` without thresholds is what
    the levels are, from output_type.lo to output_type.hi. With neither, values go out as they are. The fields are those
    of the kernel's dataclass, in its order and with its defaults.
    """

    output_type: IntType
    thresholds: np.ndarray | None
    requantizer: Requantizer | None

    @property
    def activates(self) -> bool:
        """Whether levels go out, not the values themselves."""
        return self.thresholds is not None or self.requantizer is not None

    @property
    def level_steps(self) -> int:
        """Levels above the lowest, which are thresholds of a channel where there are thresholds; 0 for values."""
        if self.thresholds is not None:
            return int(self.thresholds.shape[1])
        return self.output_type.hi - self.output_type.lo if self.requantizer is not None else 0

    @abstractmethod
    def value_range(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest value of which each row finds the level, int64 of (C,)."""

    def value_bits(self) -> int:
        """Bits, two's complement, of the widest of these values in hardware."""
        lo, hi = self.value_range()
        return range_bits(int(lo.min()), int(hi.max()))

    def with_requantizer(self) -> Self | None:
        """The layer, which has thresholds, with a requantizer that is equal to them for every value that there can be;
        None if there is none."""
        assert self.thresholds is not None
        requantizer = find_requantizer(self.thresholds, *self.value_range(), self.output_type.lo)
        if requantizer is None:
            return None
        return self._with(requantizer)

    @property
    def scales(self) -> bool:
        return self.requantizer is not None and self.requantizer.multiplies

    def with_multipliers_in_dsps(self, family: str) -> Self | None:
        requantizer = self.requantizer
        assert requantizer is not None and requantizer.multiplies
        sum_bits = int(requantizer.sum_bits(*self.value_range()).max())
        dsps = multiplier_dsps(self.value_bits(), requantizer.multiplier_bits + 1, sum_bits, family)
        return None if dsps is None else self._with(replace(requantizer, dsps=dsps))

    def _with(self, requantizer: Requantizer) -> Self:
        values: dict[str, Any] = {"requantizer": requantizer}  # a field of the kernel's class
        return replace(self, **values)
