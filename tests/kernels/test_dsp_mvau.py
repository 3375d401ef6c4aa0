"""DspMVAU: rows that share DSPs, the hardware against the reference, up to the ends of what lanes hold and not a bit less."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError, VerificationError
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.mvau import MVAU
from pipeline.synthesis import synth
from pipeline.tools import yosys
from pipeline.tools.verilator import simulate
from tests.kernels.matrices import matrix_layer
from tests.kernels.requantized import requantized_matrix
from tests.kernels.side_by_side import simulate_side_by_side

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)
_layer = partial(matrix_layer, DspMVAU)

CONFIGURATIONS = {
    "three_rows_a_word": _layer(12, 24, unsigned(4), 4, 15, density=0.2, pe=6, simd=8),
    "one_row_of_bits": _layer(1, 12, unsigned(1), 1, 1, pe=1, simd=4),
    "six_ternary_rows": _layer(6, 5, signed(2), 2, 2, output_lo=-1, pe=6, simd=5),
    "eight_bit_sums_with_a_bias": _layer(6, 9, signed(8), 8, bias=True, pe=6, simd=3),
    "thresholds_and_a_bias": _layer(12, 10, unsigned(3), 5, 6, bias=True, pe=6, simd=2),
    "signed_bits": _layer(4, 6, IntType(-1, 0), 3, pe=2, simd=6),
    "one_column": _layer(6, 1, unsigned(8), 4, 100, output_lo=-50, bias=True, pe=3, simd=1),
    "seven_series": _layer(9, 8, unsigned(4), 4, 15, density=0.5, pe=9, simd=4, family="xc7"),
    "wide_weights": _layer(2, 4, unsigned(16), 24, pe=2, simd=2),
    "wide_inputs": _layer(4, 4, signed(18), 4, 3, pe=4, simd=2),
    "in_block_memories": _layer(4, 12, unsigned(4), 4, 7, pe=2, simd=2, ram_style="block"),
    "loaded": _layer(6, 6, unsigned(4), 4, pe=3, simd=3, ram_style="ultra"),
    "requantized": requantized_matrix(DspMVAU, 4, 6, unsigned(4), 4, 15, power=1, pe=4, simd=3),
    "a_network_s_column_of_12": _layer(3, 24, unsigned(4), 3, 7, pe=3, simd=12),
    "segments_by_turns": _layer(12, 48, unsigned(4), 4, 15, bias=True, pe=12, simd=4, segments=2),
    "segments_all_at_once": _layer(6, 24, unsigned(4), 4, 7, pe=6, simd=4, segments=3),
    "a_segment_a_step": _layer(8, 24, unsigned(4), 4, 15, bias=True, pe=4, simd=4, segments=6),
    "two_chains": _layer(6, 24, unsigned(4), 4, 15, pe=3, simd=12, segments=4),
    "whole_vectors": _layer(6, 18, unsigned(4), 4, 15, pe=6, simd=18, segments=3),
    "whole_vectors_in_uneven_chains": _layer(5, 17, signed(4), 4, bias=True, pe=5, simd=17, segments=5),
    "whole_rows_at_once": _layer(4, 9, unsigned(4), 4, 7, pe=4, simd=9),
    "three_pixels": _layer(8, 12, unsigned(4), 4, 15, density=0.3, pe=4, simd=2, m=3),
    "two_signed_pixels": replace(_layer(8, 12, signed(4), 4, 7, density=0.3, pe=4, simd=3), pixels=(2, 4), m=2),
    "two_whole_pixels": replace(_layer(4, 12, signed(3), 3, bias=True, density=0.6, pe=4, simd=12), pixels=(1, 4), m=2),
    "two_pixels_of_eight_bits": replace(_layer(4, 6, unsigned(8), 8, 7, pe=2, simd=2), pixels=(2, 2), m=2),
    "four_pixels_two_a_word": replace(_layer(4, 6, unsigned(2), 2, 3, pe=2, simd=2), pixels=(2, 4), m=4),
    "segments_of_two_pixels": replace(
        _layer(8, 48, unsigned(4), 4, 15, bias=True, pe=8, simd=4), pixels=(2, 4), m=2, segments=3
    ),
    "chains_of_two_pixels": replace(_layer(4, 24, unsigned(4), 4, 7, pe=4, simd=24), pixels=(2, 4), m=2, segments=3),
    "two_requantized_pixels": replace(
        requantized_matrix(DspMVAU, 4, 6, unsigned(4), 4, 15, power=1, pe=4, simd=1), pixels=(2, 4), m=2
    ),
    "requantized_segments": requantized_matrix(DspMVAU, 4, 16, unsigned(4), 4, 15, power=1, pe=4, simd=2, segments=2),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("dsp"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


# -- at the bound -----------------------------------------------------------------------------------------------------


def _three_full_lanes() -> DspMVAU:
    """Rows of which each reaches an end of 11 bits, -1024 or 1023: with 12 bits three would not fit the 27 of the port."""
    row = np.array([*([-7] * 9), -5, *([7] * 9), 5])  # 68 of each sign, 15 times
    weights = np.stack([row, row[::-1], np.roll(row, 3)])
    bias = np.array([-4, 3, -4])
    return DspMVAU(
        "layer", ("x",), ("y",), weights, unsigned(4), IntType(-1024, 1023), (1, 1), None, bias, pe=3, simd=4
    )


def test_lanes_hold_their_extremes_and_one_bit_less_does_not(tmp_path):
    layer = _three_full_lanes()
    lo, hi = layer.accumulator_range()
    assert (lo.min(), hi.max()) == (-1024, 1023) and set(layer.exact_accumulator_bits()) == {11}
    (packing,) = layer.packings
    assert [lane.offset for lane in packing.lanes] == [0, 11, 22]
    layer.check_packings()
    witnesses = witness_inputs(layer)[:, None, None]
    (expected,) = layer.reference(witnesses)
    exact = simulate([layer], {"x": witnesses}, tmp_path / "exact")
    np.testing.assert_array_equal(exact.outputs["y"], expected)
    seen = [stats for path, stats in exact.stats.items() if "gen_lane" in path]
    assert len(seen) == 3
    for row, stats in enumerate(seen):
        assert (stats["acc_min"], stats["acc_max"]) == ([expected[..., row].min()], [expected[..., row].max()])

    narrow = replace(layer, accumulator_bits=(10, 10, 10))
    with pytest.raises(VerificationError, match="has 10 bits, which do not hold its sums from -1024 to"):
        narrow.check_packings()
    wrong = simulate([narrow], {"x": witnesses}, tmp_path / "narrow").outputs["y"]
    assert not any((wrong[..., row] == expected[..., row]).all() for row in range(3))


def test_partial_sums_that_leave_their_lanes_come_back(tmp_path):
    weights = np.array([[7, 7, -7, -7], [-8, -8, 8, 7], [3, 3, -3, -3]])
    layer = DspMVAU("layer", ("x",), ("y",), weights, IntType(13, 15), IntType(-64, 63), (1, 1), pe=3, simd=1)
    assert max(layer.exact_accumulator_bits()) == 7 and 7 * 13 > 63  # the first product is more than a lane holds
    layer.check_packings()
    frames = np.random.default_rng(0).integers(13, 16, (20, 1, 1, 4))
    result = simulate([layer], {"x": frames}, tmp_path, stalls=1)
    np.testing.assert_array_equal(result.outputs["y"], layer.reference(frames)[0])


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_word_is_proven(layer):
    layer.check_packings()
    assert sum(len(packing.lanes) for packing in layer.packings) == layer.pe


def test_narrow_sums_share_dsps():
    layer = _layer(6, 9, unsigned(4), 4, density=0.5, pe=6, simd=3)
    bits = max(layer.exact_accumulator_bits())
    assert bits <= 10
    assert layer.dsps == 2 * 4  # two words of three rows; chains of three columns and an accumulator
    assert replace(layer, accumulator_bits=(11,) * 6).dsps == 2 * 4
    assert replace(layer, accumulator_bits=(12,) * 6).dsps == 3 * 4
    assert layer.for_family("xc7").dsps == (2 if bits <= 10 else 3) * 4
    assert replace(layer, accumulator_bits=(11,) * 6).for_family("xc7").dsps == 3 * 4


@pytest.mark.parametrize(("simd", "segments", "rows", "chains"), [(8, 1, 2, 1), (8, 3, 3, 1), (24, 3, 3, 3)])
def test_segments_of_sums_that_are_wider_than_their_lanes_are_added_up(simd, segments, rows, chains, tmp_path):
    """Eight products of 4 by 4 bits fit 11 bits, and 24 do not."""
    weights = np.full((6, 24), 7)
    weights[::2, :12] = -7
    fields = {"pe": 6, "simd": simd, "segments": segments}
    layer = DspMVAU("layer", ("x",), ("y",), weights, unsigned(4), IntType(-5000, 5000), (1, 2), **fields)
    layer.check_packings()
    assert layer.segmentation.chains == chains
    assert [len(packing.lanes) for packing in layer.packings] == [rows] * (6 // rows)
    witnesses = np.repeat(witness_inputs(layer)[:, None, None], 2, axis=2)
    (expected,) = layer.reference(witnesses)
    assert abs(expected).max() == 24 * 7 * 15
    result = simulate([layer], {"x": witnesses}, tmp_path, stalls=1)
    np.testing.assert_array_equal(result.outputs["y"], expected)


def test_a_segment_is_as_long_as_its_lanes_hold(tmp_path):
    weights = np.full((3, 16), 7)
    layer = DspMVAU("layer", ("x",), ("y",), weights, unsigned(4), IntType(0, 2000), (1, 1), pe=3, simd=4, segments=2)
    assert layer.dsps == 5 and [lane.bits for lane in layer.packings[0].lanes] == [11, 11, 11]
    foldings = [folding.fields for folding in layer.foldings()]
    assert [fields["segments"] for fields in foldings if (fields["pe"], fields["simd"]) == (3, 4)] == [1, 2, 4]
    with pytest.raises(
        ConfigError, match="segments = 3; with SIMD = 4 of its 16 columns, a row can be in 1, 2, 4, 8, 16"
    ):
        replace(layer, segments=3)


def test_two_rows_of_two_pixels_share_a_dsp_and_the_weights():
    layer = _layer(8, 16, unsigned(4), 4, density=0.4, pe=8, simd=8)
    weights = np.clip(layer.weights, -7, 7)
    weights[:, 0] = 7  # so that every row takes four bits
    two = replace(
        layer, weights=weights, output_type=IntType(-2000, 2000), pixels=(2, 4), m=2, accumulator_bits=(11,) * 8
    )
    two.check_packings()
    assert two.packings[0].offsets() == [0, 11, 22, 33]
    assert two.dsps == 4 * 9 and 2 * 8 * 8 / two.dsps > 3.5  # products a DSP
    assert two.weight_memory_bits() == replace(two, m=1).weight_memory_bits()
    wide = replace(two, accumulator_bits=(12,) * 8)
    assert wide.packings[0].pixels == 1 and wide.dsps == 2 * 4 * 9  # two rows of one pixel


def test_a_weight_takes_no_more_memory_than_before():
    dense = np.random.default_rng(0).integers(-7, 8, (6, 12))
    layer = DspMVAU("layer", ("x",), ("y",), dense, unsigned(4), IntType(-2000, 2000), (1, 1), pe=6, simd=3)
    same = MVAU("layer", ("x",), ("y",), dense, unsigned(4), IntType(-2000, 2000), (1, 1), pe=6, simd=3)
    assert layer.weight_memory_bits() == same.weight_memory_bits() == 6 * 12 * 4
    columns = layer.memory_sets()["WeightFiles"]
    assert list(columns) == ["0000", "0001", "0002"]
    assert all((memory.width, len(memory.words)) == (24, 4) for memory in columns.values())


def test_products_and_accumulators_are_dsps_and_nothing_else(tmp_path):
    layer = _layer(6, 12, unsigned(4), 4, density=0.4, pe=6, simd=3)
    (count,) = yosys.synthesize([synth.unit(layer, tmp_path)], "xcup", cache=tmp_path)
    assert count.total.dsp == layer.dsps == layer.demand("xcup").dsp
    for module in ("multiply_add", "dsp_chain"):
        assert (count.by_module[module].lut, count.by_module[module].ff) == (0, 0)


def test_what_cannot_be_built_is_refused():
    layer = CONFIGURATIONS["three_rows_a_word"]
    with pytest.raises(ConfigError, match="ecp5 is no family with DSPs; choose xcup or xc7"):
        replace(layer, family="ecp5")
    with pytest.raises(
        UnsupportedError, match=r"cannot be computed in DSPs: the port B .* 18 bits, .* inputs of UINT18"
    ):
        _layer(2, 3, unsigned(18), 4)
    with pytest.raises(
        UnsupportedError, match=r"the port A of a DSP48E2, 27 bits, does not hold weights of 28.*mvau_style"
    ):
        _layer(2, 3, unsigned(4), 28)
    with pytest.raises(UnsupportedError, match="lanes of 49 bits are more than the 48 of a DSP48E2"):
        replace(layer, accumulator_bits=(49,) * 12)


def test_thresholds_are_of_the_sums_in_cpp_and_of_the_lanes_in_hardware_whatever_is_asked_for_first():
    layer = CONFIGURATIONS["three_rows_a_word"]
    hardware_first, cpp_first = replace(layer), replace(layer)
    of_hardware = hardware_first.parameters(), hardware_first.memories()
    table = cpp_first.hls_thresholds()
    np.testing.assert_array_equal(hardware_first.hls_thresholds().values, table.values)
    of_folded = layer.styled("folded", {"pe": layer.pe, "simd": layer.simd}).hls_thresholds()
    np.testing.assert_array_equal(table.values, of_folded.values)
    lo, hi = (end[:, None] for end in layer.accumulator_range())
    np.testing.assert_array_equal(table.values.reshape(layer.thresholds.shape), np.clip(layer.thresholds, lo, hi + 1))
    assert (cpp_first.parameters(), cpp_first.memories()) == of_hardware
