"""MVAU: the reference against a plain definition, and the hardware against the reference, at corner widths."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.mvau import MVAU
from pipeline.tools.verilator import simulate

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


def _mvau(
    mh: int,
    mw: int,
    input_type: IntType,
    weight_bits: int,
    thresholds: int = 0,
    *,
    bias: bool = False,
    output_lo: int = 0,
    per_row: bool = False,
    **fields,
) -> MVAU:
    """A layer with random weights of the whole range and thresholds inside and just outside of what sums reach."""
    rng = np.random.default_rng([mh, mw, weight_bits, thresholds])
    half = 1 << (weight_bits - 1)
    weights = rng.integers(-half, half, (mh, mw))
    weights.flat[0] = -half
    start = rng.integers(-50, 50, mh) if bias else None
    open_type = IntType(-(1 << 60), 1 << 60)
    sums = MVAU("layer", ("x",), ("y",), weights, input_type, open_type, (2, 2), None, start)
    lo, hi = sums.accumulator_range()
    output_type, levels = IntType(int(lo.min()), int(hi.max())), None
    if thresholds:
        levels = np.sort(rng.integers(lo[:, None] - 5, hi[:, None] + 5, (mh, thresholds)), axis=1)
        output_type = IntType(output_lo, output_lo + thresholds)
    bits = sums.exact_accumulator_bits() if per_row else None
    return replace(sums, output_type=output_type, thresholds=levels, accumulator_bits=bits, **fields)


def _frames(layer: MVAU, count: int = 6) -> np.ndarray:
    """Random frames; the first holds the inputs that drive its rows to their largest and smallest sums."""
    rng = np.random.default_rng(1)
    lo, hi = layer.input_type.lo, layer.input_type.hi
    frames = rng.integers(lo, hi + 1, (count, *layer.inputs()[0].shape))
    extremes = np.concatenate([np.where(layer.weights > 0, hi, lo), np.where(layer.weights > 0, lo, hi)])
    pixels = frames.reshape(-1, layer.mw)
    chosen = extremes[rng.permutation(len(extremes))[: len(pixels) // 2]]
    pixels[: len(chosen)] = chosen
    return frames


CONFIGURATIONS = {
    "folded": _mvau(8, 24, unsigned(4), 4, 15, pe=4, simd=8, per_row=True),
    "one_bit_inputs_one_row": _mvau(1, 12, unsigned(1), 4, 1, pe=1, simd=4),
    "unfolded_ternary": _mvau(3, 5, signed(4), 2, 2, output_lo=-1, pe=3, simd=5),
    "eight_bit_sums": _mvau(4, 9, signed(8), 8, pe=2, simd=3, bias=True, per_row=True),
    "one_column_254_levels": _mvau(4, 1, unsigned(8), 1, 254, output_lo=-128, pe=2, simd=1, bias=True),
    "odd_widths": _mvau(6, 10, unsigned(3), 5, 6, pe=3, simd=2, bias=True, per_row=True),
    "one_bit_signed_inputs": _mvau(4, 6, IntType(-1, 0), 3, pe=1, simd=6),
    "thresholds_in_memories_of_look_up_tables": _mvau(144, 2, unsigned(4), 4, 11, pe=2, simd=2, per_row=True),
    "thresholds_in_block_memories": _mvau(520, 1, unsigned(3), 4, 3, pe=1, simd=1),
    "inputs_of_three_digits_recoded": _mvau(2, 34, unsigned(5), 7, 3, pe=1, simd=17, bias=True),
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def simulated(request, tmp_path_factory):
    layer = CONFIGURATIONS[request.param]
    frames = _frames(layer)
    folder = tmp_path_factory.mktemp(request.param)
    return layer, frames, {seed: simulate([layer], {"x": frames}, folder, stalls=seed) for seed in (None, 7)}


def test_hardware_is_exact_with_and_without_stalls(simulated):
    layer, frames, results = simulated
    (expected,) = layer.reference(frames)
    for result in results.values():
        np.testing.assert_array_equal(result.outputs["y"], expected)


def test_frames_follow_each_other_after_exactly_cycles(simulated):
    layer, _, results = simulated
    assert set(np.diff(results[None].frame_cycles)) == {layer.cycles()}


def test_latency_is_observed(simulated):
    layer, _, results = simulated
    last_needed = layer.inputs_needed()[0] - 1  # at full speed beat k of the first vector is taken in cycle k
    assert results[None].first_output_cycle == last_needed + layer.latency()


def test_observed_accumulators_lie_in_the_proven_range(simulated):
    layer, frames, results = simulated
    lo, hi = layer.accumulator_range()
    sums = frames @ layer.weights.T + (0 if layer.bias is None else layer.bias)
    observed: dict[int, list[int]] = {}
    for path, stats in results[None].stats.items():  # a bias is seen by a monitor of its own
        lane = int(path.split("gen_lane[")[1].split("]")[0])
        observed.setdefault(lane, []).extend(stats["acc_min"] + stats["acc_max"])
    assert sorted(observed) == list(range(layer.pe))
    for lane, values in observed.items():
        observed_lo, observed_hi = min(values), max(values)
        assert lo[lane :: layer.pe].min() <= observed_lo <= sums[..., lane :: layer.pe].min()
        assert sums[..., lane :: layer.pe].max() <= observed_hi <= hi[lane :: layer.pe].max()


def test_an_accumulator_holds_its_extremes_and_one_bit_less_does_not(tmp_path):
    weights = np.array([[7, -8, 7, 7], [1, 1, -1, 0]])
    layer = MVAU("layer", ("x",), ("y",), weights, unsigned(4), IntType(-120, 315), (1, 1), simd=2)
    lo, hi = layer.accumulator_range()
    assert (lo[0], hi[0]) == (-120, 315)
    assert layer.exact_accumulator_bits() == (10, 6)
    witnesses = np.where(weights[0] > 0, [[15], [0]], [[0], [15]]).reshape(2, 1, 1, 4)
    (expected,) = layer.reference(witnesses)
    assert expected[:, 0, 0, 0].tolist() == [315, -120]

    exact = simulate([layer], {"x": witnesses}, tmp_path / "exact")
    np.testing.assert_array_equal(exact.outputs["y"], expected)
    (stats,) = exact.stats.values()
    assert (stats["acc_min"], stats["acc_max"]) == ([-120], [315])

    narrow = simulate([replace(layer, accumulator_bits=(9, 9))], {"x": witnesses}, tmp_path / "narrow")
    assert narrow.outputs["y"][0, 0, 0, 0] == 315 - 512
    assert narrow.outputs["y"][1, 0, 0, 0] == -120


# -- the Python side --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_reference_is_the_definition(layer):
    frames = _frames(layer)
    (result,) = layer.reference(frames)
    for position in np.ndindex(*frames.shape[:3]):
        for row in range(layer.mh):
            total = sum(int(w) * int(x) for w, x in zip(layer.weights[row], frames[position], strict=True))
            total += 0 if layer.bias is None else int(layer.bias[row])
            if layer.thresholds is not None:
                total = layer.output_type.lo + sum(total >= int(t) for t in layer.thresholds[row])
            assert result[(*position, row)] == total


def test_widths_are_exact_where_floats_are_not():
    weights = np.array([[(1 << 40) - 1, 1 << 40]])
    layer = MVAU("layer", ("x",), ("y",), weights, unsigned(16), IntType(0, 1 << 60), (1, 1))
    assert layer.accumulator_range()[1][0] == ((1 << 41) - 1) * 65535
    assert layer.exact_accumulator_bits() == ((((1 << 41) - 1) * 65535).bit_length() + 1,)
    frames = np.full((1, 1, 1, 2), 65535)
    assert layer.reference(frames)[0].item() == ((1 << 41) - 1) * 65535


def test_thresholds_out_of_reach_widen_nothing():
    thresholds = np.array([[-(1 << 40), 0, 1 << 40]])
    layer = MVAU("layer", ("x",), ("y",), np.array([[3, -2]]), unsigned(4), IntType(0, 3), (1, 1), thresholds)
    (bits,) = layer.lane_accumulator_bits()
    parameters = layer.parameters()
    assert parameters["AccWidths"] == parameters["CompareWidths"] == bits


def test_a_threshold_beyond_a_full_range_widens_the_comparison_by_a_bit():
    layer = MVAU("layer", ("x",), ("y",), np.array([[1]]), unsigned(7), IntType(0, 1), (1, 1), np.array([[128]]))
    assert layer.lane_accumulator_bits() == (8,)
    assert layer.parameters()["CompareWidths"] == 9


def test_a_lane_is_as_wide_as_its_widest_row():
    layer = _mvau(4, 3, unsigned(4), 4, pe=2)
    assert replace(layer, accumulator_bits=(9, 12, 10, 11)).lane_accumulator_bits() == (10, 12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pe": 3}, ConfigError, "PE = 3 does not divide its 4 rows"),
        ({"simd": 4}, ConfigError, "SIMD = 4 does not divide its 6 columns"),
        ({"simd": 0}, ConfigError, "SIMD = 0 does not divide"),
        ({"thresholds": np.array([[1, 0]] * 4)}, UnsupportedError, "channel 0 decrease"),
        ({"thresholds": np.zeros((3, 2), np.int64)}, UnsupportedError, "expected \\(4, T\\)"),
        ({"thresholds": np.zeros((4, 256), np.int64)}, UnsupportedError, "256 thresholds"),
        ({"thresholds": np.zeros((4, 16), np.int64), "output_type": unsigned(4)}, UnsupportedError, "does not fit"),
        ({"output_type": unsigned(4)}, UnsupportedError, "sums lie in"),
        ({"bias": np.zeros(5, np.int64)}, UnsupportedError, "bias of shape"),
        ({"accumulator_bits": (8, 8)}, UnsupportedError, "2 accumulator widths for its 4 rows"),
        ({"accumulator_bits": (8, 8, 8, 64)}, UnsupportedError, "accumulators of 64 bits"),
    ],
)
def test_what_cannot_be_built_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        replace(_mvau(4, 6, unsigned(4), 4), **change)
