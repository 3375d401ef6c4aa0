"""LabelSelect: the hardware against the reference, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.folding.estimate import ResourceModel
from pipeline.kernels.label_select import LabelSelect
from pipeline.synthesis import synth
from pipeline.tools.verilator import simulate

INT8 = IntType.of_bits(8, signed=True)


def _layer(labels: int, input_type: IntType, **fields) -> LabelSelect:
    return LabelSelect("layer", ("x",), ("y",), labels, input_type, **fields)


RNG = np.random.default_rng(0)
CONFIGURATIONS = {
    "plain": _layer(10, IntType.of_bits(4, signed=False)),
    "scaled": _layer(12, INT8, multipliers=RNG.integers(1, 100, 12), offsets=RNG.integers(-5000, 5000, 12)),
    "recoded_input": _layer(
        7, INT8, multipliers=RNG.integers(1, 1 << 14, 7), offsets=RNG.integers(-(1 << 20), 1 << 20, 7)
    ),
    "recoded_multiplier": _layer(
        6, IntType.of_bits(13, signed=True), multipliers=RNG.integers(64, 128, 6), offsets=RNG.integers(-9999, 9999, 6)
    ),
    "recoded_multiplier_of_unsigned": _layer(
        4, IntType.of_bits(8, signed=False), multipliers=RNG.integers(128, 256, 4), offsets=RNG.integers(-9999, 9999, 4)
    ),
    "recoded_small_multiplier": _layer(5, IntType.of_bits(12, signed=True), multipliers=RNG.integers(1, 8, 5)),
    "unsigned": _layer(5, IntType.of_bits(5, signed=False), multipliers=RNG.integers(1, 1 << 11, 5)),
    "wide": _layer(4, IntType.of_bits(24, signed=True), multipliers=RNG.integers(1 << 24, 1 << 25, 4)),
    "offset_only": _layer(3, INT8, offsets=np.array([5, -300, 0])),
    "only_zeros": _layer(3, IntType(0, 0)),
    "one_label": _layer(1, INT8, multipliers=np.array([1])),
    "all_at_once": _layer(10, INT8, pe=10),
    "two_at_once": _layer(2, IntType.of_bits(1, signed=False), pe=2),
    "three_at_once_with_offsets": _layer(3, INT8, offsets=np.array([5, -300, 0]), pe=3),
    "two_levels_a_stage": _layer(
        5, IntType.of_bits(6, signed=False), offsets=np.array([0, 9, -9, 60, 3]), pe=5, adders_per_stage=4
    ),
    "offsets_in_the_stage_of_a_level": _layer(7, INT8, offsets=RNG.integers(-99, 99, 7), pe=7, adders_per_stage=3),
    "shifted": _layer(5, INT8, multipliers=np.full(5, 4), offsets=np.array([5, 0, -30, 7, 2]), pe=5),
    "all_levels_in_a_stage": _layer(12, INT8, pe=12, adders_per_stage=8),
}
IN_DSPS = {
    "scaled": 1,
    "recoded_input": 1,
    "recoded_multiplier_of_unsigned": 1,
    "recoded_small_multiplier": 1,
    "one_label": 1,
    "values_beyond_a_dsp": 2,
    "unsigned_values_beyond_a_dsp": 2,
}
_WIDE = {"multipliers": RNG.integers(1 << 23, 1 << 24, 5), "offsets": RNG.integers(-(1 << 44), 1 << 44, 5)}
CONFIGURATIONS |= {
    "values_beyond_a_dsp": _layer(5, IntType.of_bits(20, signed=True), **_WIDE),
    "unsigned_values_beyond_a_dsp": _layer(5, IntType.of_bits(18, signed=False), multipliers=_WIDE["multipliers"]),
}
CONFIGURATIONS |= {f"dsps_{name}": CONFIGURATIONS[name].with_multipliers_in_dsps("xcup") for name in IN_DSPS}


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_hardware_is_exact(layer, tmp_path):
    lo, hi = layer.input_type.lo, layer.input_type.hi
    frames = np.random.default_rng(1).integers(lo, hi + 1, (40, 1, 1, layer.labels))
    frames[0], frames[1] = lo, hi
    frames[2:6] = np.minimum(frames[2:6], lo + 1)  # many equal scores
    (expected,) = layer.reference(frames)
    result = simulate([layer], {"x": frames}, tmp_path)
    np.testing.assert_array_equal(result.outputs["y"], expected)
    assert set(np.diff(result.frame_cycles)) == {layer.cycles()}
    assert result.first_output_cycle == layer.cycles() - 1 + layer.latency()
    stalled = simulate([layer], {"x": frames}, tmp_path, stalls=5)
    np.testing.assert_array_equal(stalled.outputs["y"], expected)


def test_the_factor_that_its_name_says_is_recoded():
    for name, layer in CONFIGURATIONS.items():
        if name.startswith("recoded"):
            assert layer.parameters()["RecodeInput"] == (name == "recoded_input"), name


@pytest.mark.parametrize(("name", "dsps"), IN_DSPS.items())
def test_dsps_have_values_of_18_bits_or_are_two(name, dsps):
    assert CONFIGURATIONS[f"dsps_{name}"].dsps == dsps


def test_scores_that_no_dsp_adds_up_stay_in_look_up_tables():
    assert CONFIGURATIONS["wide"].with_multipliers_in_dsps("xcup") is None
    assert CONFIGURATIONS["scaled"].scales and not CONFIGURATIONS["plain"].scales


@pytest.mark.parametrize("family", ["xcup", "xc7"])
def test_in_dsps_it_takes_what_is_estimated(family, tmp_path):
    plain = [
        _layer(
            10, IntType.of_bits(bits, signed=True),
            multipliers=RNG.integers(1 << 23, 1 << 24, 10), offsets=RNG.integers(-(1 << 40), 1 << 40, 10),
        )
        for bits in (13, 20)
    ]  # fmt: skip
    layers = [layer.with_multipliers_in_dsps(family) for layer in plain]
    in_luts, *counted = synth.count([plain[0], *layers], family, cache=tmp_path)
    assert in_luts.dsp == 0 and counted[0].lut < 0.7 * in_luts.lut
    for layer, used in zip(layers, counted, strict=True):
        estimated = ResourceModel.load(family).layer(layer)
        assert used.dsp == estimated.dsp == layer.dsps == 1 + (layer.input_type.bits > 18)
        assert used.lut == pytest.approx(estimated.lut, rel=0.25)


def test_the_lowest_of_equal_scores_wins():
    layer = _layer(3, INT8, multipliers=np.array([1, 2, 4]), offsets=np.array([0, 0, -4]))
    assert layer.reference(np.array([8, 4, 3]).reshape(1, 1, 1, 3))[0].item() == 0
    assert layer.reference(np.array([0, 4, 3]).reshape(1, 1, 1, 3))[0].item() == 1


def test_the_score_holds_every_score_and_product():
    layer = _layer(2, INT8, multipliers=np.array([255, 1]), offsets=np.array([32640, 0]))
    assert layer.parameters()["ScoreWidth"] == 17  # 127 · 255 + 32640 = 65025
    assert _layer(2, INT8, offsets=np.array([0, 1 << 20])).parameters()["ScoreWidth"] == 22


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"pe": 3}, ConfigError, "PE = 3; it takes one element a cycle or all and needs a PE of 1 or 2"),
        ({"pe": 2, "multipliers": np.array([1, 2])}, ConfigError, "has a scale for each class and needs a PE of 1"),
        ({"ahead": 3}, ConfigError, "ahead = 3"),
        ({"multipliers": np.array([1, 0])}, UnsupportedError, "must be positive"),
        ({"offsets": np.array([1, 2, 3])}, UnsupportedError, r"expected \(2,\)"),
        ({"multipliers": np.array([1 << 60, 1])}, UnsupportedError, "at most 63"),
        ({"dsps": 1}, UnsupportedError, "it needs multipliers for them, and scores of up to 48 bits"),
        ({"multipliers": np.array([1 << 41, 1]), "dsps": 1}, UnsupportedError, "scores of up to 48 bits"),
    ],
)
def test_what_cannot_be_built_is_refused(fields, error, message):
    with pytest.raises(error, match=message):
        _layer(2, INT8, **fields)
