"""The search among thresholds, by walks through its tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.threshold_search import (
    SearchMemory,
    SearchTable,
    count_thresholds,
    direct_steps,
    search_memories,
    search_stages,
)


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=9), st.integers(-12, 12), st.sampled_from([1, 3, 24, 70, 130])
)
def test_the_search_table_counts(thresholds: list[int], value: int, folds: int):
    """Walking the table as the hardware does gives the count, and every entry fits its width."""
    rows = np.sort((np.array(thresholds) + 3 * np.arange(2 * folds)[:, None]) % 41 - 20, axis=1)
    ends = np.full(2 * folds, 12)
    table = SearchTable.build(rows, -ends, ends, 2, (5, 6), signed=True)
    lane, fold = 1, folds // 2
    count = _walk(table, rows.shape[1], folds, lane, fold, value)
    row = rows[2 * fold + lane]
    assert count == count_thresholds(np.array([value]), row[None])[0] == sum(value >= row)
    assert table.widths == (5, 6)


def _walk(table: SearchTable, count: int, folds: int, lane: int, fold: int, value: int) -> int:
    width = table.widths[lane]
    deeper = {memory.stage: memory for memory in search_memories(count, folds)}
    index = 0
    for stage in range(search_stages(count)):
        place = (fold << stage) + index
        if stage in deeper:
            word, part = divmod(place, deeper[stage].thresholds)
            address, bank = divmod(word, deeper[stage].banks)
            memory = table.memories[f"{lane}_{stage}_{bank}"]
            assert len(memory.words) <= 64 or deeper[stage].block
        else:
            memory = table.memories[f"{lane}"]
            first = direct_steps(count, folds)[0]
            address, part = 0, folds * ((1 << stage) - (1 << first)) + place
        threshold = memory.words[address] >> (part * width) & ((1 << width) - 1)
        threshold -= (threshold >> (width - 1)) << width
        index = 2 * index + (value >= threshold)
    return index


def test_deep_steps_have_memories():
    """Up to 64 thresholds of a lane are constants, but for the first step of more than 4 sets; what is read ahead later is
    a pair, and block RAM from 512 words on."""
    assert direct_steps(255, 1) == range(7) and direct_steps(15, 4) == range(4)
    assert search_memories(255, 1) == (SearchMemory(7, 64, 2, False),)
    assert direct_steps(7, 24) == range(1, 2)
    assert search_memories(7, 24) == (SearchMemory(0, 24, 1, False), SearchMemory(2, 48, 2, False))
    assert not direct_steps(7, 511)
    assert search_memories(7, 511) == (
        SearchMemory(0, 511, 1, False), SearchMemory(1, 511, 2, False), SearchMemory(2, 1022, 2, True)
    )  # fmt: skip
    assert search_memories(1, 512) == (SearchMemory(0, 512, 1, True),)
    assert [memory.banks for memory in search_memories(7, 511)] == [8, 8, 1]
    assert search_memories(15, 64)[-1] == SearchMemory(3, 256, 2, False) and search_memories(15, 64)[-1].banks == 4


@pytest.mark.parametrize("count", [1, 31, 32, 255])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("rows", [1, 5])
def test_thresholds_are_counted_by_their_definition(count: int, kind: type, rows: int):
    """Few are counted in another way than many; some lie outside what the values' type can hold."""
    rng = np.random.default_rng(count)
    values = rng.integers(0, 256, (2, 3, 4, 5)).astype(kind)
    values[0, 0, 0] = (0, 1, 127, 254, 255)
    thresholds = np.sort(rng.integers(-40, 300, (rows, count)), axis=1)
    thresholds[:, -1] = 1 << 40
    counts = count_thresholds(values, thresholds)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, (values[..., None] >= thresholds).sum(axis=-1))
