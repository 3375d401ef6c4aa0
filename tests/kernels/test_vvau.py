"""VVAU: the reference against an MVAU with zeros, and the hardware against the reference, at corner widths."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.vvau import VVAU
from pipeline.tools.verilator import simulate
from tests.kernels.matrices import matrix_layer
from tests.kernels.side_by_side import simulate_side_by_side

_vvau = partial(matrix_layer, VVAU)
unsigned = partial(IntType.of_bits, signed=False)
signed = partial(IntType.of_bits, signed=True)

CONFIGURATIONS = {
    "one_multiplier": _vvau(8, 9, unsigned(4), 4, 15),
    "some_channels": _vvau(12, 9, unsigned(4), 4, 15, pe=4, bias=True),
    "all_channels": _vvau(6, 9, unsigned(4), 4, 7, pe=6),
    "rows_of_pixels": _vvau(6, 9, unsigned(4), 4, 7, pe=6, simd=3),
    "a_window_at_once": _vvau(5, 9, signed(4), 2, 2, output_lo=-1, pe=5, simd=9),
    "two_rows_a_channel": _vvau(8, 6, unsigned(4), 4, 3, pe=4, simd=2, multiplier=2),
    "three_rows_a_channel_at_once": _vvau(6, 4, signed(3), 4, bias=True, pe=6, simd=4, multiplier=3),
    "single_pixels": _vvau(4, 1, unsigned(8), 1, 254, output_lo=-128, pe=2, bias=True),
    "one_bit": _vvau(3, 4, unsigned(1), 1, 1),
    "one_bit_signed": _vvau(4, 6, IntType(-1, 0), 3, pe=2),
    "eight_bit_sums": _vvau(4, 9, signed(8), 8, pe=2, bias=True),
    "more_than_64_bits_a_beat": _vvau(18, 10, unsigned(5), 7, 3, pe=18, simd=5),
    "thresholds_in_memories": _vvau(144, 2, unsigned(4), 4, 11, pe=2),
    "weights_in_block_memories": _vvau(70, 9, unsigned(3), 5, 6, ram_style="block"),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("vvau"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_after_exactly_cycles(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_it_takes_a_multiplication_a_cycle_of_each_multiplier():
    layer = _vvau(64, 9, unsigned(4), 4)
    assert layer.cycles() == 6 * 64 * 9 and replace(layer, pe=8).cycles() == 6 * 8 * 9
    assert {(folding.fields["pe"], folding.fields["simd"], folding.cycles) for folding in layer.foldings()} == {
        *((pe, 1, 6 * 64 // pe * 9) for pe in (1, 2, 4, 8, 16, 32, 64)),
        (64, 9, 6),
    }


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_it_computes_what_an_mvau_with_zeros_does(layer):
    rng = np.random.default_rng(0)
    height, width = layer.pixels
    windows = rng.integers(layer.input_type.lo, layer.input_type.hi + 1, (2, height, width, layer.mw, layer.channels))
    (expected,) = layer.dense.reference(windows.reshape(2, height, width, -1))
    at_once = layer.pe // layer.multiplier
    interleaved = windows.reshape(2, height, width, layer.mw, -1, at_once).swapaxes(3, 4)
    (result,) = layer.reference(interleaved.reshape(2, height, width, -1))
    np.testing.assert_array_equal(result, expected)
    assert layer.exact_accumulator_bits() == layer.dense.exact_accumulator_bits()
    assert (layer.dense.weights != 0).sum() == (layer.weights != 0).sum()


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "pe"),
    [((3, 3), (1, 1), (1, 1, 1, 1), 2), ((3, 3), (2, 2), (0, 1, 1, 0), 6), ((1, 5), (1, 2), (0, 2, 0, 2), 3)],
)
def test_padding_windows_and_products_are_a_depthwise_convolution(kernel, stride, pads, pe, tmp_path):
    torch = pytest.importorskip("torch")
    height, width, channels, type_ = 6, 7, 6, unsigned(4)
    rng = np.random.default_rng(pe)
    padded = (height + pads[0] + pads[2], width + pads[1] + pads[3])
    padding = FMPadding("pad", ("x",), ("p",), (height, width, channels), type_, pads, 0, pe)
    windows = ConvolutionInputGenerator("win", ("p",), ("w",), (*padded, channels), type_, kernel, stride, pe, True)
    weights = rng.integers(-8, 8, (channels, *kernel))
    sums = IntType(-(1 << 20), 1 << 20)
    taps = weights.reshape(channels, -1)
    unit = VVAU("unit", ("w",), ("y",), taps, type_, sums, windows.output_pixels, pe=pe)
    frames = rng.integers(0, 16, (3, height, width, channels))
    image = torch.nn.functional.pad(torch.from_numpy(frames).permute(0, 3, 1, 2).double(), [*pads[1::2], *pads[::2]])
    kernels = torch.from_numpy(weights)[:, None].double()
    expected = torch.nn.functional.conv2d(image, kernels, stride=stride, groups=channels).permute(0, 2, 3, 1).numpy()
    for stalls in (None, 5):
        result = simulate([padding, windows, unit], {"x": frames}, tmp_path, stalls=stalls)
        np.testing.assert_array_equal(result.outputs["y"], expected)


def test_an_accumulator_holds_its_extremes_and_one_bit_less_does_not(tmp_path):
    weights = np.array([[7, -8, 7, 7], [1, 1, -1, 0]])
    layer = VVAU("layer", ("x",), ("y",), weights, unsigned(4), IntType(-120, 315), (1, 1))
    assert layer.exact_accumulator_bits() == (10, 6)
    rows = np.where(weights[0] > 0, [[15], [0]], [[0], [15]])
    frames = np.concatenate([rows, np.zeros_like(rows)], axis=1).reshape(2, 1, 1, 8)
    exact = simulate([layer], {"x": frames}, tmp_path / "exact")
    assert exact.outputs["y"][:, 0, 0, 0].tolist() == [315, -120]
    narrow = simulate([replace(layer, accumulator_bits=(9, 9))], {"x": frames}, tmp_path / "narrow")
    assert narrow.outputs["y"][:, 0, 0, 0].tolist() == [315 - 512, -120]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pe": 4}, ConfigError, "PE = 4 does not divide its 6 rows"),
        ({"simd": 2}, ConfigError, "SIMD = 2 does not divide its 9 columns"),
        ({"multiplier": 2}, ConfigError, "PE = 1 is not a multiple of its 2 rows a channel"),
        ({"multiplier": 4}, UnsupportedError, "has 6 rows, 4 a channel"),
    ],
)
def test_what_cannot_be_built_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        replace(_vvau(6, 9, unsigned(4), 4), **change)
