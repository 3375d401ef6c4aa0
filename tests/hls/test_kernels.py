"""Every kernel in HLS C++ against its reference, at corner widths, in ap_int and in native integers."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.errors import VerificationError
from pipeline.files import HLS
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.crop import Crop
from pipeline.kernels.depth_to_space import DepthToSpace
from pipeline.kernels.dsp_mvau import DspMVAU
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.label_select import LabelSelect
from pipeline.kernels.lookup import Lookup
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.kernels.pool import Pool
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_concat import StreamingConcat
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.unrolled_mvau import UnrolledMVAU
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour
from pipeline.kernels.vvau import VVAU
from pipeline.tools.gxx import FLAGS, NEEDS
from tests.hls.frames import frames_of
from tests.hls.programs import program_of
from tests.kernels.matrices import matrix_layer, tap_layer

pytestmark = pytest.mark.xdist_group("hls_kernels")  # they share a compiled program

signed = partial(IntType.of_bits, signed=True)
unsigned = partial(IntType.of_bits, signed=False)
_RNG = np.random.default_rng(0)


def _thresholding(channels, type_, count, lo=0, *, rows=None, pe=1):
    values = _RNG.integers(type_.lo - 3, type_.hi + 4, (rows or channels, count))
    output_type = IntType(lo, lo + count)
    return Thresholding("layer", ("x",), ("y",), (2, 3, channels), type_, output_type, np.sort(values, axis=1), pe)


def _add(types, multipliers=(1, 1), pe=1):
    return AddStreams("layer", ("a", "b"), ("y",), (2, 3, 4), types, multipliers, pe)


def _copies(count, type_, pe):
    return DuplicateStreams("layer", ("x",), tuple(f"y{i}" for i in range(count)), (2, 3, 4), type_, count, pe)


def _padding(shape, pads, type_, value, simd):
    return FMPadding("layer", ("x",), ("y",), shape, type_, pads, value, simd)


def _pool(channels, window, type_, function, shift=0, pe=1, pixels=(2, 2)):
    return Pool("layer", ("x",), ("y",), pixels, channels, window, type_, function, shift, pe)


def _label(labels, type_, **fields):
    return LabelSelect("layer", ("x",), ("y",), labels, type_, **fields)


def _converter(in_lanes, out_lanes, type_):
    return StreamingDataWidthConverter("layer", ("x",), ("y",), (2, 3, 12), type_, in_lanes, out_lanes)


def _generator(shape, type_, kernel, stride, simd, *, depthwise=False):
    return ConvolutionInputGenerator("layer", ("x",), ("y",), shape, type_, kernel, stride, simd, depthwise)


def _window(shape, type_, kernel, stride, pads, value):
    return ParallelWindow("layer", ("x",), ("y",), shape, type_, kernel, stride, pads, value)


def _concat(channels, types, simd=1):
    return StreamingConcat("layer", ("a", "b"), ("y",), (2, 3), channels, types, simd)


def _crop(shape, type_, start, size, simd=1):
    return Crop("layer", ("x",), ("y",), shape, type_, start, size, simd)


def _upsample(shape, type_, factors, simd=1):
    return UpsampleNearestNeighbour("layer", ("x",), ("y",), shape, type_, factors, simd)


def _depth_to_space(shape, type_, block, simd=1):
    return DepthToSpace("layer", ("x",), ("y",), shape, type_, (block, block), simd)


def _lookup(channels, input_type, output_type, *, rows=1, pe=1):
    table = _RNG.integers(output_type.lo, output_type.hi, (rows, input_type.hi - input_type.lo + 1), endpoint=True)
    return Lookup("layer", ("x",), ("y",), (2, 3, channels), input_type, output_type, table, pe)


LAYERS: dict[str, Layer] = {
    "mvau_lanes_of_different_widths": matrix_layer(MVAU, 8, 12, unsigned(4), 4, 15, density=0.4, pe=4, simd=3),
    "mvau_in_dsps": matrix_layer(DspMVAU, 6, 12, unsigned(4), 4, 15, density=0.4, pe=6, simd=3),
    "mvau_in_dsps_segments_of_three_pixels": matrix_layer(
        DspMVAU, 4, 12, unsigned(4), 4, 7, bias=True, pe=4, simd=3, segments=2, m=3
    ),
    "mvau_in_dsps_sums_with_a_bias": matrix_layer(DspMVAU, 4, 9, signed(8), 8, bias=True, pe=2, simd=3),
    "mvau_in_dsps_columns_of_a_kernel": tap_layer(3, (2, 3), 2, signed(4), 4, 7, simd=2, bias=True, density=0.5),
    "mvau_in_dsps_columns_without_zeros": tap_layer(2, (3, 3), 1, unsigned(4), 4, simd=3, pads=(0, 0), density=0.5),
    "mvau_bits": matrix_layer(MVAU, 3, 6, unsigned(1), 1, 1),
    "mvau_all_at_once": matrix_layer(MVAU, 3, 5, signed(2), 2, 2, output_lo=-1, pe=3, simd=5),
    "mvau_sums_with_a_bias": matrix_layer(MVAU, 4, 9, signed(8), 8, bias=True, pe=2, simd=3),
    "mvau_negative_outputs": matrix_layer(MVAU, 4, 6, IntType(-1, 0), 3, 5, bias=True, output_lo=-8, pe=1, simd=6),
    "mvau_wide_thresholds": matrix_layer(MVAU, 3, 8, unsigned(16), 24, 7, bias=True, pe=1, simd=4),
    "mvau_wide_sums": matrix_layer(MVAU, 2, 4, signed(16), 30, pe=2, simd=1),
    "vvau_one_multiplier": matrix_layer(VVAU, 6, 9, unsigned(4), 4, 15, density=0.4),
    "vvau_rows_of_pixels_with_a_bias": matrix_layer(VVAU, 4, 6, signed(8), 8, bias=True, pe=4, simd=3),
    "vvau_two_rows_a_channel": matrix_layer(VVAU, 8, 4, unsigned(16), 24, 7, bias=True, pe=4, simd=2, multiplier=2),
    "vvau_bits": matrix_layer(VVAU, 4, 1, unsigned(1), 1, 1, pe=2),
    "thresholding_255": _thresholding(4, unsigned(8), 255, pe=2),
    "thresholding_shared_ternary": _thresholding(6, signed(2), 2, -1, rows=1, pe=3),
    "thresholding_bits": _thresholding(3, unsigned(1), 1, pe=3),
    "thresholding_wide": _thresholding(2, signed(44), 6, -128),
    "lookup_signed_of_one_table": _lookup(4, signed(8), signed(7), pe=2),
    "lookup_of_each_channel": _lookup(6, IntType(0, 11), unsigned(9), rows=6, pe=3),
    "lookup_bits": _lookup(2, signed(1), unsigned(1), rows=2),
    "elementwise_mul_of_pixels": ElementwiseMul(
        "layer", ("a", "b"), ("y",), (2, 3, 4), (signed(2), unsigned(16)), pe=4
    ),
    "elementwise_mul_of_a_gate": ElementwiseMul(
        "layer", ("a", "b"), ("y",), (2, 3, 4), (signed(8), unsigned(1)), True, 2
    ),
    "add_streams_all_at_once": _add((unsigned(1), unsigned(4)), pe=4),
    "add_streams_negative_multiplier": _add((signed(2), IntType(-1, 0)), (-3, 5), pe=2),
    "add_streams_terms_wider_than_sums": _add((IntType(-128, -100), IntType(99, 100))),
    "add_streams_wide": _add((unsigned(8), signed(20)), (2**31 - 1, 1 - 2**31), pe=2),
    "duplicate_streams_two": _copies(2, signed(8), 4),
    "duplicate_streams_five": _copies(5, unsigned(41), 1),
    "fm_padding_on_every_side": _padding((3, 2, 4), (1, 2, 3, 1), unsigned(1), 0, 2),
    "fm_padding_of_the_least_value": _padding((1, 1, 3), (3, 0, 0, 1), signed(40), -(1 << 39), 3),
    "fm_padding_on_no_side": _padding((2, 2, 2), (0, 0, 0, 0), signed(2), 1, 1),
    "pool_max_signed": _pool(4, 9, signed(2), "max", pe=2),
    "pool_max_unsigned": _pool(3, 4, unsigned(8), "max", pe=3),
    "pool_sum_of_bits": _pool(6, 5, unsigned(1), "sum"),
    "pool_sum_shifted_away": _pool(2, 2, signed(2), "sum", shift=7),
    "pool_sum_wide": _pool(2, 9, signed(40), "sum", shift=3, pe=2),
    "pool_max_of_two_folds": _pool(4, 4, signed(5), "max", pe=2, pixels=(3, 2)),
    "pool_sum_of_the_most_folds_in_registers": _pool(16, 3, unsigned(4), "sum", shift=1, pixels=(3, 1)),
    "pool_sum_of_the_fewest_folds_in_memory": _pool(34, 3, unsigned(4), "sum", pe=2, pixels=(3, 1)),
    "pool_max_of_windows_of_one": _pool(17, 1, signed(4), "max"),
    "label_select_bits": _label(10, unsigned(1)),
    "label_select_scaled": _label(
        12, signed(8), multipliers=_RNG.integers(1, 100, 12), offsets=_RNG.integers(-5000, 5000, 12)
    ),
    "label_select_wide": _label(
        3, signed(40), multipliers=np.array([1, 1 << 20, 3]), offsets=np.array([1 << 60, 0, -9])
    ),
    "label_select_at_once": _label(5, signed(9), pe=5, offsets=np.array([3, -16, 0, 0, 40])),
    "label_select_one": _label(1, unsigned(4), offsets=np.array([-16])),
    "converter_to_wide": _converter(2, 6, signed(2)),
    "converter_to_narrow": _converter(12, 4, unsigned(8)),
    "converter_to_single_bits": _converter(12, 1, unsigned(1)),
    "converter_of_parts_of_pixels": StreamingDataWidthConverter(
        "layer", ("x",), ("y",), (2, 3, 12), signed(3), 9, 18, in_m=3, out_m=3
    ),
    "converter_of_pixels": StreamingDataWidthConverter(
        "layer", ("x",), ("y",), (2, 3, 4), signed(3), 12, 4, in_m=3, out_m=1
    ),
    "thresholding_of_pixels": replace(_thresholding(4, signed(6), 5, pe=2), m=3),
    "pool_of_pixels": replace(_pool(4, 9, signed(3), "sum", 2, 2), m=2),
    "elementwise_mul_of_three_pixels": ElementwiseMul(
        "layer", ("a", "b"), ("y",), (2, 3, 4), (signed(2), unsigned(3)), pe=2, m=3
    ),
    "converter_of_equal_sides": _converter(3, 3, signed(41)),
    "generator_three_by_three": _generator((6, 7, 4), signed(2), (3, 3), (1, 1), 2),
    "generator_depthwise": _generator((6, 5, 6), signed(5), (3, 2), (1, 2), 2, depthwise=True),
    "generator_wide": _generator((5, 6, 3), unsigned(41), (2, 1), (2, 3), 3),
    "generator_dilated": ConvolutionInputGenerator(
        "layer", ("x",), ("y",), (7, 8, 2), signed(3), (3, 2), (1, 2), 2, dilation=(2, 3)
    ),
    "concat_of_bits": _concat((2, 4), (unsigned(1), IntType(-1, 0)), simd=2),
    "concat_wide": _concat((3, 1), (signed(41), unsigned(8))),
    "crop_on_every_side": _crop((4, 5, 6), signed(8), (1, 1, 2), (2, 3, 4), simd=2),
    "crop_of_one_element": _crop((1, 2, 3), unsigned(1), (0, 1, 1), (1, 1, 1)),
    "upsample_both_ways": _upsample((2, 3, 4), signed(2), (2, 3), simd=2),
    "upsample_rows": _upsample((3, 2, 2), unsigned(41), (3, 1), simd=2),
    "upsample_pixels_of_many_beats": _upsample((2, 2, 18), unsigned(4), (1, 2)),
    "depth_to_space_of_two": _depth_to_space((2, 3, 8), unsigned(4), 2, simd=2),
    "depth_to_space_of_three": _depth_to_space((2, 1, 18), signed(41), 3),
    "window_with_a_border": _window((4, 5, 2), signed(8), (3, 3), (2, 2), (1, 1, 1, 1), -1),
    "window_of_bits": _window((4, 4, 3), unsigned(1), (3, 2), (1, 1), (0, 1, 0, 0), 1),
    "sparse_thresholds": matrix_layer(SparseMVAU, 8, 24, unsigned(4), 4, 15, density=0.3, pe=4, simd=4, lanes=2),
    "sparse_wide_sums_with_a_bias": matrix_layer(
        SparseMVAU, 4, 9, signed(16), 26, bias=True, density=0.6, pe=4, simd=9, lanes=4
    ),
    "unrolled_thresholds": matrix_layer(UnrolledMVAU, 8, 12, unsigned(4), 4, 15, density=0.4),
    "unrolled_three_pixels_in_digits": matrix_layer(
        UnrolledMVAU, 4, 6, signed(4), 4, 7, bias=True, digits=2, density=0.5, m=3
    ),
    "unrolled_without_a_weight": matrix_layer(UnrolledMVAU, 2, 3, unsigned(4), 4, 3, density=0.0),
    "unrolled_sums_in_digits": matrix_layer(UnrolledMVAU, 4, 7, signed(16), 20, bias=True, digits=4),
}


# any is an error, but of pragmas, which g++ does not know, and in ap_int.h, which reads what it has not written yet
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-maybe-uninitialized", "-Wno-uninitialized")
LAYERS["label_in_dsps"] = _label(
    5, IntType.of_bits(12, signed=True), multipliers=np.array([3, 900, 77, 4095, 1]), offsets=np.arange(-2, 3), dsps=1
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_of(LAYERS, tmp_path_factory.mktemp("kernels"), [*FLAGS, NEEDS, *WARNINGS])


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_kernel_is_exact(program, name, numbers):
    layer = LAYERS[name]
    inputs = frames_of(layer)
    outputs, _ = program.run(name, inputs, numbers)
    for got, expected in zip(outputs, layer.reference(*inputs), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_kernel_has_sent_all_that_it_can_when_it_waits(program):
    """What FIFO depths are reckoned from: an output beat needs no more input than its layer says, in any frame."""
    for name, layer in LAYERS.items():
        of_each = [layer.beats_of(index, layer.needed_of(3)) for index in range(len(layer.inputs()))]
        taken = program.inputs_needed(name, [frames[:3] for frames in frames_of(layer)])
        assert (taken <= np.max(of_each, axis=0)).all(), name


def test_a_fast_number_does_not_leave_its_width_silently(program):
    frames = frames_of(LAYERS["converter_to_wide"])
    frames[0][3, 1, 2, 4] = 2
    with pytest.raises(VerificationError, match="layer converter_to_wide: 2 does not fit 2 bits, signed"):
        program.run("converter_to_wide", frames, "fast")


def test_every_pipeline_is_flushed_and_every_dependence_is_true():
    """A pipeline that is not keeps results back while its input is late. A dependence that is denied and there makes
    hardware that is wrong."""
    texts = {path.name: path.read_text() for path in HLS.glob("*.hpp")}
    pragmas = [line for text in texts.values() for line in text.splitlines() if "#pragma" in line]
    pipelines = [line for line in pragmas if "pipeline" in line.lower()]
    for layer in LAYERS.values():
        text = texts[f"{layer.module}.hpp"]
        called = [texts[name] for name in re.findall('#include "(.*)"', text)]  # a kernel may be that of another
        assert any("HLS pipeline" in part for part in (text, *called)), layer.module
    assert {line.strip() for line in pipelines} == {"#pragma HLS pipeline style=flp II=1"}
    assert not [line for line in pragmas if "dependence" in line and "distance=" not in line]


def test_every_kernel_is_here():
    rtl = {path.stem for path in (HLS.parent / "rtl").glob("*.sv")}
    parts = {"requantize"}  # of kernels
    assert {layer.module for layer in LAYERS.values()} == (rtl & {path.stem for path in HLS.glob("*.hpp")}) - parts
