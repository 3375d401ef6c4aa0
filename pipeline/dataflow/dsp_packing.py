"""Rows of a matrix side by side in one DSP: several products of its multiplier, and several sums in its 48 bits.

R rows of integer weights w_0 … w_(R−1), K each, are multiplied by the same inputs x, or by those of M pixels x^0 … x^(M−1).
Row r and pixel m get a lane of the DSP's word: L_r bits from bit o_r + m·s on, where s is the stride of pixels, at least
every L_r, and o_(r+1) is at least o_r + (M − 1)·s + L_r. For each column i

    A_i = Σ_r w_r,i · 2^o_r                     is at the port A
    B_i = Σ_m x^m_i · 2^(m·s)                   is at the port B
    C   = Σ_r,m (b_r + 2^(L_r − 1)) · 2^(o_r + m·s)   is what the sum starts from; b_r is the bias of row r, or 0
    P   = C + Σ_i A_i · B_i   modulo 2^48       is the port P at the end

Why it is exact. The product is linear in both and additions of 48 bits are additions modulo 2^48, so in whatever order and
over how many DSPs the sum is formed, P = Σ_r,m (S_r,m + 2^(L_r − 1)) · 2^(o_r + m·s) modulo 2^48, where S_r,m = b_r + Σ_i
w_r,i · x^m_i. If each S_r,m fits L_r bits, two's complement, then each term S_r,m + 2^(L_r − 1) is in 0 … 2^L_r − 1: the terms
have bits of their own, no carry goes from one to the next, and a lane of P is its sum but for the highest bit, which is
inverted. Only the final sums have to fit. On the way a lane may borrow from the next one, and P may wrap, as often as it
likes. And if one does not fit, the lowest such lane is read wrong, as what is below it has no carry: the condition is
necessary too, where lanes lie side by side without a gap.

Segments. What a lane has to hold is what is added up in it before it is read. Where that is not the sum of a row but of a
segment of it, of some neighbouring columns, each segment has to fit, and what adds the segments up holds the row.

What it takes. The port A has to hold every A_i, the port B every B_i, both two's complement, and the topmost lane ends at
bit 48 at most. The topmost row takes what its weights need of the port A, not what its sums need.

What is stored. Row r of A_i is a field f_r = w_r − [f_(r−1) < 0], a weight less the borrow of the field below, with its sign
repeated up to the next row: so A_i = Σ_r w_r,i · 2^o_r is wired to the memory of the weights, and no pre-adder is needed.
Fields have the bits of a weight, or one more where the lowest weight meets a borrow. Pixels that are signed are made fields
of B_i in the same way, once for all words.

Taps. Where the pixels of a word are neighbours in a row of an image, the lanes of a row may be those of a convolution along
it (HiKonv, arXiv 2112.13972). A kernel of T columns has T weights w_0 … w_(T−1) for each of the K inputs that a column of it
sees, y_n = b + Σ_k,i w_k,i · x_(n+k),i, and zeros stand beside the rows. With L bits a lane and M pixels, T − 1 at most M,

    A_i = Σ_k w_k,i · 2^((T−1−k)·L)    B_i = Σ_m x^(jM+m)_i · 2^(m·L)    for the M pixels from jM on, j = 0, 1, …

Σ_i A_i · B_i has T + M − 1 lanes: lane l is what these pixels add to the sum of the output that is l further than the first
one which they reach. The lowest M of them get nothing of later pixels, and the others are the lowest T − 1 of the next word.
So the sum of word j starts from C = (P of word j − 1) >> M·L, below b + 2^(L−1) in each of the M lanes above those:
all additions of T·M products are in the multiplier and the sum of one DSP, and what reaches into the next word is wired.

Why that is exact. Let every y_n fit L bits, and 0 be among the inputs. At the end of word j each lane is b + 2^(L−1) plus a
part of the products of some y_n, those of pixels so far. An input that is left out counts as 0, so the part lies in the
range of y_n, and each lane is in 0 … 2^L − 1: lanes have bits of their own, the lowest M are complete, and the shift by M·L
cuts off these and nothing of the others. On the way within a word, sums may wrap as above. A word of zeros behind a row
completes it, and leaves b + 2^(L−1) in the lanes that the next row starts from: nothing has to be cleared.

The ports: UG579, "DSP48E2", 27 × 18 and 48 bits; UG479, "DSP48E1", 25 × 18 and 48 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.dataflow.bounds import range_bits
from pipeline.dataflow.types import IntType
from pipeline.devices.dsps import PORTS, SUM_BITS
from pipeline.errors import VerificationError

__all__ = [
    "DSPS",
    "Dsp",
    "Lane",
    "LanePacking",
    "Packing",
    "SegmentSums",
    "TapPacking",
    "any_rows",
    "any_taps",
    "check_taps",
    "columns_that_fit",
    "field_widths",
    "lane_packings",
    "pack_lanes",
    "segment_ranges",
    "start_word",
]

WHOLE = (0,)  # segments: the whole row is one, which begins with column 0


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
    """What a row has of a word: `bits` from bit `offset` on for its first pixel, for sums from `lo` to `hi`; its weights are
    stored in `field_bits`."""

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
    """The lanes of one DSP word, the lowest row first. Each is for one row of every fold; the rows of a fold are computed at
    the same time. `pixels` are side by side, the lanes of the next one `stride` bits after those of the one before.
    `segments` are the first columns of each segment of a row. `check` proves that it is exact."""

    dsp: Dsp
    input_type: IntType
    lanes: tuple[Lane, ...]
    pixels: int = 1
    stride: int = 0
    segments: tuple[int, ...] = WHOLE

    @classmethod
    def of(
        cls,
        weights: np.ndarray,
        input_type: IntType,
        bits: Sequence[int],
        dsp: Dsp,
        bias: np.ndarray | None = None,
        *,
        pixels: int = 1,
        segments: tuple[int, ...] = WHOLE,
    ) -> Packing:
        """The lanes of so many `bits` for `weights` (folds, rows, K), from the start values `bias` (folds, rows).

        Raises ValueError for what the DSP does not hold: the text says which port.
        """
        fields = [_widest(fields) for fields in cls.fields(weights).swapaxes(0, 1)]
        offsets, stride = _layout(bits, fields, input_type, dsp, pixels)
        ends = segment_ranges(weights, input_type, segments, bias)
        lanes = (
            Lane(offset, width, field, int(lo), int(hi))
            for offset, width, field, lo, hi in zip(offsets, bits, fields, *ends, strict=True)
        )
        return cls(dsp, input_type, tuple(lanes), pixels, stride, segments)

    @staticmethod
    def fields(weights: np.ndarray) -> np.ndarray:
        """What is stored for `weights` (folds, rows, K): int64 of the same shape, each in the `field_bits` of its lane."""
        fields = weights.astype(np.int64)
        for row in range(1, fields.shape[1]):
            fields[:, row] -= fields[:, row - 1] < 0
        return fields

    def offsets(self) -> list[int]:
        """Where lanes begin, pixel by pixel of a row."""
        return [lane.offset + pixel * self.stride for lane in self.lanes for pixel in range(self.pixels)]

    def check(self, weights: np.ndarray, bias: np.ndarray | None = None) -> None:
        """Prove that the DSP gives the sums of `weights` (folds, rows, K) from `bias` (folds, rows), for all inputs.

        The ranges of the sums, or of their segments, the layout, the ports and the stored fields are computed anew of the
        weights. Raises VerificationError for the first thing that does not hold.
        """
        offsets = self.offsets()
        bits = [lane.bits for lane in self.lanes for _ in range(self.pixels)]
        beyond = [*offsets[1:], self.dsp.p]
        if offsets[0] != 0 or any(o + b > end for o, b, end in zip(offsets, bits, beyond, strict=True)):
            raise VerificationError(f"Lanes at {offsets} of {bits} bits do not fit {self.dsp.p} bits side by side.")
        if weights.shape[1] != len(self.lanes):
            raise VerificationError(f"{weights.shape[1]} rows are to be in {len(self.lanes)} lanes of a DSP.")
        if self.segments[0] != 0 or list(self.segments) != sorted({*self.segments} & {*range(weights.shape[2])}):
            raise VerificationError(f"Segments that begin with the columns {self.segments} are not those of a row.")
        for index, (lane, lo, hi) in enumerate(
            zip(self.lanes, *segment_ranges(weights, self.input_type, self.segments, bias), strict=True)
        ):
            if (lo, hi) != (lane.lo, lane.hi):
                raise VerificationError(
                    f"Lane {index} of a DSP is for sums from {lane.lo} to {lane.hi}; its rows give {lo} to {hi}."
                )
            if not lane.holds_its_sums:
                raise VerificationError(
                    f"Lane {index} of a DSP has {lane.bits} bits, which do not hold its sums from {lane.lo} to {lane.hi}."
                )
        rows = [lane.offset for lane in self.lanes]
        words, fields = _words(weights, rows), self.fields(weights)
        for values, width, what in (
            (words, self.dsp.a, "the port A does not hold the weights side by side"),
            (np.array(_input_ends(self.input_type, self.pixels, self.stride)), self.dsp.b,
             "the port B does not hold the inputs"),
            *(
                (fields[:, i], lane.field_bits, f"the fields of lane {i} are wider")
                for i, lane in enumerate(self.lanes)
            ),
        ):  # fmt: skip
            if _widest(values) > width:
                raise VerificationError(f"{self.dsp.name}: {what}, {width} bits.")
        if (self._wired(fields) != words).any():
            raise VerificationError(f"{self.dsp.name}: the stored fields are not the weights side by side.")

    def _wired(self, fields: np.ndarray) -> np.ndarray:
        """The port A as it is wired: each field with its sign repeated up to the next row, the topmost as it is."""
        word = fields[:, -1] << self.lanes[-1].offset
        for index, (lane, above) in enumerate(zip(self.lanes[:-1], self.lanes[1:], strict=True)):
            word |= (fields[:, index] & ((1 << (above.offset - lane.offset)) - 1)) << lane.offset
        return word


@dataclass(frozen=True)
class TapPacking:
    """The lanes of a word that holds a row of a matrix, for the columns of a kernel and neighbouring `pixels`: of `bits` each,
    for sums from `lo` to `hi`. The weights of a column of the kernel are stored in one of `field_bits`, those of the last
    column in the first. `check` proves that it is exact."""

    dsp: Dsp
    input_type: IntType
    pixels: int
    bits: int
    field_bits: tuple[int, ...]
    lo: int
    hi: int

    @classmethod
    def of(
        cls, weights: np.ndarray, input_type: IntType, bits: int, dsp: Dsp, pixels: int, bias: int = 0
    ) -> TapPacking:
        """The lanes of so many `bits` for `weights` (T, K), the last column of the kernel first, and a start from `bias`.

        Raises ValueError for what the DSP does not hold: the text says which port.
        """
        fields = tuple(_widest(field) for field in cls.fields(weights))
        check_taps(bits, fields, input_type, dsp, pixels)
        lo, hi = _with_zero(weights, input_type)
        return cls(dsp, input_type, pixels, bits, fields, bias + lo, bias + hi)

    @staticmethod
    def fields(weights: np.ndarray) -> np.ndarray:
        """What is stored for `weights` (T, K): int64 of the same shape, each in the `field_bits` of its column."""
        fields: np.ndarray = Packing.fields(weights[None])[0]
        return fields

    def offsets(self) -> list[int]:
        """Where lanes begin."""
        return [self.bits * lane for lane in range(len(self.field_bits) + self.pixels - 1)]

    def check(self, weights: np.ndarray, bias: int = 0) -> None:
        """Prove that words of DSPs give the convolution with `weights` (T, K), the last column first, from `bias`, for all
        inputs and with zeros beside rows.

        Raises VerificationError for the first thing that does not hold.
        """
        taps, name = len(self.field_bits), self.dsp.name
        if weights.shape[0] != taps or taps > self.pixels + 1:
            raise VerificationError(
                f"{weights.shape[0]} columns of a kernel are to be in {taps} fields of a word of {self.pixels} pixels."
            )
        if not self.input_type.lo <= 0 <= self.input_type.hi:
            raise VerificationError(
                f"Zeros beside rows are no inputs of {self.input_type.name}, so no lane may hold them."
            )
        lo, hi = (bias + end for end in _with_zero(weights, self.input_type))
        if (lo, hi) != (self.lo, self.hi):
            raise VerificationError(
                f"Lanes of a DSP are for sums from {self.lo} to {self.hi}; the row gives {lo} to {hi}."
            )
        if range_bits(lo, hi) > self.bits:
            raise VerificationError(
                f"Lanes of a DSP have {self.bits} bits, which do not hold the sums of a row from {lo} to {hi}."
            )
        try:
            check_taps(self.bits, self.field_bits, self.input_type, self.dsp, self.pixels)
        except ValueError as error:
            raise VerificationError(f"{name}: {error}.") from error
        words = _words(weights[None], [self.bits * tap for tap in range(taps)])[0]
        fields = self.fields(weights)
        if any(_widest(field) > width for field, width in zip(fields, self.field_bits, strict=True)):
            raise VerificationError(f"{name}: the fields of {list(self.field_bits)} bits do not hold the weights.")
        mask = (1 << self.bits) - 1
        wired = fields[-1] << self.bits * (taps - 1)
        for tap in range(taps - 1):
            wired = wired | (fields[tap] & mask) << self.bits * tap
        if (wired != words).any():
            raise VerificationError(f"{name}: the stored fields are not the weights side by side.")


def pack_lanes(bits: Sequence[int], fields: np.ndarray, input_type: IntType, dsp: Dsp, pixels: int = 1) -> list[int]:
    """How many neighbouring rows each word takes, if they are as few words as can be, of PE rows whose lanes have so many
    `bits`: `fields` (rows, PE) has for each of them the bits of its field with so many rows of the word below it.

    Whatever fits a word, its lower rows alone do as well, so that filling one word after the other takes the fewest.
    Raises ValueError, as `Packing.of` does, for a lane that does not even fit alone.
    """
    counts: list[int] = []
    first = 0
    while first < len(bits):
        count = 1
        _layout(bits[first : first + 1], fields[:1, first].tolist(), input_type, dsp, pixels)
        while first + count < len(bits) and count < len(fields):
            end = first + count + 1
            widths = [int(fields[row - first, row]) for row in range(first, end)]
            try:
                _layout(bits[first:end], widths, input_type, dsp, pixels)
            except ValueError:
                break
            count += 1
        counts.append(count)
        first += count
    return counts


def field_widths(weights: np.ndarray, most: int) -> np.ndarray:
    """For 0 to `most` − 1 rows below it in a word, the bits of the field of each row of `weights` (rows, K): int64 (most, rows).
    The rows below are those before it; the first rows have fewer, and no meaning beyond."""
    narrow: np.ndarray = weights.astype(np.int16 if np.abs(weights).max() < 1 << 14 else np.int64)
    fields: np.ndarray = narrow
    widths = np.empty((most, len(weights)), np.int64)
    for below in range(most):
        widths[below] = [
            range_bits(*ends) for ends in zip(fields.min(axis=1).tolist(), fields.max(axis=1).tolist(), strict=True)
        ]
        above = np.vstack([narrow[:1], narrow[1:] - (fields[:-1] < 0)])
        if (above == fields).all():
            widths[below + 1 :] = widths[below]
            break
        fields = above
    return widths


def segment_ranges(
    weights: np.ndarray,
    input_type: IntType,
    segments: Sequence[int] = WHOLE,
    bias: np.ndarray | None = None,
) -> tuple[list[int], list[int]]:
    """For each row the least and the largest sum that a segment of it can have in any fold: of `weights` (folds, rows, K),
    from `bias` (folds, rows). `segments` are the first columns of each."""
    products = weights.astype(np.int64) * input_type.lo, weights.astype(np.int64) * input_type.hi
    lo, hi = (np.add.reduceat(end(*products), list(segments), axis=2) for end in (np.minimum, np.maximum))
    if bias is not None:
        lo, hi = (end + bias[:, :, None] for end in (lo, hi))
    return lo.min(axis=(0, 2)).tolist(), hi.max(axis=(0, 2)).tolist()


@dataclass(frozen=True)
class LanePacking:
    """What a word takes of any rows of a layer: lanes of `bits` at `offsets`, of each row one for each of `pixels`; the sums of
    any `columns` neighbours, and of fewer, fit them. With `taps` it is one row, a convolution along the rows of an image."""

    offsets: tuple[int, ...]
    pixels: int
    bits: int
    columns: int
    taps: int = 1


def lane_packings(
    weights: np.ndarray, input_type: IntType, bits: int, dsp: Dsp, most_pixels: int = 2
) -> tuple[LanePacking, ...]:
    """The packings of one row of a layer, of two, and so on, as many as a word takes, of 1 to `most_pixels` pixels: of any rows
    of `weights` (rows, K) whose sums all fit `bits`. Lanes have as many bits, or as the ports leave for them if these are
    fewer; that is left out if not one product fits them. Behind them, of several pixels, those of two columns of a kernel and
    more, as far as lanes of `bits` fit. Empty where a DSP does not even hold one row.

    >>> of = np.array([[7, -7] * 8])
    >>> [(packing.offsets, packing.columns) for packing in lane_packings(of, IntType(0, 15), 11, DSPS["xcup"])]
    [((0,), 16), ((0, 11), 16), ((0, 11, 22), 16), ((0, 11), 16), ((0, 11, 22, 33), 16), ((0, 11, 22), 16), \
((0, 11, 22, 33), 16)]
    """
    packings: list[LanePacking] = []
    ends = IntType(int(weights.min()), int(weights.max()))
    sums = SegmentSums.of(weights, input_type)
    for pixels in range(1, most_pixels + 1):
        for rows in range(1, dsp.p + 1):
            lane = next((b for b in range(bits, 0, -1) if any_rows(ends, input_type, b, dsp, rows, pixels)), 0)
            columns = weights.shape[1] if lane == bits else sums.columns(lane)
            if columns == 0:
                break
            offsets = tuple(lane * index for index in range(rows * pixels))
            packings.append(LanePacking(offsets, pixels, lane, columns))
    for pixels in range(2, most_pixels + 1):
        for taps in range(2, pixels + 2):
            if any_taps(ends, input_type, bits, dsp, taps, pixels):
                offsets = tuple(bits * index for index in range(taps + pixels - 1))
                packings.append(LanePacking(offsets, pixels, bits, weights.shape[1], taps))
    return tuple(packings)


def any_rows(weights: IntType, input_type: IntType, bits: int, dsp: Dsp, rows: int, pixels: int = 1) -> bool:
    """Whether a word takes so many rows of `weights`, whatever they are, in lanes of so many `bits`."""
    first = range_bits(weights.lo, weights.hi)
    above = range_bits(weights.lo - 1, weights.hi)  # with the borrow of the row below
    try:
        _layout([bits] * rows, [first, *[above] * (rows - 1)], input_type, dsp, pixels)
    except ValueError:
        return False
    return True


def any_taps(weights: IntType, input_type: IntType, bits: int, dsp: Dsp, taps: int, pixels: int) -> bool:
    """Whether any weights of such a type, of `taps` columns of a kernel, have lanes of `bits` in a word for so many `pixels`."""
    fields = [range_bits(weights.lo, weights.hi), *[range_bits(weights.lo - 1, weights.hi)] * (taps - 1)]
    try:
        check_taps(bits, fields, input_type, dsp, pixels)
    except ValueError:
        return False
    return True


def check_taps(bits: int, fields: Sequence[int], input_type: IntType, dsp: Dsp, pixels: int) -> None:
    """Raise ValueError for what the DSP does not hold of a word of the columns of a kernel, in lanes of so many `bits` with weights
    stored in `fields`, those of the last column in the first: the text says what."""
    taps = len(fields)
    lanes = taps + pixels - 1
    if taps > pixels + 1:
        raise ValueError(f"{taps} columns of a kernel are more than one and the {pixels} pixels of a word")
    if not input_type.lo <= 0 <= input_type.hi:
        raise ValueError(f"zeros beside rows are no inputs of {input_type.name}")
    if lanes * bits > dsp.p:
        raise ValueError(f"{lanes} lanes of {bits} bits are more than the {dsp.p} of a {dsp.name}")
    if range_bits(*_input_ends(input_type, pixels, bits)) > dsp.b:
        raise ValueError(
            f"the port B of a {dsp.name}, {dsp.b} bits, does not hold {pixels} inputs of {input_type.name} {bits} bits apart"
        )
    if input_type.bits + 1 > bits:
        raise ValueError(f"lanes of {bits} bits are narrower than an input of {input_type.name} and its borrow")
    if (taps - 1) * bits + fields[-1] > dsp.a:
        raise ValueError(
            f"the port A of a {dsp.name}, {dsp.a} bits, does not hold {taps} weights of {fields[-1]} {bits} bits apart"
        )
    if max(fields) > bits:
        raise ValueError(f"lanes of {bits} bits do not hold fields of {list(fields)} bits")


def columns_that_fit(weights: np.ndarray, input_type: IntType, bits: int) -> int:
    """The most columns of which the products of any row of `weights` (rows, K), as many neighbours as that or fewer, add up to
    what `bits` hold. An input may be left out, too, which makes no difference where it can be 0."""
    return SegmentSums.of(weights, input_type).columns(bits)


@dataclass(frozen=True, eq=False)
class SegmentSums:
    """The sums of any neighbouring columns of a matrix: `downs` and `ups` (K + 1, rows) are the least and the largest sums of
    the first columns of each row, of which each input, as far as it can be left out or be 0, adds the less or the more."""

    downs: np.ndarray
    ups: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray, input_type: IntType) -> SegmentSums:
        columns = weights.T.astype(np.int64)
        products = columns * input_type.lo, columns * input_type.hi
        zero = np.zeros((1, len(weights)), np.int64)
        downs, ups = (np.vstack([zero, end(end(*products), 0).cumsum(axis=0)]) for end in (np.minimum, np.maximum))
        reach = max(-int(downs.min()), int(ups.max()))
        return cls(*(sums.astype(np.int32 if reach < 1 << 30 else np.int64) for sums in (downs, ups)))

    def bits(self, starts: Sequence[int]) -> int:
        """What the sums of all segments need, which begin with the columns `starts`."""
        ends = np.array([*starts, len(self.ups) - 1])
        downs, ups = (np.diff(sums[ends], axis=0) for sums in (self.downs, self.ups))
        return range_bits(int(downs.min()), int(ups.max()))

    def columns(self, bits: int) -> int:
        """The most neighbouring columns whose sums `bits` hold, wherever they are."""
        fitting, beyond, half = 0, len(self.ups), 1 << (bits - 1) if bits else 0
        while beyond - fitting > 1:
            count = (fitting + beyond) // 2
            lowest = int((self.downs[count:] - self.downs[:-count]).min())
            highest = int((self.ups[count:] - self.ups[:-count]).max())
            if -half <= lowest and highest < half:
                fitting = count
            else:
                beyond = count
        return fitting


def start_word(packing: Packing, bias: Sequence[int] | None = None) -> int:
    """C, what the sum of a word starts from, modulo 2^48; `bias` has a start for each row."""
    starts = [0] * len(packing.lanes) if bias is None else bias
    word = sum(
        (int(start) + (1 << (lane.bits - 1))) << (lane.offset + pixel * packing.stride)
        for start, lane in zip(starts, packing.lanes, strict=True)
        for pixel in range(packing.pixels)
    )
    return word & ((1 << packing.dsp.p) - 1)


def _layout(
    bits: Sequence[int], fields: Sequence[int], input_type: IntType, dsp: Dsp, pixels: int
) -> tuple[list[int], int]:
    """Where the rows of a word begin, of lanes of so many `bits` and weights stored in `fields`, and the stride of pixels.

    Raises ValueError for what the DSP does not hold: the text says which port.
    """
    stride = max(bits) if pixels > 1 else 0
    offsets = [0]
    for width in bits[:-1]:
        offsets.append(offsets[-1] + (pixels - 1) * stride + width)
    if offsets[-1] + (pixels - 1) * stride + bits[-1] > dsp.p:
        of = f" of {pixels} pixels" if pixels > 1 else ""
        raise ValueError(f"lanes of {', '.join(map(str, bits))} bits{of} are more than the {dsp.p} of a {dsp.name}")
    if range_bits(*_input_ends(input_type, pixels, stride)) > dsp.b:
        of = f" of {pixels} pixels {stride} bits apart" if pixels > 1 else ""
        raise ValueError(f"the port B of a {dsp.name}, {dsp.b} bits, does not hold inputs of {input_type.name}{of}")
    if pixels > 1 and input_type.bits + 1 > stride:
        raise ValueError(f"lanes of {stride} bits are narrower than an input of {input_type.name} and its borrow")
    if offsets[-1] + fields[-1] > dsp.a:
        places = f" at {', '.join(map(str, offsets))}" if len(bits) > 1 else ""
        raise ValueError(f"the port A of a {dsp.name}, {dsp.a} bits, does not hold weights of {max(fields)}{places}")
    if any(field > above - below for field, below, above in zip(fields, offsets, offsets[1:], strict=False)):
        raise ValueError(f"lanes of {', '.join(map(str, bits))} bits do not hold fields of {list(fields)} bits")
    return offsets, stride


def _with_zero(weights: np.ndarray, input_type: IntType) -> tuple[int, int]:
    """The least and the largest sum of all of `weights`, of inputs of which any may be left out."""
    products = weights.astype(np.int64) * input_type.lo, weights.astype(np.int64) * input_type.hi
    return int(np.minimum(np.minimum(*products), 0).sum()), int(np.maximum(np.maximum(*products), 0).sum())


def _input_ends(input_type: IntType, pixels: int, stride: int) -> tuple[int, int]:
    """The least and the largest B."""
    places = sum(1 << pixel * stride for pixel in range(pixels))
    return input_type.lo * places, input_type.hi * places


def _words(weights: np.ndarray, offsets: Sequence[int]) -> np.ndarray:
    """A for each fold and column of `weights` (folds, rows, K)."""
    words: np.ndarray = (weights.astype(np.int64) << np.array(offsets)[:, None]).sum(axis=1)
    return words


def _widest(values: np.ndarray) -> int:
    """The fewest bits, two's complement, that hold all of `values`."""
    return range_bits(int(values.min()), int(values.max()))
