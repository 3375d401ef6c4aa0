"""Activations by requantizers in hardware: every layer that thresholds, against its reference, at corner widths."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.graph import LayerGraph
from pipeline.dataflow.registry import kernels
from pipeline.dataflow.requantize import Requantizer
from pipeline.dataflow.roles import Activating
from pipeline.dataflow.storage import load_graph, save_graph
from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError, VerificationError
from pipeline.files import RTL
from pipeline.folding.estimate import ResourceModel
from pipeline.kernels.activation import activation_latency
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.vvau import VVAU
from pipeline.synthesis import synth
from pipeline.tools.verilator import simulate
from tests.kernels.requantized import in_dsps, requantized, requantized_matrix, requantized_thresholding

unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)

THRESHOLDING = {
    "shifts_alone": requantized_thresholding(4, signed(12), 255, power=0, pe=2),
    "halves_to_even_below_an_odd_lowest_level": requantized_thresholding(2, signed(11), 254, -127, power=0),
    "shifts_apart": requantized_thresholding(6, signed(14), 63, -32, power=3, pe=3),
    "any_scales": requantized_thresholding(6, unsigned(10), 15, pe=2),
    "any_scales_at_once": requantized_thresholding(3, signed(9), 14, -7, pe=3),
    "any_scale_of_all_channels": requantized_thresholding(6, signed(13), 15, rows=1, pe=2),
    "a_bit": requantized_thresholding(3, unsigned(1), 1),
    "no_shift": requantized(
        Thresholding(
            "layer", ("x",), ("y",), (1, 2, 2), signed(4), IntType(-2, 5), np.array([range(-3, 4), range(-1, 6)])
        )
    ),
    "jumps": requantized(
        Thresholding(
            "layer", ("x",), ("y",), (1, 2, 2), signed(5), IntType(0, 9), np.array([[-1, -1, 0, 0, 0, 1, 1, 2, 2]] * 2)
        )
    ),
    "levels_beyond_all_values": Thresholding(
        "layer",
        ("x",),
        ("y",),
        (1, 2, 2),
        signed(5),
        IntType(0, 63),
        np.arange(1, 64) - np.array([[0], [9]]),
        requantizer=Requantizer(np.array([1, 1]), np.array([0, 9]), 0),
    ),
    "as_many_levels_as_values": Thresholding(
        "layer",
        ("x",),
        ("y",),
        (1, 2, 2),
        signed(7),
        IntType(0, 63),
        2 * np.arange(1, 64) - np.array([[1], [3]]),
        requantizer=Requantizer(np.array([1, 1]), np.array([1, 3]), 1),
    ),
    "wide": requantized_thresholding(2, signed(40), 255, power=1),
    "9_bits_any_scales": requantized_thresholding(2, signed(12), 511, -256, pe=2),
    "9_bits_more_levels_than_integers": requantized_thresholding(3, signed(7), 511, 0),
    "12_bits": requantized_thresholding(4, unsigned(14), 4095, power=1, pe=2),
    "12_bits_any_scale_of_all_channels": requantized_thresholding(4, signed(14), 4094, -2047, rows=1, pe=2),
    "16_bits": requantized_thresholding(2, unsigned(24), 65535, power=2),
    "16_bits_signed": requantized_thresholding(2, signed(18), 65535, -32768, power=0, pe=2),
}
MATRICES = {
    "folded": requantized_matrix(MVAU, 6, 9, unsigned(8), 8, 255, power=2, pe=2, simd=3),
    "folded_signed_outputs": requantized_matrix(MVAU, 4, 8, signed(8), 8, 254, output_lo=-127, power=0, pe=1, simd=4),
    "folded_any_scales": requantized_matrix(MVAU, 8, 6, unsigned(4), 4, 15, bias=True, pe=4, simd=6),
    "folded_all_at_once": requantized_matrix(MVAU, 3, 5, unsigned(4), 4, 15, pe=3, simd=5),
    "depthwise": requantized_matrix(VVAU, 6, 9, unsigned(8), 8, 255, power=1, pe=2),
    "depthwise_whole_windows": requantized_matrix(VVAU, 4, 4, signed(4), 4, 15, bias=True, pe=4, simd=4),
    "sparse": requantized_matrix(SparseMVAU, 8, 12, unsigned(4), 4, 15, density=0.4, pe=4, simd=3, lanes=2),
    "sparse_with_a_bias": requantized_matrix(SparseMVAU, 4, 8, signed(8), 6, 63, bias=True, power=1, pe=2, simd=2),
    "unrolled": requantized_matrix(UnrolledMVAU, 5, 6, unsigned(4), 4, 15, density=0.6),
    "unrolled_in_digits": requantized_matrix(UnrolledMVAU, 4, 5, unsigned(8), 4, 255, power=1, digits=4),
    "folded_12_bits": requantized_matrix(MVAU, 4, 6, signed(12), 8, 4095, output_lo=-2048, power=1, pe=2, simd=3),
    "folded_16_bits": requantized_matrix(MVAU, 2, 6, unsigned(16), 8, 65535, power=0, pe=1, simd=3),
    "depthwise_16_bits": requantized_matrix(
        VVAU, 4, 9, signed(16), 4, 65535, output_lo=-32768, bias=True, power=0, pe=2
    ),
    "sparse_9_bits": requantized_matrix(SparseMVAU, 4, 8, unsigned(9), 4, 511, density=0.5, pe=2, simd=2),
    "unrolled_two_adders_a_stage": requantized_matrix(
        UnrolledMVAU, 5, 6, signed(6), 4, 62, power=0, output_lo=-31, adders_per_stage=2
    ),
    "unrolled_any_scales_three_adders_a_stage": requantized_matrix(
        UnrolledMVAU, 4, 6, unsigned(4), 4, 15, adders_per_stage=3
    ),
    "unrolled_12_bits": requantized_matrix(UnrolledMVAU, 3, 4, unsigned(12), 4, 4095, power=1, digits=3),
}
THRESHOLDING_IN_DSPS = {
    "dsps_as_wide_as_they_are_in_7_series": in_dsps(requantized_thresholding(2, signed(18), 255)),
    "dsps_unsigned": in_dsps(requantized_thresholding(6, unsigned(10), 15, pe=2)),
    "dsps_unsigned_with_a_bit_beyond": in_dsps(requantized_thresholding(4, unsigned(18), 255, pe=2)),
    "dsps_signed_outputs_at_once": in_dsps(requantized_thresholding(3, signed(9), 14, -7, pe=3)),
    "dsps_with_one_multiplier_of_all": in_dsps(requantized_thresholding(6, signed(13), 15, rows=1, pe=2)),
    "dsps_halves_to_even": in_dsps(requantized_thresholding(6, signed(14), 63, -32, power=3, pe=3)),
    "two_dsps": in_dsps(requantized_thresholding(4, signed(20), 15, pe=2)),
    "two_dsps_halves_to_even": in_dsps(requantized_thresholding(2, signed(26), 255, power=3), "xc7"),
    "two_dsps_as_wide_as_they_are": in_dsps(requantized_thresholding(2, signed(35), 15, power=3)),
    "two_dsps_sums_of_46_bits": in_dsps(requantized_thresholding(3, signed(22), 7)),
}
MATRICES_IN_DSPS = {
    f"dsps_{name}": in_dsps(MATRICES[name])
    for name in ("folded_any_scales", "depthwise", "sparse", "unrolled_in_digits")
} | {"two_dsps_folded": in_dsps(requantized_matrix(MVAU, 6, 40, unsigned(8), 8, 255, pe=2, simd=8))}
THRESHOLDING |= THRESHOLDING_IN_DSPS
MATRICES |= MATRICES_IN_DSPS
ALONE = {name: layer for name, layer in {**THRESHOLDING, **MATRICES}.items() if layer.thresholds is None}


def near_thresholds(layer: Thresholding) -> np.ndarray:
    """Frames that have every integer in each channel, or of a wide type what is near thresholds and ends; the first beat
    is the lowest value."""
    lo, hi = layer.input_type.lo, layer.input_type.hi
    if layer.input_type.bits <= 14:
        values = np.repeat(np.arange(lo, hi + 1)[:, None], layer.shape[2], axis=1)
    else:
        steps = layer.thresholds
        if steps is None:  # a value in the middle of many a level, and where the level begins
            rng = np.random.default_rng(0)
            steps = np.sort(rng.integers(lo, hi, (layer.shape[2], 1000)), axis=1)
            steps = np.hstack([steps, steps >> 4 << 4])
        rows = np.broadcast_to(steps, (layer.shape[2], steps.shape[1]))
        ends = np.full((len(rows), 2), (lo, hi))
        values = np.clip(np.hstack([ends, rows - 1, rows]), lo, hi).T
    pixels = layer.shape[0] * layer.shape[1]
    return np.resize(values, (max(-(-len(values) // pixels), 3) * pixels, layer.shape[2])).reshape(-1, *layer.shape)


@pytest.mark.parametrize("layer", THRESHOLDING.values(), ids=THRESHOLDING)
def test_thresholding_is_exact(layer, tmp_path):
    frames = near_thresholds(layer)
    (expected,) = layer.reference(frames)
    result = simulate([layer], {"x": frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs["y"], expected)
    assert set(np.diff(result.frame_cycles)) == {layer.cycles()}
    assert result.first_output_cycle == layer.latency()
    stalled = simulate([layer], {"x": frames}, tmp_path, stalls=3)
    np.testing.assert_array_equal(stalled.outputs["y"], expected)


@pytest.mark.parametrize("layer", MATRICES.values(), ids=MATRICES)
def test_matrices_are_exact(layer, tmp_path):
    rng = np.random.default_rng(1)
    shape = layer.inputs()[0].shape
    frames = rng.integers(layer.input_type.lo, layer.input_type.hi + 1, (6, *shape))
    (expected,) = layer.reference(frames)
    assert len(np.unique(expected)) > min(layer.level_steps, 8)
    result = simulate([layer], {"x": frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs["y"], expected)
    assert set(np.diff(result.frame_cycles)) == {layer.cycles()}
    sent, _ = layer.beat_times(np.arange(layer.inputs()[0].beats), 1)
    assert result.first_output_cycle == sent[0]
    stalled = simulate([layer], {"x": frames}, tmp_path, stalls=5)
    np.testing.assert_array_equal(stalled.outputs["y"], expected)


SEARCHABLE = {name: layer for name, layer in {**THRESHOLDING, **MATRICES}.items() if name not in ALONE}


@pytest.mark.parametrize("layer", SEARCHABLE.values(), ids=SEARCHABLE)
def test_levels_are_those_of_the_thresholds_at_every_integer_of_the_range(layer):
    """Exhaustively where the range has up to 2^20 integers, which most of the ranges here have."""
    lo, hi = layer.value_range()
    lowest, requantizer = layer.output_type.lo, layer.requantizer
    for channel, row in enumerate(layer.thresholds):
        first, last = int(lo[channel]), int(hi[channel])
        if last - first >= 1 << 20:
            assert layer.value_bits() > 20
            continue
        values = np.arange(first, last + 1)
        levels = requantizer.of_channels(np.array([channel])).levels(values[:, None], lowest, lowest + len(row))[:, 0]
        np.testing.assert_array_equal(levels, lowest + np.searchsorted(row, values, side="right"))


@pytest.mark.parametrize("name", ["folded", "sparse", "unrolled"])
def test_a_layer_with_a_wrong_requantizer_cannot_be(name):
    layer = MATRICES[name]
    right = layer.requantizer
    off = replace(right, addends=right.addends + (np.arange(layer.mh) == layer.mh - 1) * (1 << right.shift))
    with pytest.raises(
        VerificationError, match=f"not equal to its thresholds: in channel {layer.mh - 1} they differ at"
    ):
        replace(layer, requantizer=off)
    few = Requantizer(right.multipliers[:1], right.addends[:1], right.shift, right.half_even)
    with pytest.raises(VerificationError, match="a requantizer of 1 channels, which cannot be equal"):
        replace(layer, requantizer=few)


def test_a_requantizer_that_is_too_wide_is_refused():
    layer = THRESHOLDING["shifts_alone"]
    right = layer.requantizer
    wide = Requantizer(right.multipliers << 32, right.addends << 32, right.shift + 32, right.half_even)
    with pytest.raises(UnsupportedError, match="multipliers of 33 and sums of .. bits; at most 32 and 63 can be built"):
        replace(layer, requantizer=wide)


def test_a_requantizer_is_stored_with_its_layer_and_proven_when_it_is_read(tmp_path):
    layer = THRESHOLDING["shifts_apart"]
    graph = LayerGraph("one", (layer,), "x", "y")
    save_graph(graph, tmp_path)
    (read,) = load_graph(tmp_path).layers
    for field in ("multipliers", "addends", "shift", "half_even"):
        np.testing.assert_array_equal(getattr(read.requantizer, field), getattr(layer.requantizer, field))
    assert read.parameters() == layer.parameters() and read.memories() == layer.memories()
    text = (tmp_path / "graph.json").read_text()
    shift = f'"shift": {layer.requantizer.shift}'
    assert text.count(shift) == 1
    (tmp_path / "graph.json").write_text(text.replace(shift, f'"shift": {layer.requantizer.shift - 1}'))
    with pytest.raises(VerificationError, match="not equal to its thresholds"):
        load_graph(tmp_path)


@pytest.mark.parametrize("layer", ALONE.values(), ids=ALONE)
def test_more_levels_than_thresholds_are_those_of_the_requantizer(layer, tmp_path):
    """It is the layer's function then: there is no search, nothing to compare it with, and it is stored with the layer."""
    assert layer.level_steps == layer.output_type.hi - layer.output_type.lo > 255
    assert layer.parameters()["NumThresholds"] == layer.level_steps and not layer.memory_sets()
    assert not layer.threshold_styles() and layer.activates
    save_graph(LayerGraph("one", (layer,), "x", "y"), tmp_path)
    (read,) = load_graph(tmp_path).layers
    assert read.thresholds is None and read.parameters() == layer.parameters()
    frames = np.random.default_rng(0).integers(
        layer.input_type.lo, layer.input_type.hi + 1, (2, *layer.inputs()[0].shape)
    )
    np.testing.assert_array_equal(read.reference(frames)[0], layer.reference(frames)[0])
    with pytest.raises((UnsupportedError, VerificationError), match="a requantizer of 7 channels"):
        replace(layer, requantizer=layer.requantizer.of_channels(np.zeros(7, int)))


@pytest.mark.parametrize(
    ("name", "cycles"),
    [
        *[("shifts_alone", 3), ("no_shift", 3), ("any_scales", 3 + 12 // 2), ("shifts_apart", 3 + 3 // 2)],
        *[("dsps_unsigned", 5), ("two_dsps", 6)],
    ],
)
def test_latency_is_a_cycle_a_digit_or_three_and_two_to_clip(name, cycles):
    layer = THRESHOLDING[name]
    assert activation_latency(layer.level_steps, layer.requantizer) == cycles == layer.latency() - 1


@pytest.mark.parametrize("name", ["shifts_apart", "any_scales"])
def test_it_takes_the_look_up_tables_that_are_estimated(name, tmp_path):
    layer = THRESHOLDING[name]
    (used,) = synth.count([layer], "xcup", cache=tmp_path)
    assert used.dsp == 0 and used.bram_18k == 0
    assert used.lut == pytest.approx(ResourceModel.load("xcup").layer(layer).lut, rel=0.25)


@pytest.mark.parametrize("family", ["xcup", "xc7"])
def test_in_dsps_it_takes_what_is_estimated(family, tmp_path):
    """One and two DSPs a lane; those have all registers but one for the addend, and low bits that wait."""
    luts = [requantized_thresholding(64, signed(bits), 15, pe=2) for bits in (13, 20)]
    layers = [in_dsps(layer, family) for layer in luts]
    in_luts, *counted = synth.count([luts[0], *layers], family, cache=tmp_path)
    assert in_luts.dsp == 0 and counted[0].lut < in_luts.lut / 2
    for layer, used in zip(layers, counted, strict=True):
        estimated = ResourceModel.load(family).layer(layer)
        assert used.dsp == estimated.dsp == 2 * layer.requantizer.dsps
        assert used.lut == pytest.approx(estimated.lut, rel=0.25)
        assert used.ff == pytest.approx(estimated.ff, rel=0.25)
    assert [layer.requantizer.dsps for layer in layers] == [1, 2]


def test_what_no_dsp_holds_stays_in_look_up_tables():
    assert not THRESHOLDING["shifts_alone"].scales  # nothing to multiply
    assert requantized_thresholding(2, signed(27), 15).with_multipliers_in_dsps("xcup") is None  # sums of 54 bits
    wide = requantized_thresholding(2, signed(26), 15, power=3)
    assert [in_dsps(wide, family).requantizer.dsps for family in ("xcup", "xc7")] == [1, 2]


def test_accumulators_that_are_wider_than_they_need_be_take_more_dsps():
    layer = MATRICES["folded_any_scales"]
    assert in_dsps(layer).requantizer.dsps == 1
    assert in_dsps(layer.with_accumulator_bits((32,) * layer.mh)).requantizer.dsps == 2


def test_hardware_without_a_requantizer_is_as_it_was():
    layer = replace(MATRICES["folded"], requantizer=None)
    assert "Requantizer" not in layer.parameters() and "RequantizerFile" not in layer.memories()
    assert layer.memory_sets().keys() == {"ThresholdFiles"} and not MATRICES["folded"].memory_sets()


@pytest.mark.parametrize(
    "kind",
    [kind for kind in kernels().values() if issubclass(kind, Activating) and kind.__module__.startswith("pipeline.")],
)
def test_every_module_with_thresholds_takes_a_requantizer(kind):
    text = (RTL / f"{kind.module}.sv").read_text()
    for parameter in ("Requantizer", "RequantizerFile"):
        assert f".{parameter}({parameter})" in text, f"{kind.module}.sv has to pass {parameter} on to its activation"
