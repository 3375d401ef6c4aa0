"""Thresholding: the reference against a plain definition, and the hardware against the reference."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.threshold_search import (
    SearchMemory,
    SearchTable,
    count_thresholds,
    direct_steps,
    search_memories,
    search_stages,
)
from pipeline.kernels.thresholding import Thresholding
from pipeline.tools.verilator import simulate

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


def _layer(channels: int, input_type: IntType, count: int, output_lo: int = 0, *, shared: bool = False, pe: int = 1):
    rng = np.random.default_rng([channels, count])
    rows = 1 if shared else channels
    thresholds = np.sort(rng.integers(input_type.lo - 3, input_type.hi + 4, (rows, count)), axis=1)
    output_type = IntType(output_lo, output_lo + count)
    return Thresholding("layer", ("x",), ("y",), (2, 3, channels), input_type, output_type, thresholds, pe)


CONFIGURATIONS = {
    "255_levels_of_8_bits": _layer(4, unsigned(8), 255, pe=2),
    "254_levels_signed": _layer(2, signed(9), 254, -127, pe=2),
    "shared_ternary": _layer(6, signed(5), 2, -1, shared=True, pe=3),
    "one_level_of_one_bit": _layer(3, unsigned(1), 1),
    "memories_of_look_up_tables": _layer(144, signed(9), 11, pe=2),
    "memories_behind_constants": _layer(72, unsigned(7), 12, -3, pe=3),
    "block_memories": _layer(1028, signed(6), 5, pe=2),
}


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_hardware_is_exact(layer, tmp_path):
    rng = np.random.default_rng(2)
    frames = rng.integers(layer.input_type.lo, layer.input_type.hi + 1, (8, *layer.shape))
    frames[0, 1, 0], frames[0, 1, 1] = layer.input_type.lo, layer.input_type.hi
    # right after reset each channel takes the threshold it is compared with first, and every other one a little less
    first = layer.thresholds[:, (1 << (search_stages(layer.thresholds.shape[1]) - 1)) - 1]
    frames[0, 0, 0] = np.clip(first - np.arange(layer.shape[2]) % 2, layer.input_type.lo, layer.input_type.hi)
    (expected,) = layer.reference(frames)
    result = simulate([layer], {"x": frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs["y"], expected)
    assert set(np.diff(result.frame_cycles)) == {layer.cycles()}
    assert result.first_output_cycle == layer.latency()
    stalled = simulate([layer], {"x": frames}, tmp_path, stalls=3)
    np.testing.assert_array_equal(stalled.outputs["y"], expected)


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


def test_comparisons_are_wider_only_where_a_threshold_demands_it():
    full, part = unsigned(8), IntType(0, 200)
    for input_type, width in ((full, 9), (part, 8)):
        layer = Thresholding(
            "layer", ("x",), ("y",), (1, 1, 1), input_type, IntType(0, 1), np.array([[input_type.hi + 7]])
        )
        assert layer.parameters()["CompareWidths"] == width


@pytest.mark.parametrize(
    ("thresholds", "output_type", "pe", "error", "message"),
    [
        (np.zeros((4, 3), np.int64), unsigned(2), 3, ConfigError, "PE = 3 does not divide its 4 channels"),
        (np.zeros((2, 3), np.int64), unsigned(2), 1, UnsupportedError, r"expected \(4, T\) or \(1, T\)"),
        (np.array([[0, 2, 1]]), unsigned(2), 1, UnsupportedError, "channel 0 decrease"),
        (np.zeros((1, 4), np.int64), unsigned(2), 1, UnsupportedError, "does not fit the output type UINT2"),
        (np.zeros((1, 0), np.int64), unsigned(2), 1, UnsupportedError, "0 thresholds"),
    ],
)
def test_what_cannot_be_built_is_refused(thresholds, output_type, pe, error, message):
    with pytest.raises(error, match=message):
        Thresholding("layer", ("x",), ("y",), (1, 1, 4), unsigned(8), output_type, thresholds, pe)
