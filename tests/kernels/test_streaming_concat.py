"""StreamingConcat: pixels of two streams by turns, of any widths and signs."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.streaming_concat import StreamingConcat
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(channels, types=(UINT4, UINT4), simd=1, pixels=(2, 3)):
    return StreamingConcat("layer", ("a", "b"), ("y",), pixels, channels, types, simd)


def _frames(shapes, types=(UINT4, UINT4), simd=1):
    return StreamingConcat("layer", ("a", "b"), ("y",), (1, 1), tuple(map(prod, shapes)), types, simd, shapes)


CONFIGURATIONS = (
    _layer((4, 4), simd=4),
    _layer((4, 8), (IntType(-8, 7), UINT4), simd=2),
    _layer((1, 3), (IntType(0, 1), IntType(-1, 0))),
    _layer((6, 2), (IntType(-3, 200), IntType(-128, -100)), simd=2, pixels=(1, 1)),
    _layer((1, 1), (IntType(0, 0), IntType(-1 << 40, 5)), pixels=(3, 1)),
    _layer((20, 60), (IntType(0, 255), IntType(-8, 7)), simd=20),  # beats of 180 bits
    _frames(((2, 3, 2), (4, 6, 4)), (IntType(-9, 900), UINT4), simd=2),
    _frames(((1, 1, 3), (2, 1, 1)), (IntType(0, 1), IntType(-1, 0))),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("concat"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_the_first_inputs_channels_come_first():
    a, b = np.arange(6).reshape(1, 2, 3, 1), 10 + np.arange(12).reshape(1, 2, 3, 2)
    (y,) = _layer((1, 2), (UINT4, IntType(0, 31))).reference(a, b)
    assert y[0, 1, 2].tolist() == [5, 20, 21]


def test_a_whole_frame_of_one_comes_before_the_others():
    layer = _frames(((2, 2, 1), (1, 1, 3)))
    a, b = np.arange(8).reshape(2, 2, 2, 1), 8 + np.arange(6).reshape(2, 1, 1, 3)
    (y,) = layer.reference(a, b)
    assert y.reshape(2, 7).tolist() == [[0, 1, 2, 3, 8, 9, 10], [4, 5, 6, 7, 11, 12, 13]]
    assert layer.turns().tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert [stream.shape for stream in (*layer.inputs(), *layer.outputs())] == [(2, 2, 1), (1, 1, 3), (1, 1, 7)]


def test_the_output_holds_both_types_and_no_more():
    assert _layer((1, 1), (IntType(0, 15), IntType(-3, 1))).outputs()[0].type == IntType(-3, 15)


def test_a_pixels_beats_of_one_input_come_before_the_others():
    layer = _layer((2, 4), simd=2, pixels=(1, 2))
    assert layer.turns().tolist() == [0, 1, 1, 0, 1, 1]
    assert layer.beats_of(1, np.array([0, 1, 2, 3, 4, 6, 8])).tolist() == [0, 0, 1, 2, 2, 4, 5]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ConfigError, match="SIMD = 4 does not divide its 4 and 6 channels; choose a divisor of 2"):
        _layer((4, 6), simd=4)
    with pytest.raises(ConfigError, match="SIMD = 3 does not divide its 3 and 2 channels"):
        _frames(((2, 1, 3), (3, 1, 2)), simd=3)
    with pytest.raises(UnsupportedError, match="as 5 and 4 elements of 1 × 1 pixels; expected all of one pixel"):
        StreamingConcat("layer", ("a", "b"), ("y",), (1, 1), (5, 4), (UINT4, UINT4), 1, ((2, 1, 3), (1, 1, 4)))
    with pytest.raises(UnsupportedError, match="joins 3 streams .*; expected two of each"):
        StreamingConcat("layer", ("a", "b", "c"), ("y",), (1, 1), (1, 1), (UINT4, UINT4))
