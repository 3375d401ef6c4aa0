"""The search among thresholds of hw/rtl/threshold_search.sv, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.dataflow.layer import Memory, Table
from pipeline.dataflow.packing import pack_word
from pipeline.dataflow.types import IntType
from pipeline.devices.demand import Demand
from pipeline.devices.memories import block_count
from pipeline.errors import UnsupportedError

__all__ = [
    "MAX_THRESHOLDS",
    "SearchMemory",
    "SearchTable",
    "add_search",
    "check_thresholds",
    "count_thresholds",
    "direct_steps",
    "search_memories",
    "search_stages",
    "search_styles",
    "sorted_table",
]

MAX_THRESHOLDS = 255
_LOOKUP_BITS, _BLOCK_DEPTH, _FEW_FOLDS = 6, 512, 4  # of hw/rtl/threshold_search.sv
_FEW = 31  # thresholds up to which comparing with each is faster than to search among them
_BLOCK = 1 << 16  # elements at a time, so that they stay in the cache


def search_stages(count: int) -> int:
    """Steps of a binary search among `count` thresholds, which are clock cycles in hardware."""
    return count.bit_length()


def count_thresholds(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many thresholds of its channel each value reaches (value >= threshold).

    `values` is (..., C); `thresholds` is (C, T) or (1, T), non-decreasing along axis 1. Returns int64 of the shape of
    `values`.
    """
    if thresholds.shape[1] <= _FEW:
        return _compare_with_each(values, thresholds)
    if len(thresholds) == 1:
        return np.searchsorted(thresholds[0], values, side="right").astype(np.int64)
    counts = np.empty(values.shape, np.int64)
    for channel, row in enumerate(thresholds):
        counts[..., channel] = np.searchsorted(row, values[..., channel], side="right")
    return counts


def _compare_with_each(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    rows = values.reshape(-1, values.shape[-1])
    limits = np.iinfo(values.dtype)
    fit = limits.min <= thresholds.min() and thresholds.max() <= limits.max
    columns = np.ascontiguousarray(thresholds.T, values.dtype if fit else np.int64)
    counts = np.zeros(rows.shape, np.uint8)
    step = max(_BLOCK // rows.shape[1], 1)
    for begin in range(0, len(rows), step):
        block, counted = rows[begin : begin + step], counts[begin : begin + step]
        for column in columns:
            counted += (block >= column).view(np.uint8)
    return counts.reshape(values.shape).astype(np.int64)


def check_thresholds(layer: str, thresholds: np.ndarray, output_type: IntType) -> None:
    """Raise UnsupportedError if a (channels, T) array cannot be built or `output_type` does not hold every count."""
    count = thresholds.shape[1]
    if not 1 <= count <= MAX_THRESHOLDS:
        raise UnsupportedError(
            f"layer {layer} has {count} thresholds a channel; 1 to {MAX_THRESHOLDS} can be built, and more levels by a "
            "requantizer alone. Quantize its output to 8 bits or fewer."
        )
    falling = np.flatnonzero((np.diff(thresholds, axis=1) < 0).any(axis=1))
    if falling.size:
        raise UnsupportedError(
            f"layer {layer}: the thresholds of channel {falling[0]} decrease; "
            "they must be sorted in non-decreasing order."
        )
    if output_type.lo + count > output_type.hi:
        raise UnsupportedError(
            f"layer {layer}: {count} thresholds above {output_type.lo} reach {output_type.lo + count}, "
            f"which does not fit the output type {output_type.name} with at most {output_type.hi}."
        )


class SearchMemory(NamedTuple):
    """The memory of a lane from which step `stage` of a search reads a cycle ahead: `words` words of `thresholds` each.

    `block` is block RAM, else look-up tables, in `banks`: word i is in bank i % `banks`.
    """

    stage: int
    words: int
    thresholds: int
    block: bool

    @property
    def banks(self) -> int:
        return 1 if self.block else 1 << max(0, (self.words - 1).bit_length() - _LOOKUP_BITS)


def direct_steps(count: int, folds: int) -> range:
    """The steps of a search among `count` thresholds of `folds` sets that choose among constants."""
    steps = min(((1 << _LOOKUP_BITS) // folds).bit_length(), search_stages(count))
    return range(min(steps, int(folds > _FEW_FOLDS)), steps)


def search_memories(count: int, folds: int) -> tuple[SearchMemory, ...]:
    """The memories of the other steps."""
    memories = []
    direct = direct_steps(count, folds)
    for stage in (stage for stage in range(search_stages(count)) if stage not in direct):
        thresholds = 2 if stage else 1
        words = (folds << stage) // thresholds
        memories.append(SearchMemory(stage, words, thresholds, words >= _BLOCK_DEPTH))
    return tuple(memories)


def search_styles(count: int, folds: int) -> dict[str, int]:
    """The memories of a search's thresholds, and the steps in each: constants, distributed or block memories."""
    styles = ["block" if memory.block else "distributed" for memory in search_memories(count, folds)]
    counts = {"constants": len(direct_steps(count, folds))} | {style: styles.count(style) for style in styles}
    return {style: steps for style, steps in counts.items() if steps}


def add_search(demand: Demand, thresholds: int, folds: int, widths: Sequence[int]) -> None:
    """Add to `demand` a binary search in lanes whose values have `widths` bits, each among `folds` sets of `thresholds`.

    What the steps that choose among constants take is fitted. What the others take is not: a memory, read into registers
    if it is one of LUTs, and a LUT a bit that subtracts.
    """
    direct, bits = direct_steps(thresholds, folds), sum(widths)
    demand.add(
        compared=len(direct) * bits,
        tables=sum(folds << stage > 1 for stage in direct) * bits,
        found=len(widths) * search_stages(thresholds) * (search_stages(thresholds) + 1) / 2,
    )
    for memory in search_memories(thresholds, folds):
        demand.words = max(demand.words, memory.words)
        demand.lut += bits
        if memory.block:
            demand.bram_18k += sum(block_count(memory.thresholds * width, memory.words) for width in widths)
        else:
            demand.lut += memory.thresholds * -(-memory.words // 64) * bits
            demand.ff += memory.thresholds * bits


@dataclass(frozen=True)
class SearchTable:
    """Thresholds laid out for a binary search in hardware (hw/rtl/threshold_search.sv).

    The sorted thresholds of a channel are padded to 2^stages - 1 with one that is never reached. Stage k of the search
    compares with one of 2^k of them; channel c is in lane c % pe, fold c // pe. `memories` has, under <lane>, a word of
    all that the `direct_steps` of a lane choose among, stage by stage and fold by fold, and, under <lane>_<stage>_<bank>,
    the words of each of the `search_memories`, fold by fold, a bank with fewer words than another filled up with a zero.
    `widths` is for each lane the width of its comparison, in which value and threshold are both exact.
    """

    memories: dict[str, Memory]
    widths: tuple[int, ...]

    @classmethod
    def build(
        cls, thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, pe: int, widths: tuple[int, ...], *, signed: bool
    ) -> SearchTable:
        """The table for (channels, T) `thresholds` of values in [lo, hi], arrays of (channels,), `pe` lanes wide.

        `widths` are the bits of the values in each lane, signed or not; a lane's comparison is wider only where a
        threshold demands it. A threshold that all values reach is moved to lo and one that none reaches to hi + 1,
        which changes no result.
        """
        channels, count = thresholds.shape
        table = _padded(thresholds, lo, hi).reshape(channels // pe, pe, -1)
        floor = -1 if signed else 0
        ends = zip(table.min(axis=(0, 2)), table.max(axis=(0, 2)), strict=True)
        needed = [IntType(min(int(low), floor), int(high)).bits for low, high in ends]
        compared = tuple(max(pair) for pair in zip(widths, needed, strict=True))
        direct = direct_steps(count, channels // pe)
        deeper = search_memories(count, channels // pe)
        memories = {}
        for lane, width in enumerate(compared):
            levels = [_level(table[:, lane], stage) for stage in range(search_stages(count))]
            if direct:
                constants = np.concatenate([levels[stage] for stage in direct])
                memories[f"{lane}"] = Memory(width * len(constants), (pack_word(constants, width),))
            for memory in deeper:
                words = levels[memory.stage].reshape(memory.words, memory.thresholds)
                packed = [pack_word(word, width) for word in words]
                packed += [0] * (-len(packed) % memory.banks)
                for bank in range(memory.banks):
                    contents = Memory(width * memory.thresholds, tuple(packed[bank :: memory.banks]))
                    memories[f"{lane}_{memory.stage}_{bank}"] = contents
        return cls(memories, compared)


def _level(table: np.ndarray, stage: int) -> np.ndarray:
    """Of (folds, 2^stages - 1) sorted thresholds the 2^stage of each fold that are in the middle of what is left."""
    period = (table.shape[1] + 1) >> stage
    return table[:, period // 2 - 1 :: period].ravel()


def sorted_table(thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray, pe: int) -> Table:
    """The thresholds (channels / pe, pe, 2^stages - 1) for hw/hls/thresholding.hpp, of values in [lo, hi] by channel."""
    table = _padded(thresholds, lo, hi)
    smallest = IntType(min(int(table.min()), -1), max(int(table.max()), 0))
    return Table(table.reshape(-1, pe, table.shape[1]), smallest)


def _padded(thresholds: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """(channels, T) `thresholds` moved into [lo, hi + 1], and filled up to 2^stages - 1 with what is never reached."""
    channels, count = thresholds.shape
    lowest, never = np.asarray(lo)[:, None], np.asarray(hi)[:, None] + 1
    padding = np.broadcast_to(never, (channels, (1 << search_stages(count)) - 1 - count))
    return np.hstack([np.clip(thresholds, lowest, never), padding])
