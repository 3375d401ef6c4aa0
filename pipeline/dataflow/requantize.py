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

Of many thresholds few decide. The lower end is the maximum of n·2^s + δ − m·t, linear in (t, n), so that the corners of
the convex hull of these points, of even n and of odd n, are enough for any m and s; so it is with the upper end. Where
thresholds follow a line there are some tens of corners among 65,535.

Proof that two such functions are equal over [lo, hi]: both are non-decreasing in v (m ≥ 0; floor, half to even and clip
are non-decreasing). So they are equal between two integers at which both have one and the same level, and it is enough to
compare them at lo, at hi, and at every threshold t and t − 1 in between: there the level of the thresholds is constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.dataflow.bounds import range_bits

__all__ = ["MOST_MULTIPLIER_BITS", "MOST_SUM_BITS", "WORTHWHILE_MULTIPLIER_BITS", "Requantizer", "find_requantizer"]

MOST_MULTIPLIER_BITS = 32  # of hw/rtl/requantize.sv
WORTHWHILE_MULTIPLIER_BITS = 26  # wider ones take more adders than most thresholds are worth
MOST_SUM_BITS = 63  # of v·m + b, as of accumulators
_FEW = 255  # thresholds of a channel up to which all are taken
_MANY = 1024  # corners of a channel: more than evenly spaced thresholds have
_SAMPLE = 64  # of the corners, to see that there is no requantizer
_ROUNDS = 64  # of leaving out points that are no corners; what is left is more than the corners, and as good
_WORTH_A_CONSTANT = 2  # bits of a multiplier: a constant has digits that are 0, and takes no memory
_INT64_MAX = (1 << 63) - 1
_PRODUCT_BITS = 61  # of two differences, so that the difference of two products is an int64


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

    def of_channels(self, channels: np.ndarray) -> Requantizer:
        """What computes the levels of `channels`, indices, which have their own multipliers and addends."""
        return replace(self, multipliers=self.multipliers[channels], addends=self.addends[channels])

    def of_moved(self, by: np.ndarray) -> Requantizer:
        """What computes the same levels of values to which `by`, int64 of (C,), is added."""
        return replace(self, addends=self.addends - self.multipliers * by)

    @cached_property
    def multiplier_bits(self) -> int:
        """Bits of the widest multiplier, unsigned."""
        return max(int(self.multipliers.max()).bit_length(), 1)

    @property
    def one_of_all(self) -> bool:
        """Whether all channels have the same multiplier and addend."""
        return bool((self.multipliers == self.multipliers[0]).all() and (self.addends == self.addends[0]).all())

    @property
    def multiplies(self) -> bool:
        """Whether a multiplier is more than 1."""
        return self.multiplier_bits > 1

    @cached_property
    def common_multiplier(self) -> int | None:
        """The multiplier that all channels share, if they do."""
        first = int(self.multipliers[0])
        return first if bool((self.multipliers == first).all()) else None

    @cached_property
    def addend_zeros(self) -> int:
        """Bits that are 0 at the end of every addend, at most `shift` of them."""
        together = int(np.bitwise_or.reduce(self.addends)) | 1 << self.shift
        return (together & -together).bit_length() - 1

    @cached_property
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
    thresholds: np.ndarray | Iterable[np.ndarray],
    lo: np.ndarray,
    hi: np.ndarray,
    lowest: int,
    most_bits: int = WORTHWHILE_MULTIPLIER_BITS,
    missed: np.ndarray | None = None,
) -> Requantizer | None:
    """What computes `lowest` + the number of `thresholds` (C, T), non-decreasing along axis 1, that a value reaches, for
    every value of each channel from `lo` to `hi`, int64 of (C,), lo ≤ hi. Thresholds that are too many to be there at
    once come as blocks of consecutive columns. Where not every value occurs, `missed` (C, T) are the largest that do and
    that do not reach the level; what lies between these and the threshold may have the level or not.

    It has the narrowest multipliers, of both roundings; or one for all channels, if that is at most two bits wider.
    Addends end in as many zeros as all of them can. None where a channel would need multipliers of more than `most_bits`
    bits, or sums of more than MOST_SUM_BITS.
    """
    blocks = [thresholds] if isinstance(thresholds, np.ndarray) else thresholds
    parts = [_Steps.of(block, missed, lo, hi, level) for level, block in _with_levels(blocks, lowest + 1)]
    steps = _Steps.joined(parts, hi - lo)
    problems = [_Problem(steps, lo, hi, half_even) for half_even in (False, True)]
    if steps.count > _MANY:
        part = steps.sampled(_SAMPLE)
        problems = [p for p in problems if _Problem(part, lo, hi, p.half_even).solve(most_bits, common=False)]
    solutions = [problem.solve(most_bits, common) for problem in problems for common in (True, False)]
    return min(
        (one for one in solutions if one and int(one.sum_bits(lo, hi).max()) <= MOST_SUM_BITS),
        key=lambda one: (one.multiplier_bits + (0 if one.common_multiplier else _WORTH_A_CONSTANT), one.half_even),
        default=None,
    )


def _with_levels(blocks: Iterable[np.ndarray], level: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of thresholds, each with the level of its first column."""
    for block in blocks:
        yield level, block
        level += block.shape[1]


@dataclass(frozen=True, eq=False)
class _Points:
    """Pairs of a value and a level, int64 of (C, K) each; those that are not `valid` are none."""

    values: np.ndarray
    levels: np.ndarray
    valid: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[_Points]) -> _Points:
        return cls(*(np.hstack([getattr(part, name) for part in parts]) for name in ("values", "levels", "valid")))

    def corners(self, side: int) -> _Points:
        """Those that may be corners of the convex hull of each row, of even and of odd levels: those with the most
        level for their value where `side` is 1, with the least where it is -1. Levels rise along axis 1."""
        return _Points.joined([self._corners(side, self.valid & (self.levels & 1 == parity)) for parity in (0, 1)])

    def _corners(self, side: int, valid: np.ndarray) -> _Points:
        rows, columns = np.nonzero(valid)
        values, levels = self.values[rows, columns], self.levels[rows, columns]
        for _ in range(_ROUNDS):
            # a point between two others of its row is none if it is on their chord or behind it
            run, rise = np.diff(values), np.diff(levels)
            turn = rise[:-1] * run[1:] - rise[1:] * run[:-1]
            behind = (rows[:-2] == rows[2:]) & (side * turn <= 0)
            if not behind.any():
                break
            kept = np.concatenate([[True], ~behind, [True]])
            rows, values, levels = rows[kept], values[kept], levels[kept]
        counts = np.bincount(rows, minlength=len(valid))
        places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(valid), int(counts.max(initial=1)))
        result = _Points(*(np.zeros(shape, type_) for type_ in (np.int64, np.int64, bool)))
        for array, content in zip((result.values, result.levels, result.valid), (values, levels, True), strict=True):
            array[rows, places] = content
        return result

    def sampled(self, count: int) -> _Points:
        columns = np.unique(np.linspace(0, self.values.shape[1] - 1, count).astype(int))
        return _Points(self.values[:, columns], self.levels[:, columns], self.valid[:, columns])


@dataclass(frozen=True, eq=False)
class _Steps:
    """Where levels begin: at a value `reached` its level is reached, at a value `missed` it is not."""

    reached: _Points
    missed: _Points

    @classmethod
    def of(
        cls, thresholds: np.ndarray, missed: np.ndarray | None, lo: np.ndarray, hi: np.ndarray, level: int
    ) -> _Steps:
        """Those of (C, T) `thresholds`, and of what is `missed` or one below them, of the levels from `level` on; of many
        the corners, which decide for the others."""
        first, last = lo[:, None], hi[:, None]
        levels = np.broadcast_to(level + np.arange(thresholds.shape[1], dtype=np.int64), thresholds.shape)
        below = np.clip(thresholds, first + 1, last + 1) - 1 if missed is None else np.clip(missed, first, last)
        steps = cls(
            _Points(np.clip(thresholds, first, last), levels, thresholds <= last),
            _Points(below, levels, thresholds > first),
        )
        return steps._corners(hi - lo) if thresholds.shape[1] > _FEW else steps

    @classmethod
    def joined(cls, parts: Sequence[_Steps], ranges: np.ndarray) -> _Steps:
        if len(parts) == 1:
            return parts[0]
        steps = cls(_Points.joined([part.reached for part in parts]), _Points.joined([part.missed for part in parts]))
        return steps._corners(ranges)

    def _corners(self, ranges: np.ndarray) -> _Steps:
        if int(ranges.max()).bit_length() + int(np.ptp(self.reached.levels)).bit_length() > _PRODUCT_BITS:
            return self
        return _Steps(self.reached.corners(1), self.missed.corners(-1))

    @property
    def count(self) -> int:
        return max(int(points.values.shape[1]) for points in (self.reached, self.missed))

    def sampled(self, count: int) -> _Steps:
        return _Steps(self.reached.sampled(count), self.missed.sampled(count))


class _Problem:
    """The inequalities m·p + b ≥ n·2^s + δ and m·q + b ≤ n·2^s + δ − 1 of all channels, p `reached` and q `missed`."""

    def __init__(self, steps: _Steps, lo: np.ndarray, hi: np.ndarray, half_even: bool) -> None:
        self.half_even = half_even
        self.reached, self.missed = steps.reached, steps.missed
        self.range_bits = int((hi - lo).max()).bit_length()
        self._value_bits = max(abs(int(lo.min())), abs(int(hi.max()))).bit_length()
        levels = (self.reached.levels, self.missed.levels)
        self._level_bits = max(int(np.abs(part).max()) for part in levels).bit_length()

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
        lower = np.where(self.reached.valid.any(axis=1), lower, upper // whole * whole)
        upper = np.where(self.missed.valid.any(axis=1), upper, -(-lower // whole) * whole)
        grains = (1 << zeros for zeros in range(shift, -1, -1))
        addends = next(rounded for grain in grains if (lower <= (rounded := upper // grain * grain)).all())
        if max(map(abs, addends.tolist())) > _INT64_MAX:
            return None
        return Requantizer(multipliers.astype(np.int64), addends.astype(np.int64), shift, self.half_even)

    def _multipliers(self, shift: int, most_bits: int, common: bool) -> np.ndarray | None:
        """The least multiplier of each channel, or of all in `common`; None if there is none at this shift. Once one needs
        more than `most_bits` bits, the others are not looked for."""
        multipliers: np.ndarray = np.zeros(len(self.reached.values), self._number(shift, most_bits))
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
        lower = np.where(
            self.reached.valid, self._wanted(self.reached, shift, number) - column * self.reached.values, -none
        )
        upper = np.where(
            self.missed.valid, self._wanted(self.missed, shift, number) - 1 - column * self.missed.values, none
        )
        at_lower, at_upper = lower.argmax(axis=1), upper.argmin(axis=1)
        run = self.reached.values[channels, at_lower] - self.missed.values[channels, at_upper]
        return lower[channels, at_lower], upper[channels, at_upper], run

    def _wanted(self, points: _Points, shift: int, number: np.dtype) -> np.ndarray:
        """The least sums of the levels of `points`."""
        return (points.levels.astype(number) << shift) + (points.levels & 1 if self.half_even else 0)

    def _number(self, shift: int, most_bits: int) -> type:
        """int64 where no number on the way leaves 62 bits, else Python's integers."""
        return np.int64 if max(self._value_bits + most_bits, self._level_bits + shift) < 60 else object
