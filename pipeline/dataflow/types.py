"""Integer types of streams: the interval of values a stream can carry, and the bits that hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from a2q_driver.packing import element_type

__all__ = ["IntType"]


@dataclass(frozen=True)
class IntType:
    """All integers from `lo` to `hi`. Its bits and sign follow from the interval.

    >>> IntType(0, 15).name, IntType(-1, 1).name, IntType.of_bits(8, signed=True)
    ('UINT4', 'INT2', IntType(lo=-128, hi=127))
    """

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise ValueError(f"an empty interval: {self.lo} to {self.hi}")

    @classmethod
    def of_bits(cls, bits: int, *, signed: bool, narrow: bool = False) -> IntType:
        """The full range of a two's-complement or unsigned integer; `narrow` leaves out one end, as in QONNX.

        Raises ValueError for a number of bits that no integer has.
        """
        if bits < 1:
            raise ValueError(f"an integer of {bits} bits; expected 1 or more")
        if signed:
            return cls(-(1 << (bits - 1)) + int(narrow), (1 << (bits - 1)) - 1)
        return cls(0, (1 << bits) - 1 - int(narrow))

    @property
    def signed(self) -> bool:
        return self.lo < 0

    @property
    def bits(self) -> int:
        """The fewest bits that hold the interval: two's complement if `lo` is negative, else unsigned; at least 1."""
        if self.signed:
            return max((~self.lo).bit_length(), max(self.hi, 0).bit_length()) + 1
        return max(self.hi.bit_length(), 1)

    @property
    def name(self) -> str:
        """FINN's name of the type that holds the interval, such as UINT4 or INT13."""
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"

    @property
    def dtype(self) -> np.dtype:
        """The narrowest integer type of numpy that holds the interval; int64 instead of uint64, which mixes with none.

        >>> IntType(0, 255).dtype, IntType(-1, 255).dtype
        (dtype('uint8'), dtype('int16'))
        """
        return np.dtype(np.int64) if self.bits > 32 else element_type(self.bits, self.signed)

    def contains(self, values: np.ndarray) -> bool:
        """Whether all of `values` are integers, of whatever type of numpy, in the interval."""
        if values.size == 0:
            return True
        with np.errstate(invalid="ignore"):  # of infinite numbers
            whole = values.dtype.kind in "iub" or (values.dtype.kind in "fO" and bool((values // 1 == values).all()))
        return whole and int(values.min()) >= self.lo and int(values.max()) <= self.hi

    def __add__(self, other: IntType) -> IntType:
        return IntType(self.lo + other.lo, self.hi + other.hi)

    def scaled(self, factor: int) -> IntType:
        ends = (self.lo * factor, self.hi * factor)
        return IntType(min(ends), max(ends))
