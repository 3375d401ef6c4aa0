"""ParallelWindow: whole windows in order, borders of every kind, and what FMPadding and the generator give together."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import UnsupportedError
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.fm_padding import FMPadding
from pipeline.kernels.parallel_window import ParallelWindow
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, kernel, stride, pads=(0, 0, 0, 0), type_=UINT4, value=0, m=1):
    return ParallelWindow("layer", ("x",), ("y",), shape, type_, kernel, stride, pads, value, m=m)


CONFIGURATIONS = {
    "as_usual": _layer((6, 7, 2), (3, 3), (1, 1), (1, 1, 1, 1)),
    "without_a_border": _layer((5, 6, 1), (3, 3), (1, 1)),
    "stride_two": _layer((8, 8, 2), (3, 3), (2, 2), (1, 1, 1, 1)),
    "stride_two_with_pixels_left_over": _layer((9, 11, 1), (2, 2), (2, 2)),
    "border_on_two_sides": _layer((7, 6, 1), (3, 3), (2, 2), (0, 0, 1, 1)),
    "border_of_minus_one": _layer((4, 5, 2), (3, 3), (1, 1), (1, 1, 1, 1), IntType(-8, 7), -1),
    "wide_border": _layer((5, 4, 1), (5, 5), (1, 1), (2, 2, 2, 2)),
    "last_rows_a_part_of_the_stride_apart": _layer((8, 5, 1), (5, 3), (2, 1), (2, 1, 2, 1)),
    "higher_than_the_image": _layer((3, 4, 1), (5, 3), (1, 1), (1, 1, 2, 1)),
    "as_wide_as_it_can_be": _layer((3, 3, 1), (4, 4), (1, 1), (3, 3, 3, 3)),
    "one_row_of_windows": _layer((3, 6, 1), (3, 2), (1, 1)),
    "one_row_of_sound": _layer((1, 9, 2), (1, 4), (1, 1), (0, 1, 0, 2), IntType(-128, 127)),
    "rows_far_apart": _layer((9, 4, 1), (2, 3), (4, 1), (1, 1, 0, 1)),
    "columns_far_apart": _layer((4, 11, 1), (3, 2), (1, 4), (1, 0, 1, 0)),
    "whole_image": _layer((4, 5, 1), (4, 5), (1, 1)),
    "one_bit": _layer((4, 4, 3), (3, 3), (1, 1), (1, 1, 1, 1), IntType(-1, 0)),
    "two_columns": _layer((6, 2, 2), (3, 2), (1, 1), (1, 0, 1, 1)),
    "two_columns_at_stride_two": _layer((6, 2, 1), (3, 2), (2, 2)),
    "two_columns_read_singly": _layer((6, 2, 1), (3, 1), (1, 1), (1, 0, 1, 0)),
    "one_by_one": _layer((4, 4, 3), (1, 1), (2, 2)),
    "two_pixels": _layer((6, 8, 2), (3, 3), (1, 1), (1, 1, 1, 1), m=2),
    "four_pixels": _layer((5, 8, 1), (3, 3), (1, 1), (1, 1, 1, 1), IntType(-8, 7), -3, m=4),
    "two_pixels_to_one_window": _layer((8, 8, 2), (3, 3), (2, 2), (1, 1, 1, 1), m=2),
    "four_pixels_to_two_windows": _layer((8, 8, 1), (3, 3), (2, 2), (0, 0, 1, 1), m=4),
    "two_pixels_of_large_windows": _layer((7, 6, 1), (5, 5), (1, 1), (2, 2, 2, 2), m=2),
    "two_pixels_of_windows_that_look_far_ahead": _layer((5, 8, 1), (3, 7), (1, 1), (1, 3, 1, 3), m=2),
    "two_pixels_with_a_border_on_the_right": _layer((4, 8, 1), (2, 5), (1, 1), (1, 0, 0, 4), m=2),
    "two_pixels_with_a_border_on_the_left": _layer((4, 8, 1), (2, 5), (1, 1), (0, 4, 1, 0), m=2),
    "two_pixels_without_a_border": _layer((5, 8, 1), (3, 3), (1, 1), m=2),
    "two_pixels_and_rows_far_apart": _layer((9, 4, 1), (2, 3), (4, 1), (1, 1, 0, 1), m=2),
    "two_pixels_higher_than_the_image": _layer((3, 4, 1), (5, 3), (1, 1), (1, 1, 2, 1), m=2),
    "two_pixels_of_sound": _layer((1, 8, 2), (1, 3), (1, 1), (0, 1, 0, 1), IntType(-128, 127), m=2),
    "two_pixels_one_by_one": _layer((4, 4, 3), (1, 1), (1, 1), m=2),
    "every_second_of_two_pixels": _layer((4, 4, 3), (1, 1), (2, 2), m=2),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(CONFIGURATIONS.values()), tmp_path_factory.mktemp("windows"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_windows_are_those_of_padding_and_generator(layer):
    frames = np.random.default_rng(0).integers(layer.type.lo, layer.type.hi + 1, (2, *layer.shape))
    padding = FMPadding("p", ("x",), ("p",), layer.shape, layer.type, layer.pads, layer.value)
    (padded,) = padding.reference(frames)
    generator = ConvolutionInputGenerator("g", ("p",), ("y",), padded.shape[1:], layer.type, layer.kernel, layer.stride)
    np.testing.assert_array_equal(layer.reference(frames)[0], generator.reference(padded)[0])


@pytest.mark.parametrize("layer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_window_needs_the_pixels_up_to_its_last(layer):
    pixels = np.arange(layer.shape[0] * layer.shape[1]).reshape(1, *layer.shape[:2], 1)
    numbered = ParallelWindow(
        "n", ("x",), ("y",), (*layer.shape[:2], 1), IntType(-1, pixels.size), layer.kernel, layer.stride, layer.pads, -1
    )
    last = numbered.reference(pixels // layer.m)[0].max(axis=3).reshape(-1, layer.windows).max(axis=1) + 1
    np.testing.assert_array_equal(layer.inputs_needed(), np.maximum.accumulate(last))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="windows of height 5 at a stride of 1 over a padded image of height 4"):
        _layer((2, 4, 1), (5, 3), (1, 1), (1, 1, 1, 1))
    with pytest.raises(UnsupportedError, match="pads of 3 and 0 for windows of width 3; expected pads of 0 to 2"):
        _layer((4, 4, 1), (3, 3), (1, 1), (0, 3, 0, 0))
    with pytest.raises(UnsupportedError, match="images of width 1"):
        _layer((4, 1, 1), (3, 1), (1, 1))
    with pytest.raises(UnsupportedError, match="pads with 16"):
        _layer((4, 4, 1), (3, 3), (1, 1), (1, 1, 1, 1), value=16)
