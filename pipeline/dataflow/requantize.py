"""Requantization: a multiplication, an addition, a shift and a clip in the place of a channel's thresholds.

A level of a channel is lowest + the number of thresholds that a value v reaches. Where the thresholds are evenly spaced
enough, integers m, b and s give the same level for every v of a range [lo, hi]:

    floor      clip((v·m + b) >> s, lowest, highest)
    half even  the same, but one less where the quotient is odd and its remainder 0, before it is clipped; with
               b = β + 2^(s − 1) that is (v·m + β) / 2^s, rounded half to even, as quantizers of ONNX and Brevitas round

With w = v·m + b, a level n is reached by floor if w ≥ n·2^s, and by half even if w ≥ n·2^s + (n mod 2). So a threshold
t of level n in the range asks for

    m·t + b ≥ n·2^s + δ    and    m·(t − 1) + b < n·2^s + δ,    δ = n mod 2 for half even, else 0,

a threshold at or below lo for the first of the two at lo, and one above hi for the second at hi. Each is an interval of
b for a given m, so all of them have a b in common if the largest lower end is no more than the smallest upper one. Upper
less lower end is a concave function of m, the smallest of lines: Newton's method from m = 0 never passes the least m at
which it is not negative. Doubling m, b and 2^s keeps every one of the inequalities, so the least s is found by bisection.

Proof that two such functions are equal over [lo, hi]: both are non-decreasing in v (m ≥ 0; floor, half to even and clip
are non-decreasing). So they are equal between two integers at which both have one and the same level, and it is enough to
compare them at lo, at hi, and at every threshold t and t − 1 in between: there the level of the thresholds is constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.dataflow.bounds import range_bits

__all__ = ["MOST_MULTIPLIER_BITS", "MOST_SUM_BITS", "Requantizer", "find_requantizer"]

MOST_MULTIPLIER_BITS = 26  # wider ones take more adders than most thresholds are worth
MOST_SUM_BITS = 63  # of v·m + b, as of accumulators
_WORTH_A_CONSTANT = 2  # bits of a multiplier: a constant has digits that are 0, and takes no memory
_INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Requantizer:
    """The multiplier m and the addend b of each channel, int64 (C,), and the `shift` s of all; C is 1 for all channels.

    `dsps` are the DSPs of each lane that multiplies, 0 where look-up tables do. Raises ValueError for what is no such thing.
    """

    multipliers: np.ndarray
    addends: np.ndarray
    shift: int
    half_even: bool = False
    dsps: int = 0

    def __post_init__(self) -> None:
        if self.multipliers.ndim != 1 or self.multipliers.shape != self.addends.shape or not self.multipliers.size:
            raise ValueError(
                f"multipliers of shape {self.multipliers.shape} and addends of shape {self.addends.shape}; "
                "expected one of each a channel"
            )
        if int(self.multipliers.min()) < 0:
            raise ValueError(f"a multiplier of {self.multipliers.min()}; it must be 0 or more")
        if self.shift < int(self.half_even):
            raise ValueError(f"a shift of {self.shift}; it must be {int(self.half_even)} or more")
        if self.dsps not in (0, 1, 2):
            raise ValueError(f"{self.dsps} DSPs a lane; there can be 0, 1 or 2")

    @property
    def multiplier_bits(self) -> int:
        """Bits of the widest multiplier, unsigned."""
        return max(int(self.multipliers.max()).bit_length(), 1)

    @property
    def multiplies(self) -> bool:
        """Whether a multiplier is more than 1."""
        return self.multiplier_bits > 1

    @property
    def common_multiplier(self) -> int | None:
        """The multiplier that all channels share, if they do."""
        first = int(self.multipliers[0])
        return first if bool((self.multipliers == first).all()) else None

    @cached_property
    def addend_zeros(self) -> int:
        """Bits that are 0 at the end of every addend, at most `shift` of them."""
        together = int(np.bitwise_or.reduce(self.addends)) | 1 << self.shift
        return (together & -together).bit_length() - 1

    @property
    def addend_bits(self) -> int:
        """Bits, two's complement, of every addend without its `addend_zeros`."""
        lo, hi = int(self.addends.min()), int(self.addends.max())
        return range_bits(lo >> self.addend_zeros, hi >> self.addend_zeros)

    def sum_bits(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """Bits, two's complement, of v·m + b for v in [lo, hi], int64 of (C,), of each channel; more than `shift`."""
        multipliers, addends = self.multipliers.astype(object), self.addends.astype(object)
        ends = zip(multipliers * lo.astype(object) + addends, multipliers * hi.astype(object) + addends, strict=True)
        return np.array([max(range_bits(int(low), int(high)), self.shift + 1) for low, high in ends])

    def levels(self, values: np.ndarray, lowest: int, highest: int) -> np.ndarray:
        """The levels of `values` (..., C), from `lowest` to `highest`; int64 of that shape."""
        sums = values.astype(self._number(values)) * self.multipliers + self.addends
        levels = sums >> self.shift
        if self.half_even:
            even = sums - (levels << self.shift) == 0
            levels = levels - (levels & 1) * even
        clipped: np.ndarray = np.clip(levels, lowest, highest).astype(np.int64)
        return clipped

    def first_difference(
        self, thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, lowest: int
    ) -> tuple[int, int] | None:
        """The first channel, and a value of it, whose level is not `lowest` + the number of `thresholds` (C, T),
        non-decreasing, that the value reaches; None if there is no such value from `lo` to `hi`, int64 of (C,)."""
        count = thresholds.shape[1]
        first, last = lo[:, None], hi[:, None]
        values = np.hstack([first, last, np.clip(thresholds, first, last), np.clip(thresholds - 1, first, last)])
        reached = np.stack([np.searchsorted(*pair, side="right") for pair in zip(thresholds, values, strict=True)])
        wrong = np.argwhere(self.levels(values.T, lowest, lowest + count).T != lowest + reached)
        return (int(wrong[0][0]), int(values[tuple(wrong[0])])) if len(wrong) else None

    def _number(self, values: np.ndarray) -> type:
        """int64 where no sum of `values` leaves it, else Python's integers."""
        largest = max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0
        reach = largest * int(self.multipliers.max()) + max(abs(int(self.addends.min())), abs(int(self.addends.max())))
        return np.int64 if reach <= _INT64_MAX else object


def find_requantizer(
    thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, lowest: int, most_bits: int = MOST_MULTIPLIER_BITS
) -> Requantizer | None:
    """What computes `lowest` + the number of `thresholds` (C, T), non-decreasing along axis 1, that a value reaches, for
    every value of each channel from `lo` to `hi`, int64 of (C,), lo ≤ hi.

    It has the narrowest multipliers, of both roundings; or one for all channels, if that is at most two bits wider.
    Addends end in as many zeros as all of them can. None where a channel would need multipliers of more than `most_bits`
    bits, or sums of more than MOST_SUM_BITS.
    """
    problems = [_Problem(thresholds, lo, hi, lowest, half_even) for half_even in (False, True)]
    solutions = [problem.solve(most_bits, common) for problem in problems for common in (True, False)]
    return min(
        (one for one in solutions if one and int(one.sum_bits(lo, hi).max()) <= MOST_SUM_BITS),
        key=lambda one: (one.multiplier_bits + (0 if one.common_multiplier else _WORTH_A_CONSTANT), one.half_even),
        default=None,
    )


class _Problem:
    """The inequalities m·p + b ≥ n·2^s + δ and m·q + b ≤ n·2^s + δ − 1 of all channels, (C, T) of each kind."""

    def __init__(self, thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, lowest: int, half_even: bool) -> None:
        first, last = lo[:, None], hi[:, None]
        self.half_even = half_even
        self.range_bits = int((hi - lo).max()).bit_length()
        self.levels = np.broadcast_to(lowest + 1 + np.arange(thresholds.shape[1], dtype=np.int64), thresholds.shape)
        self.has_lower, self.has_upper = thresholds <= last, thresholds > first
        self.reached = np.clip(thresholds, first, last)  # p, where it has a lower end
        self.missed = np.clip(thresholds, first + 1, last + 1) - 1  # q, where it has an upper one
        self._value_bits = max(abs(int(lo.min())), abs(int(hi.max()))).bit_length()
        self._level_bits = max(abs(lowest), abs(lowest + thresholds.shape[1])).bit_length()

    def solve(self, most_bits: int, common: bool) -> Requantizer | None:
        """The requantizer of the least shift, if it has multipliers of at most `most_bits` bits; `common` is one for
        all channels."""
        # where two levels differ, a multiplier is more than 2^s / range: beyond this shift it has too many bits
        low, high = int(self.half_even), most_bits + self.range_bits
        least = None
        while low <= high:
            shift = (low + high) // 2
            multipliers = self._multipliers(shift, most_bits, common)
            if multipliers is None:
                low = shift + 1
            else:
                high = shift - 1
                if not (multipliers >> most_bits).any():
                    least = shift, multipliers
        if least is None:
            return None
        shift, multipliers = least
        lower, upper, _ = self._ends(multipliers, shift)
        whole = 1 << shift  # of an interval without an end: a multiple of this
        lower = np.where(self.has_lower.any(axis=1), lower, upper // whole * whole)
        upper = np.where(self.has_upper.any(axis=1), upper, -(-lower // whole) * whole)
        grains = (1 << zeros for zeros in range(shift, -1, -1))
        addends = next(rounded for grain in grains if (lower <= (rounded := upper // grain * grain)).all())
        if max(map(abs, addends.tolist())) > _INT64_MAX:
            return None
        return Requantizer(multipliers.astype(np.int64), addends.astype(np.int64), shift, self.half_even)

    def _multipliers(self, shift: int, most_bits: int, common: bool) -> np.ndarray | None:
        """The least multiplier of each channel, or of all in `common`; None if there is none at this shift. Once one needs
        more than `most_bits` bits, the others are not looked for."""
        multipliers: np.ndarray = np.zeros(len(self.levels), self._number(shift, most_bits))
        while not (multipliers >> most_bits).any():
            lower, upper, run = self._ends(multipliers, shift)
            open_ = lower > upper
            if (run[open_] <= 0).any():
                return None
            if not open_.any():
                break
            multipliers[open_] -= (upper - lower)[open_] // run[open_]
            if common:
                multipliers[:] = multipliers.max()
        return multipliers

    def _ends(self, multipliers: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The ends of the addends that each channel may have, and by how much they move apart with each multiplier more,
        until other inequalities set them; the ends cross where there is no addend."""
        number = multipliers.dtype
        none = 1 << 62 if number == np.int64 else 1 << 200
        channels, column = np.arange(len(multipliers)), multipliers[:, None]
        wanted = (self.levels.astype(number) << shift) + (self.levels & 1 if self.half_even else 0)
        lower = np.where(self.has_lower, wanted - column * self.reached, -none)
        upper = np.where(self.has_upper, wanted - 1 - column * self.missed, none)
        at_lower, at_upper = lower.argmax(axis=1), upper.argmin(axis=1)
        run = self.reached[channels, at_lower] - self.missed[channels, at_upper]
        return lower[channels, at_lower], upper[channels, at_upper], run

    def _number(self, shift: int, most_bits: int) -> type:
        """int64 where no number on the way leaves 62 bits, else Python's integers."""
        return np.int64 if max(self._value_bits + most_bits, self._level_bits + shift) < 60 else object
