"""Crop: rows, columns and channels of a frame; what is left out is taken all the same."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dataflow.types import IntType
from pipeline.errors import ConfigError, UnsupportedError
from pipeline.kernels.crop import Crop
from tests.kernels.side_by_side import simulate_side_by_side

UINT4 = IntType(0, 15)


def _layer(shape, start, size, simd=1, type_=UINT4):
    return Crop("layer", ("x",), ("y",), shape, type_, start, size, simd)


CONFIGURATIONS = (
    _layer((4, 5, 4), (1, 1, 0), (2, 3, 4), simd=2),
    _layer((2, 3, 6), (0, 0, 2), (2, 3, 2), simd=2),
    _layer((2, 3, 6), (0, 0, 0), (2, 3, 3)),
    _layer((3, 2, 2), (2, 1, 1), (1, 1, 1), type_=IntType(-1, 0)),
    _layer((1, 7, 1), (0, 3, 0), (1, 2, 1), type_=IntType(0, 1)),
    _layer((3, 3, 27), (0, 0, 9), (3, 2, 18), simd=9, type_=IntType(-128, 127)),  # beats of 72 bits
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate_side_by_side(CONFIGURATIONS, tmp_path_factory.mktemp("crop"))


def test_hardware_is_exact_with_and_without_stalls(simulated):
    simulated.assert_exact()


def test_a_beat_is_taken_in_every_cycle(simulated):
    simulated.assert_cycles()


def test_latency(simulated):
    simulated.assert_latency()


def test_the_part_is_that_of_the_frame():
    frame = np.arange(24).reshape(1, 2, 3, 4)
    (y,) = _layer((2, 3, 4), (1, 0, 2), (1, 2, 2)).reference(frame)
    assert y.tolist() == [[[[14, 15], [18, 19]]]]


def test_what_cannot_be_built_is_refused():
    with pytest.raises(UnsupportedError, match="expected a part of the frame that is not all of it"):
        _layer((2, 2, 2), (0, 0, 0), (2, 2, 2))
    with pytest.raises(UnsupportedError, match=r"takes \(2, 2, 2\) from \(1, 0, 0\) on"):
        _layer((2, 2, 2), (1, 0, 0), (2, 2, 2))
    with pytest.raises(ConfigError, match="SIMD = 4 .* takes 4 from 2 on; choose a divisor of 2"):
        _layer((2, 2, 8), (0, 0, 2), (2, 2, 4), simd=4)
