"""Thresholding: the reference against a plain definition, and the hardware against the reference."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.threshold_search import search_stages
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
