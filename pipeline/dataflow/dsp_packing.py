"""Rows of a matrix side by side in one DSP: several products of its multiplier, and several sums in its 48 bits.

R rows of integer weights w_0 … w_(R−1), K each, are multiplied by the same inputs x. Row r gets a lane of L_r bits of the
DSP's word, from bit o_r = L_0 + … + L_(r−1) on. For each column i

    A_i = Σ_r w_r,i · 2^o_r                     is at the port A, x_i at the port B
    C   = Σ_r (b_r + 2^(L_r − 1)) · 2^o_r       is what the sum starts from; b_r is the bias of row r, or 0
    P   = C + Σ_i A_i · x_i   modulo 2^48       is the port P at the end

Why it is exact. The product is linear and additions of 48 bits are additions modulo 2^48, so in whatever order and over how
many DSPs the sum is formed, P = Σ_r (S_r + 2^(L_r − 1)) · 2^o_r modulo 2^48, where S_r = b_r + Σ_i w_r,i · x_i. If each S_r
fits L_r bits, two's complement, then each term S_r + 2^(L_r − 1) is in 0 … 2^L_r − 1: the terms have bits of their own, no
carry goes from one to the next, and lane r of P is S_r but for its highest bit, which is inverted. Only the final sums have
to fit. On the way a lane may borrow from the next one, and P may wrap, as often as it likes. And if one does not fit, the
lowest such lane is read wrong, as what is below it has no carry: the condition is necessary too.

What it takes. The port A has to hold every A_i, the port B every x_i, both two's complement, and Σ_r L_r is at most 48.
The topmost lane takes what its weights need of the port A, not what its sums need.

What is stored. Lane r of A_i is a field f_r = w_r − [f_(r−1) < 0], a weight less the borrow of the field below, with its sign
repeated up to the end of the lane: so A_i = Σ_r w_r,i · 2^o_r is wired to the memory of the weights, and no pre-adder is
needed. Fields have the bits of a weight, or one more where the lowest weight meets a borrow.

The ports: UG579, "DSP48E2", 27 × 18 and 48 bits; UG479, "DSP48E1", 25 × 18 and 48 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.bounds import exact_range, range_bits
from pipeline.dataflow.types import IntType
from pipeline.devices.dsps import PORTS, SUM_BITS
from pipeline.errors import VerificationError

__all__ = ["DSPS", "Dsp", "Lane", "Packing", "pack_lanes", "row_packings", "start_word"]


@dataclass(frozen=True)
class Dsp:
    """The bits of a DSP's ports: A and B of the multiplier, and P of the sum, two's complement."""

    name: str
    a: int
    b: int
    p: int


DSPS = {family: Dsp(name, *PORTS[family], SUM_BITS) for family, name in (("xcup", "DSP48E2"), ("xc7", "DSP48E1"))}
"""The DSP of each of Yosys' families."""


@dataclass(frozen=True)
class Lane:
    """Bits `offset` … `offset` + `bits` − 1 of the word, for sums from `lo` to `hi`; its weights are stored in
    `field_bits`."""

    offset: int
    bits: int
    field_bits: int
    lo: int
    hi: int

    @property
    def holds_its_sums(self) -> bool:
        return range_bits(self.lo, self.hi) <= self.bits


@dataclass(frozen=True)
class Packing:
    """The lanes of one DSP word, the lowest first. Each is for one row of every fold; the rows of a fold are computed at
    the same time. `check` proves that it is exact."""

    dsp: Dsp
    input_type: IntType
    lanes: tuple[Lane, ...]

    @classmethod
    def of(
        cls,
        weights: np.ndarray,
        input_type: IntType,
        bits: Sequence[int],
        dsp: Dsp,
        bias: np.ndarray | None = None,
    ) -> Packing:
        """The lanes of so many `bits` for `weights` (folds, rows, K), from the start values `bias` (folds, rows).

        Raises ValueError for what the DSP does not hold: the text says which port.
        """
        offsets = _offsets(bits)
        if offsets[-1] + bits[-1] > dsp.p:
            raise ValueError(f"lanes of {', '.join(map(str, bits))} bits are more than the {dsp.p} of a {dsp.name}")
        port = IntType.of_bits(dsp.b, signed=True)
        if input_type.lo < port.lo or input_type.hi > port.hi:
            raise ValueError(f"the port B of a {dsp.name}, {dsp.b} bits, does not hold inputs of {input_type.name}")
        if offsets[-1] >= dsp.a or _widest(_words(weights, offsets)) > dsp.a:
            places = f" at {', '.join(map(str, offsets))}" if len(bits) > 1 else ""
            raise ValueError(
                f"the port A of a {dsp.name}, {dsp.a} bits, does not hold weights of {_widest(weights)}{places}"
            )
        fields = cls.fields(weights)
        field_bits = [_widest(fields[:, lane]) for lane in range(len(bits))]
        if any(field > lane for field, lane in zip(field_bits[:-1], bits[:-1], strict=True)):
            raise ValueError(f"lanes of {', '.join(map(str, bits))} bits do not hold fields of {field_bits} bits")
        ends = [exact_range(weights[:, r], input_type, None if bias is None else bias[:, r]) for r in range(len(bits))]
        lanes = (
            Lane(offset, width, field, min(lo), max(hi))
            for offset, width, field, (lo, hi) in zip(offsets, bits, field_bits, ends, strict=True)
        )
        return cls(dsp, input_type, tuple(lanes))

    @staticmethod
    def fields(weights: np.ndarray) -> np.ndarray:
        """What is stored for `weights` (folds, rows, K): int64 of the same shape, each in the `field_bits` of its lane."""
        fields = weights.astype(np.int64)
        for row in range(1, fields.shape[1]):
            fields[:, row] -= fields[:, row - 1] < 0
        return fields

    def check(self, weights: np.ndarray, bias: np.ndarray | None = None) -> None:
        """Prove that the DSP gives the sums of `weights` (folds, rows, K) from `bias` (folds, rows), for all inputs.

        The sums' ranges, the layout, the ports and the stored fields are computed anew of the weights. Raises
        VerificationError for the first thing that does not hold.
        """
        offsets, bits = [lane.offset for lane in self.lanes], [lane.bits for lane in self.lanes]
        if offsets != _offsets(bits) or offsets[-1] + bits[-1] > self.dsp.p:
            raise VerificationError(f"Lanes at {offsets} of {bits} bits do not fit {self.dsp.p} bits side by side.")
        if weights.shape[1] != len(self.lanes):
            raise VerificationError(f"{weights.shape[1]} rows are to be in {len(self.lanes)} lanes of a DSP.")
        for index, lane in enumerate(self.lanes):
            lo, hi = exact_range(weights[:, index], self.input_type, None if bias is None else bias[:, index])
            if (min(lo), max(hi)) != (lane.lo, lane.hi):
                raise VerificationError(
                    f"Lane {index} of a DSP is for sums from {lane.lo} to {lane.hi}; its rows give {min(lo)} to {max(hi)}."
                )
            if not lane.holds_its_sums:
                raise VerificationError(
                    f"Lane {index} of a DSP has {lane.bits} bits, which do not hold its sums from {lane.lo} to {lane.hi}."
                )
        words, fields = _words(weights, offsets), self.fields(weights)
        for values, width, what in (
            (words, self.dsp.a, "the port A does not hold the weights side by side"),
            (np.array([self.input_type.lo, self.input_type.hi]), self.dsp.b, "the port B does not hold the inputs"),
            *(
                (fields[:, i], lane.field_bits, f"the fields of lane {i} are wider")
                for i, lane in enumerate(self.lanes)
            ),
        ):
            if _widest(values) > width:
                raise VerificationError(f"{self.dsp.name}: {what}, {width} bits.")
        if (self._wired(fields) != words).any():
            raise VerificationError(f"{self.dsp.name}: the stored fields are not the weights side by side.")

    def _wired(self, fields: np.ndarray) -> np.ndarray:
        """The port A as it is wired: each field with its sign repeated up to the next lane, the topmost as it is."""
        word = fields[:, -1] << self.lanes[-1].offset
        for index, lane in enumerate(self.lanes[:-1]):
            word |= (fields[:, index] & ((1 << lane.bits) - 1)) << lane.offset
        return word


def pack_lanes(
    weights: np.ndarray,
    input_type: IntType,
    bits: Sequence[int],
    dsp: Dsp,
    bias: np.ndarray | None = None,
) -> tuple[Packing, ...]:
    """The fewest words of neighbouring lanes that PE lanes of so many `bits` fit, of `weights` (folds, PE, K).

    Whatever fits a word, its lower lanes alone do as well, so that filling one word after the other takes the fewest.
    Raises ValueError, as `Packing.of` does, for a lane that does not even fit alone.
    """

    def word(first: int, end: int) -> Packing:
        rows = slice(first, end)
        return Packing.of(weights[:, rows], input_type, bits[rows], dsp, None if bias is None else bias[:, rows])

    packings: list[Packing] = []
    first = 0
    for end in range(1, len(bits) + 1):
        if end - first > 1:
            try:
                packings[-1] = word(first, end)
                continue
            except ValueError:
                first = end - 1
        packings.append(word(first, end))
    return tuple(packings)


def row_packings(weights: IntType, input_type: IntType, bits: int, dsp: Dsp) -> tuple[tuple[int, ...], ...]:
    """The offsets of the lanes of one row, of two, and so on, as many as a word takes: of any rows of a layer whose sums all
    fit `bits` and whose weights lie in `weights`. Empty where a DSP does not even hold one.

    >>> row_packings(IntType(-7, 7), IntType(0, 15), 11, DSPS["xcup"])
    ((0,), (0, 11), (0, 11, 22))
    """
    packings: list[tuple[int, ...]] = []
    port = IntType.of_bits(dsp.b, signed=True)
    if input_type.lo < port.lo or input_type.hi > port.hi:
        return ()
    first = range_bits(weights.lo, weights.hi)
    above = range_bits(weights.lo - 1, weights.hi)  # with the borrow of the row below
    for rows in range(1, dsp.p // bits + 1):
        last, below = (first, 0) if rows == 1 else (above, first if rows == 2 else above)
        if (rows - 1) * bits + last > dsp.a or below > bits:
            break
        packings.append(tuple(row * bits for row in range(rows)))
    return tuple(packings)


def start_word(packing: Packing, bias: Sequence[int] | None = None) -> int:
    """C, what the sum of a word starts from, modulo 2^48; `bias` has a start for each lane."""
    starts = [0] * len(packing.lanes) if bias is None else bias
    word = sum(
        (int(start) + (1 << (lane.bits - 1))) << lane.offset for start, lane in zip(starts, packing.lanes, strict=True)
    )
    return word & ((1 << packing.dsp.p) - 1)


def _offsets(bits: Sequence[int]) -> list[int]:
    return [sum(bits[:lane]) for lane in range(len(bits))]


def _words(weights: np.ndarray, offsets: Sequence[int]) -> np.ndarray:
    """A for each fold and column of `weights` (folds, rows, K)."""
    words: np.ndarray = (weights.astype(np.int64) << np.array(offsets)[:, None]).sum(axis=1)
    return words


def _widest(values: np.ndarray) -> int:
    """The fewest bits, two's complement, that hold all of `values`."""
    return range_bits(int(values.min()), int(values.max()))
