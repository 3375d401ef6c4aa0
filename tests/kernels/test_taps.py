"""Columns of a kernel that share a DSP: the hardware against the reference, up to the ends of what lanes hold and not a bit less."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.accumulators.witness import witness_inputs
from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.random_rows import draw_row
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError, VerificationError
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.taps import Taps
from pipeline.synthesis import synth
from pipeline.tools import yosys
from pipeline.tools.verilator import simulate
from pipeline.verification import gate_level
from tests.kernels.matrices import tap_layer
from tests.kernels.requantized import requantized_matrix
from tests.kernels.side_by_side import simulate_side_by_side

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)


def _requantized() -> DspMVAU:
    layer = requantized_matrix(DspMVAU, 3, 6, unsigned(4), 3, 15, power=1, pe=3, simd=1)
    return replace(layer, pixels=(2, 4), m=2, taps=3, kernel_height=1, pad_left=1, pad_right=1)


CONFIGURATIONS = {
    "three_columns": tap_layer(4, (3, 3), 2, unsigned(4), 4, 15, density=0.3, simd=2),
    "signed_with_a_bias": tap_layer(3, (1, 3), 4, signed(4), 4, 7, bias=True, density=0.5, simd=2),
    "two_words_a_row": tap_layer(2, (3, 3), 2, unsigned(4), 4, density=0.3, simd=6, image=(2, 4)),
    "a_word_a_cycle": tap_layer(4, (3, 3), 2, unsigned(4), 4, 15, density=0.3, simd=6),
    "without_zeros": tap_layer(3, (2, 3), 2, unsigned(4), 4, 3, density=0.3, simd=2, pads=(0, 0)),
    "two_columns": tap_layer(3, (2, 2), 4, unsigned(4), 4, 7, bias=True, density=0.5, simd=4, pads=(0, 1)),
    "two_columns_with_zeros_on_the_left": tap_layer(2, (2, 2), 2, unsigned(4), 4, simd=1, pads=(1, 0), density=0.5),
    "more_outputs_than_pixels": tap_layer(2, (1, 3), 4, unsigned(4), 4, 7, density=0.5, simd=2, pads=(2, 2)),
    "three_pixels": tap_layer(2, (1, 4), 2, unsigned(2), 2, simd=1, pads=(1, 2), m=3, density=0.5),
    "in_block_memories": tap_layer(2, (3, 3), 2, unsigned(2), 3, 3, simd=1, ram_style="block", density=0.5),
    "loaded": tap_layer(2, (1, 3), 2, unsigned(2), 3, simd=1, ram_style="ultra", density=0.5),
    "requantized": _requantized(),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("taps"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    for layer, stream in zip(simulated.layers, simulated.expected, strict=True):
        waits = layer._pause if layer.row.late >= layer.row.beats else 0  # the zeros complete the first beat
        first = layer.inputs_needed()[0] - 1 + layer.latency() + waits
        assert simulated.full_speed.first_cycles[stream] == first, layer


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_beats_move_as_is_predicted(layer, simulated):
    index = list(CONFIGURATIONS.values()).index(layer)
    frames = 4
    sent, _ = layer.beat_times(np.arange(layer.beats_taken * frames, dtype=np.int64), frames)
    ends = sent.reshape(frames, -1)[:, -1]
    assert simulated.full_speed.frames[simulated.layers[index].output_names[0]] == ends.tolist()


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_word_is_proven(layer):
    layer.check_packings()
    assert len(layer.tap_packings) == layer.mh and layer.dsps == layer.mh * (layer.simd + 1)


def test_the_sums_are_those_of_the_windows():
    layer = CONFIGURATIONS["three_columns"]
    image = np.random.default_rng(0).integers(0, 16, (2, 3, 6, 6))
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (0, 0)))
    columns = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2)  # (N, OH, OW, KH · C, KW)
    windows = columns.reshape(2, 3, 6, 3, 2, 3).swapaxes(4, 5).reshape(2, 3, 6, 18)
    plain = replace(layer, taps=1, kernel_height=1, pad_left=0, pad_right=0)
    np.testing.assert_array_equal(layer.reference(image)[0], plain.reference(windows)[0])


# -- at the bound -----------------------------------------------------------------------------------------------------


def test_lanes_hold_their_extremes_and_one_bit_less_does_not(tmp_path):
    row = np.array([*([-7] * 9), -5, *([7] * 9), 5])  # 68 of each sign, 15 times
    row = np.append(row, 0)
    weights = np.stack([row, row[::-1], np.roll(row, 3)])
    fields = {"pe": 3, "simd": 7, "m": 2, "taps": 3, "kernel_height": 1, "pad_left": 1, "pad_right": 1}
    bias = np.array([-4, 3, -4])
    layer = DspMVAU("layer", ("x",), ("y",), weights, unsigned(4), IntType(-1024, 1023), (2, 4), None, bias, **fields)
    lo, hi = layer.accumulator_range()
    assert (lo.min(), hi.max()) == (-1024, 1023) and layer.dsps == 3 * 8
    assert all(packing.offsets() == [0, 11, 22, 33] for packing in layer.tap_packings)
    layer.check_packings()
    frames = witness_inputs(layer).reshape(-1, 2, 4, 7)
    (expected,) = layer.reference(frames)
    assert (expected.min(), expected.max()) == (-1024, 1023)
    exact = simulate([layer], {"x": frames}, tmp_path / "exact", stalls=1)
    np.testing.assert_array_equal(exact.outputs["y"], expected)
    seen = [stats for path, stats in exact.stats.items() if "gen_lane" in path]
    assert min(stats["acc_min"][0] for stats in seen) == -1024 and max(stats["acc_max"][0] for stats in seen) == 1023

    narrow = replace(layer, accumulator_bits=(10, 10, 10))
    with pytest.raises(VerificationError, match="have 10 bits, which do not hold the sums of a row from -1024 to"):
        narrow.check_packings()
    wrong = simulate([narrow], {"x": frames}, tmp_path / "narrow").outputs["y"]
    assert not any((wrong[..., row] == expected[..., row]).all() for row in range(3))
    with pytest.raises(
        UnsupportedError, match="the port A of a DSP48E2, 27 bits, does not hold 3 weights of 4 12 bits apart"
    ):
        replace(layer, accumulator_bits=(12,) * 3)


# -- what it takes ----------------------------------------------------------------------------------------------------


def _of_resnet8(simd: int, **fields) -> DspMVAU:
    """A 3 × 3 × 16 → 16 layer within the A2Q bound of 11 bits."""
    rng = np.random.default_rng(1)
    weights = np.stack([draw_row(rng, 144, 68, 0.3, centred=False, largest=7) for _ in range(16)])
    given = {"pe": 16, "simd": simd, "m": 2, "taps": 3, "kernel_height": 3, "pad_left": 1, "pad_right": 1, **fields}
    return DspMVAU(
        "layer",
        ("x",),
        ("y",),
        weights,
        unsigned(4),
        IntType(-1024, 1023),
        (32, 32),
        accumulator_bits=(11,) * 16,
        **given,
    )


def test_a_dsp_makes_nearly_six_products_a_cycle():
    layer = _of_resnet8(4)
    layer.check_packings()
    assert layer.dsps == 80 and 2 * 3 * 4 * 16 / layer.dsps == 4.8
    assert layer.weight_memory_bits() <= 16 * 144 * 4
    assert layer.cycles() == 32 * (16 * 12 + 1)
    rows = _of_resnet8(12, taps=1, kernel_height=1, pad_left=0, pad_right=0)
    assert 2 * 12 * 16 / rows.dsps < 3.7  # two rows and two pixels in each
    assert layer.demand("xcup").dsp == 80


def test_a_netlist_is_equal_in_every_cycle_and_products_are_dsps(tmp_path):
    layer = replace(CONFIGURATIONS["three_columns"], name="layer")
    unit = synth.unit(layer, tmp_path / "unit")
    (count,) = yosys.synthesize([unit], "xcup", cache=tmp_path / "yosys")
    assert count.total.dsp == layer.dsps == layer.demand("xcup").dsp
    for module in ("multiply_add", "dsp_chain"):  # what a sum starts from is wired, too
        assert (count.by_module[module].lut, count.by_module[module].ff) == (0, 0)
    netlists = {"layer": yosys.netlist(unit, "xcup", cache=tmp_path / "yosys")}
    graph = LayerGraph("layer", (layer,), "x", "y")
    frames = np.random.default_rng(0).integers(0, 16, (2, *layer.inputs()[0].shape))
    report = gate_level.run(graph, netlists, frames, tmp_path / "models", tmp_path / "report", stall_seed=1)
    assert [run.frames for run in report.units] == [2]


def test_foldings_take_the_cycles_of_the_layers():
    layer = CONFIGURATIONS["three_columns"]
    plain = MVAU("layer", ("x",), ("y",), layer.weights, layer.input_type, layer.output_type, (3, 6), layer.thresholds)
    foldings = DspMVAU.foldings_of_taps(plain, 3, 3, (1, 1), "xcup")
    assert [folding.fields["simd"] for folding in foldings] == [1, 2, 3, 6]
    for folding in foldings:
        built = plain.styled("dsp", folding.fields)
        assert folding.cycles == built.cycles()
        assert (folding.input_lanes, folding.output_lanes) == (built.inputs()[0].lanes, built.outputs()[0].lanes)
        assert plain.demand_in("dsp", folding.fields, "xcup").dsp == built.demand("xcup").dsp == built.dsps
    assert DspMVAU.foldings_of_taps(replace(plain, accumulator_bits=(12,) * 4), 3, 3, (1, 1), "xcup") == ()


# -- what cannot be built ---------------------------------------------------------------------------------------------


def test_what_cannot_be_built_is_refused():
    layer = CONFIGURATIONS["three_columns"]
    with pytest.raises(ConfigError, match=r"PE = 2, SIMD = 2, segments = 1; .* PE must be its 4 rows"):
        replace(layer, pe=2)
    with pytest.raises(ConfigError, match="SIMD a divisor of the 6 elements"):
        replace(layer, simd=9)
    with pytest.raises(ConfigError, match="M = 1 is to divide its rows of 6 pixels and be 2 or more"):
        replace(layer, m=1)
    with pytest.raises(UnsupportedError, match="18 columns, which are no kernel 4 pixels high and 3 wide"):
        replace(layer, kernel_height=4)
    with pytest.raises(
        UnsupportedError, match="expected 2 columns to M \\+ 1 = 3, no more than pixels, and pads narrower"
    ):
        replace(layer, pixels=(3, 8), pad_right=3)
    with pytest.raises(UnsupportedError, match="zeros beside rows are no inputs of"):
        replace(layer, input_type=IntType(1, 15))
    with pytest.raises(UnsupportedError, match=r"with 3 columns of its kernel in each: .* Leave taps out"):
        replace(layer, input_type=unsigned(8))


@pytest.mark.parametrize(
    ("left", "right", "late", "held", "last_emits"),
    [(1, 1, 1, 1, True), (0, 0, 1, 0, False), (2, 2, 0, 0, True), (2, 0, 0, 0, False), (0, 2, 1, 0, True)],
)
def test_when_outputs_are_complete(left, right, late, held, last_emits):
    """Of three columns and two pixels, counted pixel by pixel."""
    row = Taps(3, 3, left, right, 8, 2)
    assert (row.late, row.held, row.last_emits) == (late, held, last_emits)
    for beat in range(row.outputs // 2):
        seen = [2 * beat + output + tap - left for output in (0, 1) for tap in range(3)]
        completing = max(min(max(seen) // 2, row.beats), 0)  # the word, or that of zeros, with the last pixel
        assert beat + late == completing
