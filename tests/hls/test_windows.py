"""Sliding windows in HLS C++ against their reference: shapes, strides, borders and folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.layer import Layer
from pipeline.dataflow.types import IntType
from pipeline.kernels.convolution_input_generator import ConvolutionInputGenerator
from pipeline.kernels.parallel_window import ParallelWindow
from pipeline.tools.gxx import FLAGS, NEEDS
from tests.hls.frames import frames_of
from tests.hls.programs import program_of

pytestmark = pytest.mark.xdist_group("hls_windows")  # they share a compiled program

_UINT4, _INT3 = IntType(0, 15), IntType(-4, 3)


def _generator(shape, kernel, stride, simd, type_=_UINT4, *, depthwise=False):
    return ConvolutionInputGenerator("layer", ("x",), ("y",), shape, type_, kernel, stride, simd, depthwise)


def _parallel(shape, kernel, stride, pads, type_=_UINT4, value=0, m=1):
    return ParallelWindow("layer", ("x",), ("y",), shape, type_, kernel, stride, pads, value, m=m)


LAYERS: dict[str, Layer] = {
    "generator_folded": _generator((6, 7, 6), (3, 3), (1, 1), 2),
    "generator_whole_pixels": _generator((7, 5, 3), (3, 3), (2, 2), 3, _INT3),
    "generator_single_channels": _generator((5, 6, 3), (2, 3), (1, 2), 1),
    "generator_five_by_five": _generator((7, 8, 2), (5, 5), (1, 1), 2),
    "generator_of_the_whole_image": _generator((4, 5, 2), (4, 5), (1, 1), 1, _INT3),
    "generator_one_by_one": _generator((3, 4, 4), (1, 1), (1, 1), 2),
    "generator_one_by_one_in_steps": _generator((5, 4, 2), (1, 1), (2, 3), 1),
    "generator_that_leaves_pixels_out": _generator((7, 7, 2), (2, 2), (3, 3), 2, _INT3),
    "generator_with_unused_rows": _generator((6, 6, 2), (3, 3), (2, 2), 1),
    "generator_of_a_row": _generator((1, 9, 2), (1, 3), (1, 1), 1),
    "generator_of_a_column": _generator((9, 1, 4), (3, 1), (2, 1), 2, _INT3),
    "depthwise_folded": _generator((6, 7, 6), (3, 3), (1, 1), 2, depthwise=True),
    "depthwise_single_channels": _generator((5, 6, 3), (2, 3), (1, 2), 1, _INT3, depthwise=True),
    "depthwise_whole_pixels": _generator((5, 5, 3), (3, 3), (2, 2), 3, depthwise=True),
    "depthwise_that_leaves_pixels_out": _generator((7, 7, 4), (2, 2), (3, 3), 2, depthwise=True),
    "depthwise_of_a_row": _generator((1, 9, 4), (1, 4), (1, 1), 1, depthwise=True),
    "generator_of_two_pixels": replace(_generator((4, 6, 4), (1, 1), (2, 2), 2, _INT3), m=2),
    "generator_of_columns_of_two_pixels": replace(_generator((5, 4, 2), (3, 1), (1, 1), 1), m=2),
    "parallel_without_border": _parallel((5, 6, 2), (3, 3), (1, 1), (0, 0, 0, 0)),
    "parallel_with_border": _parallel((5, 6, 2), (3, 3), (1, 1), (1, 1, 1, 1), _INT3, -2),
    "parallel_with_uneven_border": _parallel((5, 4, 3), (3, 4), (2, 1), (0, 2, 2, 1), value=15),
    "parallel_five_by_five": _parallel((6, 5, 1), (5, 5), (2, 2), (2, 2, 2, 2)),
    "parallel_one_by_one": _parallel((3, 4, 2), (1, 1), (1, 1), (0, 0, 0, 0), _INT3),
    "parallel_one_by_one_in_steps": _parallel((5, 5, 2), (1, 1), (3, 2), (0, 0, 0, 0)),
    "parallel_of_the_whole_image": _parallel((3, 2, 2), (3, 2), (1, 1), (0, 0, 0, 0)),
    "parallel_wider_than_the_image": _parallel((1, 2, 2), (3, 4), (1, 1), (1, 2, 1, 1), _INT3, 3),
    "parallel_of_two_columns": _parallel((5, 2, 3), (3, 1), (1, 1), (1, 0, 1, 0), _INT3, -1),
    "parallel_of_two_columns_and_a_border": _parallel((4, 2, 2), (2, 2), (1, 2), (0, 1, 1, 1)),
    "parallel_that_leaves_pixels_out": _parallel((8, 7, 2), (2, 2), (3, 3), (1, 0, 0, 1), _INT3, 1),
    "parallel_of_two_pixels": _parallel((5, 8, 2), (3, 3), (1, 1), (1, 1, 1, 1), _INT3, -2, m=2),
    "parallel_of_four_pixels_at_stride_two": _parallel((6, 8, 1), (3, 3), (2, 2), (1, 1, 1, 1), m=4),
    "parallel_of_two_pixels_without_border": _parallel((5, 8, 1), (3, 3), (1, 1), (0, 0, 0, 0), m=2),
    "parallel_of_two_pixels_that_looks_far_ahead": _parallel((5, 8, 1), (3, 7), (1, 1), (1, 3, 1, 3), m=2),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return program_of(LAYERS, tmp_path_factory.mktemp("windows"), [*FLAGS, NEEDS])


@pytest.mark.parametrize("numbers", ["strict", "fast"])
@pytest.mark.parametrize("name", LAYERS)
def test_windows_are_exact_frame_after_frame(program, name, numbers):
    layer = LAYERS[name]
    inputs = frames_of(layer)
    (windows,), _ = program.run(name, inputs, numbers)
    np.testing.assert_array_equal(windows, layer.reference(*inputs)[0])


@pytest.mark.parametrize("name", LAYERS)
def test_windows_do_not_wait_for_pixels_that_they_do_not_need(program, name):
    layer = LAYERS[name]
    needed = layer.inputs_needed() + np.arange(3)[:, None] * layer.inputs()[0].beats
    taken = program.inputs_needed(name, [frames_of(layer)[0][:3]])
    assert (taken <= needed.ravel()).all()
