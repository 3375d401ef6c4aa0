"""UpsampleNearestNeighbour: rows and pixels repeated, in both directions or in one."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.upsample_nearest_neighbour import UpsampleNearestNeighbour
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, factors=(2, 2), simd=1, type_=UINT4):
    return UpsampleNearestNeighbour("layer", ("x",), ("y",), shape, type_, factors, simd)


CONFIGURATIONS = (
    _layer((3, 4, 4), simd=2),
    _layer((3, 5, 4), simd=4),
    _layer((2, 3, 6), (1, 3), simd=2),
    _layer((2, 3, 2), (1, 2), simd=2),
    _layer((2, 3, 3), (3, 1)),
    _layer((1, 1, 1), (2, 2), type_=IntType(-1, 0)),
    _layer((1, 1, 3), (4, 1), simd=3),
    _layer((2, 2, 3), (3, 5), type_=IntType(0, 1)),
    _layer((2, 2, 18), (2, 2), simd=9, type_=IntType(-128, 127)),  # beats of 72 bits
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("upsample"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_leaves_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_a_pixel_is_a_rectangle():
    (y,) = _layer((2, 2, 1), (2, 3)).reference(np.arange(4).reshape(1, 2, 2, 1))
    assert y[0, :, :, 0].tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2


def test_a_row_is_held_where_rows_are_repeated():
    assert _layer((3, 4, 4), simd=2).buffer_depth == 8
    assert _layer((3, 4, 6), (1, 2), simd=2).buffer_depth == 3


def test_input_beats_are_taken_when_the_hardware_takes_them():
    """The second row comes in while the second copy of the first one leaves."""
    layer = _layer((2, 3, 1))
    _, taken = layer.beat_times(np.zeros(6, dtype=np.int64), 1)
    assert taken[:3].tolist() == [0, 1, 2]
    assert taken[3] > 6


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="repeats rows 1 times and pixels 1 times"):
        _layer((2, 2, 2), (1, 1))
    with pytest.raises(ConfigError, match="SIMD = 3 does not divide its 4 channels"):
        _layer((2, 2, 4), simd=3)
