"""What makes the outputs of lanes of values: hw/rtl/activation.sv, by thresholds or by a requantizer equal to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.dataflow.finn_node import FinnNode
from pipeline.dataflow.layer import Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.requantize import MOST_MULTIPLIER_BITS, MOST_SUM_BITS, Requantizer
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.dsps import LOW_BITS, dsp_latency
from pipeline.devices.memories import rom
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.kernels.threshold_search import (
    SearchTable,
    add_search,
    check_thresholds,
    count_thresholds,
    search_stages,
    sorted_table,
)

_MORE = 3  # look-up tables of a lane of several channels that were counted beyond what is named below

_DSP = 60  # LUTs that a DSP of a requantizer takes the place of
MOST_TURNS = 64  # of hw/rtl/lane_turns.sv
_FEW_TURNS = 8  # of some results each of which LUTs of 32 words hold
_COMPARED, _CHOSEN = (
    0.5,
    0.75,
)  # LUTs of a bit that is compared with a constant, and of one that is chosen among several

__all__ = [
    "MOST_TURNS",
    "Activation",
    "activation_latency",
    "add_activation",
    "add_turns",
    "check_activation",
    "finn_thresholding",
    "levels_of",
    "turns_of",
    "units_of",
]


def levels_of(
    values: np.ndarray, thresholds: np.ndarray | None, requantizer: Requantizer | None, output_type: IntType
) -> np.ndarray:
    """The levels of `values` (..., C), int64 of that shape: by the thresholds where there are some, else by the
    requantizer."""
    if thresholds is not None:
        return output_type.lo + count_thresholds(values, thresholds)
    assert requantizer is not None
    return requantizer.levels(values, output_type.lo, output_type.hi)


def activation_latency(steps: int, requantizer: Requantizer | None, adders_per_stage: int = 1) -> int:
    """Cycles from a value to its level, of which there are `steps` above the lowest: a step of the search each, or the
    multiplication and two to clip, one where more than one adder may be between two registers."""
    if requantizer is None:
        return search_stages(steps)
    return _multiplication_latency(requantizer, adders_per_stage) + (2 if adders_per_stage == 1 else 1)


def _multiplication_latency(requantizer: Requantizer, adders_per_stage: int = 1) -> int:
    return dsp_latency(requantizer.dsps) if requantizer.dsps else recoded_digits(requantizer) // adders_per_stage


def recoded_digits(requantizer: Requantizer) -> int:
    """Radix-4 digits of the multipliers, which are unsigned, and adders of each lane."""
    return requantizer.multiplier_bits // 2 + 1


def add_activation(
    demand: Demand,
    thresholds: int,
    folds: int,
    widths: Sequence[int],
    requantizer: Requantizer | None,
    sum_bits: np.ndarray,
    output_bits: int,
) -> None:
    """Add to `demand` what finds the levels of values of `widths` bits, by lane, each of `folds` channels of so many
    `thresholds`; row r is in lane r % lanes. `sum_bits` of each row are those of its sum in the `requantizer`.

    A search among thresholds is fitted for the most part, a requantizer is not: a LUT for each bit of its adders, for
    each bit of a level and for each bit of a word of its memory in 64 words. DSPs take the place of the adders.
    """
    if requantizer is None:
        add_search(demand, thresholds, folds, widths)
        return
    lanes, digits, shift = len(widths), recoded_digits(requantizer), requantizer.shift
    sums = np.broadcast_to(sum_bits, lanes * folds).reshape(folds, lanes).max(axis=0)
    common = requantizer.common_multiplier
    stored = 0 if common else requantizer.multiplier_bits
    used = [list(range(digits))] * lanes
    if common:
        used = [booth_digits(common)] * lanes
    elif folds == 1:
        used = [booth_digits(multiplier) for multiplier in np.resize(requantizer.multipliers, lanes).tolist()]
    if folds > 1:
        memory = rom(lanes * (stored + requantizer.addend_bits), folds)
        demand.words = max(demand.words, memory.words)
        demand.bram_18k += memory.bram_18k
        demand.lut += memory.lut + 2 * (folds - 1).bit_length()
        demand.ff += memory.ff + (folds - 1).bit_length() + 1
    for width, bits, places in zip(widths, sums.tolist(), used, strict=True):
        demand.lut += output_bits
        demand.lut += -(-max(bits - shift - output_bits, 0) // 5) + 1  # what says where to clip
        if requantizer.half_even:
            demand.lut += -(-shift // 6)
        demand.ff += 2 * output_bits + 3
        if folds > 1:
            demand.lut += _MORE
        if requantizer.dsps:
            demand.dsp += requantizer.dsps
            demand.ff += _dsp_registers(requantizer, folds)
            continue
        demand.lut += sum(max(bits - 2 * place, 0) for place in places)
        if common == 1:
            demand.lut -= requantizer.addend_zeros
        demand.ff += digits * bits + (digits - 1) * width
        if not requantizer.half_even:
            demand.ff -= digits * (digits - 1)  # low bits that are final, and of no use
        if folds > 1 and digits > 1:  # a multiplier waits for its digits in shift registers
            demand.lut += stored
            demand.ff += stored
    demand.ff += _multiplication_latency(requantizer) + 2


def turns_of(
    thresholds: int,
    folds: int,
    widths: Sequence[int],
    requantizer: Requantizer | None,
    sum_bits: np.ndarray,
    output_bits: int,
    most: int,
    pixels: int = 1,
) -> int:
    """In how many turns, at most `most`, the lanes of `add_activation` are compared with thresholds at the least cost: the
    fewer LUTs, as far as is known without a fit, and a DSP as many as its multiplication in LUTs.

    Then lanes / turns search, or multiply, and each has the thresholds of as many lanes. `pixels` neighbours of a lane are
    of the same row, and have their turn together.
    """
    lanes = len(widths) // pixels
    sums = np.broadcast_to(sum_bits, lanes * folds).repeat(pixels)

    def cost(turns: int) -> float:
        demand = Demand("")
        group = units_of(widths, turns)
        add_activation(demand, thresholds, folds * turns, group, requantizer, sums, output_bits)
        add_turns(demand, widths, turns, output_bits)
        known = demand.lut + _COMPARED * demand.terms["compared"] + _CHOSEN * demand.terms["tables"]
        return known + demand.terms["outputs"] + _DSP * demand.dsp

    return min((turns for turns in range(1, min(most, lanes, MOST_TURNS) + 1) if lanes % turns == 0), key=cost)


def add_turns(demand: Demand, widths: Sequence[int], turns: int, output_bits: int) -> None:
    """Add to `demand` what gives lanes of so many bits their turns, and what stores results.

    Lanes that wait are in registers, and a LUT chooses among four of them, or of these choices; results are stored a turn's
    after the other's.
    """
    lanes = len(widths)
    demand.add(outputs=lanes // turns * output_bits * (1 if turns <= _FEW_TURNS else 2))
    if turns > 1:
        waiting = sum(widths) - sum(widths[: lanes // turns])
        fours, sixteens = -(-turns // 4), -(-turns // 16)
        choices = fours + (sixteens if fours > 1 else 0) + int(sixteens > 1)
        demand.lut += sum(units_of(widths, turns)) * choices + 2 * (turns - 1).bit_length() + 2
        demand.ff += waiting + sum(units_of(widths, turns)) + (lanes - lanes // turns) * output_bits
        demand.ff += 2 * (turns - 1).bit_length() + 2


def units_of(widths: Sequence[int], turns: int) -> list[int]:
    """The bits that hold the values of each lane of a turn."""
    group = len(widths) // turns
    return [max(widths[unit::group]) for unit in range(group)]


def _dsp_registers(requantizer: Requantizer, folds: int) -> int:
    """The flip-flops beside the DSPs of a lane: of an addend that waits, and of the low bits of the first of two."""
    low = 0
    if requantizer.dsps == 2:
        low = LOW_BITS if requantizer.half_even else max(LOW_BITS - requantizer.shift, 0)
    return low + (requantizer.addend_bits if folds > 1 else 0)


def booth_digits(multiplier: int) -> list[int]:
    """The places of the radix-4 digits, in -2 … 2, of `multiplier` that are not 0."""
    windows = multiplier << 1
    return [place for place in range(multiplier.bit_length() // 2 + 1) if windows >> 2 * place & 7 not in (0, 7)]


def check_activation(
    layer: str,
    thresholds: np.ndarray | None,
    requantizer: Requantizer | None,
    lo: np.ndarray,
    hi: np.ndarray,
    output_type: IntType,
) -> None:
    """Raise UnsupportedError for (C, T) `thresholds` or a `requantizer` that cannot be built, or whose levels
    `output_type` does not hold, and VerificationError unless both, if there are both, are equal for all values from `lo`
    to `hi` of each channel, arrays of (C,)."""
    if thresholds is not None:
        check_thresholds(layer, thresholds, output_type)
    if requantizer is None:
        return
    rows = len(requantizer.multipliers)
    if rows != len(lo):
        raise VerificationError(
            f"layer {layer} finds levels of {len(lo)} channels and has a requantizer of {rows} channels, which cannot be "
            "equal."
        )
    bits = int(requantizer.sum_bits(lo, hi).max())
    if requantizer.multiplier_bits > MOST_MULTIPLIER_BITS or bits > MOST_SUM_BITS:
        raise UnsupportedError(
            f"layer {layer} has a requantizer with multipliers of {requantizer.multiplier_bits} and sums of {bits} bits; at "
            f"most {MOST_MULTIPLIER_BITS} and {MOST_SUM_BITS} can be built."
        )
    if thresholds is None:
        return
    if difference := requantizer.first_difference(thresholds, lo, hi, output_type.lo):
        channel, value = difference
        raise VerificationError(
            f"layer {layer}: its requantizer is not equal to its thresholds: in channel {channel} they differ at {value}."
        )


def finn_thresholding(
    pixels: tuple[int, ...], input_type: IntType, output_type: IntType, thresholds: np.ndarray, pe: int, stream: str
) -> FinnNode:
    """FINN's Thresholding of `stream`, `pixels` (H, W) of as many channels as `thresholds` (C, T) has rows, `pe` a beat.

    A threshold below all values of `input_type` or above them is as good as the nearest one that is next to them.
    """
    levels = thresholds.clip(input_type.lo, input_type.hi + 1)
    held = IntType(int(levels.min()), int(levels.max()))
    attributes = {
        "NumChannels": len(thresholds),
        "PE": pe,
        "numSteps": thresholds.shape[1],
        "inputDataType": input_type.name,
        "weightDataType": held.name,
        "outputDataType": output_type.name,
        "ActVal": output_type.lo,
        "numInputVectors": (1, *pixels),
    }
    return FinnNode("Thresholding", attributes, (stream,), constants=((levels, held),))


@dataclass(frozen=True, eq=False)
class Activation:
    """The activation of rows, row r being in lane r % lanes of fold r // lanes.

    `thresholds` is (rows, T) and the values of a row lie in [lo, hi], arrays of (rows,); `widths` are the bits of the
    values in each lane, `signed` or not. `requantizer`, which is equal to the thresholds, takes their place; there need
    be none then. `steps` are the levels above the lowest.
    """

    thresholds: np.ndarray | None
    steps: int
    lo: np.ndarray
    hi: np.ndarray
    output_type: IntType
    widths: tuple[int, ...]
    signed: bool
    requantizer: Requantizer | None

    @property
    def lanes(self) -> int:
        return len(self.widths)

    def beside(self, pixels: int, *, by_row: bool = False) -> Activation:
        """The activation of so many pixels side by side: each has all of these lanes, or, `by_row`, each of these lanes is
        there for all pixels before the next one."""
        if pixels == 1:
            return self
        rows = np.arange(len(self.lo))
        rows = rows.repeat(pixels) if by_row else rows.reshape(-1, 1, self.lanes).repeat(pixels, axis=1).ravel()
        requantizer = self.requantizer
        if requantizer is not None and len(requantizer.multipliers) > 1:
            requantizer = requantizer.of_channels(rows)
        return replace(
            self,
            thresholds=None if self.thresholds is None else self.thresholds[rows],
            lo=self.lo[rows],
            hi=self.hi[rows],
            widths=tuple(self.widths[lane] for lane in rows[: self.lanes * pixels]),
            requantizer=requantizer,
        )

    @cached_property
    def sum_bits(self) -> np.ndarray:
        """Bits of the sum of each row in the requantizer, if there is one; int64 of (rows,)."""
        if self.requantizer is None:
            return np.zeros(len(self.lo), np.int64)
        return self.requantizer.sum_bits(self.lo, self.hi)

    def parameters(self) -> dict[str, int]:
        """Those of hw/rtl/activation.sv that say how levels are found."""
        return {
            "NumThresholds": self.steps,
            "CompareWidths": pack_word(self._compared_widths(), 8),
            "OutputOffset": pack_word([self.output_type.lo], self.output_type.bits),
        } | ({} if self.requantizer is None else {"Requantizer": self._packed(self.requantizer)})

    def memories(self) -> dict[str, Memory]:
        """A word for each fold, lane by lane: the multiplier, unless all share it, and the addend without its zeros."""
        requantizer = self.requantizer
        if requantizer is None:
            return {}
        bits, addend_bits = requantizer.multiplier_bits, requantizer.addend_bits
        stored = 0 if requantizer.common_multiplier else bits
        multipliers, addends = self._of_rows(requantizer)
        width = stored + addend_bits
        words = []
        for fold in range(len(multipliers) // self.lanes):
            rows = slice(fold * self.lanes, (fold + 1) * self.lanes)
            channels = [
                (int(m) if stored else 0) | pack_word([int(b) >> requantizer.addend_zeros], addend_bits) << stored
                for m, b in zip(multipliers[rows], addends[rows], strict=True)
            ]
            words.append(pack_word(channels, width))
        return {"RequantizerFile": Memory(width * self.lanes, tuple(words))}

    def memory_sets(self) -> dict[str, dict[str, Memory]]:
        return {} if self.requantizer else {"ThresholdFiles": self._table.memories}

    def hls_parameters(self) -> dict[str, int | bool]:
        requantizer = self.requantizer
        parameters: dict[str, int | bool] = {
            "OutputOffset": self.output_type.lo,
            "NumThresholds": self.steps,
            "Requantizes": requantizer is not None,
        }
        if requantizer is not None:
            parameters |= {
                "RequantizeShift": requantizer.shift,
                "HalfEven": requantizer.half_even,
                "MultipliesInDsps": requantizer.dsps > 0,
            }
        return parameters

    def hls_table(self) -> Table:
        """(folds, lanes, entries): the sorted thresholds, or multiplier and addend."""
        if self.requantizer is None:
            return sorted_table(self._searched, self.lo, self.hi, self.lanes)
        pairs = np.stack(self._of_rows(self.requantizer), axis=1).reshape(-1, self.lanes, 2)
        return Table(pairs, IntType(min(int(pairs.min()), -1), int(pairs.max())))

    def _of_rows(self, requantizer: Requantizer) -> tuple[np.ndarray, np.ndarray]:
        """The multiplier and the addend of each row."""
        rows = len(self.lo)
        return np.broadcast_to(requantizer.multipliers, rows), np.broadcast_to(requantizer.addends, rows)

    def _compared_widths(self) -> tuple[int, ...]:
        if self.requantizer is None:
            return self._table.widths
        bits = self.sum_bits.reshape(-1, self.lanes).max(axis=0)
        return tuple(int(width) for width in bits)

    def _packed(self, requantizer: Requantizer) -> int:
        fields = [
            requantizer.multiplier_bits, requantizer.addend_bits, requantizer.addend_zeros, requantizer.shift,
            int(requantizer.half_even), int(self.output_type.signed), requantizer.dsps,
        ]  # fmt: skip
        return pack_word([requantizer.common_multiplier or 0], 32) | pack_word(fields, 8) << 32

    @property
    def _searched(self) -> np.ndarray:
        assert self.thresholds is not None  # what has none has a requantizer
        return self.thresholds

    @cached_property
    def _table(self) -> SearchTable:
        return SearchTable.build(self._searched, self.lo, self.hi, self.lanes, self.widths, signed=self.signed)
