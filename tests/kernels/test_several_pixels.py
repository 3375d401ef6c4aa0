"""Several pixels of a row side by side: each as if it were alone, whole or a part of the channels at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.dataflow.layer import Stream
from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.add_streams import AddStreams
from pipeline.kernels.duplicate_streams import DuplicateStreams
from pipeline.kernels.elementwise_mul import ElementwiseMul
from pipeline.kernels.mvau import MVAU
from pipeline.kernels.pool import Pool
from pipeline.kernels.sparse_mvau import SparseMVAU
from pipeline.kernels.streaming_data_width_converter import StreamingDataWidthConverter
from pipeline.kernels.streaming_fifo import StreamingFIFO
from pipeline.kernels.thresholding import Thresholding
from pipeline.kernels.vvau import VVAU
from tests.kernels.matrices import matrix_layer
from tests.kernels.requantized import requantized_matrix, requantized_thresholding
from tests.kernels.side_by_side import simulate_side_by_side

INT4, UINT4 = IntType(-8, 7), IntType(0, 15)
X, Y, SHAPE = ("x",), ("y",), (2, 4, 6)


def _converter(in_lanes, in_m, out_lanes, out_m, shape=SHAPE):
    return StreamingDataWidthConverter(
        "layer", X, Y, shape=shape, type=INT4, in_lanes=in_lanes, out_lanes=out_lanes, in_m=in_m, out_m=out_m
    )


def _pool(function, pe, m):
    return Pool("layer", X, Y, (2, 4), 6, 9, INT4, function, 2 if function == "sum" else 0, pe, m=m)


def _thresholding(rows, pe, m):
    levels = np.sort(np.random.default_rng(rows).integers(-8, 8, (rows, 5)), axis=1)
    return Thresholding("layer", X, Y, SHAPE, INT4, IntType(-2, 3), levels, pe, m=m)


LAYERS = {
    "a_sum": AddStreams("layer", ("a", "b"), Y, SHAPE, (INT4, UINT4), (1, 3), pe=2, m=2),
    "a_product": ElementwiseMul("layer", ("a", "b"), Y, SHAPE, (INT4, UINT4), pe=3, m=4),
    "copies": DuplicateStreams("layer", X, ("y", "z"), SHAPE, INT4, 2, pe=3, m=2),
    "a_fifo_of_parts": StreamingFIFO("layer", X, Y, SHAPE, INT4, 4, 5, m=2),
    "a_fifo_of_pixels": StreamingFIFO("layer", X, Y, SHAPE, INT4, 24, 2, m=4),
    "parts_of_pixels_joined": _converter(2, 2, 6, 2),
    "parts_of_pixels_split": _converter(24, 4, 8, 4),
    "pixels_joined": _converter(6, 1, 24, 4),
    "pixels_split": _converter(12, 2, 6, 1),
    "pixels_of_one_channel": _converter(1, 1, 4, 4, (3, 4, 1)),
    "a_maximum": _pool("max", 2, 2),
    "a_mean": _pool("sum", 6, 4),
    "thresholds_of_parts": _thresholding(6, 2, 2),
    "thresholds_of_pixels": _thresholding(6, 6, 4),
    "thresholds_of_all_channels": _thresholding(1, 3, 2),
    "a_matrix": matrix_layer(MVAU, 4, 6, UINT4, 4, 7, bias=True, pe=2, simd=3, m=3),
    "a_matrix_of_one_fold": matrix_layer(MVAU, 4, 6, INT4, 3, pe=4, simd=6, m=3),
    "a_matrix_whose_weights_are_loaded": matrix_layer(MVAU, 4, 6, UINT4, 3, 3, pe=2, simd=2, ram_style="ultra", m=3),
    "a_matrix_without_its_zeros": matrix_layer(
        SparseMVAU, 4, 6, UINT4, 4, 7, bias=True, density=0.6, pe=4, simd=2, lanes=2, m=3
    ),
    "levels_by_requantizers": requantized_matrix(MVAU, 4, 8, UINT4, 4, 15, pe=2, simd=4, m=3),
    "channels": matrix_layer(VVAU, 4, 6, INT4, 4, 7, bias=True, pe=4, simd=3, m=3),
    "channels_of_two_rows": matrix_layer(VVAU, 8, 4, UINT4, 4, pe=4, simd=2, multiplier=2, m=3),
    "requantizers": replace(requantized_thresholding(4, IntType(-128, 127), 15, -8, pe=2), m=3),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(list(LAYERS.values()), tmp_path_factory.mktemp("pixels"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_frames_follow_each_other_without_a_gap(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


@pytest.mark.parametrize("name", LAYERS)
def test_m_pixels_take_an_m_th_of_the_time(name):
    layer = LAYERS[name]
    if isinstance(layer, StreamingDataWidthConverter):
        assert layer.cycles() == max(layer.inputs()[0].beats, layer.outputs()[0].beats)
    else:
        assert layer.cycles() * layer.m == replace(layer, m=1, **_of_one_pixel(layer)).cycles()


def _of_one_pixel(layer):
    return {"lanes": layer.lanes // layer.m} if isinstance(layer, StreamingFIFO) else {}


def test_a_stream_has_of_all_pixels_the_first_channels_first():
    frames = np.arange(16).reshape(1, 1, 4, 4)
    stream = Stream((1, 4, 4), IntType(0, 15), 4, 2)  # two channels of two pixels a beat
    sent = stream.sent(frames)
    assert sent.ravel().tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    np.testing.assert_array_equal(stream.received(sent), frames)
    assert stream.beats == 4
    assert Stream((1, 4, 4), IntType(0, 15), 8, 2).sent(frames) is frames


def test_what_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match="layer layer: M = 3 does not divide its rows of 4 pixels"):
        replace(LAYERS["a_sum"], m=3)
    with pytest.raises(ConfigError, match="6 lanes of 1 pixels to 12 of 4; where the pixels of a beat change"):
        _converter(6, 1, 12, 4)
    with pytest.raises(
        ConfigError, match="16 lanes do not divide its 6 channels of 4 pixels; choose 4 times a divisor"
    ):
        StreamingFIFO("layer", X, Y, SHAPE, INT4, 16, 2, m=4)
    with pytest.raises(ValueError, match="3 pixels do not divide a row of 4"):
        Stream((1, 4, 4), INT4, 3, 3).beats  # noqa: B018


def test_what_takes_one_pixel_a_beat_says_so():
    with pytest.raises(UnsupportedError, match="layer layer multiplies by one pixel and has M = 2"):
        ElementwiseMul("layer", ("a", "b"), Y, SHAPE, (INT4, UINT4), gated=True, m=2)
    with pytest.raises(UnsupportedError, match="layer layer has M = 2 and counts elements in each of its windows"):
        replace(_pool("sum", 6, 2), row_counts=(2, 3), column_counts=(2, 3, 3, 2))
